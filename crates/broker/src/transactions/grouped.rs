//! Rows under what they have in common, as requests and answers want them.

use std::collections::HashMap;
use std::hash::Hash;

/// Keys and the rows of each, both in the order in which they come.
pub(super) fn grouped<K: Copy + Eq + Hash, T>(
    rows: impl IntoIterator<Item = (K, T)>,
) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    let mut places: HashMap<K, usize> = HashMap::new();
    for (key, row) in rows {
        let place = *places.entry(key).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((_, known)) => known.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_rows_keep_their_order() {
        let rows = [("b", 1), ("a", 2), ("b", 0), ("c", 3), ("a", 2)];
        let expected = vec![("b", vec![1, 0]), ("a", vec![2, 2]), ("c", vec![3])];
        assert_eq!(grouped(rows), expected);
        assert_eq!(grouped::<u8, u8>([]), []);
    }
}
