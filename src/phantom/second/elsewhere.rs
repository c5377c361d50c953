//! Pictures that are no chest.

use super::{
    super::{Random, canvas::Canvas, shape::edge},
    BONE, SOFT,
    detector::Detector,
    solid::{Ellipsoid, Line, Tube},
};

/// Nothing before the detector, or one plate over all of it.
pub fn blank(random: &mut Random, exposure: &mut Random, canvas: &mut Canvas) {
    let plate = random.between(0.0, 4.5);
    let mut detector = Detector::of(exposure, 4.0);
    let row = vec![plate; canvas.width];
    (0..canvas.height).for_each(|y| detector.expose(y, &row, canvas));
}

/// A limb, a skull, a belly, a slice or a page.
pub fn other(random: &mut Random, exposure: &mut Random, canvas: &mut Canvas) {
    match random.below(5) {
        0 => limb(random).expose(exposure, canvas),
        1 => skull(random).expose(exposure, canvas),
        2 => belly(random).expose(exposure, canvas),
        3 => slice(random).expose(exposure, canvas),
        _ => page(random, exposure, canvas),
    }
}

/// Five fingers and a palm.
pub fn hand(random: &mut Random, exposure: &mut Random, canvas: &mut Canvas) {
    let mut scene = Scene { thickest: -0.9, ..Scene::default() };
    let side = if random.chance(0.5) { 1.0 } else { -1.0 };
    let (size, lean) = (random.between(0.8, 1.0), random.between(-0.2, 0.2));
    let place = |x: f32, y: f32| (side * size * (x - lean * y), size * y);
    scene.balls.push(Ellipsoid::new(place(0.0, 0.42), (0.42 * size, 0.40 * size), 3.5));
    scene.flesh.push(Tube::solid(place(0.0, 0.5), place(0.0, 1.5), (0.22 * size, 0.24 * size)));
    for finger in 0..5 {
        let spread = (finger as f32 - 2.2) * 0.2;
        let (root, way, length) = if finger == 0 {
            ((-0.22, 0.5), (-0.75, -0.66), 0.62)
        } else {
            ((0.6 * spread, 0.45), (0.45 * spread, -1.0), [0.0, 1.15, 1.28, 1.2, 1.0][finger])
        };
        let at = |t: f32| place(root.0 + way.0 * t * length, root.1 + way.1 * t * length);
        scene.flesh.push(Tube::solid(at(0.1), at(1.0), (0.10 * size, 0.065 * size)));
        for (from, to) in [(0.0, 0.42), (0.45, 0.68), (0.71, 0.85), (0.87, 0.97)] {
            scene.bones.push(Tube::bone(at(from), at(to), (0.036 - 0.016 * from) * size));
        }
    }
    for wrist in 0..8 {
        let at = place(-0.15 + 0.1 * (wrist % 4) as f32, 0.56 + 0.1 * (wrist / 4) as f32);
        scene.bones.push(Tube::bone(at, at, 0.052 * size));
    }
    for (from, to) in [(-0.09, -0.12), (0.1, 0.11)] {
        scene.bones.push(Tube::bone(place(from, 0.78), place(to, 1.5), 0.075 * size));
    }
    scene.expose(exposure, canvas);
}

/// Solids, each added to what is along the rays.
#[derive(Default)]
struct Scene {
    /// What the exposure is set for.
    thickest: f32,
    flesh: Vec<Tube>,
    bones: Vec<Tube>,
    /// Of soft tissue; of air where the length is negative.
    balls: Vec<Ellipsoid>,
    shells: Vec<Ellipsoid>,
}

impl Scene {
    fn expose(&self, exposure: &mut Random, canvas: &mut Canvas) {
        let mut detector = Detector::of(exposure, self.thickest);
        let [mut flesh, mut bone] = [vec![0.0; canvas.width], vec![0.0; canvas.width]];
        for y in 0..canvas.height {
            let line = Line::of(y, canvas);
            flesh.fill(0.0);
            bone.fill(0.0);
            self.flesh.iter().for_each(|tube| tube.raise(&line, &mut flesh));
            self.bones.iter().for_each(|tube| tube.raise(&line, &mut bone));
            for (x, flesh) in flesh.iter_mut().enumerate() {
                let (u, v) = (line.x(x), line.y);
                let balls: f32 = self.balls.iter().map(|ball| ball.along(u, v)).sum();
                let shells: f32 = self.shells.iter().map(|shell| shell.along(u, v)).sum();
                // A limb of that width is not that thick.
                let soft = (flesh.min(9.0) + balls).max(0.0);
                *flesh = SOFT * soft + BONE * (0.8 * bone[x] + shells).max(0.0);
            }
            detector.expose(y, &flesh, canvas);
        }
    }
}

/// Two long bones that meet in a joint.
fn limb(random: &mut Random) -> Scene {
    let mut scene = Scene { thickest: 0.0, ..Scene::default() };
    let (lean, joint) = (random.between(-0.5, 0.5), random.between(-0.25, 0.25));
    let wide = random.between(0.24, 0.40);
    let flat = random.chance(0.3);
    let place = |x: f32, y: f32| if flat { (y, x + lean * y * 0.4) } else { (x + lean * y * 0.4, y) };
    scene.flesh.push(Tube::solid(place(0.0, -1.9), place(0.0, joint), (wide * 1.2, wide)));
    scene.flesh.push(Tube::solid(place(0.0, joint), place(0.0, 1.9), (wide, wide * 0.8)));
    let thick = wide * 0.36;
    for (from, to) in [(-1.9, joint - 0.16), (joint + 0.16, 1.9)] {
        scene.bones.push(Tube::bone(place(0.0, from), place(0.0, to), thick));
    }
    for (x, y) in [(-0.5, -0.11), (0.5, -0.11), (-0.45, 0.11), (0.45, 0.11)] {
        let at = place(x * wide, joint + y);
        scene.bones.push(Tube::bone(at, at, thick));
    }
    if random.chance(0.6) {
        scene.bones.push(Tube::bone(place(wide * 0.62, joint + 0.2), place(wide * 0.55, 1.9), thick * 0.4));
    }
    scene
}

fn skull(random: &mut Random) -> Scene {
    let mut scene = Scene { thickest: 2.4, ..Scene::default() };
    let (wide, high) = (random.between(0.52, 0.66), random.between(0.66, 0.78));
    let at = (random.between(-0.08, 0.08), -0.12);
    scene.balls.push(Ellipsoid::new(at, (wide * 1.05, high * 1.04), 13.0));
    scene.shells.push(Ellipsoid::new(at, (wide, high), 9.0));
    scene.shells.push(Ellipsoid::new(at, (wide * 0.94, high * 0.95), -7.4));
    for side in [-1.0, 1.0] {
        scene.balls.push(Ellipsoid::new((at.0 + side * 0.22, at.1 + 0.20), (0.14, 0.11), -5.0));
        let jaw = [(0.46, 0.35), (0.40, 0.68), (0.12, 0.86), (0.0, 0.87)].map(|(x, y)| (at.0 + side * x, at.1 + y));
        scene.bones.extend(jaw.windows(2).map(|pair| Tube::bone(pair[0], pair[1], 0.07)));
        for tooth in 0..4 {
            let x = at.0 + side * (0.03 + 0.06 * tooth as f32);
            scene.bones.push(Tube::solid((x, at.1 + 0.56), (x, at.1 + 0.72), (0.025, 0.025)));
        }
    }
    scene.balls.push(Ellipsoid::new((at.0, at.1 + 0.36), (0.07, 0.14), -5.0));
    scene.flesh.push(Tube::solid((at.0, 0.5), (at.0, 1.6), (0.32, 0.42)));
    for neck in 0..4 {
        let y = 0.72 + 0.12 * neck as f32;
        scene.bones.push(Tube::bone((at.0 - 0.07, y), (at.0 + 0.07, y), 0.05));
    }
    scene
}

/// Spine, hips and gas.
fn belly(random: &mut Random) -> Scene {
    let mut scene = Scene { thickest: 2.4, ..Scene::default() };
    scene.balls.push(Ellipsoid::new((0.0, 0.0), (random.between(0.9, 1.05), 2.4), 17.0));
    for vertebra in 0..9 {
        let y = -1.0 + 0.185 * vertebra as f32;
        scene.bones.push(Tube::bone((-0.05, y), (0.05, y), 0.07));
        scene.bones.push(Tube::bone((-0.17, y + 0.01), (0.17, y + 0.01), 0.018));
    }
    for side in [-1.0, 1.0] {
        let hip = [(0.12, 0.62), (0.35, 0.38), (0.62, 0.36), (0.74, 0.55), (0.5, 0.82), (0.42, 1.0)];
        let hip = hip.map(|(x, y)| (side * x, y));
        scene.bones.extend(hip.windows(2).map(|pair| Tube::bone(pair[0], pair[1], 0.06)));
        scene.shells.push(Ellipsoid::new((side * 0.45, 0.6), (0.28, 0.26), 1.0));
        scene.bones.push(Tube::bone((side * 0.6, 0.92), (side * 0.85, 1.5), 0.09));
        scene.bones.push(Tube::bone((side * 0.12, -0.9), (side * 0.8, -0.62), 0.03));
    }
    for _ in 0..random.below(9) + 8 {
        let at = (random.between(-0.7, 0.7), random.between(-0.7, 0.8));
        let radius = (random.between(0.05, 0.2), random.between(0.05, 0.13));
        scene.balls.push(Ellipsoid::new(at, radius, -random.between(3.0, 8.0)));
    }
    scene
}

/// A body cut across, as other machines show it.
fn slice(random: &mut Random) -> Scene {
    let mut scene = Scene { thickest: 0.6, ..Scene::default() };
    let (wide, high) = (random.between(0.75, 0.92), random.between(0.5, 0.68));
    scene.balls.push(Ellipsoid::new((0.0, 0.0), (wide, high), 9.0));
    scene.shells.push(Ellipsoid::new((0.0, high * 0.55), (0.13, 0.12), 4.5));
    for _ in 0..random.below(5) + 4 {
        let at = (random.between(-0.6, 0.6) * wide, random.between(-0.6, 0.3) * high);
        let length = random.between(2.0, 6.0) * if random.chance(0.4) { -1.0 } else { 1.0 };
        scene.balls.push(Ellipsoid::new(at, (random.between(0.08, 0.26), random.between(0.07, 0.2)), length));
    }
    scene.bones.push(Tube::bone((-0.9, high + 0.16), (0.9, high + 0.16), 0.03));
    scene
}

/// Writing: bars in lines, some of them short, dark on light or light on dark.
fn page(random: &mut Random, exposure: &mut Random, canvas: &mut Canvas) {
    let (paper, ink) = if random.chance(0.5) { (0.9, 0.1) } else { (0.05, 0.85) };
    let (apart, indent) = (random.between(0.09, 0.17), random.between(-0.85, -0.6));
    let words: Vec<Vec<(f32, f32)>> = (0..40)
        .map(|_| {
            let end = random.between(-0.3, 0.9);
            let mut words = Vec::new();
            let mut x = indent;
            while x < end {
                let next = x + random.between(0.05, 0.22);
                words.push((x, next));
                x = next + 0.035;
            }
            words
        })
        .collect();
    let figure = (random.between(-0.3, 0.3), random.between(0.1, 0.4), random.between(0.25, 0.5));
    for row in 0..canvas.height {
        let y = canvas.y(row);
        let place = (y + 2.0) / apart;
        let (number, within) = (place as usize, place - (place as usize) as f32);
        for column in 0..canvas.width {
            let x = canvas.x(column);
            let mut mark = 0.0;
            if let Some(words) = words.get(number).filter(|_| (0.25..0.7).contains(&within)) {
                mark = if words.iter().any(|(from, to)| (*from..*to).contains(&x)) { 0.85 } else { 0.0 };
            }
            let away = (x - figure.0).abs().max((y - figure.1).abs()) - figure.2;
            let inside = edge(-away * 100.0);
            let picture = 0.5 + 0.4 * (x - figure.0 + y - figure.1) / figure.2;
            let mark = mark * (1.0 - inside) + inside * picture;
            canvas.grey[row * canvas.width + column] = paper + (ink - paper) * mark + 0.01 * exposure.normal();
        }
    }
}
