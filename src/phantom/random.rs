//! Random numbers that are the same in every version and on every machine: xoshiro256++, <https://prng.di.unimi.it/>.

/// A stream of numbers from a seed.
#[derive(Clone, Debug)]
pub struct Random {
    state: [u64; 4],
}

const HELD_OUT: u64 = 1 << 63;

impl Random {
    /// Seeds for training: those with the top bit clear.
    pub fn training(seed: u64) -> Random {
        Random::new(seed & !HELD_OUT)
    }

    /// Seeds for evaluation: those with the top bit set, so none of training.
    pub fn held_out(seed: u64) -> Random {
        Random::new(seed | HELD_OUT)
    }

    pub(super) fn new(seed: u64) -> Random {
        let mut word = seed;
        let mut next = || {
            word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        Random { state: [next(), next(), next(), next()] }
    }

    /// A stream of its own, so that how much is drawn from it changes nothing drawn after it.
    pub fn fork(&mut self) -> Random {
        Random::new(self.number())
    }

    /// Any 64 bits.
    pub fn number(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let number = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        number
    }

    /// 0 up to, but not including, `count`. 0 where `count` is 0.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.number()) * count as u128) >> 64) as usize
    }

    /// Evenly from `low` to `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.number() >> 40) as f32 / (1u32 << 24) as f32)
    }

    pub fn chance(&mut self, share: f32) -> bool {
        self.between(0.0, 1.0) < share
    }

    /// Near a normal distribution of mean 0 and deviation 1; never beyond 3.5.
    pub fn normal(&mut self) -> f32 {
        let number = self.number();
        let sum: u64 = (0..4).map(|lane| number >> (16 * lane) & 0xFFFF).sum();
        (sum as f32 - 2.0 * 65535.0) / 37836.9
    }

    /// One of the places of `weights`, each as likely as its weight.
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let mut left = self.below(weights.iter().sum::<u32>() as usize) as u32;
        weights
            .iter()
            .position(|weight| left.checked_sub(*weight).map(|rest| left = rest).is_none())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_held_out_stream_is_one_of_training() {
        let seeds = |n: u64| [n, n | HELD_OUT, u64::MAX - n];
        let first = |mut random: Random| [random.number(), random.number()];
        let trained: HashSet<_> = (0..20_000).flat_map(seeds).map(|n| first(Random::training(n))).collect();
        assert!((0..20_000).flat_map(seeds).all(|n| !trained.contains(&first(Random::held_out(n)))));
        assert_eq!(first(Random::training(7)), first(Random::training(7 | HELD_OUT)));
    }

    #[test]
    fn numbers_are_spread_as_they_say() {
        let mut random = Random::training(1);
        let normal: Vec<f32> = (0..20_000).map(|_| random.normal()).collect();
        let mean = normal.iter().sum::<f32>() / 20_000.0;
        let variance = normal.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        let mut drawn = [0; 3];
        (0..10_000).for_each(|_| drawn[random.weighted(&[1, 0, 3])] += 1);
        assert!(drawn[1] == 0 && (2300..2700).contains(&drawn[0]), "{drawn:?}");
        assert!((0..1000).all(|_| (-2.0..=5.0).contains(&random.between(-2.0, 5.0)) && random.below(3) < 3));
        assert_eq!(random.below(0), 0);
    }
}
