//! `kafka-storage info`: what is found in the log directories.

use config::properties::Properties;

/// What a directory turned out to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    Missing,
    NotADirectory,
    NotFormatted,
    /// Its `meta.properties`.
    Formatted(Properties),
    /// Its `meta.properties` cannot be read.
    Unreadable(String),
}

/// The text to print, and whether there is no problem. `directories` are sorted by name.
pub fn report(directories: &[(String, Found)]) -> (String, bool) {
    if directories.is_empty() {
        return ("No directories specified.\n".to_owned(), true);
    }
    let mut problems = Vec::new();
    let mut found = Vec::new();
    let mut first: Option<&Properties> = None;
    for (directory, state) in directories {
        if !matches!(state, Found::Missing | Found::NotADirectory) {
            found.push(directory.as_str());
        }
        match state {
            Found::Missing => problems.push(format!("{directory} does not exist")),
            Found::NotADirectory => problems.push(format!("{directory} is not a directory")),
            Found::NotFormatted => problems.push(format!("{directory} is not formatted.")),
            Found::Unreadable(reason) => {
                problems.push(format!("Error loading {directory}/meta.properties: {reason}"));
            }
            Found::Formatted(meta) => match first {
                None => first = Some(meta),
                Some(first) if first.get("cluster.id") != meta.get("cluster.id") => {
                    problems.push("Mismatched cluster IDs between storage directories.".to_owned());
                }
                Some(first) if first.get("node.id") != meta.get("node.id") => {
                    problems.push("Mismatched node IDs between storage directories.".to_owned());
                }
                Some(_) => {}
            },
        }
    }
    if first.is_some_and(|meta| meta.get("version") == Some("0")) {
        problems.push(
            "The kafka configuration file appears to be for a cluster in KRaft mode, but the \
             directories are formatted for legacy mode."
                .to_owned(),
        );
    }
    let mut text = String::new();
    section(&mut text, "Found log directory:", "Found log directories:", &found);
    if let Some(meta) = first {
        let mut pairs: Vec<String> = meta.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.sort();
        text.push_str(&format!("Found metadata: {{{}}}\n\n", pairs.join(", ")));
    }
    let problems: Vec<&str> = problems.iter().map(String::as_str).collect();
    section(&mut text, "Found problem:", "Found problems:", &problems);
    (text, problems.is_empty())
}

fn section(text: &mut String, one: &str, many: &str, items: &[&str]) {
    if items.is_empty() {
        return;
    }
    text.push_str(if items.len() == 1 { one } else { many });
    text.push('\n');
    for item in items {
        text.push_str(&format!("  {item}\n"));
    }
    text.push('\n');
}
