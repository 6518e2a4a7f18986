//! Repeatable chance. Every session and every inbound call throws dice of its own, keyed by what it is and
//! not by when a task happened to run, so that a run repeats whatever the scheduler of the runtime does.

/// SplitMix64 (Steele, Lea, Flood 2014): 8 bytes of state, good enough for waiting times, nothing secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dice(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

impl Dice {
    /// Dice for `seed`.
    pub(super) const fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(GOLDEN)))
    }

    /// Other dice, that depend on everything folded in so far.
    pub(super) const fn with(self, key: u64) -> Self {
        Self(mix(self.0.wrapping_mul(GOLDEN) ^ mix(key.wrapping_add(GOLDEN))))
    }

    /// As [`Self::with`], for a 128-bit id.
    pub(super) const fn with_id(self, id: u128) -> Self {
        self.with((id >> 64) as u64).with(id as u64)
    }

    /// As [`Self::with`], for a text.
    pub(super) fn with_text(self, text: &str) -> Self {
        let folded = text.bytes().fold(self, |dice, byte| dice.with(byte.into()));
        folded.with(text.len() as u64)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Above 0, up to and including 1: its logarithm is always finite.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Evenly between `low` and `high`.
    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Exponential with `mean`: the pause to the next of many independent arrivals.
    pub(super) fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }

    /// Lognormal with `median`, by Box and Muller; how long people talk looks like this.
    pub(super) fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let radius = (-2.0 * self.unit().ln()).sqrt();
        let angle = std::f64::consts::TAU * self.unit();
        median * (sigma * radius * angle.cos()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of the reference implementation for the state 1234567.
    #[test]
    fn is_split_mix_64() {
        let mut dice = Dice(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| dice.next()).collect();
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn keys_decide_and_nothing_else() {
        let draw = |mut dice: Dice| dice.next();
        assert_eq!(draw(Dice::new(1).with_text("a").with_id(7)), draw(Dice::new(1).with_text("a").with_id(7)));
        assert_ne!(draw(Dice::new(1).with_text("a").with_id(7)), draw(Dice::new(2).with_text("a").with_id(7)));
        assert_ne!(draw(Dice::new(1).with_text("a").with_id(7)), draw(Dice::new(1).with_text("b").with_id(7)));
        assert_ne!(draw(Dice::new(1).with_text("a").with_id(7)), draw(Dice::new(1).with_text("a").with_id(8)));
    }

    #[test]
    fn distributions_have_their_means() {
        let mut dice = Dice::new(42);
        let n = 100_000;
        let mean = |sum: f64| sum / f64::from(n);
        let exponential = mean((0..n).map(|_| dice.exponential(2.0)).sum());
        assert!((1.95..2.05).contains(&exponential), "{exponential}");
        let even = mean((0..n).map(|_| dice.between(1.0, 3.0)).sum());
        assert!((1.98..2.02).contains(&even), "{even}");
        let expected = 10.0 * (0.3f64 * 0.3 / 2.0).exp();
        let log_normal = mean((0..n).map(|_| dice.log_normal(10.0, 0.3)).sum());
        assert!((log_normal - expected).abs() < 0.1, "{log_normal} instead of {expected}");
    }
}
