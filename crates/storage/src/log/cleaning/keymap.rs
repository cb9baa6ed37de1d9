//! The newest offset of each key, in a fixed amount of memory. Pure.
//!
//! Keys are told apart by 128 bits of a keyed hash: nobody who does not know the hash key can make two keys meet. An
//! entry takes 24 bytes, as Kafka's; memory is taken for as many keys as a pass can meet, up to the budget.

use siphasher::sip128::SipHasher13;

/// Bytes of an entry: the hash and the offset.
const ENTRY_LEN: u64 = 24;
/// Kafka uses no more for one thread.
const MAX_BYTES: u64 = i32::MAX as u64;
/// The fewest slots of a table.
const MIN_SLOTS: u64 = 16;

/// Hash (two words) and offset + 1; 0 there means that the slot is free.
type Slot = [u64; 3];

/// Which keys a pass has seen, with the last offset of each.
pub struct KeyMap {
    hasher: SipHasher13,
    /// So many slots fit into the budget.
    max_slots: u64,
    /// So many keys the map takes.
    max_keys: u64,
    slots: Vec<Slot>,
    keys: u64,
    latest: i64,
}

impl KeyMap {
    /// A map that takes at most `memory_bytes`, filled up to `load_factor`. `hash_key` is random and a secret.
    pub fn new(memory_bytes: u64, load_factor: f64, hash_key: [u64; 2]) -> Self {
        let max_slots = (memory_bytes.min(MAX_BYTES) / ENTRY_LEN).max(MIN_SLOTS);
        // One slot stays free: a search must end. A float becomes the nearest number that fits.
        let max_keys = ((max_slots as f64 * load_factor) as u64).clamp(1, max_slots - 1);
        let [k0, k1] = hash_key;
        Self {
            hasher: SipHasher13::new_with_keys(k0, k1),
            max_slots,
            max_keys,
            slots: Vec::new(),
            keys: 0,
            latest: -1,
        }
    }

    /// Forgets everything, and makes room for `keys` keys or as many as the budget allows.
    pub(super) fn start(&mut self, keys: u64) {
        let wanted = keys.saturating_mul(2).clamp(MIN_SLOTS, self.max_slots);
        self.release();
        let len = usize::try_from(wanted).unwrap_or(usize::MAX);
        self.slots = vec![[0; 3]; len];
    }

    /// Gives the memory back; the latest offset goes, too.
    pub fn release(&mut self) {
        self.slots = Vec::new();
        self.keys = 0;
        self.latest = -1;
    }

    /// Takes the next record with a key. False when the map is full: this record is not in it, even if its key is.
    pub(super) fn insert(&mut self, key: &[u8], offset: i64) -> bool {
        if self.keys >= self.max_keys || self.keys + 1 >= self.slots.len() as u64 {
            return false;
        }
        let hash = self.hash(key);
        let at = self.find(&hash);
        if let Some(slot) = self.slots.get_mut(at) {
            self.keys += u64::from(slot[2] == 0);
            *slot = [hash[0], hash[1], (offset as u64).wrapping_add(1)];
        }
        self.latest = offset;
        true
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<i64> {
        let slot = self.slots.get(self.find(&self.hash(key)))?;
        (slot[2] != 0).then(|| (slot[2] - 1) as i64)
    }

    /// Everything up to this offset has been seen.
    pub(super) fn set_latest(&mut self, offset: i64) {
        self.latest = offset;
    }

    /// Up to here the map knows every key; −1 before the first.
    pub(super) fn latest(&self) -> i64 {
        self.latest
    }

    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// The part of the budget's slots that is taken.
    pub fn utilization(&self) -> f64 {
        self.keys as f64 / self.max_slots as f64
    }

    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let hash = self.hasher.hash(key);
        [hash.h1, hash.h2]
    }

    /// The slot of a hash, or the free one where it belongs.
    fn find(&self, hash: &[u64; 2]) -> usize {
        let len = self.slots.len();
        if len == 0 {
            return 0;
        }
        // The upper half of a product spreads evenly over any number of slots.
        let mut at = ((u128::from(hash[0]) * len as u128) >> 64) as usize;
        while let Some(slot) = self.slots.get(at) {
            if slot[2] == 0 || (slot[0] == hash[0] && slot[1] == hash[1]) {
                break;
            }
            at = if at + 1 == len { 0 } else { at + 1 };
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(slots: u64, load_factor: f64) -> KeyMap {
        KeyMap::new(slots * ENTRY_LEN, load_factor, [1, 2])
    }

    #[test]
    fn knows_the_last_offset_of_each_key() {
        let mut map = map(100, 0.9);
        map.start(1000);
        for offset in 0..200i64 {
            assert!(map.insert(format!("key-{}", offset % 50).as_bytes(), offset));
        }
        for key in 0..50 {
            assert_eq!(map.get(format!("key-{key}").as_bytes()), Some(150 + key));
        }
        assert_eq!(map.get(b"key-50"), None);
        assert_eq!((map.keys(), map.latest()), (50, 199));
        assert_eq!(map.utilization(), 0.5);
    }

    #[test]
    fn is_full_at_its_load_factor_even_for_a_known_key() {
        let mut map = map(100, 0.9);
        map.start(1000);
        for key in 0..90i64 {
            assert!(map.insert(&key.to_be_bytes(), key));
        }
        assert!(!map.insert(&0i64.to_be_bytes(), 90));
        assert!(!map.insert(&90i64.to_be_bytes(), 90));
        assert_eq!((map.latest(), map.get(&0i64.to_be_bytes())), (89, Some(0)));
    }

    #[test]
    fn starts_over_empty_and_takes_memory_only_for_what_can_come() {
        let mut map = map(1 << 20, 0.9);
        map.start(10);
        assert_eq!(map.slots.len(), 20);
        assert!(map.insert(b"a", 7));
        map.start(10);
        assert_eq!((map.get(b"a"), map.keys(), map.latest()), (None, 0, -1));
        map.start(u64::MAX);
        assert_eq!(map.slots.len(), 1 << 20);
        map.release();
        assert_eq!((map.slots.capacity(), map.get(b"a")), (0, None));
    }

    #[test]
    fn a_nearly_full_table_wraps_around() {
        let mut map = map(16, 1.0);
        map.start(1000);
        for key in 0..15i64 {
            assert!(map.insert(&key.to_be_bytes(), key));
        }
        assert!(!map.insert(b"one more", 15), "a slot stays free");
        for key in 0..15i64 {
            assert_eq!(map.get(&key.to_be_bytes()), Some(key));
        }
        assert_eq!(map.get(b"another"), None);
    }
}
