//! The curves films are drawn with: polynomials, which vectorise and are the same on every machine.

/// From 0 to 1 around `t` = 0, flat beyond 2.5 on both sides.
pub fn edge(t: f32) -> f32 {
    let s = (0.5 + 0.2 * t).clamp(0.0, 1.0);
    s * s * (3.0 - 2.0 * s)
}

/// A hill of `square` = (distance / width)²: 1 at 0, near exp(-square), 0 from 4 on.
pub fn bump(square: f32) -> f32 {
    let s = (1.0 - 0.25 * square).max(0.0);
    s * s * s * s
}

/// |x| to the power of 2.5: the outline of lungs, squarer than an ellipse.
pub fn power(x: f32) -> f32 {
    x * x * x.abs().sqrt()
}

pub fn mix(from: f32, to: f32, share: f32) -> f32 {
    from + (to - from) * share
}

/// A wave of period 1 from 0 at whole numbers to 1 half way, made of straight lines.
pub fn wave(t: f32) -> f32 {
    let t = t + 64.0;
    1.0 - (2.0 * (t - t.floor()) - 1.0).abs()
}

/// A sine of `t` turns.
pub fn sine(t: f32) -> f32 {
    let w = 2.0 * wave(t + 0.25) - 1.0;
    w * (1.5 - 0.5 * w * w)
}

/// Square of the distance from a stretch, and where along it (0..=1) it is nearest.
pub fn nearest(at: (f32, f32), from: (f32, f32), to: (f32, f32)) -> (f32, f32) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (x, y) = (at.0 - from.0, at.1 - from.1);
    let along = ((x * dx + y * dy) / (dx * dx + dy * dy + 1e-6)).clamp(0.0, 1.0);
    let (x, y) = (x - along * dx, y - along * dy);
    (x * x + y * y, along)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_the_ends_they_promise() {
        assert_eq!([-3.0, -2.5, 0.0, 2.5, 9.0].map(edge), [0.0, 0.0, 0.5, 1.0, 1.0]);
        assert_eq!([0.0, 4.0, 9.0].map(bump), [1.0, 0.0, 0.0]);
        assert!((bump(1.0) - (-1.0f32).exp()).abs() < 0.06);
        assert!((power(-1.3) - 1.3f32.powf(2.5)).abs() < 1e-5);
        for turn in -20..20 {
            let t = turn as f32 / 7.0;
            assert!((sine(t) - (t * std::f32::consts::TAU).sin()).abs() < 0.03, "{t}");
        }
        assert_eq!(nearest((1.0, 2.0), (0.0, 0.0), (0.0, 1.0)), (2.0, 1.0));
    }
}
