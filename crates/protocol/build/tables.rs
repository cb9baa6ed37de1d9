//! Writes the tables: API keys, error codes, the list of all messages, the enum over the metadata records.

use std::fmt::Write as _;

use crate::names::{borrows, snake};
use crate::schema::{Message, Type, Versions};

fn meaningful(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|l| !l.is_empty() && !l.starts_with('#'))
}

pub fn emit(apis: &str, errors: &str, everything: &[(&str, Message)]) -> String {
    let mut out = String::new();
    emit_apis(apis, everything, &mut out);
    emit_errors(errors, &mut out);
    emit_list(everything, &mut out);
    out
}

fn emit_apis(text: &str, everything: &[(&str, Message)], out: &mut String) {
    let mut variants = String::new();
    let mut rows = String::new();
    let mut count = 0;
    for (i, line) in meaningful(text).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (key, name, flags) = (words[0], words[1], &words[3..]);
        assert!(key.parse() == Ok(i), "API keys must be without a gap: {line}");
        let request = everything.iter().map(|(_, m)| m);
        let mut request = request.filter(|m| m.kind == "request" && m.key == Some(i as i16));
        let versions = match words[2] {
            "removed" => Versions { low: 0, high: -1 },
            text => Versions::parse(text),
        };
        let flexible = match request.next() {
            Some(m) => {
                assert!(m.versions == versions, "{name}: versions differ from the request's");
                assert!(m.name == format!("{name}Request"), "{name} is not {}", m.name);
                m.flexible.unwrap_or(i16::MAX)
            }
            None => {
                assert!(versions.is_empty(), "{name} has no request");
                i16::MAX
            }
        };
        let listeners: Vec<&str> = flags
            .iter()
            .flat_map(|f| f.split(','))
            .filter_map(|f| match f {
                "broker" => Some("Listener::Broker"),
                "controller" => Some("Listener::Controller"),
                _ => None,
            })
            .collect();
        let _ = writeln!(variants, "{name} = {key},");
        let _ = writeln!(
            rows,
            "ApiRow {{ key: ApiKey::{name}, name: {name:?}, low: {}, high: {}, flexible: {flexible}, \
             listeners: &[{}], forwarded: {}, unstable: {} }},",
            versions.low,
            versions.high,
            listeners.join(", "),
            flags.contains(&"forwarded"),
            flags.contains(&"unstable"),
        );
        count = i + 1;
    }
    let _ = writeln!(
        out,
        "/// The APIs of Kafka 4.4 by their number on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(i16)]
pub enum ApiKey {{\n{variants}}}\nstatic APIS: [ApiRow; {count}] = [\n{rows}];"
    );
}

fn emit_errors(text: &str, out: &mut String) {
    let mut variants = String::new();
    let mut rows = String::new();
    let mut count = 0;
    for (i, line) in meaningful(text).enumerate() {
        let (head, message) = line.split_once(": ").unwrap_or_else(|| panic!("{line}: no message"));
        let words: Vec<&str> = head.split_whitespace().collect();
        let (code, name) = (words[0], words[1]);
        assert!(code.parse() == Ok(i as i32 - 1), "error codes must be without a gap: {line}");
        let camel: String = name.split('_').map(capitalised).collect();
        let _ = writeln!(variants, "/// {message}\n{camel} = {code},");
        let retriable = words.get(2) == Some(&"retriable");
        let _ = writeln!(rows, "(ErrorCode::{camel}, {name:?}, {retriable}, {message:?}),");
        count = i + 1;
    }
    let _ = writeln!(
        out,
        "/// Kafka's error codes; the doc of each is its default message.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(i16)]
pub enum ErrorCode {{\n{variants}}}
static ERRORS: [(ErrorCode, &str, bool, &str); {count}] = [\n{rows}];"
    );
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    format!("{first}{}", rest.to_lowercase())
}

/// A macro that hands all messages to another one: tests that cover everything use it.
fn emit_list(everything: &[(&str, Message)], out: &mut String) {
    let mut paths = String::new();
    for (area, m) in everything {
        let _ = writeln!(paths, "$crate::{area}::{}::{},", snake(&m.name), m.name);
    }
    let _ = writeln!(
        out,
        "/// Calls `$macro` with the paths of all messages, separated by commas.
#[doc(hidden)]\n#[macro_export]
macro_rules! for_each_message {{ ($macro:ident) => {{ $macro! {{ {paths} }} }}; }}"
    );
}

pub fn emit_metadata_record<'m>(records: impl Iterator<Item = &'m Message>) -> String {
    let (mut variants, mut decode, mut encode, mut key, mut owned, mut from) =
        (String::new(), String::new(), String::new(), String::new(), String::new(), String::new());
    let mut versions = String::new();
    let mut len = String::new();
    for m in records {
        let name = &m.name;
        let short = name.strip_suffix("Record").unwrap_or(name);
        let life = if borrows(m, &Type::Struct(name.clone())) { "<'a>" } else { "" };
        let path = format!("{}::{name}", snake(name));
        let api_key = m.key.expect("metadata records have a type");
        let _ = writeln!(variants, "{short}({path}{life}),");
        let _ = writeln!(decode, "{api_key} => Self::{short}(Decode::decode(r, version)?),");
        let _ = writeln!(encode, "Self::{short}(x) => x.encode(w, version),");
        let _ = writeln!(len, "Self::{short}(x) => x.encoded_len(version),");
        let _ = writeln!(key, "Self::{short}(_) => {api_key},");
        let _ = writeln!(versions, "Self::{short}(_) => {}..={},", m.versions.low, m.versions.high);
        let call = if life.is_empty() { "" } else { ".into_owned()" };
        let _ = writeln!(owned, "Self::{short}(x) => MetadataRecord::{short}(x{call}),");
        let _ = writeln!(
            from,
            "impl<'a> From<{path}{life}> for MetadataRecord<'a> {{
fn from(x: {path}{life}) -> Self {{ Self::{short}(x) }}\n}}"
        );
    }
    format!(
        "/// Any record of the metadata log.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataRecord<'a> {{\n{variants}}}
impl<'a> MetadataRecord<'a> {{
/// The type in the frame.
pub fn api_key(&self) -> i16 {{ match self {{\n{key}}} }}
/// The versions of this type of record.
pub fn versions(&self) -> std::ops::RangeInclusive<i16> {{ match self {{\n{versions}}} }}
/// Copies what is borrowed.
pub fn into_owned(self) -> MetadataRecord<'static> {{ match self {{\n{owned}}} }}
fn decode_body(key: i16, r: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError> {{
Ok(match key {{\n{decode} _ => return Err(r.unknown_record_type(key)) }})\n}}
fn body_len(&self, version: i16) -> Result<usize, EncodeError> {{ match self {{\n{len}}} }}
fn encode_body(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{ match self {{\n{encode}}} }}
}}\n{from}"
    )
}
