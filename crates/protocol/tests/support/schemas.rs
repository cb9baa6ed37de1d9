//! The schema texts, read by the generator's own parser.

use std::collections::BTreeMap;
use std::fs;

#[path = "../../build/schema.rs"]
#[allow(dead_code, reason = "the generator uses the rest")]
pub mod schema;

/// All messages by name.
pub fn messages() -> BTreeMap<String, schema::Message> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("schemas").expect("schemas") {
        let path = entry.expect("entry").path();
        let name = path.file_stem().expect("stem").to_string_lossy().into_owned();
        if !["README", "apis", "errors"].contains(&name.as_str()) {
            let text = fs::read_to_string(path).expect("text");
            all.extend(schema::parse(&text).into_iter().map(|m| (m.name.clone(), m)));
        }
    }
    all
}
