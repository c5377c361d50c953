//! The second style: films as radiographs come about. Tissue along each ray weakens it, what arrives darkens the film.
//!
//! Places in the body are (across, down): the patient's right negative, 0.1 about two centimetres. Lengths along a ray
//! are in centimetres.

mod body;
mod detector;
mod elsewhere;
mod lesion;
mod pose;
mod ray;
mod solid;
#[cfg(test)]
mod tests;

use self::{body::Body, detector::Detector, lesion::Lesion, pose::Pose, ray::Row};
use super::{CHANNELS, Content, Random, canvas::Canvas, maps::channel};
use crate::finding::Finding;

/// How much a centimetre weakens a ray; bone beyond the soft tissue it replaces.
const SOFT: f32 = 0.15;
const BONE: f32 = 0.45;
const METAL: f32 = 2.4;
/// What is left of a centimetre of soft tissue in a centimetre of lung.
const LUNG: f32 = 0.28;

/// One film of a patient.
pub fn draw(patient: u64, content: &Content, visible: f32, random: &mut Random, canvas: &mut Canvas) {
    let mut exposure = random.fork();
    match content {
        Content::Chest(findings) => chest(patient, findings, visible, random, &mut exposure, canvas),
        Content::Blank => elsewhere::blank(random, &mut exposure, canvas),
        Content::Other => elsewhere::other(random, &mut exposure, canvas),
        Content::HeldOut => elsewhere::hand(random, &mut exposure, canvas),
    }
}

fn chest(
    patient: u64,
    findings: &[Finding],
    visible: f32,
    random: &mut Random,
    exposure: &mut Random,
    canvas: &mut Canvas,
) {
    // Not the numbers that the first style draws its anatomy from.
    let mut body = Body::of(&mut Random::new(patient.rotate_left(29)));
    let pose = Pose::of(&mut random.fork());
    body.hold(&pose);
    let things = pose::things(&mut random.fork(), &pose);
    // Of every finding there could be, so that none changes how another is drawn.
    let streams: [Random; CHANNELS.len()] = std::array::from_fn(|_| random.fork());
    let lesion = |finding: &Finding| {
        let channel = channel(finding);
        Some((channel, Lesion::of(finding, &body, &pose, &mut streams[channel].clone())?))
    };
    let lesions: Vec<(usize, Lesion)> = findings.iter().filter_map(lesion).collect();
    let mut detector = Detector::of(exposure, SOFT * body.thickness);
    let placed = body.placed(&pose);
    let mut row = Row::new(canvas);
    let mut change = vec![0.0; canvas.width];
    let mut mask = vec![0.0; canvas.width];
    for y in 0..canvas.height {
        row.trace(y, canvas, &pose, &body, &placed, &things);
        change.fill(0.0);
        for (channel, lesion) in &lesions {
            mask.fill(0.0);
            lesion.add(&row, &body, &mut change, &mut mask);
            canvas.mark(*channel, y, 0, &mask);
        }
        row.total.iter_mut().zip(&change).for_each(|(total, change)| *total += visible * change);
        detector.expose(y, &row.total, canvas);
    }
    pose.shutter(canvas);
}
