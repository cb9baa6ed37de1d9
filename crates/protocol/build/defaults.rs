//! Default values as Rust expressions.

use crate::names::{ident, is_optional};
use crate::schema::{Field, Type};

/// The default as an expression, `None` when it is what `Default::default()` gives.
pub fn default_expr(f: &Field) -> Option<String> {
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
pub fn is_default(f: &Field) -> String {
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
