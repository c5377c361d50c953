//! The first style: flattened thoraces of smooth curves, the one that training sees.
//!
//! Positions are in body coordinates, u to the image's right and v downwards, -1..1 over the shorter side before the pose is
//! applied. The patient's right is at u < 0.

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
    pose::{Exposure, Pose},
    row::Row,
    scene::Scene,
};
use super::{Canvas, Content, Random};

/// Draws the content of a film of the patient of that seed.
pub(super) fn draw(patient: u64, content: &Content, visible: f32, random: &mut Random, canvas: &mut Canvas) {
    let anatomy = Anatomy::of(patient);
    let pose = Pose::draw(&mut random.fork());
    let exposure = Exposure::draw(&mut random.fork());
    let distractions = pose::Distractions::draw(&mut random.fork());
    let mut content_random = random.fork();
    let mut row = Row::new(canvas);
    let scene = match content {
        Content::Chest(findings) => Scene::of(findings, &anatomy, &mut content_random),
        _ => Scene::default(),
    };
    let subject = match content {
        Content::Chest(_) => Subject::Chest,
        Content::Blank => Subject::Blank(content_random.weighted(&[1, 1, 1]), content_random.between(0.0, 1.0)),
        Content::Other => Subject::Other(other::Kind::draw(&mut content_random)),
        Content::HeldOut => Subject::Other(other::Kind::Skull),
    };
    let fields = Fields::draw(&mut random.fork(), canvas, matches!(subject, Subject::Other(_)));
    for line in 0..canvas.height {
        row.begin(line, &pose, &fields);
        match &subject {
            Subject::Chest => {
                chest::draw(&mut row, &anatomy, &exposure);
                sign::draw(&mut row, &anatomy, &exposure, &scene, visible, &mut |channel, from, mask| {
                    canvas.mark(channel, line, from, mask);
                });
                chest::draw_bones(&mut row, &anatomy);
                sign::draw_line(&mut row, &anatomy, &scene, visible, &mut |channel, from, mask| {
                    canvas.mark(channel, line, from, mask);
                });
                distractions.draw_over(&mut row);
            }
            Subject::Blank(level, grey) => row.fill([0.0, 1.0, *grey][*level]),
            Subject::Other(kind) => kind.draw_row(&mut row, &exposure),
        }
        exposure.expose(&mut row);
        let from = line * canvas.width;
        canvas.grey[from..from + canvas.width].copy_from_slice(&row.grey);
    }
}

enum Subject {
    Chest,
    /// Black, white, or that grey.
    Blank(usize, f32),
    Other(other::Kind),
}
