//! Reads the schema texts; the notation is in `schemas/README.md`.

use std::collections::HashMap;

/// An inclusive range of versions; empty when `low > high`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Versions {
    pub low: i16,
    pub high: i16,
}

impl Versions {
    pub const ALL: Self = Self { low: 0, high: i16::MAX };

    /// `3`, `3+` or `3-7`.
    pub fn parse(text: &str) -> Self {
        let number = |t: &str| t.parse::<i16>().unwrap_or_else(|_| panic!("bad versions {text:?}"));
        if let Some(low) = text.strip_suffix('+') {
            Self { low: number(low), high: i16::MAX }
        } else if let Some((low, high)) = text.split_once('-') {
            Self { low: number(low), high: number(high) }
        } else {
            Self { low: number(text), high: number(text) }
        }
    }

    pub fn and(self, other: Self) -> Self {
        Self { low: self.low.max(other.low), high: self.high.min(other.high) }
    }

    pub fn contains(self, version: i16) -> bool {
        self.low <= version && version <= self.high
    }

    pub fn is_empty(self) -> bool {
        self.low > self.high
    }
}

#[derive(Clone, PartialEq, Debug)]
pub enum Type {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Uint32,
    Int64,
    Float64,
    Uuid,
    String,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Self::Array(Box::new(Self::parse(element)));
        }
        match text {
            "bool" => Self::Bool,
            "int8" => Self::Int8,
            "int16" => Self::Int16,
            "uint16" => Self::Uint16,
            "int32" => Self::Int32,
            "uint32" => Self::Uint32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "uuid" => Self::Uuid,
            "string" => Self::String,
            "bytes" => Self::Bytes,
            "records" => Self::Records,
            name if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                Self::Struct(name.to_owned())
            }
            other => panic!("unknown type {other:?}"),
        }
    }

    /// The structure that this type holds, directly or as elements.
    pub fn structure(&self) -> Option<&str> {
        match self {
            Self::Struct(name) => Some(name),
            Self::Array(element) => element.structure(),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub ty: Type,
    pub versions: Versions,
    pub nullable: Option<Versions>,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub ignorable: bool,
    /// Never in the compact form (the client id of the request header).
    pub inflexible: bool,
}

#[derive(Clone, Debug)]
pub struct Structure {
    pub name: String,
    /// Versions of the message in which it can occur.
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub kind: String,
    pub name: String,
    pub key: Option<i16>,
    pub versions: Versions,
    pub flexible: Option<i16>,
    /// The message itself first, then what it is made of.
    pub structures: Vec<Structure>,
}

impl Message {
    pub fn structure(&self, name: &str) -> &Structure {
        let found = self.structures.iter().find(|s| s.name == name);
        found.unwrap_or_else(|| panic!("{} has no structure {name}", self.name))
    }
}

struct Line<'a> {
    depth: usize,
    words: Vec<&'a str>,
}

/// All messages of one schema text, in its order.
pub fn parse(text: &str) -> Vec<Message> {
    let meaningful = text.lines().filter(|l| !l.trim().is_empty() && !l.starts_with('#'));
    let lines: Vec<Line<'_>> = meaningful
        .map(|l| Line {
            depth: (l.len() - l.trim_start().len()) / 2,
            words: l.split_whitespace().collect(),
        })
        .collect();
    let mut messages = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        messages.push(parse_message(&lines, &mut at));
    }
    messages
}

fn parse_message(lines: &[Line<'_>], at: &mut usize) -> Message {
    let words = &lines[*at].words;
    assert!(lines[*at].depth == 0, "expected the head of a message: {words:?}");
    let mut rest = words[2..].iter();
    let mut word = rest.next().expect("versions");
    let mut key = None;
    if words.len() > 3 && !words[3].contains('=') {
        key = Some(word.parse().expect("a key"));
        word = rest.next().expect("versions");
    }
    let versions = Versions::parse(word);
    let flexible = rest.next().map(|w| {
        let from = w.strip_prefix("flexible=").expect("flexible=");
        Versions::parse(from).low
    });
    let mut message = Message {
        kind: words[0].to_owned(),
        name: words[1].to_owned(),
        key,
        versions,
        flexible,
        structures: Vec::new(),
    };
    *at += 1;
    let top = Structure { name: message.name.clone(), versions, fields: Vec::new() };
    message.structures.push(top);
    parse_fields(lines, at, 1, 0, &mut message);
    narrow(&mut message);
    message
}

fn parse_fields(lines: &[Line<'_>], at: &mut usize, depth: usize, owner: usize, m: &mut Message) {
    while *at < lines.len() && lines[*at].depth == depth {
        let words = &lines[*at].words;
        *at += 1;
        let (name, versions) = if words[0] == "struct" {
            let versions = words.get(2).map_or(Versions::ALL, |w| Versions::parse(w));
            (words[1].to_owned(), versions)
        } else {
            let field = parse_field(words);
            let inner = (field.ty.structure().map(str::to_owned), field.versions);
            m.structures[owner].fields.push(field);
            match inner {
                (Some(name), versions) => (name, versions),
                (None, _) => continue,
            }
        };
        if *at < lines.len() && lines[*at].depth == depth + 1 {
            assert!(m.structures.iter().all(|s| s.name != name), "{}: two {name}", m.name);
            m.structures.push(Structure { name, versions, fields: Vec::new() });
            let inner = m.structures.len() - 1;
            parse_fields(lines, at, depth + 1, inner, m);
        }
    }
    assert!(*at >= lines.len() || lines[*at].depth < depth, "bad indentation in {}", m.name);
}

fn parse_field(words: &[&str]) -> Field {
    let mut field = Field {
        name: words[0].to_owned(),
        ty: Type::parse(words[1]),
        versions: Versions::ALL,
        nullable: None,
        tag: None,
        default: None,
        ignorable: false,
        inflexible: false,
    };
    for word in &words[2..] {
        match word.as_bytes()[0] {
            b'0'..=b'9' => field.versions = Versions::parse(word),
            b'?' if word.len() == 1 => field.nullable = Some(Versions::ALL),
            b'?' => field.nullable = Some(Versions::parse(&word[1..])),
            b'#' => field.tag = Some(word[1..].parse().expect("a tag")),
            b'=' => field.default = Some(word[1..].to_owned()),
            b'~' => field.ignorable = true,
            _ if *word == "inflexible" => field.inflexible = true,
            _ => panic!("bad word {word:?} in {words:?}"),
        }
    }
    field
}

/// Narrows every structure and field to the versions in which it can really occur.
fn narrow(m: &mut Message) {
    let mut reach: HashMap<String, Versions> = HashMap::new();
    reach.insert(m.name.clone(), m.versions);
    // Structures come after their first user, except `struct` blocks that use one another: a few rounds settle it.
    for _ in 0..4 {
        for s in &m.structures {
            let Some(&outer) = reach.get(&s.name) else { continue };
            for f in &s.fields {
                let Some(inner) = f.ty.structure() else { continue };
                let here = f.versions.and(outer);
                let entry = reach.entry(inner.to_owned()).or_insert(here);
                *entry = Versions { low: entry.low.min(here.low), high: entry.high.max(here.high) };
            }
        }
    }
    for s in &mut m.structures {
        let reached =
            *reach.get(&s.name).unwrap_or_else(|| panic!("{}: {} unused", m.name, s.name));
        s.versions = s.versions.and(reached);
        for f in &mut s.fields {
            f.versions = f.versions.and(s.versions);
            f.nullable = f.nullable.map(|n| n.and(f.versions)).filter(|n| !n.is_empty());
        }
    }
}
