//! What stays the same in every film of one patient.

use super::{
    super::{Random, shape::edge},
    row::Stroke,
};

/// Measures of one thorax in body coordinates. Of two, the first is on the patient's right.
pub(super) struct Anatomy {
    /// 1, or -1 where all organs are on the other side.
    pub mirror: f32,
    /// Half the width of the chest.
    pub torso: f32,
    pub neck: f32,
    /// Half width and half height of a lung, and the centre's distance from the midline and its height.
    pub lung_width: f32,
    pub lung_height: f32,
    pub lung_x: f32,
    pub lung_y: f32,
    /// Height of the diaphragm at the edge of its dome.
    pub diaphragm: [f32; 2],
    pub heart_width: f32,
    pub heart_height: f32,
    pub heart_y: f32,
    pub mediastinum: f32,
    /// From one rib to the next, and where the first is.
    pub rib_distance: f32,
    pub rib_start: f32,
    pub rib_slope: f32,
    pub rib_grey: f32,
    pub gas: f32,
    pub breast: f32,
    pub vessels: [Vec<Stroke>; 2],
}

/// Distance of an undilated heart's middle from the midline.
pub(super) const HEART_X: f32 = 0.08;

/// How far the diaphragm's dome rises above its edge.
pub(super) const DOME: f32 = 0.11;

impl Anatomy {
    pub fn of(seed: u64) -> Anatomy {
        let random = &mut Random::new(seed);
        let (lung_x, lung_y) = (random.between(0.40, 0.44), random.between(-0.10, -0.03));
        let diaphragm = random.between(0.40, 0.50);
        Anatomy {
            mirror: if random.chance(0.06) { -1.0 } else { 1.0 },
            torso: random.between(0.80, 0.92),
            neck: random.between(0.22, 0.30),
            lung_width: random.between(0.27, 0.32),
            lung_height: random.between(0.60, 0.70),
            lung_x,
            lung_y,
            diaphragm: [diaphragm, diaphragm + random.between(0.0, 0.06)],
            heart_width: random.between(0.195, 0.235),
            heart_height: random.between(0.24, 0.29),
            heart_y: random.between(0.20, 0.27),
            mediastinum: random.between(0.10, 0.14),
            rib_distance: random.between(0.135, 0.165),
            rib_start: random.between(0.0, 1.0),
            rib_slope: random.between(0.35, 0.60),
            rib_grey: random.between(0.05, 0.10),
            gas: [0.0, 0.0, 0.2, 0.3][random.below(4)],
            breast: [0.0, 0.0, 0.02, 0.04][random.below(4)],
            vessels: [-1.0, 1.0].map(|side| vessels(&mut random.fork(), side)),
        }
    }

    /// Half the lungs' width at that height: apices are narrower.
    pub fn lung_width_at(&self, v: f32) -> f32 {
        self.lung_width * (0.72 + 0.28 * edge((v + 0.35) * 5.0))
    }
}

/// Vessels of one lung: five from the hilum, each with two branches.
fn vessels(random: &mut Random, side: f32) -> Vec<Stroke> {
    let mut strokes = Vec::new();
    for slope in [-1.9, -0.8, 0.0, 0.8, 2.0] {
        let from = (side * random.between(0.11, 0.20), 0.04 * slope + random.between(-0.06, 0.08));
        let direction = unit(side, slope + random.between(-0.3, 0.3));
        let to = along(from, direction, random.between(0.22, 0.34));
        strokes.push(Stroke { from, to, width: (0.024, 0.012), grey: random.between(0.07, 0.11) });
        for turn in [-0.5, 0.5] {
            let bent = unit(direction.0, direction.1 + turn * random.between(0.6, 1.4));
            let end = along(to, bent, random.between(0.16, 0.30));
            strokes.push(Stroke { from: to, to: end, width: (0.013, 0.008), grey: random.between(0.05, 0.09) });
        }
    }
    strokes
}

fn unit(x: f32, y: f32) -> (f32, f32) {
    let length = (x * x + y * y).sqrt();
    (x / length, y / length)
}

fn along(from: (f32, f32), direction: (f32, f32), length: f32) -> (f32, f32) {
    (from.0 + direction.0 * length, from.1 + direction.1 * length)
}
