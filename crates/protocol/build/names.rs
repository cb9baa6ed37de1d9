//! Names and types in Rust for those of the schemas.

use crate::schema::{Field, Message, Type};

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

pub fn ident(name: &str) -> String {
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

pub fn is_optional(f: &Field) -> bool {
    f.nullable.is_some() || f.ty == Type::Records
}

pub fn field_type(m: &Message, f: &Field) -> String {
    let inner = rust_type(m, &f.ty);
    if is_optional(f) { format!("Option<{inner}>") } else { inner }
}
