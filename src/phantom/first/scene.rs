//! From coded findings to what is drawn: amounts with gaps between small, moderate and large, so that each can be told.

use super::{
    super::{
        Random,
        maps::{channel, grade, third},
    },
    anatomy::{Anatomy, HEART_X},
};
use crate::finding::{Finding, FindingKind, Severity, Side};

/// What the findings of one film look like. Each knows its channel in the maps.
#[derive(Default)]
pub(super) struct Scene {
    pub opacities: Vec<Opacity>,
    pub effusions: Vec<Effusion>,
    pub pneumothoraces: Vec<Pneumothorax>,
    pub heart: Option<Heart>,
    pub lines: Vec<Line>,
}

/// A rounded patch.
pub(super) struct Opacity {
    pub channel: usize,
    pub at: (f32, f32),
    pub radius: f32,
    pub share: f32,
}

/// Fluid, so high above the diaphragm's edge.
pub(super) struct Effusion {
    pub channel: usize,
    pub side: f32,
    pub depth: f32,
}

/// Air around a lung that is so much smaller; `whole` where it reaches the diaphragm.
pub(super) struct Pneumothorax {
    pub channel: usize,
    pub side: f32,
    pub collapse: f32,
    pub whole: bool,
}

/// A large heart: half its width and height, and its middle's distance from the midline.
pub(super) struct Heart {
    pub channel: usize,
    pub width: f32,
    pub height: f32,
    pub x: f32,
}

/// A central venous line that came in on that side, and the height of its tip.
pub(super) struct Line {
    pub channel: usize,
    pub side: f32,
    pub tip: f32,
    pub entry: f32,
}

impl Scene {
    /// The same amounts for a finding whatever others there are.
    pub fn of(findings: &[Finding], anatomy: &Anatomy, random: &mut Random) -> Scene {
        let mut scene = Scene::default();
        let seed = random.number();
        for finding in findings {
            let channel = channel(finding);
            scene.add(finding, channel, anatomy, &mut Random::new(seed ^ channel as u64));
        }
        scene
    }

    fn add(&mut self, finding: &Finding, channel: usize, anatomy: &Anatomy, random: &mut Random) {
        let side = match finding.side {
            Side::Right => -1.0,
            Side::Left => 1.0,
            Side::Midline => 0.0,
        };
        let size = grade(finding);
        let has_size = finding.severity != Severity::None;
        let mut amount = |ranges: [(f32, f32); 3], of: usize| random.between(ranges[of].0, ranges[of].1);
        match finding.kind {
            FindingKind::Opacity if side != 0.0 && has_size => self.opacities.push(Opacity {
                channel,
                radius: amount([(0.085, 0.105), (0.145, 0.17), (0.22, 0.26)], size),
                at: (
                    side * (anatomy.lung_x + amount([(-0.07, 0.07); 3], 0)),
                    amount([(-0.48, -0.38), (-0.12, -0.02), (0.18, 0.28)], third(finding.region)),
                ),
                share: amount([(0.65, 0.9); 3], 0),
            }),
            FindingKind::Effusion if side != 0.0 && has_size => self.effusions.push(Effusion {
                channel,
                side,
                depth: amount([(0.14, 0.19), (0.32, 0.40), (0.58, 0.72)], size),
            }),
            FindingKind::Pneumothorax if side != 0.0 && has_size => self.pneumothoraces.push(Pneumothorax {
                channel,
                side,
                collapse: amount([(0.13, 0.17), (0.28, 0.34), (0.48, 0.58)], size),
                whole: size == 2,
            }),
            FindingKind::Cardiomegaly if has_size => {
                let width = amount([(0.29, 0.31), (0.365, 0.39), (0.45, 0.48)], size);
                let height = anatomy.heart_height * (1.0 + 0.5 * (width - 0.22));
                self.heart = Some(Heart { channel, width, height, x: HEART_X + 0.25 * (width - 0.22) });
            }
            FindingKind::Line if side != 0.0 => self.lines.push(Line {
                channel,
                side,
                tip: amount([(-0.33, -0.25), (-0.03, 0.06), (0.30, 0.40)], size),
                entry: amount([(-0.02, 0.02); 3], 0),
            }),
            _ => {}
        }
    }
}
