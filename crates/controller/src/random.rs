//! Randomness as an argument.

use base::Uuid;

/// A source of random numbers; whoever calls [`crate::Controller::handle`] brings one.
pub trait Random {
    fn next_u64(&mut self) -> u64;
}

/// Between zero and `bound` (excluded); zero for a bound of zero. The bias of the remainder is of no account here.
pub(crate) fn below(random: &mut dyn Random, bound: usize) -> usize {
    let bound = u64::try_from(bound.max(1)).unwrap_or(u64::MAX);
    usize::try_from(random.next_u64() % bound).unwrap_or(0)
}

pub(crate) fn shuffle<T>(random: &mut dyn Random, items: &mut [T]) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(random, last + 1));
    }
}

/// A new id, never one that Kafka keeps for itself.
pub(crate) fn uuid(random: &mut dyn Random) -> Uuid {
    loop {
        let (high, low) = (random.next_u64(), random.next_u64());
        let bits = u128::from(high) << 64 | u128::from(low);
        if let Some(id) = Uuid::from_random(bits.to_be_bytes()) {
            return id;
        }
    }
}
