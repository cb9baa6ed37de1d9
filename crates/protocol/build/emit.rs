//! Writes the Rust code of one message.

use std::fmt::Write as _;

use crate::codec::{emit_decode, emit_put};
use crate::defaults::default_expr;
use crate::names::{borrows, field_type, ident};
use crate::schema::{Message, Structure, Type};

fn emit_struct(m: &Message, s: &Structure, out: &mut String) {
    let top = s.name == m.name;
    let ty = Type::Struct(s.name.clone());
    let lifetime = if borrows(m, &ty) { "<'a>" } else { "" };
    let anonymous = if lifetime.is_empty() { "" } else { "<'_>" };
    let name = &s.name;
    let custom = s.fields.iter().any(|f| default_expr(f).is_some());
    let derive = if custom { "" } else { ", Default" };
    if top {
        let _ = writeln!(out, "/// {}", describe(m));
    }
    let _ =
        writeln!(out, "#[derive(Clone, Debug, PartialEq{derive})]\npub struct {name}{lifetime} {{");
    for f in &s.fields {
        let _ = writeln!(out, "pub {}: {},", ident(&f.name), field_type(m, f));
    }
    if m.flexible.is_some() {
        let _ = writeln!(out, "pub unknown_tags: UnknownTags,");
    }
    let _ = writeln!(out, "}}");
    if custom {
        let _ =
            writeln!(out, "impl Default for {name}{anonymous} {{ fn default() -> Self {{ Self {{");
        for f in &s.fields {
            let value = default_expr(f).unwrap_or_else(|| "Default::default()".into());
            let _ = writeln!(out, "{}: {value},", ident(&f.name));
        }
        if m.flexible.is_some() {
            let _ = writeln!(out, "unknown_tags: Default::default(),");
        }
        let _ = writeln!(out, "}} }} }}");
    }
    emit_decode(m, s, out, lifetime, top);
    emit_put(m, s, out, lifetime);
    if top {
        emit_message(m, out, anonymous);
    }
    if !lifetime.is_empty() {
        emit_into_owned(m, s, out);
    }
}

fn describe(m: &Message) -> String {
    let mut text = format!("Kafka's {}", m.name);
    if let Some(key) = m.key {
        let what = if m.kind == "request" || m.kind == "response" { "API" } else { "type" };
        let _ = write!(text, ", {what} {key}");
    }
    let _ = write!(text, ", versions {} to {}", m.versions.low, m.versions.high);
    match m.flexible {
        Some(low) => _ = write!(text, ", flexible from {low}."),
        None => text.push('.'),
    }
    text
}

fn emit_message(m: &Message, out: &mut String, anonymous: &str) {
    let _ = writeln!(
        out,
        "impl Message for {name}{anonymous} {{
const NAME: &'static str = {name:?};
const API_KEY: Option<i16> = {key:?};
const MIN_VERSION: i16 = {low};
const MAX_VERSION: i16 = {high};
const FIRST_FLEXIBLE: Option<i16> = {flexible:?};
}}
impl Encode for {name}{anonymous} {{
fn encoded_len(&self, version: i16) -> Result<usize, EncodeError> {{ encoded_len(self, version) }}
fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{ encode(self, w, version) }}
}}",
        name = m.name,
        key = m.key,
        low = m.versions.low,
        high = m.versions.high,
        flexible = m.flexible,
    );
    if m.kind == "response" {
        emit_response(m, out, anonymous);
    }
}

fn emit_response(m: &Message, out: &mut String, anonymous: &str) {
    let fields = &m.structure(&m.name).fields;
    let error = fields.iter().find(|f| f.name == "ErrorCode" && f.ty == Type::Int16);
    let (parameters, value) = match error {
        None => ("_: ErrorCode, _: i16", String::from("None")),
        Some(error) => {
            let since = error.versions.and(m.versions);
            let (low, high) = (since.low, since.high);
            let message = "Self { error_code: error.code(), ..Self::default() }";
            let value = format!("({low}..={high}).contains(&version).then(|| {message})");
            ("error: ErrorCode, version: i16", value)
        }
    };
    let name = &m.name;
    let _ = writeln!(
        out,
        "impl ResponseMessage for {name}{anonymous} {{
fn of_error({parameters}) -> Option<Self> {{ {value} }}
}}"
    );
}

fn emit_into_owned(m: &Message, s: &Structure, out: &mut String) {
    let name = &s.name;
    let _ = writeln!(
        out,
        "impl {name}<'_> {{\n/// Copies what is borrowed.\npub fn into_owned(self) -> {name}<'static> {{ {name} {{"
    );
    for f in &s.fields {
        let id = ident(&f.name);
        let call = if borrows(m, &f.ty) { ".to_static()" } else { "" };
        let _ = writeln!(out, "{id}: self.{id}{call},");
    }
    if m.flexible.is_some() {
        let _ = writeln!(out, "unknown_tags: self.unknown_tags,");
    }
    let _ = writeln!(
        out,
        "}} }}\n}}\nimpl ToStatic for {name}<'_> {{\ntype Static = {name}<'static>;
fn to_static(self) -> Self::Static {{ self.into_owned() }}\n}}"
    );
}

/// The whole file of one message.
pub fn emit(m: &Message) -> String {
    let mut out = String::from("use crate::generated::*;\n");
    for s in &m.structures {
        emit_struct(m, s, &mut out);
    }
    out
}
