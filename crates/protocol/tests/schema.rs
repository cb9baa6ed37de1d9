//! Our schema texts against the schemas that Apache Kafka publishes (`golden/` lists them): field by field the type,
//! the versions, null, tags, defaults, and what may be dropped.

mod support;

#[path = "support/schemas.rs"]
mod schemas;

use std::collections::{BTreeMap, BTreeSet};

use schemas::schema::{Message, Type, Versions};

/// A field in a form that both sides can take.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Line {
    field: String,
    ty: String,
    versions: String,
    nullable: String,
    tag: String,
    default: String,
    ignorable: bool,
}

fn our_lines(m: &Message) -> BTreeSet<Line> {
    let mut lines = BTreeSet::new();
    for s in &m.structures {
        for f in &s.fields {
            lines.insert(Line {
                field: format!("{}.{}", s.name, f.name),
                ty: type_text(&f.ty),
                versions: show(f.versions),
                nullable: f.nullable.map_or(String::new(), show),
                tag: f.tag.map_or(String::new(), |t| t.to_string()),
                default: normal_default(f.default.as_deref().unwrap_or(""), f.nullable.is_some()),
                ignorable: f.ignorable,
            });
        }
    }
    lines
}

fn type_text(ty: &Type) -> String {
    match ty {
        Type::Array(element) => format!("[]{}", type_text(element)),
        Type::Struct(name) => name.clone(),
        simple => format!("{simple:?}").to_lowercase(),
    }
}

fn show(v: Versions) -> String {
    if v.is_empty() { "none".into() } else { format!("{}-{}", v.low, v.high) }
}

/// Defaults that say nothing are dropped; numbers become decimal.
fn normal_default(text: &str, nullable: bool) -> String {
    let number = text.strip_prefix("0x").map(|hex| i64::from_str_radix(hex, 16).expect("hex"));
    let text = number.map_or(text.to_owned(), |n| n.to_string());
    match text.as_str() {
        "0" | "false" => String::new(),
        "null" if !nullable => String::new(),
        _ => text,
    }
}

struct Kafkas {
    key: Option<i16>,
    versions: Versions,
    flexible: Option<i16>,
    fields: Vec<(String, String, BTreeMap<String, String>)>,
}

fn kafkas() -> BTreeMap<String, Kafkas> {
    let text = support::gunzip(include_bytes!("golden/fields.txt.gz"));
    let text = String::from_utf8(text).expect("text");
    let mut all = BTreeMap::new();
    let mut last = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pairs = words.iter().filter_map(|w| w.split_once('='));
        let pairs: BTreeMap<_, _> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        if line.starts_with(' ') {
            let kafkas: &mut Kafkas = all.get_mut(&last).expect("a message before its fields");
            kafkas.fields.push((format!("{}.{}", words[0], words[1]), words[2].to_owned(), pairs));
            continue;
        }
        last = words[1].to_owned();
        let flexible = pairs.get("flexibleVersions").filter(|v| *v != "none");
        let message = Kafkas {
            key: pairs.get("apiKey").map(|key| key.parse().expect("key")),
            versions: Versions::parse(&pairs["validVersions"]),
            flexible: flexible.map(|v| Versions::parse(v).low),
            fields: Vec::new(),
        };
        all.insert(last.clone(), message);
    }
    all
}

/// Kafka's field, its versions narrowed to those in which our structure can occur.
fn kafkas_line(m: &Message, field: &str, ty: &str, pairs: &BTreeMap<String, String>) -> Line {
    let owner = field.split('.').next().expect("owner");
    let outer = m.structure(owner).versions;
    let range = |key: &str| {
        let text = pairs.get(key).filter(|v| *v != "none" && !v.is_empty());
        text.map(|v| Versions::parse(v))
    };
    let mut versions = range("versions").unwrap_or(Versions::ALL).and(outer);
    if let Some(tagged) = range("taggedVersions") {
        versions = versions.and(tagged);
    }
    let nullable = range("nullableVersions").map(|n| n.and(versions)).filter(|n| !n.is_empty());
    // JSON's null is no default for Kafka's generator and not listed; the text "null" is one.
    Line {
        field: field.to_owned(),
        ty: ty.to_owned(),
        versions: show(versions),
        nullable: nullable.map_or(String::new(), show),
        tag: pairs.get("tag").cloned().unwrap_or_default(),
        default: normal_default(pairs.get("default").map_or("", |d| d), nullable.is_some()),
        ignorable: pairs.get("ignorable").is_some_and(|v| v == "true"),
    }
}

#[test]
fn schemas_are_kafkas() {
    let ours = schemas::messages();
    let kafkas = kafkas();
    assert!(kafkas.len() > 240, "only {} messages listed", kafkas.len());
    let mut failures = Vec::new();
    for (name, theirs) in &kafkas {
        let Some(m) = ours.get(name) else {
            failures.push(format!("{name} is missing"));
            continue;
        };
        let head = (theirs.key, theirs.versions, theirs.flexible);
        let our_head = (m.key, m.versions, m.flexible);
        if our_head != head {
            failures.push(format!("{name}: {our_head:?} but Kafka {head:?}"));
        }
        let fields = theirs.fields.iter();
        let lines: BTreeSet<Line> = fields.map(|(f, ty, p)| kafkas_line(m, f, ty, p)).collect();
        for line in our_lines(m).symmetric_difference(&lines) {
            let whose = if lines.contains(line) { "Kafka's" } else { "ours" };
            failures.push(format!("{name}: only {whose}: {line:?}"));
        }
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
