//! What differs between two films of one patient: how they stood, the exposure, and what lies on the film.

use super::{
    super::{
        Random,
        shape::{bump, edge},
    },
    row::Row,
};

/// From places on the film to places in the body.
pub(super) struct Pose {
    cosine: f32,
    sine: f32,
    scale: (f32, f32),
    shift: (f32, f32),
    shear: f32,
}

impl Pose {
    pub fn draw(random: &mut Random) -> Pose {
        let turn = 0.05 * random.normal();
        Pose {
            cosine: 1.0 - turn * turn / 2.0,
            sine: turn,
            scale: (random.between(0.90, 1.08), random.between(0.92, 1.08)),
            shift: (0.035 * random.normal(), 0.035 * random.normal()),
            shear: 0.02 * random.normal(),
        }
    }

    /// The place in the body under a place on the film.
    pub fn body(&self, x: f32, y: f32) -> (f32, f32) {
        let (x, y) = (x - self.shift.0, y - self.shift.1);
        let u = (self.cosine * x + self.sine * y) / self.scale.0 + self.shear * y;
        (u, (self.cosine * y - self.sine * x) / self.scale.1)
    }
}

/// Greys of tissue, and what the detector makes of them.
pub(super) struct Exposure {
    pub lung: f32,
    pub soft: f32,
    pub texture: f32,
    /// Above 1 darker in the middle of the scale, below brighter.
    gamma: f32,
    contrast: f32,
    offset: f32,
    noise: f32,
    gradient: (f32, f32),
}

impl Exposure {
    pub fn draw(random: &mut Random) -> Exposure {
        let darker = random.between(0.0, 0.55);
        let gamma = if random.chance(0.5) { 1.0 + darker } else { 1.0 / (1.0 + darker) };
        Exposure {
            lung: random.between(0.16, 0.28),
            soft: random.between(0.52, 0.64),
            texture: random.between(0.015, 0.04),
            gamma,
            contrast: random.between(0.75, 1.15),
            offset: random.between(-0.07, 0.07),
            noise: random.between(0.008, 0.06),
            gradient: (0.05 * random.normal(), 0.05 * random.normal()),
        }
    }

    /// From what was in the beam to the greys of the film.
    pub fn expose(&self, row: &mut Row) {
        let base = self.offset + 0.5 - 0.5 * self.contrast + self.gradient.1 * row.y;
        for ((grey, x), grain) in row.grey.iter_mut().zip(&row.x).zip(&row.grain) {
            let dose = grey.clamp(0.0, 1.0);
            let curved = dose / (dose + self.gamma * (1.0 - dose));
            *grey = curved * self.contrast + base + self.gradient.0 * x + self.noise * grain;
        }
    }
}

/// Electrodes with wires, and a lead marker without a letter in either corner: it must not tell sides.
pub(super) struct Distractions {
    electrodes: [(f32, f32); 2],
    electrode_grey: f32,
    /// The side of the marker; 0 where there is none.
    marker: f32,
}

impl Distractions {
    pub fn draw(random: &mut Random) -> Distractions {
        Distractions {
            electrodes: [(); 2].map(|()| (random.between(-0.7, 0.7), random.between(-0.5, 0.6))),
            electrode_grey: [0.0, 0.0, 0.2, 0.3][random.below(4)],
            marker: [0.0, -1.0, 1.0][random.below(3)],
        }
    }

    pub fn draw_over(&self, row: &mut Row) {
        if self.electrode_grey > 0.0 {
            for at in self.electrodes {
                self.draw_electrode(row, at);
            }
        }
        let (x, y) = (0.86 * self.marker, row.y);
        if self.marker != 0.0 && (y + 0.86).abs() < 0.07 {
            let high = edge((0.05 - (y + 0.86).abs()) / 0.004);
            row.paint(row.all(), |spot| spot.grey + 0.5 * high * edge((0.05 - (spot.x - x).abs()) / 0.004));
        }
    }

    fn draw_electrode(&self, row: &mut Row, at: (f32, f32)) {
        let grey = self.electrode_grey;
        if row.crosses(at.1 - 0.04..at.1 + 0.04) {
            row.paint(row.columns(at.0 - 0.04..at.0 + 0.04), |spot| {
                let (du, dv) = (spot.u - at.0, spot.v - at.1);
                spot.grey + grey * edge((0.026 - (du * du + dv * dv).sqrt()) / 0.004)
            });
        }
        if row.crosses(at.1 - 0.05..9.0) {
            row.paint(row.columns(at.0 - 0.12..at.0 + 0.16), |spot| {
                let aside = spot.u - at.0 - 0.1 * (spot.v - at.1);
                let below = edge((spot.v - at.1) / 0.02);
                spot.grey + 0.35 * grey * bump(aside * aside / (0.008 * 0.008)) * below
            });
        }
    }
}
