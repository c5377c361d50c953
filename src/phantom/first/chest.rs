//! A chest with nothing wrong: body, lungs, heart, bones.

use super::{
    super::shape::{bump, edge, mix, power, wave},
    anatomy::{Anatomy, DOME, HEART_X},
    pose::Exposure,
    row::{Row, Stroke},
    sign,
};

const SIDES: [f32; 2] = [-1.0, 1.0];
pub(super) const HEART_GREY: f32 = 0.77;
/// Where the neck widens into the shoulders.
const SHOULDER: f32 = -0.97;

/// Soft tissue, lungs with their vessels, mediastinum and heart.
pub(super) fn draw(row: &mut Row, anatomy: &Anatomy, exposure: &Exposure) {
    draw_body(row, anatomy, exposure);
    for (side, diaphragm) in SIDES.into_iter().zip(anatomy.diaphragm) {
        draw_lung(row, anatomy, exposure, side, diaphragm);
    }
    for stroke in anatomy.vessels.iter().flatten() {
        row.stroke(stroke, true);
    }
    draw_middle(row, anatomy);
}

fn draw_body(row: &mut Row, anatomy: &Anatomy, exposure: &Exposure) {
    let (torso, neck, soft) = (anatomy.torso, anatomy.neck, exposure.soft);
    row.paint(row.all(), |spot| {
        let down = ((spot.v - SHOULDER) / 0.36).clamp(0.0, 1.0);
        let wide = neck + (torso - neck) * down * (2.0 - down);
        let aside = spot.u / wide;
        let thick = 0.86 + 0.14 * (1.0 - aside * aside);
        let belly = 0.07 * edge((spot.v - 0.62) / 0.08);
        mix(0.03, soft * thick + belly, edge((wide - spot.u.abs()) / 0.02))
    });
}

fn draw_lung(row: &mut Row, anatomy: &Anatomy, exposure: &Exposure, side: f32, diaphragm: f32) {
    let (high, x, y) = (anatomy.lung_height, anatomy.lung_x, anatomy.lung_y);
    if !row.crosses(y - 1.1 * high..y + 1.1 * high) {
        return;
    }
    let reach = 1.1 * anatomy.lung_width;
    let columns = row.columns(side * x - reach..side * x + reach);
    row.open(columns.clone(), |u, v| {
        let du = (u - side * x) / anatomy.lung_width_at(v);
        let outline = edge((1.0 - power(du) - power((v - y) / high)) / 0.07);
        let across = du.clamp(-1.0, 1.0);
        let dome = diaphragm - DOME * (1.0 - across * across);
        (outline, outline * edge((dome - v) / 0.015))
    });
    let (level, texture) = (exposure.lung, exposure.texture);
    row.paint(columns, |spot| {
        let (du, dv) = ((spot.u.abs() - 0.17) / 0.10, (spot.v + 0.02) / 0.18);
        let hilum = 0.15 * bump(du * du + dv * dv);
        let grain = texture * (0.6 * spot.middle + 0.4 * spot.fine);
        // The back of the lung shines through below the dome.
        let below = 0.05 * edge((spot.v - 0.25) / 0.1);
        mix(spot.grey, level + hilum + grain + below, spot.lung)
    });
}

/// Stomach, mediastinum with the aortic knob and the trachea, heart.
fn draw_middle(row: &mut Row, anatomy: &Anatomy) {
    let mirror = anatomy.mirror;
    if anatomy.gas > 0.0 && row.crosses(0.60..1.0) {
        let gas = anatomy.gas;
        row.paint(row.columns(mirror * 0.36 - 0.2..mirror * 0.36 + 0.2), |spot| {
            let (du, dv) = ((spot.u - mirror * 0.36) / 0.13, (spot.v - 0.78) / 0.07);
            spot.grey - gas * edge((1.0 - du * du - dv * dv) / 0.2) * (1.0 - spot.lung)
        });
    }
    let wide = anatomy.mediastinum;
    row.paint(row.columns(-1.4 * wide..1.4 * wide), |spot| {
        let across = spot.u / wide;
        let square = across * across;
        let spread = edge((spot.v + 1.0) / 0.05);
        mix(spot.grey, 0.70, 0.8 * spread * bump(square * square))
    });
    if row.crosses(-0.45..-0.15) {
        row.paint(row.columns(mirror * 0.09 - 0.12..mirror * 0.09 + 0.12), |spot| {
            let (du, dv) = ((spot.u - mirror * 0.09) / 0.085, (spot.v + 0.30) / 0.095);
            mix(spot.grey, 0.72, 0.85 * edge((1.0 - du * du - dv * dv) / 0.12))
        });
    }
    sign::cover_heart(row, anatomy, anatomy.heart_width, anatomy.heart_height, HEART_X, |row, columns| {
        row.paint(columns, |spot| mix(spot.grey, HEART_GREY, 0.95 * spot.mask));
    });
    if row.crosses(-9.0..-0.2) {
        row.paint(row.columns(-0.08..0.10), |spot| {
            let tube = edge((0.036 - (spot.u - 0.008 * mirror).abs()) / 0.010) * edge((-0.27 - spot.v) / 0.03);
            spot.grey - 0.11 * tube
        });
    }
}

/// Spine, ribs, clavicles, shoulder blades and what lies before them: all add to what is there.
pub(super) fn draw_bones(row: &mut Row, anatomy: &Anatomy) {
    row.paint(row.columns(-0.12..0.12), |spot| {
        let body = bump(spot.u * spot.u / (0.055 * 0.055));
        spot.grey + 0.05 * body * (0.5 + 0.5 * edge((wave(spot.v / anatomy.rib_distance) - 0.25) / 0.08))
    });
    draw_ribs(row, anatomy);
    for side in SIDES {
        draw_shoulder(row, side);
        if anatomy.breast > 0.0 && row.crosses(-0.05..0.75) {
            draw_breast(row, side, anatomy.breast);
        }
    }
}

/// Twelve pairs from the spine, behind, and their other ends in front, which run down to the middle.
fn draw_ribs(row: &mut Row, anatomy: &Anatomy) {
    if !row.crosses(-0.80..0.80) {
        return;
    }
    let (grey, start, slope) = (anatomy.rib_grey, anatomy.rib_start, anatomy.rib_slope);
    let (x, y, high, per_v) = (anatomy.lung_x, anatomy.lung_y, anatomy.lung_height, 1.0 / anatomy.rib_distance);
    row.paint(row.columns(-0.85..0.85), |spot| {
        let aside = spot.u.abs();
        let out = ((aside - x) / anatomy.lung_width_at(spot.v)).max(0.0);
        let up = ((spot.v - y) / high).min(0.0);
        let cage = edge((1.30 - power(out) - power(up)) / 0.06) * edge((0.66 - spot.v) / 0.06);
        let from_spine = aside - 0.08;
        let behind = (spot.v - slope * from_spine * from_spine) * per_v + start;
        let from_side = (x + 0.30 - aside).max(0.0);
        let before = (spot.v - slope * (0.13 + 1.1 * from_side * (0.45 + from_side))) * per_v + start;
        let rib = edge((wave(behind) - 0.60) / 0.07) * edge((aside - 0.07) / 0.02);
        let front = edge((wave(before) - 0.62) / 0.09) * edge((aside - 0.24) / 0.05);
        // Over the liver little of them is seen.
        spot.grey + grey * cage * (0.5 + 0.5 * spot.lung) * (rib + 0.45 * front)
    });
}

/// Collar bone, shoulder blade and the head of the upper arm.
fn draw_shoulder(row: &mut Row, side: f32) {
    if row.crosses(-0.86..-0.48) {
        row.paint(row.columns(side * 0.39 - 0.35..side * 0.39 + 0.35), |spot| {
            let t = ((spot.u * side - 0.08) / 0.60).clamp(0.0, 1.0);
            let middle = -0.57 - 0.20 * t + 0.22 * t * (1.0 - t) * (1.0 - 2.0 * t);
            let ends = edge((spot.u * side - 0.08) / 0.008) * edge((0.69 - spot.u * side) / 0.008);
            let off = (spot.v - middle).abs();
            let bone = edge((0.030 - off) / 0.006) + 0.5 * bump((off - 0.026) * (off - 0.026) / (0.008 * 0.008));
            spot.grey + 0.085 * bone * ends
        });
    }
    if row.crosses(-0.85..-0.50) {
        row.paint(row.columns(side * 0.80 - 0.13..side * 0.80 + 0.13), |spot| {
            let (du, dv) = ((spot.u - side * 0.80) / 0.10, (spot.v + 0.67) / 0.085);
            spot.grey + 0.09 * edge((1.0 - du * du - dv * dv) / 0.12)
        });
    }
    let blade = Stroke { from: (side * 0.70, -0.60), to: (side * 0.76, -0.02), width: (0.035, 0.022), grey: 0.07 };
    row.stroke(&blade, false);
}

/// A soft shadow over the lower lung, fading upwards: on both sides alike.
fn draw_breast(row: &mut Row, side: f32, grey: f32) {
    row.paint(row.columns(side * 0.44 - 0.34..side * 0.44 + 0.34), |spot| {
        let (du, dv) = ((spot.u - side * 0.44) / 0.30, (spot.v - 0.30) / 0.32);
        spot.grey + grey * edge((1.0 - du * du - dv * dv) / 0.25)
    });
}
