//! What lies along the rays to one row of the film.

use super::{
    super::{canvas::Canvas, shape::bump, shape::edge, shape::mix},
    BONE, LUNG, METAL, SOFT,
    body::{Body, Placed, Ribs},
    pose::Pose,
    solid::{Line, SCALE, Tube},
};

/// One row, of which each list has a value a pixel.
pub struct Row {
    pub line: Line,
    pub u: Vec<f32>,
    pub v: Vec<f32>,
    /// Centimetres of lung beside all that takes its place.
    pub lung: Vec<f32>,
    /// Centimetres of vessel in it, and of air.
    pub vessel: Vec<f32>,
    pub air: Vec<f32>,
    bone: Vec<f32>,
    metal: Vec<f32>,
    /// What the ray is weakened by.
    pub total: Vec<f32>,
}

impl Row {
    pub fn new(canvas: &Canvas) -> Row {
        let empty = || vec![0.0; canvas.width];
        Row {
            line: Line::default(),
            u: empty(),
            v: empty(),
            lung: empty(),
            vessel: empty(),
            air: empty(),
            bone: empty(),
            metal: empty(),
            total: empty(),
        }
    }

    pub fn trace(&mut self, y: usize, canvas: &Canvas, pose: &Pose, body: &Body, placed: &Placed, things: &[Tube]) {
        self.line = Line::of(y, canvas);
        for (tubes, out) in
            [(&placed.vessels[..], &mut self.vessel), (&placed.bones, &mut self.bone), (things, &mut self.metal)]
        {
            out.fill(0.0);
            tubes.iter().for_each(|tube| tube.raise(&self.line, out));
        }
        for x in 0..self.total.len() {
            let (u, v) = pose.find(self.line.x(x), self.line.y);
            let (soft, lung) = tissue(body, pose, u, v);
            let vessel = self.vessel[x].min(lung);
            self.vessel[x] = vessel;
            let bone = self.bone[x] * 0.7 + skeleton(body, pose, u, v);
            let air = (1.0 - LUNG) * (lung - vessel);
            (self.u[x], self.v[x], self.lung[x], self.air[x]) = (u, v, lung, air);
            self.total[x] = SOFT * (soft - air).max(0.0) + BONE * bone + METAL * self.metal[x];
        }
    }
}

/// Centimetres of body along the ray, air that is not of the lungs left out; and of those how many are lung.
fn tissue(body: &Body, pose: &Pose, u: f32, v: f32) -> (f32, f32) {
    let p = u.abs();
    let shoulder = ((v + 1.02 + 0.5 * pose.raised) * 2.6).clamp(0.0, 1.0);
    let waist = ((v + 0.40) * 2.2).clamp(0.0, 1.0);
    let half = mix(mix(0.20, 1.12, shoulder * (2.0 - shoulder)), body.flank, waist * waist * (3.0 - 2.0 * waist));
    if p > half && (!pose.arms || v < -0.45 || p < 0.8) {
        return (0.0, 0.0);
    }
    let deep = mix(0.52, 1.0, ((v + 0.95) * 1.25).clamp(0.0, 1.0)) * body.thickness;
    let chord = |q: f32| (1.0 - q * q).max(0.0).sqrt();
    let mut soft = deep * chord(p / half);
    if pose.arms && v > -0.45 {
        soft = soft.max(8.5 * chord((p - 1.04 - 0.12 * v) / 0.15));
    }
    let lung = &body.lungs[usize::from(u > 0.0)];
    let mut air = 0.0;
    if v > lung.apex && p < 0.8 {
        air = lung.depth(p, v);
        if air > 0.0 {
            air = (air - body.heart.along(u, v).max(body.between(u, v))).max(0.0);
        }
    }
    let belly = v - lung.floor(p);
    if belly > 0.0 && p < half {
        soft += 2.5 * (belly * 8.0).min(1.0) * chord(p / half);
        // The stomach's air stands over its fluid.
        let gas = body.bubble.along(u, v);
        soft -= gas * edge((body.bubble.at.1 + 0.02 - v) * 160.0);
    }
    if let Some(breasts) = &body.breasts {
        let breast = &breasts[usize::from(u > 0.0)];
        // It thins out upwards and ends in a fold below.
        let above = ((v - breast.at.1) / breast.radius.1 + 1.0).clamp(0.0, 1.0);
        soft += breast.along(u, v) * above;
    }
    // Windpipe, and its two branches from where it forks.
    let wind = u - body.trachea * ((v + 1.0) * 1.4).clamp(0.0, 1.0) - 0.8 * pose.rotated;
    let fork = -0.19;
    if v < fork {
        soft -= 2.6 * chord(wind / 0.036);
    } else if v < fork + 0.16 && wind.abs() < 0.2 {
        let slope = if u > body.trachea { 1.0 } else { 0.75 };
        soft -= 1.5 * chord((wind.abs() - slope * (v - fork)) / 0.026) * edge((fork + 0.11 - v) * 60.0);
    }
    (soft.max(0.0), air)
}

/// Centimetres of bone along the ray, collar bones and arms left out.
fn skeleton(body: &Body, pose: &Pose, u: f32, v: f32) -> f32 {
    let p = u.abs();
    let lung = &body.lungs[usize::from(u > 0.0)];
    let mut bone = 0.0;
    if p < body.vertebra + 0.05 {
        let spaced = (v * 8.5 + 64.0) - (v * 8.5 + 64.0).floor() - 0.5;
        let disc = bump(spaced * spaced * 90.0);
        let q = u / (body.vertebra * (1.0 + 0.6 * spaced * spaced));
        bone += body.bone * (1.0 - q * q).max(0.0).sqrt() * (1.3 - 0.6 * disc);
        let spine = (u * u + 0.01 * spaced * spaced) / (0.014 * 0.014);
        bone += 0.5 * bump(spine);
    }
    let beyond = p - lung.lateral(v) - 0.02;
    let low = lung.dome + 0.32;
    if p > 0.05 && beyond < 0.05 && v < low && v > lung.apex - 0.08 {
        let fade = edge((0.02 - beyond) * 120.0) * ((low - v) * 6.0).min(1.0);
        bone += fade * ribs(&body.ribs, p, v);
        // Rays along the chest wall pass through the bend of every rib.
        bone += 0.32 * bump(beyond * beyond / (0.018 * 0.018)) * fade;
    }
    let out = p - pose.rolled * 0.6 - body.blades[usize::from(u > 0.0)];
    if out > 0.50 && v > -0.62 - pose.raised && v < 0.06 {
        bone += blade(out, v + pose.raised);
    }
    bone
}

/// Those behind run out and down; those in front down towards the midline, where they end in cartilage.
fn ribs(ribs: &Ribs, p: f32, v: f32) -> f32 {
    let one = |course: f32, slope: f32, wide: f32, last: f32| {
        let place = (v - ribs.first - course) / ribs.apart;
        let number = (place + 0.5).floor();
        if !(0.0..=last).contains(&number) {
            return 0.0;
        }
        let own = ribs.own[number as usize % ribs.own.len()];
        let off = (place - number - 0.05 * own) * ribs.apart / (1.0 + slope * slope).sqrt();
        let square = off * off / (wide * wide);
        let shell = (1.0 - square).max(0.0).sqrt() - 0.8 * (0.55 - square).max(0.0).sqrt();
        shell * 2.0 * SCALE * wide * (1.0 + 0.08 * own)
    };
    let steep = ribs.steep;
    let behind = one((steep - 0.30) * p + 0.85 * p * p, steep - 0.30 + 1.7 * p, ribs.radius, 10.0);
    let inwards = 0.74 - p;
    let course = 0.30 + steep + 0.72 * inwards - 0.35 * inwards * inwards;
    let front = one(course, -0.72 + 0.7 * inwards, ribs.radius * 1.15, 6.0);
    ribs.dense.0 * behind + ribs.dense.1 * front * edge((p - 0.27) * 30.0)
}

/// The shoulder blade: a thin triangle with thicker edges.
fn blade(p: f32, v: f32) -> f32 {
    let medial = p - 0.60 - 0.17 * (v + 0.58);
    let below = (0.92 - p) * 0.93 - (v + 0.46) * 0.37;
    let above = v + 0.60 - 0.1 * (p - 0.6);
    let inside = medial.min(below).min(above);
    if inside < -0.03 {
        return 0.0;
    }
    let rim = inside / 0.013;
    0.22 * edge(inside * 200.0) + 0.4 * bump(rim * rim)
}
