//! Pictures that are no chest.

use super::{
    super::{
        Random,
        shape::{bump, edge, nearest, sine},
    },
    pose::Exposure,
    row::{Row, Spot},
};

/// What is on the film. A skull is for evaluation alone.
pub(super) enum Kind {
    Limb { joint: f32 },
    Hand { spread: f32 },
    Belly,
    Checks { turns: f32, start: f32 },
    Blots,
    Cloud,
    Bricks,
    Skull,
}

impl Kind {
    /// Any but a skull.
    pub fn draw(random: &mut Random) -> Kind {
        let mut of = |low, high| random.between(low, high);
        let (joint, spread, turns, start) = (of(-0.5, 0.5), of(0.10, 0.16), of(3.5, 5.0), of(0.0, 1.0));
        match random.below(7) {
            0 => Kind::Limb { joint },
            1 => Kind::Hand { spread },
            2 => Kind::Belly,
            3 => Kind::Checks { turns, start },
            4 => Kind::Blots,
            5 => Kind::Cloud,
            _ => Kind::Bricks,
        }
    }

    pub fn draw_row(&self, row: &mut Row, exposure: &Exposure) {
        let soft = exposure.soft;
        match *self {
            Kind::Limb { joint } => row.paint(row.all(), |spot| limb(spot, joint, soft)),
            Kind::Hand { spread } => row.paint(row.all(), |spot| hand(spot, spread, soft)),
            Kind::Belly => row.paint(row.all(), |spot| belly(spot, soft)),
            Kind::Checks { turns, start } => row.paint(row.all(), |spot| {
                let product = sine(spot.u * turns + start) * sine(spot.v * turns);
                0.5 + 0.42 * (4.0 * product).clamp(-1.0, 1.0)
            }),
            Kind::Blots => row.paint(row.all(), |spot| 0.1 + 0.7 * edge((spot.low + 0.3 * spot.middle - 0.5) / 0.06)),
            Kind::Cloud => row.paint(row.all(), |spot| 0.5 + 0.25 * spot.low + 0.10 * spot.middle + 0.05 * spot.fine),
            Kind::Bricks => row.paint(row.all(), |spot| {
                let across = edge((sine(spot.u * 9.5 + 0.12 * spot.middle) + 0.1) / 0.2);
                0.1 + 0.75 * edge((sine(spot.v * 4.5) - 0.2) / 0.1) * across
            }),
            Kind::Skull => row.paint(row.all(), |spot| skull(spot, soft)),
        }
    }
}

/// Two long bones that meet at a joint.
fn limb(spot: Spot, joint: f32, soft: f32) -> f32 {
    let aside = spot.u.abs();
    let from_joint = (spot.v - joint).abs();
    let flesh = edge((0.34 - 0.06 * edge(from_joint / 0.1) - aside) / 0.02);
    let bone = 0.10 + 0.08 * edge((0.16 - from_joint) / 0.06);
    let gap = 1.0 - bump(from_joint * from_joint / (0.02 * 0.02));
    let shaft = edge((bone - aside) / 0.012) * gap;
    let marrow = edge((bone - 0.045 - aside) / 0.02) * edge((from_joint - 0.2) / 0.05);
    0.04 + 0.75 * soft * flesh + 0.36 * shaft - 0.14 * marrow
}

/// Five fingers, each a row of bones.
fn hand(spot: Spot, spread: f32, soft: f32) -> f32 {
    let (mut flesh, mut bone) = (0.0f32, 0.0f32);
    for finger in 0..5 {
        let at = finger as f32 - 2.0;
        let thumb = if finger == 0 { 0.35 } else { 0.0 };
        let root = (at * 0.10, 0.42);
        let tip = (at * (0.10 + 1.6 * spread) - 0.4 * thumb, -0.72 + 0.05 * at * at + thumb);
        let (square, along) = nearest((spot.u, spot.v), root, tip);
        flesh = flesh.max(edge((0.085 - 0.02 * along - square.sqrt()) / 0.012));
        let joints = edge((sine(along * 3.5 + 0.25) + 0.92) / 0.06);
        bone = bone.max(edge((0.036 - square.sqrt()) / 0.008) * joints);
    }
    let palm = nearest((spot.u, spot.v), (0.0, 0.30), (0.0, 1.4)).0.sqrt();
    flesh = flesh.max(edge((0.27 - palm) / 0.02));
    let arm = nearest((spot.u, spot.v), (0.0, 0.62), (0.0, 1.5)).0.sqrt();
    let wrist = edge((0.15 - arm) / 0.02);
    0.04 + 0.62 * soft * flesh + 0.38 * bone.max(0.8 * wrist)
}

/// An abdomen: spine, gas, no lungs.
fn belly(spot: Spot, soft: f32) -> f32 {
    let (du, dv) = (spot.u / 0.86, spot.v / 1.15);
    let spine = bump(spot.u * spot.u / (0.08 * 0.08)) * (0.7 + 0.3 * sine(spot.v * 4.0));
    let gas = edge((spot.low + 0.35 * spot.middle - 0.9) / 0.12);
    let inside = edge((1.0 - du * du - dv * dv) / 0.05);
    0.04 + inside * (soft + 0.04 * spot.low + 0.06 * spot.middle + 0.14 * spine - 0.28 * gas)
}

/// A head from the front: vault, orbits, nose, teeth.
fn skull(spot: Spot, soft: f32) -> f32 {
    let jaw = 1.0 - 0.30 * edge((spot.v - 0.35) / 0.12);
    let (du, dv) = (spot.u / (0.60 * jaw), (spot.v + 0.03) / 0.82);
    let out = (du * du + dv * dv).sqrt();
    let vault = bump((out - 0.95) * (out - 0.95) / (0.055 * 0.055));
    let (eu, ev) = ((spot.u.abs() - 0.24) / 0.15, (spot.v - 0.10) / 0.12);
    let orbit = edge((1.0 - eu * eu - ev * ev) / 0.15);
    let (nu, nv) = (spot.u / 0.08, (spot.v - 0.30) / 0.14);
    let nose = edge((1.0 - nu * nu - nv * nv) / 0.2);
    let teeth = edge((0.05 - (spot.v - 0.55).abs()) / 0.01) * edge((0.22 - spot.u.abs()) / 0.02);
    let head = edge((1.0 - out) / 0.03);
    0.04 + head
        * (0.85 * soft + 0.04 * spot.middle - 0.22 * orbit - 0.18 * nose
            + 0.2 * teeth * (0.6 + 0.4 * sine(spot.u * 11.0)))
        + 0.38 * vault
}
