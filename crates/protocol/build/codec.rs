//! Writes how a structure is read and written.

use std::fmt::Write as _;

use crate::defaults::is_default;
use crate::names::{ident, is_optional};
use crate::schema::{Field, Message, Structure, Type, Versions};

pub fn emit_decode(m: &Message, s: &Structure, out: &mut String, lifetime: &str, top: bool) {
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
            if !guard.is_empty() {
                let _ = writeln!(arms, "{tag} => return Err(r.invalid_tag(tag)),");
            }
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

pub fn emit_put(m: &Message, s: &Structure, out: &mut String, lifetime: &str) {
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
    if m.flexible.is_some() && flexible != s.versions {
        let _ = writeln!(
            out,
            "if !flex && !self.unknown_tags.is_empty() {{ return Err(unsupported(\"tagged fields\", version)); }}"
        );
    }
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
        assert!(null_forbidden(f).is_none(), "tagged {} is null in some versions only", f.name);
        assert!(f.ty != Type::Records, "records in tagged {}", f.name);
        let _ = writeln!(
            out,
            "if t{i} {{ let mark = s.tag_begin(&mut tags, {tag})?; {} s.tag_end(mark); }}",
            write_expr(f)
        );
    }
    let _ = writeln!(out, "s.tags_end(tags)?;\n}}");
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

/// The flexible versions among those of `s`.
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
        Type::String | Type::Bytes | Type::Records | Type::Array(_) if flex => 1,
        Type::String => 2,
        Type::Bytes | Type::Records | Type::Array(_) => 4,
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

/// The statement that writes the field.
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
