//! Findings, each drawn by its mask, which is also its truth.

use std::ops::Range;

use super::{
    super::shape::{bump, edge, mix, nearest, power},
    anatomy::{Anatomy, DOME},
    chest::HEART_GREY,
    pose::Exposure,
    row::Row,
    scene::{Effusion, Line, Opacity, Pneumothorax, Scene},
};

/// Told the channel, first column and mask of what was drawn in a row.
pub(super) type Mark<'a> = &'a mut dyn FnMut(usize, usize, &[f32]);

/// All but lines, in the order in which they lie upon each other. `visible` scales their contrast, never their mask.
pub(super) fn draw(row: &mut Row, anatomy: &Anatomy, exposure: &Exposure, scene: &Scene, visible: f32, mark: Mark) {
    if let Some(heart) = &scene.heart {
        cover_heart(row, anatomy, heart.width, heart.height, heart.x, |row, columns| {
            mark(heart.channel, columns.start, &row.mask[columns.clone()]);
            row.paint(columns, |spot| mix(spot.grey, HEART_GREY, 0.95 * spot.mask * visible));
        });
    }
    for opacity in &scene.opacities {
        draw_opacity(row, opacity, visible, mark);
    }
    for effusion in &scene.effusions {
        draw_effusion(row, anatomy, effusion, visible, mark);
    }
    for pneumothorax in &scene.pneumothoraces {
        draw_pneumothorax(row, anatomy, exposure, pneumothorax, visible, mark);
    }
}

/// A heart of that half width and height: leaning, its apex down on the side it is on.
pub(super) fn cover_heart(
    row: &mut Row,
    anatomy: &Anatomy,
    width: f32,
    height: f32,
    x: f32,
    then: impl FnOnce(&mut Row, Range<usize>),
) {
    let (mirror, y) = (anatomy.mirror, anatomy.heart_y);
    let floor = anatomy.diaphragm[usize::from(mirror > 0.0)] - 0.01;
    if !row.crosses(y - 1.2 * height..y + 1.2 * height) {
        return;
    }
    let reach = 1.15 * width + 0.06;
    let columns = row.columns(mirror * x - reach..mirror * x + reach);
    row.cover(columns.clone(), |spot| {
        let dv = (spot.v - y) / height;
        let du = ((spot.u * mirror) - x - 0.05 * dv) / width;
        // Below the diaphragm it cannot be told from the liver.
        let above = 1.0 - 0.75 * edge((spot.v - floor) / 0.03);
        edge((1.0 - du * du - dv * dv) / 0.09) * above
    });
    then(row, columns);
}

fn draw_opacity(row: &mut Row, opacity: &Opacity, visible: f32, mark: Mark) {
    let Opacity { channel, at, radius, share } = *opacity;
    let reach = 2.2 * radius;
    if !row.crosses(at.1 - reach..at.1 + reach) {
        return;
    }
    let columns = row.columns(at.0 - reach..at.0 + reach);
    row.cover(columns.clone(), |spot| {
        let (du, dv) = (spot.u - at.0, (spot.v - at.1) / 0.9);
        let out = (du * du + dv * dv).sqrt() / radius;
        edge((1.0 - out + 0.20 * spot.middle) / 0.15) * spot.outline
    });
    mark(channel, columns.start, &row.mask[columns.clone()]);
    row.paint(columns, |spot| mix(spot.grey, 0.68 + 0.05 * spot.fine, share * spot.mask * visible));
}

/// Fluid with a meniscus that climbs the wall of the chest.
fn draw_effusion(row: &mut Row, anatomy: &Anatomy, effusion: &Effusion, visible: f32, mark: Mark) {
    let Effusion { channel, side, depth } = *effusion;
    let (x, wide) = (anatomy.lung_x, anatomy.lung_width);
    let floor = anatomy.diaphragm[usize::from(side > 0.0)];
    let level = floor - depth;
    if !row.crosses(level - 0.15..anatomy.lung_y + 1.1 * anatomy.lung_height) {
        return;
    }
    let columns = row.columns(side * x - 1.1 * wide..side * x + 1.1 * wide);
    row.cover(columns.clone(), |spot| {
        let out = ((spot.u.abs() - x + wide) / (2.0 * wide)).clamp(0.0, 1.0);
        let surface = level + 0.10 * (1.0 - out * (0.4 + 0.6 * out));
        // Below the diaphragm it fades into what lies there.
        let above = 1.0 - 0.55 * edge((spot.v - floor - 0.02) / 0.03);
        edge((spot.v - surface) / 0.015) * spot.outline * above
    });
    mark(channel, columns.start, &row.mask[columns.clone()]);
    row.blend(columns, 0.71, 0.93 * visible);
}

/// Black air without vessels outside a lung that has fallen in, with its edge as a fine line.
fn draw_pneumothorax(
    row: &mut Row,
    anatomy: &Anatomy,
    exposure: &Exposure,
    pneumothorax: &Pneumothorax,
    visible: f32,
    mark: Mark,
) {
    let Pneumothorax { channel, side, collapse, whole } = *pneumothorax;
    let (x, wide) = (anatomy.lung_x, anatomy.lung_width);
    let lowest = if whole { anatomy.diaphragm[1] + DOME } else { 0.30 };
    if !row.crosses(anatomy.lung_y - 1.1 * anatomy.lung_height..lowest) {
        return;
    }
    let (inner_x, inner_y) =
        (side * (x - wide * collapse * 0.8), anatomy.lung_y + anatomy.lung_height * collapse * 0.55);
    let inner_height = anatomy.lung_height * (1.0 - 0.7 * collapse);
    let everywhere = if whole { 1.0 } else { 0.0 };
    let inner = |u: f32, v: f32| {
        power((u - inner_x) / (anatomy.lung_width_at(v) * (1.0 - collapse))) + power((v - inner_y) / inner_height)
    };
    let fade = |v: f32| edge((0.10 - v) / 0.06).max(everywhere);
    let columns = row.columns(side * x - 1.1 * wide..side * x + 1.1 * wide);
    row.cover(columns.clone(), |spot| edge((inner(spot.u, spot.v) - 1.0) / 0.08) * spot.lung * fade(spot.v));
    mark(channel, columns.start, &row.mask[columns.clone()]);
    let air = exposure.lung * 0.35;
    row.paint(columns, |spot| {
        let off = (inner(spot.u, spot.v) - 1.0) / 0.10;
        let pleura = 0.16 * bump(off * off) * spot.lung * fade(spot.v);
        mix(spot.grey, air, 0.9 * spot.mask * visible) + pleura * visible
    });
}

/// Lines, above everything: from the side they came in to the great vein, and down it.
pub(super) fn draw_line(row: &mut Row, anatomy: &Anatomy, scene: &Scene, visible: f32, mark: Mark) {
    for line in &scene.lines {
        let points = course(anatomy, line);
        if !row.crosses(-0.80..line.tip + 0.04) {
            continue;
        }
        let columns = row.columns(-0.86..0.86);
        row.cover(columns.clone(), |_| 0.0);
        for pair in points.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            if row.crosses(from.1.min(to.1) - 0.03..from.1.max(to.1) + 0.03) {
                let near = row.columns(from.0.min(to.0) - 0.03..from.0.max(to.0) + 0.03);
                row.cover(near, |spot| {
                    let (square, _) = nearest((spot.u, spot.v), from, to);
                    // A spot's grey is the mask so far.
                    bump(square / (0.0125 * 0.0125)).max(spot.grey)
                });
            }
        }
        mark(line.channel, columns.start, &row.mask[columns.clone()]);
        row.paint(columns, |spot| spot.grey + 0.30 * visible * spot.mask);
    }
}

fn course(anatomy: &Anatomy, line: &Line) -> [(f32, f32); 7] {
    let vein = -0.075 * anatomy.mirror;
    let Line { side, entry, tip, .. } = *line;
    [
        (side * 0.80, -0.54 + entry),
        (side * 0.60, -0.64 + entry),
        (side * 0.40, -0.68 + entry),
        (vein + side * 0.14, -0.645 + 0.6 * entry),
        (vein + side * 0.03, -0.57),
        (vein, -0.45),
        (vein + 0.02 * anatomy.mirror, tip),
    ]
}
