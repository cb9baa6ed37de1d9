//! Which partition of a coordinator's topic holds a name. Clients and brokers of all versions must agree on it.

/// Java's `String.hashCode`.
pub fn string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The partition that holds `name`: Java's hash, made positive as Kafka does.
pub fn partition_for(name: &str, partitions: i32) -> i32 {
    let hash = string_hash(name);
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}
