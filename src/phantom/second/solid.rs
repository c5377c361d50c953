//! Solids whose length along a ray is known: tubes and ellipsoids.

use super::super::{canvas::Canvas, shape::nearest};

/// Centimetres in a unit of place.
pub const SCALE: f32 = 20.0;

/// One row of a picture: where its pixels are.
#[derive(Clone, Copy, Default)]
pub struct Line {
    pub y: f32,
    /// The x of the first pixel, and from each to the next.
    first: f32,
    pub step: f32,
}

impl Line {
    pub fn of(row: usize, canvas: &Canvas) -> Line {
        Line { y: canvas.y(row), first: canvas.x(0), step: 1.0 / canvas.unit() }
    }

    pub fn x(&self, column: usize) -> f32 {
        self.first + column as f32 * self.step
    }

    /// The columns from x to x, of so many.
    pub fn columns(&self, from: f32, to: f32, count: usize) -> std::ops::Range<usize> {
        let column = |x: f32| ((x - self.first) / self.step).clamp(-1.0, count as f32);
        let from = (column(from) + 1.0) as usize;
        from.min(count)..((column(to) + 1.0) as usize).clamp(from.min(count), count)
    }
}

/// A round tube with round ends.
#[derive(Clone, Copy)]
pub struct Tube {
    pub from: (f32, f32),
    pub to: (f32, f32),
    /// At its two ends.
    pub radius: (f32, f32),
    /// How much of its inside is missing, from 0 to 1: bones are of edges.
    pub hollow: f32,
}

impl Tube {
    pub fn solid(from: (f32, f32), to: (f32, f32), radius: (f32, f32)) -> Tube {
        Tube { from, to, radius, hollow: 0.0 }
    }

    pub fn bone(from: (f32, f32), to: (f32, f32), radius: f32) -> Tube {
        Tube { from, to, radius: (radius, radius), hollow: 0.8 }
    }

    /// Raises `out` to the centimetres of tube over each pixel. What is finer than a pixel is blurred to one.
    pub fn raise(&self, line: &Line, out: &mut [f32]) {
        let pixel = 0.7 * line.step;
        let widest = self.radius.0.max(self.radius.1) + pixel;
        let (low, high) = (self.from.1.min(self.to.1), self.from.1.max(self.to.1));
        if line.y < low - widest || line.y > high + widest {
            return;
        }
        let (left, right) = (self.from.0.min(self.to.0), self.from.0.max(self.to.0));
        for column in line.columns(left - widest, right + widest, out.len()) {
            let (square, along) = nearest((line.x(column), line.y), self.from, self.to);
            let radius = self.radius.0 + (self.radius.1 - self.radius.0) * along;
            let (own, blurred) = (radius * radius, radius * radius + pixel * pixel);
            let chord = |inner: f32| (1.0 - square / (blurred * inner * inner)).max(0.0).sqrt() * inner;
            let mut length = chord(1.0);
            if self.hollow > 0.0 {
                length -= self.hollow * chord(0.74);
            }
            length *= 2.0 * SCALE * radius * own / blurred;
            out[column] = out[column].max(length);
        }
    }
}

/// A chain of tubes of one radius.
pub fn chain(points: &[(f32, f32)], radius: f32) -> Vec<Tube> {
    points.windows(2).map(|pair| Tube::solid(pair[0], pair[1], (radius, radius))).collect()
}

/// An ellipsoid that leans: `lean` is how far it moves across for each unit down.
#[derive(Clone, Copy)]
pub struct Ellipsoid {
    pub at: (f32, f32),
    pub radius: (f32, f32),
    /// Its length along the ray through its middle.
    pub length: f32,
    pub lean: f32,
}

impl Ellipsoid {
    pub fn new(at: (f32, f32), radius: (f32, f32), length: f32) -> Ellipsoid {
        Ellipsoid { at, radius, length, lean: 0.0 }
    }

    /// Square of the distance from the middle, 1 at the surface.
    pub fn square(&self, u: f32, v: f32) -> f32 {
        let down = v - self.at.1;
        let across = (u - self.at.0 - self.lean * down) / self.radius.0;
        across * across + down * down / (self.radius.1 * self.radius.1)
    }

    pub fn along(&self, u: f32, v: f32) -> f32 {
        self.length * (1.0 - self.square(u, v)).max(0.0).sqrt()
    }
}
