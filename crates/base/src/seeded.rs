//! Numbers that look random and are the same for the same seed: simulated worlds, timeouts that are spread, jitter.
//!
//! Must not know where a seed comes from. Not for secrets.

/// The next number of a SplitMix64 generator (Steele, Lea, Flood 2014), whose whole state is `state`. Neighbouring seeds give
/// unrelated numbers.
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_numbers_are_those_of_the_published_generator() {
        let mut state = 1_234_567;
        let drawn: [u64; 3] = std::array::from_fn(|_| super::split_mix(&mut state));
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }
}
