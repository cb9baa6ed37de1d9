//! Which names a topic may have.

/// Longest name, in UTF-16 units as Java counts.
const MAX_NAME_LENGTH: usize = 249;

/// The metadata log's own topic.
pub(crate) const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's reason why `name` cannot be a topic's.
pub fn why_invalid(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." || name == ".." {
        format!("'{name}' is not allowed")
    } else if name.encode_utf16().count() > MAX_NAME_LENGTH {
        format!("the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}")
    } else if !name.chars().all(allowed) {
        format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )
    } else {
        return None;
    };
    Some(format!("Topic name is invalid: {reason}"))
}

/// Metric names turn dots into underscores, so two topics must not differ in nothing else.
pub(crate) fn has_collision_chars(name: &str) -> bool {
    name.contains(['.', '_'])
}

pub(crate) fn unify_collision_chars(name: &str) -> String {
    name.replace('.', "_")
}
