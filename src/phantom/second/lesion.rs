//! What a finding changes along each ray, and where.

use super::{
    super::{
        Random,
        maps::third,
        shape::{bump, edge, mix},
    },
    LUNG, METAL, SOFT,
    body::{Body, Lung},
    pose::Pose,
    ray::Row,
    solid::{Ellipsoid, Tube, chain},
};
use crate::finding::{Finding, FindingKind, Severity, Side};

/// A finding in this body.
pub enum Lesion {
    /// Air spaces filled: lumps, and how much of the air is gone.
    Opacity {
        side: usize,
        lumps: Vec<Ellipsoid>,
        filled: f32,
    },
    /// Fluid up to a level, and how far it climbs up the wall.
    Effusion {
        side: usize,
        level: f32,
        climb: f32,
    },
    /// Air around a lung whose edge lies `width` within the chest wall down to `until`, and `lowered` under the apex.
    Pneumothorax {
        side: usize,
        width: f32,
        lowered: f32,
        until: f32,
    },
    Cardiomegaly {
        heart: Ellipsoid,
    },
    Catheter {
        tubes: Vec<Tube>,
    },
}

impl Lesion {
    /// `None` where its kind has no such side or severity.
    pub fn of(finding: &Finding, body: &Body, pose: &Pose, random: &mut Random) -> Option<Lesion> {
        let side = match finding.side {
            Side::Right => Some(0),
            Side::Left => Some(1),
            Side::Midline => None,
        };
        let size = match finding.severity {
            Severity::None => None,
            Severity::Small => Some(0),
            Severity::Moderate => Some(1),
            Severity::Large => Some(2),
        };
        match finding.kind {
            FindingKind::Opacity => {
                let (side, size) = (side?, size?);
                Some(opacity(side, third(finding.region), size, &body.lungs[side], random))
            }
            FindingKind::Effusion => {
                let (side, size) = (side?, size?);
                let height = [(-0.05, -0.025), (0.17, 0.23), (0.44, 0.54)][size];
                let level = body.lungs[side].dome - random.between(height.0, height.1);
                Some(Lesion::Effusion { side, level, climb: random.between(0.09, 0.13) })
            }
            FindingKind::Pneumothorax => {
                let (side, size) = (side?, size?);
                let scale = random.between(0.92, 1.08);
                let (width, lowered, until) = [(0.07, 0.15, 0.50), (0.14, 0.27, 0.72), (0.42, 0.50, 1.6)][size];
                Some(Lesion::Pneumothorax { side, width: width * scale, lowered: lowered * scale, until })
            }
            FindingKind::Cardiomegaly => {
                let ratio = [(0.535, 0.555), (0.61, 0.63), (0.69, 0.715)][size?];
                let ratio = random.between(ratio.0, ratio.1);
                (side.is_none()).then(|| Lesion::Cardiomegaly { heart: body.heart_of(ratio) })
            }
            FindingKind::Line => {
                let side = side?;
                size.is_none().then(|| Lesion::Catheter { tubes: catheter(side, third(finding.region), pose, random) })
            }
        }
    }

    /// Adds what it changes, and its share of each pixel.
    pub fn add(&self, row: &Row, body: &Body, change: &mut [f32], mask: &mut [f32]) {
        match self {
            Lesion::Catheter { tubes } => catheter_row(tubes, row, change, mask),
            Lesion::Cardiomegaly { heart } => {
                for x in 0..change.len() {
                    let (u, v) = (row.u[x], row.v[x]);
                    let grown = heart.along(u, v);
                    if grown > 0.0 && row.air[x] > 0.0 {
                        let usual = body.heart.along(u, v).max(body.between(u, v));
                        change[x] += SOFT * ((1.0 - LUNG) * (grown - usual)).clamp(0.0, row.air[x]);
                    }
                    mask[x] = if heart.square(u, v) < 0.97 { 1.0 } else { 0.0 };
                }
            }
            Lesion::Opacity { side, lumps, filled } => within(*side, row, change, mask, |x, _| {
                let near = lumps.iter().map(|lump| bump(1.4 * lump.square(row.u[x], row.v[x])));
                let share = 1.0 - near.fold(1.0, |clear, near| clear * (1.0 - near));
                (share, SOFT * filled * share * row.air[x])
            }),
            Lesion::Effusion { side, level, climb } => {
                let lung = &body.lungs[*side];
                within(*side, row, change, mask, |x, p| {
                    let v = row.v[x];
                    let out = (p - 0.32) / (lung.wide - 0.32);
                    let rise = climb * if out > 0.0 { out * out } else { 0.25 * out * out };
                    let share = edge((v - level + rise) * 55.0);
                    (share, SOFT * 0.97 * share * row.air[x])
                });
            }
            Lesion::Pneumothorax { side, width, lowered, until } => {
                let lung = &body.lungs[*side];
                within(*side, row, change, mask, |x, p| {
                    let inside = collapsed(lung, p, row.v[x], *width, *lowered, *until);
                    let share = edge(-inside * 220.0);
                    // The visceral pleura, seen along itself.
                    let rim = inside / 0.0085;
                    let pleura = if share < 1.0 || inside > -0.03 { 0.38 * bump(rim * rim) } else { 0.0 };
                    let gone = LUNG * row.lung[x] + (1.0 - LUNG) * row.vessel[x];
                    (share, pleura * (row.lung[x] * 0.5).min(1.0) - SOFT * gone * share)
                });
            }
        }
    }
}

/// For every pixel of that lung, with its distance from the midline: the share, and what changes.
fn within(side: usize, row: &Row, change: &mut [f32], mask: &mut [f32], of: impl Fn(usize, f32) -> (f32, f32)) {
    for x in 0..change.len() {
        if row.lung[x] > 0.0 && (row.u[x] > 0.0) == (side == 1) {
            let (share, by) = of(x, row.u[x].abs());
            change[x] += by;
            // A sliver of lung shows nothing of what is in it.
            mask[x] = share * (row.air[x] * 0.28).min(1.0);
        }
    }
}

/// How far inside the edge of the lung that air has pushed in; negative in the air.
fn collapsed(lung: &Lung, p: f32, v: f32, width: f32, lowered: f32, until: f32) -> f32 {
    let down = lung.down(v);
    let fade = ((until - down) * 4.0 / until).clamp(0.0, 1.0);
    let lateral = lung.lateral(v) - width * (fade * (2.0 - fade)) - if fade > 0.0 { 0.0 } else { -0.02 };
    // The upper end is round.
    let centre = (0.30, lung.apex + lowered + 0.16);
    let (across, up) = ((p - centre.0) / 0.20, ((centre.1 - v) / 0.16).max(0.0));
    let round = 0.16 * (1.0 - (across * across + up * up).sqrt());
    let side = lateral - p;
    if up > 0.0 { side.min(round) } else { side }
}

fn opacity(side: usize, third: usize, size: usize, lung: &Lung, random: &mut Random) -> Lesion {
    let down = [0.22, 0.52, 0.80][third] + random.between(-0.03, 0.03);
    let v = mix(lung.apex, lung.dome, down);
    let (medial, lateral) = (lung.medial(v).max([0.14, 0.22, 0.24][third]), lung.lateral(v));
    let p = mix(medial, lateral, random.between(0.40, 0.62));
    let radius = [0.085, 0.14, 0.205][size] * random.between(0.95, 1.05);
    let sign = if side == 0 { -1.0 } else { 1.0 };
    let lumps = (0..6).map(|at| {
        // One in the middle, the others around it.
        let (away, part) = if at == 0 { (0.0, 0.95) } else { (0.48, random.between(0.60, 0.85)) };
        let (x, y) = [(0.0, 0.0), (1.0, 0.1), (-0.2, 0.95), (-1.0, -0.1), (0.2, -0.95), (0.7, 0.7)][at];
        let jitter = (random.between(-0.12, 0.12), random.between(-0.12, 0.12));
        let place = (p + radius * (away * x + jitter.0), v + radius * (away * y + jitter.1) * 0.9);
        Ellipsoid::new((sign * place.0, place.1), (radius * part, radius * part * 0.9), 0.0)
    });
    Lesion::Opacity { side, lumps: lumps.collect(), filled: random.between(0.52, 0.74) }
}

/// From the shoulder under the collar bone into the great veins; where its tip is, third says.
fn catheter(side: usize, third: usize, pose: &Pose, random: &mut Random) -> Vec<Tube> {
    let mut jitter = |by: f32| random.between(-by, by);
    let sign = if side == 0 { -1.0 } else { 1.0 };
    let tip = [-0.43, -0.06, 0.31][third] + jitter(0.045);
    let (low, vein) = (-0.575 + jitter(0.02), -0.085 + jitter(0.015));
    let start = (sign * (0.86 + jitter(0.06)), -0.62 + jitter(0.06));
    // Both sides end in the vein to the right of the midline.
    let mut course = vec![start, (sign * 0.62, low - 0.03), (sign * 0.38, low - 0.04), (sign * 0.2, low)];
    if side == 1 {
        course.push((0.04, low + 0.05));
    }
    course.extend([(vein + 0.005, low + 0.10), (vein - 0.01, tip.max(low + 0.13) - 0.005)]);
    if third > 0 {
        let before = course.len() - 1;
        course.insert(before, (vein - 0.02, mix(low + 0.1, tip, 0.5)));
    }
    let points = smooth(&course);
    let placed: Vec<_> = points.iter().map(|point| pose.place(*point)).collect();
    chain(&placed, 0.0105)
}

/// Twice with its corners cut: a curve through the same course.
fn smooth(course: &[(f32, f32)]) -> Vec<(f32, f32)> {
    let cut = |points: &[(f32, f32)]| {
        let ends = |from: (f32, f32), to: (f32, f32), t: f32| (mix(from.0, to.0, t), mix(from.1, to.1, t));
        let inner = points.windows(2).flat_map(|pair| [ends(pair[0], pair[1], 0.25), ends(pair[0], pair[1], 0.75)]);
        let (first, last) = (points.first().copied(), points.last().copied());
        first.into_iter().chain(inner).chain(last).collect::<Vec<_>>()
    };
    cut(&cut(course))
}

fn catheter_row(tubes: &[Tube], row: &Row, change: &mut [f32], mask: &mut [f32]) {
    let mut metal = vec![0.0; mask.len()];
    tubes.iter().for_each(|tube| tube.raise(&row.line, &mut metal));
    for ((change, mask), length) in change.iter_mut().zip(mask).zip(metal) {
        *change += METAL * length;
        *mask = if length > 0.12 { 1.0 } else { 0.0 };
    }
}
