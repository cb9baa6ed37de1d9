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

/// So many keys are looked for together.
pub(super) const TOGETHER: usize = 64;

/// A key as the map tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeyHash([u64; 2]);

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

    /// Brings the places of keys into the processor's cache. The map is far larger than that: asked for one after the
    /// other, each would be waited for; memory answers many at once in the time of one.
    pub(super) fn warm(&self, keys: impl Iterator<Item = KeyHash>) {
        let mut sum = 0;
        for key in keys {
            sum ^= self.slots.get(self.home(&key)).map_or(0, |slot| slot[2]);
        }
        // Nobody wants the sum, only that it is computed.
        std::hint::black_box(sum);
    }

    /// Takes the next record with a key. False when the map is full: this record is not in it, even if its key is.
    pub(super) fn insert(&mut self, key: KeyHash, offset: i64) -> bool {
        if self.keys >= self.max_keys || self.keys + 1 >= self.slots.len() as u64 {
            return false;
        }
        let at = self.find(&key);
        if let Some(slot) = self.slots.get_mut(at) {
            self.keys += u64::from(slot[2] == 0);
            *slot = [key.0[0], key.0[1], (offset as u64).wrapping_add(1)];
        }
        self.latest = offset;
        true
    }

    /// The newest offset of a key.
    pub(super) fn get(&self, key: KeyHash) -> Option<i64> {
        let slot = self.slots.get(self.find(&key))?;
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

    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        let hash = self.hasher.hash(key);
        KeyHash([hash.h1, hash.h2])
    }

    /// Where a search for a key begins.
    fn home(&self, key: &KeyHash) -> usize {
        // The upper half of a product spreads evenly over any number of slots.
        ((u128::from(key.0[0]) * self.slots.len() as u128) >> 64) as usize
    }

    /// The slot of a key, or the free one where it belongs.
    fn find(&self, key: &KeyHash) -> usize {
        let len = self.slots.len();
        let mut at = self.home(key);
        while let Some(slot) = self.slots.get(at) {
            if slot[2] == 0 || (slot[0] == key.0[0] && slot[1] == key.0[1]) {
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

    fn put(map: &mut KeyMap, key: &[u8], offset: i64) -> bool {
        map.insert(map.hash(key), offset)
    }

    fn get(map: &KeyMap, key: &[u8]) -> Option<i64> {
        map.warm(std::iter::once(map.hash(key)));
        map.get(map.hash(key))
    }

    #[test]
    fn knows_the_last_offset_of_each_key() {
        let mut map = map(100, 0.9);
        map.start(1000);
        for offset in 0..200i64 {
            assert!(put(&mut map, format!("key-{}", offset % 50).as_bytes(), offset));
        }
        for key in 0..50 {
            assert_eq!(get(&map, format!("key-{key}").as_bytes()), Some(150 + key));
        }
        assert_eq!(get(&map, b"key-50"), None);
        assert_eq!((map.keys(), map.latest()), (50, 199));
        assert_eq!(map.utilization(), 0.5);
    }

    #[test]
    fn is_full_at_its_load_factor_even_for_a_known_key() {
        let mut map = map(100, 0.9);
        map.start(1000);
        for key in 0..90i64 {
            assert!(put(&mut map, &key.to_be_bytes(), key));
        }
        assert!(!put(&mut map, &0i64.to_be_bytes(), 90));
        assert!(!put(&mut map, &90i64.to_be_bytes(), 90));
        assert_eq!((map.latest(), get(&map, &0i64.to_be_bytes())), (89, Some(0)));
    }

    #[test]
    fn starts_over_empty_and_takes_memory_only_for_what_can_come() {
        let mut map = map(1 << 20, 0.9);
        map.start(10);
        assert_eq!(map.slots.len(), 20);
        assert!(put(&mut map, b"a", 7));
        map.start(10);
        assert_eq!((get(&map, b"a"), map.keys(), map.latest()), (None, 0, -1));
        map.start(u64::MAX);
        assert_eq!(map.slots.len(), 1 << 20);
        map.release();
        assert_eq!((map.slots.capacity(), get(&map, b"a")), (0, None));
    }

    #[test]
    fn a_nearly_full_table_wraps_around() {
        let mut map = map(16, 1.0);
        map.start(1000);
        for key in 0..15i64 {
            assert!(put(&mut map, &key.to_be_bytes(), key));
        }
        assert!(!put(&mut map, b"one more", 15), "a slot stays free");
        for key in 0..15i64 {
            assert_eq!(get(&map, &key.to_be_bytes()), Some(key));
        }
        assert_eq!(get(&map, b"another"), None);
    }
}
