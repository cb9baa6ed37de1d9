//! Holds the rules of `tidy` against the tree.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use tidy::{BANNED, EDGES, FILE_LINES_MAX, FILE_LINES_WANTED, IMPURE_WORDS, LONG_FILES_MAX, PURE};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn crate_names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(crates())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn manifest(name: &str) -> String {
    std::fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap()
}

/// Every `.rs` file below `folder`, tests and generated output left out where `folder` is a `src`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn product_sources() -> Vec<(String, PathBuf, String)> {
    let mut all = Vec::new();
    for name in crate_names() {
        let mut found = Vec::new();
        for folder in ["src", "build"] {
            sources(&crates().join(&name).join(folder), &mut found);
        }
        for path in found {
            let text = std::fs::read_to_string(&path).unwrap();
            all.push((name.clone(), path, text));
        }
    }
    assert!(all.len() > 30, "the tree was not found");
    all
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|s| s == "tests" || s.to_string_lossy().ends_with("_test"))
        || path.components().any(|c| c.as_os_str() == "tests")
}

#[test]
fn dependencies_follow_the_allowed_edges() {
    let mut wrong = Vec::new();
    for name in crate_names() {
        let text = manifest(&name);
        let Some((_, allowed)) = EDGES.iter().find(|(n, _)| *n == name) else {
            wrong.push(format!("crate {name} is not in the table of edges"));
            continue;
        };
        let mut section = "";
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let counts = section == "[dependencies]" || section == "[build-dependencies]";
            let Some(rest) = line.strip_prefix("monedula-").filter(|_| counts) else { continue };
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(rest.len());
            if !allowed.contains(&&rest[..end]) {
                wrong.push(format!("{name} must not depend on {}", &rest[..end]));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_crate_takes_the_workspace_lints() {
    for name in crate_names() {
        assert!(manifest(&name).contains("[lints]\nworkspace = true"), "{name}");
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    let silent: Vec<PathBuf> = product_sources()
        .into_iter()
        .filter(|(_, _, text)| !text.starts_with("//!"))
        .map(|(_, path, _)| path)
        .collect();
    assert_eq!(silent, Vec::<PathBuf>::new());
}

#[test]
fn files_stay_small() {
    let mut long = 0;
    for (_, path, text) in product_sources().into_iter().filter(|(_, path, _)| !is_test(path)) {
        let lines = text.lines().count();
        assert!(lines <= FILE_LINES_MAX, "{} has {lines} lines: split it by verb", path.display());
        long += usize::from(lines > FILE_LINES_WANTED);
    }
    assert!(long <= LONG_FILES_MAX, "{long} files of more than {FILE_LINES_WANTED} lines");
}

#[test]
fn pure_crates_name_nothing_impure() {
    let mut wrong = Vec::new();
    for (name, path, text) in product_sources() {
        let in_src = path.components().any(|c| c.as_os_str() == "src");
        if !PURE.contains(&name.as_str()) || !in_src || is_test(&path) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for word in IMPURE_WORDS.iter().filter(|word| code.contains(*word)) {
                wrong.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn nothing_banned_is_in_the_sources() {
    let mut wrong = Vec::new();
    for (name, path, text) in product_sources() {
        if name == "tidy" {
            continue;
        }
        for word in BANNED.iter().filter(|word| text.contains(*word)) {
            wrong.push(format!("{}: {word}", path.display()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}
