//! Writes the Rust code of one message.

use std::fmt::Write as _;

use crate::schema::{Field, Message, Structure, Type, Versions};

/// `TopicId` to `topic_id`; words that Rust keeps for itself become raw identifiers.
pub fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, &c) in chars.iter().enumerate() {
        if c.is_ascii_uppercase() && i > 0 {
            let after_lower = !chars[i - 1].is_ascii_uppercase();
            let before_lower = chars.get(i + 1).is_some_and(|n| n.is_ascii_lowercase());
            if after_lower || before_lower {
                out.push('_');
            }
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn ident(name: &str) -> String {
    let name = snake(name);
    if ["type", "match", "ref", "where", "use", "move"].contains(&name.as_str()) {
        format!("r#{name}")
    } else {
        name
    }
}

pub fn borrows(m: &Message, ty: &Type) -> bool {
    match ty {
        Type::String | Type::Bytes | Type::Records => true,
        Type::Array(element) => borrows(m, element),
        Type::Struct(name) => m.structure(name).fields.iter().any(|f| borrows(m, &f.ty)),
        _ => false,
    }
}

fn rust_type(m: &Message, ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::Int8 => "i8".into(),
        Type::Int16 => "i16".into(),
        Type::Uint16 => "u16".into(),
        Type::Int32 => "i32".into(),
        Type::Uint32 => "u32".into(),
        Type::Int64 => "i64".into(),
        Type::Float64 => "f64".into(),
        Type::Uuid => "Uuid".into(),
        Type::String => "Cow<'a, str>".into(),
        Type::Bytes => "Cow<'a, [u8]>".into(),
        Type::Records => "Records<'a>".into(),
        Type::Struct(name) if borrows(m, ty) => format!("{name}<'a>"),
        Type::Struct(name) => name.clone(),
        Type::Array(element) => format!("Vec<{}>", rust_type(m, element)),
    }
}

fn is_optional(f: &Field) -> bool {
    f.nullable.is_some() || f.ty == Type::Records
}

fn field_type(m: &Message, f: &Field) -> String {
    let inner = rust_type(m, &f.ty);
    if is_optional(f) { format!("Option<{inner}>") } else { inner }
}

/// The default as an expression, `None` when it is what `Default::default()` gives.
fn default_expr(f: &Field) -> Option<String> {
    let given = f.default.as_deref();
    if is_optional(f) {
        if given == Some("null") || f.ty == Type::Records {
            return None;
        }
        return Some(match (&f.ty, given) {
            (Type::Array(_), None) => "Some(Vec::new())".into(),
            (Type::String, text) => format!("Some(Cow::Borrowed({:?}))", text.unwrap_or("")),
            (Type::Bytes, None) => "Some(Cow::Borrowed(&[]))".into(),
            (Type::Struct(_), None) => "Some(Default::default())".into(),
            other => panic!("default {other:?} of {}", f.name),
        });
    }
    let given = given?;
    match f.ty {
        Type::Bool => (given == "true").then(|| "true".into()),
        Type::String => Some(format!("Cow::Borrowed({given:?})")),
        Type::Int8 | Type::Int16 | Type::Uint16 | Type::Int32 | Type::Uint32 | Type::Int64 => {
            let natural = given.trim_start_matches("0x").parse::<i64>() == Ok(0);
            (!natural).then(|| given.to_owned())
        }
        _ => panic!("default {given} of {}", f.name),
    }
}

/// True when the field still has its default, for `self.field`.
fn is_default(f: &Field) -> String {
    let x = format!("self.{}", ident(&f.name));
    if is_optional(f) {
        return match default_expr(f) {
            None => format!("{x}.is_none()"),
            Some(d) if d.ends_with("(Default::default())") => format!("{x} == {d}"),
            Some(d) if d.contains("\"\"") || d.contains("new()") || d.contains("&[]") => {
                format!("{x}.as_ref().is_some_and(|v| v.is_empty())")
            }
            Some(d) => format!("{x} == {d}"),
        };
    }
    match (&f.ty, default_expr(f)) {
        (Type::Bool, None) => format!("!{x}"),
        (Type::Bool, Some(_)) => x,
        (Type::Uuid, _) => format!("{x}.is_zero()"),
        (Type::Float64, None) => format!("{x} == 0.0"),
        (Type::String | Type::Bytes | Type::Array(_), None) => format!("{x}.is_empty()"),
        (Type::String, Some(d)) => {
            format!("{x} == {}", d.trim_start_matches("Cow::Borrowed(").trim_end_matches(')'))
        }
        (Type::Struct(_), _) => format!("{x} == Default::default()"),
        (_, None) => format!("{x} == 0"),
        (_, Some(d)) => format!("{x} == {d}"),
    }
}

/// A condition on `version` for `inner`, knowing that it lies in `outer`; `None`: always.
fn condition(inner: Versions, outer: Versions) -> Option<String> {
    let low = inner.low > outer.low;
    let high = inner.high < outer.high;
    match (low, high) {
        _ if inner.is_empty() => Some("false".into()),
        (false, false) => None,
        _ if inner.low == inner.high => Some(format!("version == {}", inner.low)),
        (true, false) => Some(format!("version >= {}", inner.low)),
        (false, true) => Some(format!("version <= {}", inner.high)),
        (true, true) => Some(format!("({}..={}).contains(&version)", inner.low, inner.high)),
    }
}

/// The flexible versions among those of `s`, as the expression `flex` is initialised with.
fn flexible_versions(m: &Message, s: &Structure) -> Versions {
    match m.flexible {
        Some(low) => Versions { low, high: i16::MAX }.and(s.versions),
        None => Versions { low: 1, high: 0 },
    }
}

fn min_len(m: &Message, ty: &Type, version: i16, flex: bool) -> usize {
    match ty {
        Type::Bool | Type::Int8 => 1,
        Type::Int16 | Type::Uint16 => 2,
        Type::Int32 | Type::Uint32 => 4,
        Type::Int64 | Type::Float64 => 8,
        Type::Uuid => 16,
        Type::String => {
            if flex {
                1
            } else {
                2
            }
        }
        Type::Bytes | Type::Records | Type::Array(_) => {
            if flex {
                1
            } else {
                4
            }
        }
        Type::Struct(name) => struct_min_len_at(m, m.structure(name), version),
    }
}

fn struct_min_len_at(m: &Message, s: &Structure, version: i16) -> usize {
    let flex = m.flexible.is_some_and(|low| version >= low);
    let fields = s.fields.iter().filter(|f| f.tag.is_none() && f.versions.contains(version));
    let sum: usize = fields
        .map(|f| match f.ty {
            Type::Struct(_) if f.nullable.is_some() => 1,
            _ => min_len(m, &f.ty, version, flex && !f.inflexible),
        })
        .sum();
    sum + usize::from(flex)
}

fn struct_min_len(m: &Message, s: &Structure) -> usize {
    (s.versions.low..=s.versions.high).map(|v| struct_min_len_at(m, s, v)).min().unwrap_or(0)
}

/// An array's reading and writing need `flex` and `version`; this names what they need.
fn flex_of(f: &Field) -> &'static str {
    if f.inflexible { "false" } else { "flex" }
}

fn read_expr(f: &Field) -> String {
    let flex = flex_of(f);
    let opt = if is_optional(f) { "opt_" } else { "" };
    match &f.ty {
        Type::Bool => "r.bool()?".into(),
        Type::Int8 => "r.i8()?".into(),
        Type::Int16 => "r.i16()?".into(),
        Type::Uint16 => "r.u16()?".into(),
        Type::Int32 => "r.i32()?".into(),
        Type::Uint32 => "r.u32()?".into(),
        Type::Int64 => "r.i64()?".into(),
        Type::Float64 => "r.f64()?".into(),
        Type::Uuid => "r.uuid()?".into(),
        Type::String => format!("r.{opt}string({flex})?"),
        Type::Bytes => format!("r.{opt}bytes({flex})?"),
        Type::Records => format!("r.records({flex})?"),
        Type::Struct(_) if f.nullable.is_some() && f.tag.is_some() => {
            "r.opt_tagged_structure(version)?".into()
        }
        Type::Struct(_) if f.nullable.is_some() => "r.opt_structure(version)?".into(),
        Type::Struct(_) => "Decode::decode(r, version)?".into(),
        Type::Array(e) if **e == Type::String => format!("r.{opt}strings({flex})?"),
        Type::Array(_) => format!("r.{opt}array({flex}, version)?"),
    }
}

/// The statement that writes `x` (a place expression; for optional ones a pattern-bound reference).
fn write_expr(f: &Field) -> String {
    let x = format!("self.{}", ident(&f.name));
    let flex = flex_of(f);
    let opt = if is_optional(f) { "opt_" } else { "" };
    let borrow = if is_optional(f) { format!("{x}.as_deref()") } else { format!("&{x}") };
    match &f.ty {
        Type::Bool => format!("s.bool({x});"),
        Type::Int8 => format!("s.i8({x});"),
        Type::Int16 => format!("s.i16({x});"),
        Type::Uint16 => format!("s.u16({x});"),
        Type::Int32 => format!("s.i32({x});"),
        Type::Uint32 => format!("s.u32({x});"),
        Type::Int64 => format!("s.i64({x});"),
        Type::Float64 => format!("s.f64({x});"),
        Type::Uuid => format!("s.uuid({x});"),
        Type::String => format!("s.{opt}string({flex}, {borrow})?;"),
        Type::Bytes => format!("s.{opt}bytes({flex}, {borrow})?;"),
        Type::Records => format!("s.records({flex}, {x}.as_ref())?;"),
        Type::Struct(_) if f.nullable.is_some() => {
            let tagged = f.tag.is_some();
            format!("s.opt_structure({tagged}, {x}.as_ref(), version)?;")
        }
        Type::Struct(_) => format!("{x}.put(s, version)?;"),
        Type::Array(e) if **e == Type::String => format!("s.{opt}strings({flex}, {borrow})?;"),
        Type::Array(_) => format!("s.{opt}array({flex}, {borrow}, version)?;"),
    }
}

/// The condition on which null is not allowed where the field is present; `None`: always allowed or never optional.
fn null_forbidden(f: &Field) -> Option<String> {
    if !is_optional(f) {
        return None;
    }
    let Some(nullable) = f.nullable else { return Some("true".into()) };
    condition(nullable, f.versions).map(|c| format!("!({c})"))
}

fn emit_decode(m: &Message, s: &Structure, out: &mut String, lifetime: &str, top: bool) {
    let flexible = flexible_versions(m, s);
    let life = if lifetime.is_empty() { "'_" } else { "'a" };
    let head = if lifetime.is_empty() { "impl" } else { "impl<'a>" };
    let _ = writeln!(out, "{head} Decode<{life}> for {}{lifetime} {{", s.name);
    let _ = writeln!(out, "const MIN_LEN: usize = {};", struct_min_len(m, s));
    let _ = writeln!(
        out,
        "fn decode(r: &mut Reader<{life}>, version: i16) -> Result<Self, DecodeError> {{"
    );
    if top {
        let _ = writeln!(out, "check_decodable::<Self>(version)?;");
    }
    let _ = writeln!(out, "let flex = {};", flex_expr(flexible, s));
    let _ = writeln!(out, "let mut x = Self::default();");
    for f in s.fields.iter().filter(|f| f.tag.is_none() && !f.versions.is_empty()) {
        let body = read_statement(f);
        match condition(f.versions, s.versions) {
            Some(c) => _ = writeln!(out, "if {c} {{ {body} }}"),
            None => _ = writeln!(out, "{body}"),
        }
    }
    if !flexible.is_empty() {
        let tagged: Vec<&Field> = tagged(s);
        let mut arms = String::new();
        for f in &tagged {
            let guard =
                condition(f.versions, flexible).map_or(String::new(), |c| format!(" if {c}"));
            let tag = f.tag.expect("tagged");
            let _ = writeln!(arms, "{tag}{guard} => {{ {} }}", read_statement(f));
        }
        let call = if arms.is_empty() {
            "r.unknown_tags()?".to_owned()
        } else {
            format!("r.tags(|r, tag| {{ match tag {{ {arms} _ => return Ok(false) }} Ok(true) }})?")
        };
        let _ = writeln!(out, "if flex {{ x.unknown_tags = {call}; }}");
    }
    let _ = writeln!(out, "Ok(x)\n}}\n}}");
}

fn read_statement(f: &Field) -> String {
    let name = ident(&f.name);
    let mut body = format!("x.{name} = {};", read_expr(f));
    if let Some(forbidden) = null_forbidden(f) {
        let test = if forbidden == "true" { String::new() } else { format!("{forbidden} && ") };
        let _ = write!(body, " if {test}x.{name}.is_none() {{ return Err(r.null()); }}");
    }
    body
}

fn tagged(s: &Structure) -> Vec<&Field> {
    let mut tagged: Vec<&Field> = s.fields.iter().filter(|f| f.tag.is_some()).collect();
    tagged.sort_by_key(|f| f.tag);
    tagged
}

fn flex_expr(flexible: Versions, s: &Structure) -> String {
    if flexible.is_empty() {
        "false".into()
    } else {
        condition(flexible, s.versions).unwrap_or_else(|| "true".into())
    }
}

fn emit_put(m: &Message, s: &Structure, out: &mut String, lifetime: &str) {
    let flexible = flexible_versions(m, s);
    let anonymous = if lifetime.is_empty() { "" } else { "<'_>" };
    let _ = writeln!(out, "impl Put for {}{anonymous} {{", s.name);
    let _ = writeln!(
        out,
        "fn put<S: Sink>(&self, s: &mut S, version: i16) -> Result<(), EncodeError> {{"
    );
    let _ = writeln!(out, "let flex = {};", flex_expr(flexible, s));
    for f in &s.fields {
        let present = condition(f.versions, s.versions);
        let mut body = String::new();
        if f.tag.is_none() && !f.versions.is_empty() {
            if let Some(forbidden) = null_forbidden(f) {
                let test =
                    if forbidden == "true" { String::new() } else { format!("{forbidden} && ") };
                let name = ident(&f.name);
                let _ = write!(
                    body,
                    "if {test}self.{name}.is_none() {{ return Err(null({:?})); }} ",
                    f.name
                );
            }
            body += &write_expr(f);
        }
        match present {
            None => out.push_str(&format!("{body}\n")),
            Some(c) if f.ignorable && body.is_empty() => _ = c,
            Some(c) if f.ignorable => _ = writeln!(out, "if {c} {{ {body} }}"),
            Some(c) => {
                let refusal = format!("return Err(unsupported({:?}, version));", f.name);
                let kept = is_default(f);
                if body.is_empty() {
                    let _ = writeln!(out, "if !({c}) && !({kept}) {{ {refusal} }}");
                } else {
                    let _ = writeln!(out, "if {c} {{ {body} }} else if !({kept}) {{ {refusal} }}");
                }
            }
        }
    }
    emit_tags(s, flexible, out);
    let _ = writeln!(out, "Ok(())\n}}\n}}");
}

/// Known tagged fields that differ from their default, in the order of their tags, among the unknown ones.
fn emit_tags(s: &Structure, flexible: Versions, out: &mut String) {
    if flexible.is_empty() {
        return;
    }
    let tagged = tagged(s);
    if tagged.is_empty() {
        let _ = writeln!(out, "if flex {{ s.unknown_tags(&self.unknown_tags)?; }}");
        return;
    }
    let _ = writeln!(out, "if flex {{");
    for (i, f) in tagged.iter().enumerate() {
        let present = condition(f.versions, flexible).map_or(String::new(), |c| format!("{c} && "));
        let _ = writeln!(out, "let t{i} = {present}!({});", is_default(f));
    }
    let count: Vec<String> = (0..tagged.len()).map(|i| format!("u32::from(t{i})")).collect();
    let _ =
        writeln!(out, "let mut tags = s.tags_begin(&self.unknown_tags, {});", count.join(" + "));
    for (i, f) in tagged.iter().enumerate() {
        let tag = f.tag.expect("tagged");
        let null = if null_forbidden(f).is_some() {
            panic!("tagged {} null in some versions", f.name)
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "if t{i} {{ let mark = s.tag_begin(&mut tags, {tag})?; {null}{} s.tag_end(mark); }}",
            write_expr(f)
        );
    }
    let _ = writeln!(out, "s.tags_end(tags)?;\n}}");
}

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
