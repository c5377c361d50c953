//! Fields of smooth noise, each from a lattice of random values.

use super::super::{Canvas, Random};

/// Noise of one fineness over the whole film: mean 0, deviation 1 at the lattice's points.
pub(super) struct Field {
    values: Vec<f32>,
    /// Points of the lattice in a row.
    stride: usize,
    /// Lattice points from pixel to pixel.
    step: f32,
    /// For each column the lattice point on its left and how far it is towards the next.
    columns: Vec<(u32, f32)>,
    smooth: bool,
}

impl Field {
    /// With `cells` points along the shorter side; smooth fields have no creases at the points.
    fn draw(random: &mut Random, cells: f32, smooth: bool, canvas: &Canvas) -> Field {
        let step = cells / (2.0 * canvas.unit());
        let stride = (canvas.width as f32 * step) as usize + 3;
        let rows = (canvas.height as f32 * step) as usize + 3;
        let values = (0..stride * rows).map(|_| random.normal()).collect();
        let columns = (0..canvas.width).map(|column| place(column, step, smooth)).collect();
        Field { values, stride, step, columns, smooth }
    }

    /// The values of one row of the film. `lattice` is room to work in.
    pub fn row(&self, line: usize, lattice: &mut Vec<f32>, out: &mut [f32]) {
        let (above, share) = place(line, self.step, self.smooth);
        let at = above as usize * self.stride;
        let (upper, lower) = self.values[at..at + 2 * self.stride].split_at(self.stride);
        lattice.clear();
        lattice.extend(upper.iter().zip(lower).map(|(above, below)| above + (below - above) * share));
        for (out, (left, share)) in out.iter_mut().zip(&self.columns) {
            let (from, to) = (lattice[*left as usize], lattice[*left as usize + 1]);
            *out = from + (to - from) * share;
        }
    }
}

fn place(pixel: usize, step: f32, smooth: bool) -> (u32, f32) {
    let at = (pixel as f32 + 0.5) * step + 0.5;
    let share = at - at.floor();
    (at as u32, if smooth { share * share * (3.0 - 2.0 * share) } else { share })
}

/// The noise of one film, coarse to fine.
pub(super) struct Fields {
    pub warp: [Field; 2],
    /// For pictures of other things alone.
    pub low: Option<Field>,
    pub middle: Field,
    pub fine: Field,
    /// One value a pixel where the shorter side has 224.
    pub grain: Field,
}

impl Fields {
    pub fn draw(random: &mut Random, canvas: &Canvas, with_low: bool) -> Fields {
        let mut field = |cells, smooth| Field::draw(&mut random.fork(), cells, smooth, canvas);
        Fields {
            warp: [field(4.0, true), field(4.0, true)],
            middle: field(28.0, true),
            fine: field(75.0, false),
            grain: field(224.0, false),
            low: with_low.then(|| field(7.0, true)),
        }
    }
}
