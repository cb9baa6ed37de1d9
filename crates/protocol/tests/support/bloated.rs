//! The messages that take the most memory for their size.

use crate::schemas::schema::{Field, Message, Structure, Type};

/// Builds the smallest message whose one array has as many of the smallest elements as fit.
pub struct Bloated<'m> {
    m: &'m Message,
    version: i16,
    structure: &'m str,
    field: &'m str,
    /// Whether each of the smallest elements carries an empty unknown tagged field.
    unknown: bool,
    len: usize,
    out: Vec<u8>,
}

impl<'m> Bloated<'m> {
    /// A message of about `len` bytes whose array `of.1` in the structure `of.0` is as long as it can be.
    pub fn message(
        m: &'m Message,
        version: i16,
        of: (&'m str, &'m str),
        unknown: bool,
        len: usize,
    ) -> Vec<u8> {
        let (structure, field) = of;
        let mut b = Self { m, version, structure, field, unknown, len, out: Vec::new() };
        b.structure(&m.structures[0]);
        b.out
    }

    fn flex(&self) -> bool {
        self.m.flexible.is_some_and(|low| self.version >= low)
    }

    fn structure(&mut self, s: &Structure) {
        let (m, version) = (self.m, self.version);
        for f in s.fields.iter().filter(|f| f.tag.is_none() && f.versions.contains(version)) {
            self.field(s, f);
        }
        if self.flex() && self.structure.is_empty() && self.unknown {
            self.out.extend([1, 0x7f, 0]);
        } else if self.flex() {
            let tagged =
                s.fields.iter().filter(|f| f.tag.is_some() && f.versions.contains(self.version));
            let leading: Vec<&Field> = tagged.filter(|f| self.leads(s, f)).collect();
            self.out.push(leading.len() as u8);
            for f in leading {
                let inner = Bloated { m, out: Vec::new(), ..*self };
                let mut inner = inner;
                inner.field(s, f);
                self.out.push(f.tag.expect("tagged") as u8);
                self.varint(inner.out.len() as u32);
                self.out.append(&mut inner.out);
            }
        }
    }

    fn varint(&mut self, value: u32) {
        let mut bytes = [0; 5];
        let n = protocol::varint::write_unsigned(value, &mut bytes);
        self.out.extend_from_slice(&bytes[..n]);
    }

    /// Whether the bloated array is this field or lies inside.
    fn leads(&self, s: &Structure, f: &Field) -> bool {
        if s.name == self.structure && f.name == self.field {
            return true;
        }
        f.ty.structure().is_some_and(|name| {
            let inner = self.m.structure(name);
            inner.name != s.name
                && inner
                    .fields
                    .iter()
                    .any(|f| f.versions.contains(self.version) && self.leads(inner, f))
        })
    }

    fn field(&mut self, s: &Structure, f: &Field) {
        let nullable = f.nullable.is_some_and(|n| n.contains(self.version));
        let leads = self.leads(s, f);
        let flex = self.flex() && !f.inflexible;
        let (m, version) = (self.m, self.version);
        match &f.ty {
            Type::Array(element) if s.name == self.structure && f.name == self.field => {
                let one = Bloated {
                    m,
                    version,
                    structure: "",
                    field: "",
                    unknown: self.unknown,
                    len: 0,
                    out: Vec::new(),
                };
                let mut one = one;
                one.value(element, flex);
                let count = (self.len / one.out.len()).min(1_000_000);
                self.count(count, flex);
                for _ in 0..count {
                    self.out.extend_from_slice(&one.out);
                }
            }
            Type::Array(element) if leads => {
                self.count(1, flex);
                self.value(element, flex);
            }
            Type::Array(_) => self.count(0, flex),
            Type::Struct(_) if nullable && !leads => {
                self.out.push(if f.tag.is_some() { 0 } else { 0xff });
            }
            Type::Struct(_) if nullable => {
                self.out.push(1);
                self.value(&f.ty, flex);
            }
            ty => self.value(ty, flex),
        }
    }

    fn count(&mut self, count: usize, flex: bool) {
        if flex {
            self.varint(count as u32 + 1);
        } else {
            self.out.extend_from_slice(&(count as i32).to_be_bytes());
        }
    }

    fn value(&mut self, ty: &Type, flex: bool) {
        let zeros = match ty {
            Type::Bool | Type::Int8 => 1,
            Type::Int16 | Type::Uint16 => 2,
            Type::Int32 | Type::Uint32 => 4,
            Type::Int64 | Type::Float64 => 8,
            Type::Uuid => 16,
            Type::String if !flex => 2,
            Type::Bytes | Type::Records if !flex => 4,
            Type::Array(_) => unreachable!("no arrays of arrays"),
            Type::Struct(name) => {
                let m = self.m;
                return self.structure(m.structure(name));
            }
            _ => return self.out.push(1), // an empty compact string
        };
        self.out.resize(self.out.len() + zeros, 0);
    }
}
