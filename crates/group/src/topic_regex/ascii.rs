//! Sets of ASCII characters: all that a character class can mean for a topic's name.

use std::ops::RangeInclusive;

/// One bit for each character.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ascii(pub(super) u128);

impl Ascii {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NOT_NEWLINE: Self = Self(!(1 << 10));
    pub(super) const ALL: Self = Self(u128::MAX);

    /// The ASCII part of a range of code points.
    pub(super) fn range(range: RangeInclusive<u32>) -> Self {
        let bits = (0..128).filter(|c| range.contains(c)).map(|c| 1 << c);
        Self(bits.fold(0u128, |set, bit: u128| set | bit))
    }

    /// The ASCII part of a range of code points, their case aside: beyond ASCII, the long s and the Kelvin sign fold into it.
    pub(super) fn folded(range: RangeInclusive<u32>) -> Self {
        let beyond = |sign: char, letter: char| match range.contains(&u32::from(sign)) {
            true => Self::letters(letter..=letter),
            false => Self::NONE,
        };
        let beyond = beyond('\u{17f}', 's').or(beyond('\u{212a}', 'k'));
        Self::range(range).or(beyond).fold()
    }

    fn letters(range: RangeInclusive<char>) -> Self {
        Self::range(u32::from(*range.start())..=u32::from(*range.end()))
    }

    /// Adds the other case of each letter.
    pub(super) fn fold(self) -> Self {
        let upper = self.0 & Self::letters('A'..='Z').0;
        let lower = self.0 & Self::letters('a'..='z').0;
        Self(self.0 | upper << 32 | lower >> 32)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn not(self) -> Self {
        Self(!self.0)
    }

    pub(super) fn not_if(self, negated: bool) -> Self {
        if negated { self.not() } else { self }
    }

    /// Its ranges, ascending.
    pub(super) fn ranges(self) -> Vec<(u8, u8)> {
        let mut ranges: Vec<(u8, u8)> = Vec::new();
        for c in (0u8..128).filter(|c| self.0 >> c & 1 == 1) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == c => *last = c,
                _ => ranges.push((c, c)),
            }
        }
        ranges
    }
}
