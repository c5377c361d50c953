//! From what weakened each ray to the grey of its pixel: scatter, quantum noise, the curve of the film.

use super::super::{Random, canvas::Canvas};

const STEPS: usize = 768;
/// Table steps to one unit of attenuation.
const FINE: f32 = 96.0;

/// How one exposure turns attenuation into grey.
pub struct Detector {
    /// Grey, and the deviation of its noise, at each step of attenuation.
    table: Vec<(f32, f32)>,
    /// More attenuation down and across: the beam is stronger at the cathode.
    heel: (f32, f32),
    noise: Random,
    /// How much each pixel's noise has of its neighbour's.
    smear: f32,
    /// Strength and pixels a line of the grid before the detector.
    grid: (f32, f32),
}

impl Detector {
    /// Set for a patient whose thickest part weakens rays by `thickest`.
    pub fn of(random: &mut Random, thickest: f32) -> Detector {
        let scatter = random.between(0.008, 0.024);
        let centre = 0.9 + 0.28 * thickest + random.between(-0.22, 0.22);
        let width = random.between(0.38, 0.52);
        let gamma = random.between(0.85, 1.25);
        let quantum = random.between(0.006, 0.018);
        let electronic = random.between(0.002, 0.006);
        let black = random.between(0.0, 0.05);
        let white = random.between(0.93, 1.0);
        let grey = |attenuation: f32| {
            let arriving = exp(-attenuation) + scatter;
            let rise = (-ln(arriving) - centre) / width;
            let curve = exp(gamma * ln(1.0 / (1.0 + exp(-rise))));
            (black + (white - black) * curve, arriving)
        };
        let step = |at: usize| {
            let ((here, arriving), (next, _)) = (grey(at as f32 / FINE), grey((at + 1) as f32 / FINE));
            (here, (next - here) * FINE * quantum / arriving.sqrt() + electronic)
        };
        Detector {
            table: (0..=STEPS).map(step).collect(),
            heel: (random.between(-0.12, 0.12), random.between(-0.05, 0.05)),
            noise: random.fork(),
            smear: random.between(0.0, 0.45),
            grid: (if random.chance(0.2) { random.between(0.003, 0.012) } else { 0.0 }, random.between(2.3, 5.0)),
        }
    }

    /// Exposes one row.
    pub fn expose(&mut self, y: usize, attenuation: &[f32], canvas: &mut Canvas) {
        // Smaller pixels catch fewer quanta each.
        let (down, scale) = (canvas.y(y), (canvas.unit() / 112.0).min(2.0));
        let scale = scale / (1.0 + self.smear * self.smear).sqrt();
        let (first, step) = (self.heel.0 * down + self.heel.1 * canvas.x(0), self.heel.1 / canvas.unit());
        let start = y * canvas.width;
        let mut neighbour = self.noise.normal();
        for (x, attenuation) in attenuation.iter().enumerate() {
            let heel = first + step * x as f32;
            let at = ((attenuation + heel) * FINE).clamp(0.0, STEPS as f32 - 1.0);
            let (step, rest) = (at as usize, at - (at as usize) as f32);
            let ((low, noise), (high, _)) = (self.table[step], self.table[step + 1]);
            let own = self.noise.normal();
            let mut grey = low + (high - low) * rest + noise * scale * (own + self.smear * neighbour);
            neighbour = own;
            if self.grid.0 > 0.0 {
                let line = x as f32 / self.grid.1;
                grey += self.grid.0 * (4.0 * (line - (line as usize) as f32 - 0.5).abs() - 1.0);
            }
            canvas.grey[start + x] = grey;
        }
    }
}

/// The same on every machine, which the platform's own is not.
fn exp(x: f32) -> f32 {
    let x = x.clamp(-30.0, 30.0) / 256.0;
    let mut power = 1.0 + x * (1.0 + x * (0.5 + x / 6.0));
    (0..8).for_each(|_| power *= power);
    power
}

/// Of what is over 0; -60 or so for 0.
fn ln(x: f32) -> f32 {
    let (mut x, mut doublings) = (x.max(1e-26), 0.0);
    while x < 0.7 {
        x *= 2.0;
        doublings -= 1.0;
    }
    while x > 1.4 {
        x *= 0.5;
        doublings += 1.0;
    }
    let z = (x - 1.0) / (x + 1.0);
    let square = z * z;
    2.0 * z * (1.0 + square * (1.0 / 3.0 + square * (0.2 + square / 7.0))) + std::f32::consts::LN_2 * doublings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_and_logarithms_are_near_what_they_should_be() {
        for step in -80..=40 {
            let x = step as f32 / 8.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-3, "{x}");
            assert!((ln(x.exp()) - x).abs() < 1e-4, "{x}");
        }
    }

    #[test]
    fn more_tissue_is_whiter_and_fewer_quanta_are_noisier() {
        for seed in 0..50 {
            let detector = Detector::of(&mut Random::training(seed), 4.0);
            assert!(detector.table.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{seed}");
            let (grey, noise): (Vec<f32>, Vec<f32>) = detector.table.iter().copied().unzip();
            assert!(grey[0] < 0.2 && grey[STEPS] > 0.75 && noise[0] < noise[STEPS / 4], "{seed}: {grey:?}");
        }
    }
}
