//! What differs between two films of one patient besides findings: how they stood, and what lay on them.

use super::{
    super::{Random, canvas::Canvas, shape::sine},
    solid::{Tube, chain},
};

/// How the patient stands before the detector.
pub struct Pose {
    /// Where the middle of the body is.
    at: (f32, f32),
    /// Size on the film, and the tilt's cosine and sine times it.
    zoom: f32,
    turn: (f32, f32),
    /// How far what lies in front is beside what lies behind: the patient is rotated.
    pub rotated: f32,
    /// How far the diaphragm is up: poor breath.
    pub breath: f32,
    /// How far the shoulders are rolled forward and raised.
    pub rolled: f32,
    pub raised: f32,
    pub arms: bool,
    /// Beyond these the shutter is closed: left, right, above, below.
    shutter: [f32; 4],
}

impl Pose {
    pub fn of(random: &mut Random) -> Pose {
        let zoom = random.between(0.91, 1.06);
        let tilt = random.between(-0.055, 0.055);
        let closed = random.chance(0.35);
        let mut edge = || if closed { random.between(0.92, 1.02) } else { 9.0 };
        let shutter = [-edge(), edge(), -edge(), edge()];
        Pose {
            at: (random.between(-0.04, 0.04), random.between(-0.02, 0.08)),
            zoom,
            turn: (zoom * (1.0 - tilt * tilt / 2.0), zoom * tilt),
            rotated: random.between(-0.028, 0.028),
            breath: random.between(-0.03, 0.09),
            rolled: random.between(0.0, 0.16),
            raised: random.between(-0.05, 0.05),
            arms: random.chance(0.6),
            shutter,
        }
    }

    /// From the body to the film.
    pub fn place(&self, (u, v): (f32, f32)) -> (f32, f32) {
        let (c, s) = self.turn;
        (self.at.0 + c * u - s * v, self.at.1 + s * u + c * v)
    }

    /// From the film to the body.
    pub fn find(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y, scale) = (x - self.at.0, y - self.at.1, 1.0 / (self.zoom * self.zoom));
        ((self.turn.0 * x + self.turn.1 * y) * scale, (self.turn.0 * y - self.turn.1 * x) * scale)
    }

    pub fn tube(&self, tube: &Tube) -> Tube {
        let radius = (tube.radius.0 * self.zoom, tube.radius.1 * self.zoom);
        Tube { from: self.place(tube.from), to: self.place(tube.to), radius, ..*tube }
    }

    /// Blackens what the shutter covers.
    pub fn shutter(&self, canvas: &mut Canvas) {
        let [left, right, above, below] = self.shutter;
        if right > 1.5 {
            return;
        }
        // On an oblong film the shutter opens with the longer side.
        let (wide, high) = (canvas.x(canvas.width - 1).max(1.0), canvas.y(canvas.height - 1).max(1.0));
        for row in 0..canvas.height {
            let y = canvas.y(row) / high;
            for column in 0..canvas.width {
                let x = canvas.x(column) / wide;
                if x < left || x > right || y < above || y > below {
                    canvas.grey[row * canvas.width + column] = 0.0;
                }
            }
        }
    }
}

/// What lies on the patient, of metal: a side marker, electrodes with their leads.
pub fn things(random: &mut Random, pose: &Pose) -> Vec<Tube> {
    let mut things = Vec::new();
    if random.chance(0.6) {
        let right = random.chance(0.5);
        let at = (random.between(0.74, 0.82) * if right { -1.0 } else { 1.0 }, random.between(-0.86, -0.74));
        let size = random.between(0.03, 0.045);
        // R or L, in strokes.
        let strokes: &[(f32, f32)] = if right {
            &[(-0.6, 1.0), (-0.6, -1.0), (0.3, -0.9), (0.5, -0.45), (0.3, 0.0), (-0.6, 0.0), (0.6, 1.0)]
        } else {
            &[(-0.5, -1.0), (-0.5, 1.0), (0.6, 1.0)]
        };
        let placed: Vec<_> = strokes.iter().map(|(x, y)| (at.0 + size * x, at.1 + size * y)).collect();
        things.extend(chain(&placed, 0.009));
    }
    if random.chance(0.3) {
        for side in [-1.0, 1.0] {
            // From an electrode on the ribs out to the flank: never from a shoulder, never to the heart.
            let from = (side * random.between(0.46, 0.6), random.between(0.05, 0.4));
            let to = (side * random.between(0.85, 1.1), from.1 + random.between(0.2, 0.6));
            let bend = random.between(-0.05, 0.05);
            let at = |step: usize| {
                let t = step as f32 / 6.0;
                let down = t * (to.1 - from.1) + bend * sine(t);
                pose.place((from.0 + t * (to.0 - from.0), from.1 + down))
            };
            things.extend(chain(&[0, 1, 2, 3, 4, 5, 6].map(at), 0.006));
            things.push(Tube::solid(at(0), at(0), (0.017, 0.017)));
        }
    }
    things
}
