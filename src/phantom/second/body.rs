//! A patient's anatomy: as large on every film of them, and held as a pose holds it.

use super::{
    super::{Random, shape::mix},
    pose::Pose,
    solid::{Ellipsoid, Tube},
};

/// One lung; across is outwards from the midline on both sides.
#[derive(Clone, Copy)]
pub struct Lung {
    pub apex: f32,
    /// The top of the diaphragm, which lies at `crown` across.
    pub dome: f32,
    crown: f32,
    /// Across at the apex, and at the widest.
    narrow: f32,
    pub wide: f32,
    /// Centimetres of it along a ray through its thickest part.
    depth: f32,
    /// How much the diaphragm falls outwards.
    fall: f32,
}

impl Lung {
    /// From 0 at the apex to 1 at the dome.
    pub fn down(&self, v: f32) -> f32 {
        (v - self.apex) / (self.dome - self.apex)
    }

    /// Where the ribs end it.
    pub fn lateral(&self, v: f32) -> f32 {
        let down = self.down(v);
        let reach = (down * 1.5).clamp(0.0, 1.0);
        mix(self.narrow, self.wide, (reach * (2.0 - reach)).sqrt()) - 0.05 * (down - 0.75).max(0.0)
    }

    /// Where the mediastinum does.
    pub fn medial(&self, v: f32) -> f32 {
        let near = (1.0 - 3.2 * self.down(v)).clamp(0.0, 1.0);
        mix(0.075, self.narrow, near * near)
    }

    /// The diaphragm's height at that place.
    pub fn floor(&self, p: f32) -> f32 {
        let out = p - self.crown;
        self.dome + out * out * (self.fall + if out > 0.0 { 1.6 * out } else { 0.0 })
    }

    /// Centimetres of lung along the ray, of which a little lies behind and below the dome.
    pub fn depth(&self, p: f32, v: f32) -> f32 {
        let (lateral, medial) = (self.lateral(v), self.medial(v));
        let q = (2.0 * p - lateral - medial) / (lateral - medial).max(1e-3);
        let down = self.down(v);
        if down <= 0.0 || q.abs() >= 1.0 {
            return 0.0;
        }
        let below = v - self.floor(p);
        let open = (0.5 - below * 40.0).clamp(0.0, 1.0);
        let behind = 0.17 * (1.0 - below * 5.5).clamp(0.0, 1.0);
        let high = (down * 2.2).min(1.0).sqrt() * (1.0 - 0.12 * down);
        self.depth * high * (1.0 - q * q * q * q).sqrt() * mix(behind, 1.0, open)
    }
}

/// Ribs are of one course each side, repeated downwards.
pub struct Ribs {
    pub first: f32,
    pub apart: f32,
    pub radius: f32,
    /// How much further down than horizontal they run outwards.
    pub steep: f32,
    /// How dense behind and in front.
    pub dense: (f32, f32),
    /// A little of their own for each.
    pub own: [f32; 16],
}

pub struct Body {
    /// Right, left.
    pub lungs: [Lung; 2],
    /// Centimetres from front to back.
    pub thickness: f32,
    pub flank: f32,
    pub heart: Ellipsoid,
    /// Width of the heart by that of the chest inside.
    ratio: f32,
    /// What else lies between the lungs or at their roots.
    between: Vec<Ellipsoid>,
    pub breasts: Option<[Ellipsoid; 2]>,
    pub bubble: Ellipsoid,
    pub ribs: Ribs,
    pub vertebra: f32,
    pub bone: f32,
    pub trachea: f32,
    vessels: Vec<Tube>,
    bones: Vec<Tube>,
    pub blades: [f32; 2],
}

/// What is placed on the film once and not found again for each pixel.
pub struct Placed {
    pub vessels: Vec<Tube>,
    pub bones: Vec<Tube>,
}

impl Body {
    pub fn of(random: &mut Random) -> Body {
        let apex = random.between(-0.80, -0.70);
        let dome = random.between(0.36, 0.46);
        let wide = random.between(0.66, 0.75);
        let thickness = random.between(18.0, 25.0);
        let right = Lung {
            apex,
            dome,
            crown: random.between(0.30, 0.38),
            narrow: random.between(0.24, 0.29),
            wide,
            depth: thickness * random.between(0.70, 0.78),
            fall: random.between(0.5, 0.9),
        };
        let left = Lung {
            dome: dome + random.between(0.02, 0.06),
            apex: apex + random.between(-0.02, 0.02),
            crown: right.crown + 0.03,
            ..right
        };
        let knob = random.between(0.9, 1.3);
        let between = vec![
            Ellipsoid::new((0.0, -0.60), (random.between(0.13, 0.17), 0.42), 14.0),
            Ellipsoid::new((-0.075, -0.22), (random.between(0.075, 0.105), 0.34), 8.0),
            Ellipsoid::new((0.10, -0.34), (0.085 * knob, 0.085 * knob), 9.0),
            Ellipsoid::new((0.12, -0.14), (0.09, 0.11), 8.0),
            Ellipsoid { lean: -0.25, ..Ellipsoid::new((-0.17, -0.02), (0.075, 0.13), 4.0) },
            Ellipsoid { lean: 0.25, ..Ellipsoid::new((0.19, -0.07), (0.075, 0.12), 4.0) },
        ];
        let breast = Ellipsoid::new((random.between(0.36, 0.44), random.between(0.22, 0.36)), (0.29, 0.27), 0.0);
        let (size, full) = (random.between(0.75, 1.1), random.between(2.0, 5.0));
        let breasts = random.chance(0.45).then(|| {
            [-1.0, 1.0].map(|side: f32| Ellipsoid {
                at: (side * breast.at.0, breast.at.1 + random.between(-0.02, 0.02)),
                radius: (breast.radius.0 * size, breast.radius.1 * size),
                length: full,
                lean: side * 0.15,
            })
        });
        let ribs = Ribs {
            first: apex - random.between(-0.02, 0.03),
            apart: random.between(0.122, 0.142),
            radius: random.between(0.024, 0.031),
            steep: random.between(-0.08, 0.16),
            dense: (random.between(0.75, 1.15), random.between(0.35, 0.7)),
            own: std::array::from_fn(|_| random.normal()),
        };
        Body {
            lungs: [right, left],
            thickness,
            flank: wide + random.between(0.10, 0.22),
            heart: Ellipsoid {
                lean: random.between(0.25, 0.5),
                ..Ellipsoid::new((random.between(0.09, 0.14), random.between(0.17, 0.23)), (0.0, 0.0), 13.0)
            },
            ratio: random.between(0.385, 0.455),
            between,
            breasts,
            bubble: Ellipsoid::new(
                (random.between(0.28, 0.40), left.dome + random.between(0.11, 0.15)),
                (random.between(0.07, 0.13), random.between(0.035, 0.06)),
                random.between(2.0, 7.0),
            ),
            ribs,
            vertebra: random.between(0.082, 0.096),
            bone: random.between(0.8, 1.15),
            trachea: random.between(-0.02, 0.01),
            vessels: vessels(random, &[right, left]),
            bones: bones(random),
            blades: [random.between(-0.02, 0.03), random.between(-0.02, 0.03)],
        }
    }

    /// As the pose holds it.
    pub fn hold(&mut self, pose: &Pose) {
        for lung in &mut self.lungs {
            lung.dome -= pose.breath;
        }
        self.bubble.at.1 -= pose.breath;
        self.heart.at.1 -= 0.6 * pose.breath;
        let in_front = |ellipsoid: &mut Ellipsoid| ellipsoid.at.0 += pose.rotated;
        self.between.iter_mut().for_each(in_front);
        in_front(&mut self.heart);
        self.heart = self.heart_of(self.ratio);
    }

    /// The heart where its width is that share of the chest's.
    pub fn heart_of(&self, ratio: f32) -> Ellipsoid {
        let half = ratio * (self.lungs[0].wide + self.lungs[1].wide) / 2.0;
        // A larger heart grows to the left more than to the right, and a little down.
        let grown = (half - self.ratio * self.lungs[0].wide).max(0.0);
        let high = 0.27 + 0.25 * grown;
        let across = (half * half - (self.heart.lean * high) * (self.heart.lean * high)).max(0.01).sqrt();
        let at = (self.heart.at.0 + 0.22 * grown, self.heart.at.1 + 0.1 * grown);
        Ellipsoid { at, radius: (across, high), ..self.heart }
    }

    /// Centimetres of what lies between the lungs, without the heart.
    pub fn between(&self, u: f32, v: f32) -> f32 {
        if u.abs() > 0.36 {
            return 0.0;
        }
        self.between.iter().map(|part| part.along(u, v)).fold(0.0, f32::max)
    }

    pub fn placed(&self, pose: &Pose) -> Placed {
        let vessels = self.vessels.iter().map(|tube| pose.tube(tube)).collect();
        let shifted = |tube: &Tube| {
            let lift = |(u, v): (f32, f32)| (u, v - pose.raised * (u.abs() * 1.4).min(1.0));
            pose.tube(&Tube { from: lift(tube.from), to: lift(tube.to), ..*tube })
        };
        let kept = |tube: &&Tube| pose.arms || tube.from.0.abs() < 0.8;
        Placed { vessels, bones: self.bones.iter().filter(kept).map(shifted).collect() }
    }
}

/// Arteries and veins, from each lung's root outwards.
fn vessels(random: &mut Random, lungs: &[Lung; 2]) -> Vec<Tube> {
    let mut tubes = Vec::new();
    for (lung, side) in lungs.iter().zip([-1.0, 1.0]) {
        for branch in 0..11 {
            // Mostly up or down; those down are wider.
            let fan = (branch as f32 + random.between(-0.3, 0.3)) / 10.0;
            let mut way = (0.35 + 0.65 * (1.0 - (2.0 * fan - 1.0).abs()), 2.0 * fan - 0.95);
            let mut at = (0.14, random.between(-0.10, 0.06));
            let mut radius = 0.010 + 0.008 * fan;
            for _ in 0..7 {
                let step = random.between(0.06, 0.10);
                let length = (way.0 * way.0 + way.1 * way.1).sqrt();
                let to = (at.0 + step * way.0 / length, at.1 + step * way.1 / length);
                if lung.depth(to.0, to.1) < 2.0 {
                    break;
                }
                let place = |(p, v): (f32, f32)| (side * p, v);
                tubes.push(Tube::solid(place(at), place(to), (radius, radius * 0.82)));
                if random.chance(0.7) {
                    let reach = random.between(0.05, 0.13);
                    let bend = if random.chance(0.5) { 0.8 } else { -0.8 };
                    let twig = (way.0 / length - bend * way.1 / length, way.1 / length + bend * way.0 / length);
                    let end = (to.0 + reach * twig.0, to.1 + reach * twig.1);
                    tubes.push(Tube::solid(place(to), place(end), (radius * 0.55, 0.002)));
                }
                at = to;
                radius *= 0.82;
                way = (way.0 + random.between(-0.35, 0.35), way.1 + random.between(-0.35, 0.35));
            }
        }
    }
    tubes
}

/// Collar bones and arms.
fn bones(random: &mut Random) -> Vec<Tube> {
    let bend = random.between(0.6, 1.4);
    let mut tubes = Vec::new();
    for side in [-1.0, 1.0] {
        let course = [
            (0.065, -0.585),
            (0.17, -0.60),
            (0.30, -0.635),
            (0.43, -0.685),
            (0.56, -0.71),
            (0.68, -0.70),
            (0.80, -0.66),
        ];
        let at = |(p, v): (f32, f32)| (side * p, -0.60 + bend * (v + 0.60));
        tubes.extend(course.windows(2).map(|pair| Tube::bone(at(pair[0]), at(pair[1]), 0.026)));
        tubes.push(Tube { hollow: 0.45, ..Tube::bone((side * 0.93, -0.54), (side * 0.95, -0.50), 0.085) });
        tubes.push(Tube::bone((side * 0.98, -0.50), (side * 1.12, 0.55), 0.055));
    }
    tubes
}
