//! Bytes and numbers that look random and are the same each time.

/// A generator with a seed: the same seed, the same sequence, on any machine.
///
/// The step is SplitMix64's (Steele, Lea, Flood 2014): every seed is good, and a gigabyte takes half a second.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Begins the sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Returns a number from `low` up to and without `high`.
    ///
    /// # Panics
    /// When the range is empty.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low < high, "an empty range: {low}..{high}");
        low + self.next_u64() % (high - low)
    }

    /// Returns the next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_the_bytes() {
        assert_eq!(Random::new(1).bytes(1001), Random::new(1).bytes(1001));
        assert_ne!(Random::new(1).bytes(1001), Random::new(2).bytes(1001));
        assert_eq!(Random::new(1).bytes(1001).len(), 1001);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| (50..400).contains(&random.between(50, 400))));
    }
}
