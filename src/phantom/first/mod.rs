//! The first style: flattened thoraces of smooth curves, the one that training sees.
//!
//! Positions are in body coordinates, u to the image's right and v downwards, -1..1 over the shorter side before the
//! pose is applied. The patient's right is at u < 0.

mod anatomy;
mod chest;
mod noise;
mod other;
mod pose;
mod row;
mod scene;
mod sign;

use self::{
    anatomy::Anatomy,
    noise::Fields,
    pose::{Distractions, Exposure, Pose},
    row::Row,
    scene::Scene,
};
use super::{Canvas, Content, Random};

/// Draws the content of a film of the patient of that seed.
pub(super) fn draw(patient: u64, content: &Content, visible: f32, random: &mut Random, canvas: &mut Canvas) {
    let anatomy = Anatomy::of(patient);
    let pose = Pose::draw(&mut random.fork());
    let exposure = Exposure::draw(&mut random.fork());
    let distractions = Distractions::draw(&mut random.fork());
    let subject = Subject::of(content, &anatomy, &mut random.fork());
    let fields = Fields::draw(&mut random.fork(), canvas, matches!(subject, Subject::Other(_)));
    let mut row = Row::new(canvas);
    for line in 0..canvas.height {
        row.begin(line, &pose, &fields);
        match &subject {
            Subject::Chest(scene) => {
                let mut mark = |channel, from, mask: &[f32]| canvas.mark(channel, line, from, mask);
                chest::draw(&mut row, &anatomy, &exposure);
                sign::draw(&mut row, &anatomy, &exposure, scene, visible, &mut mark);
                chest::draw_bones(&mut row, &anatomy);
                sign::draw_line(&mut row, &anatomy, scene, visible, &mut mark);
                distractions.draw_over(&mut row);
            }
            Subject::Blank(grey) => row.fill(*grey),
            Subject::Other(kind) => kind.draw_row(&mut row, &exposure),
        }
        exposure.expose(&mut row);
        let from = line * canvas.width;
        canvas.grey[from..from + canvas.width].copy_from_slice(&row.grey);
    }
}

/// What was before the detector.
enum Subject {
    Chest(Scene),
    Blank(f32),
    Other(other::Kind),
}

impl Subject {
    fn of(content: &Content, anatomy: &Anatomy, random: &mut Random) -> Subject {
        match content {
            Content::Chest(findings) => Subject::Chest(Scene::of(findings, anatomy, random)),
            Content::Blank => {
                let which = random.weighted(&[1, 1, 1]);
                Subject::Blank([0.0, 1.0, random.between(0.0, 1.0)][which])
            }
            Content::Other => Subject::Other(other::Kind::draw(random)),
            Content::HeldOut => Subject::Other(other::Kind::Skull),
        }
    }
}
