//! A parsed pattern, and how it is written for the `regex` crate.

use std::fmt::Write as _;

use super::Refused;
use super::ascii::Ascii;

/// How deeply nodes may nest; brackets around one node do not count.
const DEPTH_MAX: u32 = 250;
/// Each node nests at most so often in what it is written as.
pub(super) const REGEX_NEST_LIMIT: u32 = DEPTH_MAX * 4 + 8;

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Set(Ascii),
    Assertion(&'static str),
    Repeat(Box<Node>, u32, Option<u32>),
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    kind: Kind,
    depth: u32,
}

impl Node {
    pub(super) fn set(set: Ascii) -> Self {
        Self { kind: Kind::Set(set), depth: 1 }
    }

    /// In the syntax of the `regex` crate.
    pub(super) fn assertion(text: &'static str) -> Self {
        Self { kind: Kind::Assertion(text), depth: 1 }
    }

    pub(super) fn repeat(self, min: u32, max: Option<u32>) -> Result<Self, Refused> {
        let depth = self.depth;
        Self::above(depth, Kind::Repeat(Box::new(self), min, max))
    }

    pub(super) fn sequence(nodes: Vec<Self>) -> Result<Self, Refused> {
        Self::of(nodes, Kind::Sequence)
    }

    pub(super) fn alternatives(nodes: Vec<Self>) -> Result<Self, Refused> {
        Self::of(nodes, Kind::Alternatives)
    }

    fn of(mut nodes: Vec<Self>, kind: fn(Vec<Self>) -> Kind) -> Result<Self, Refused> {
        match (nodes.pop(), nodes.is_empty()) {
            (Some(only), true) => Ok(only),
            (last, _) => {
                nodes.extend(last);
                let depth = nodes.iter().map(|node| node.depth).max().unwrap_or(0);
                Self::above(depth, kind(nodes))
            }
        }
    }

    fn above(depth: u32, kind: Kind) -> Result<Self, Refused> {
        if depth >= DEPTH_MAX {
            return Err(Refused::TooLarge);
        }
        Ok(Self { kind, depth: depth + 1 })
    }

    /// Appends it so that it can be repeated.
    pub(super) fn write(&self, out: &mut String) {
        if let Kind::Set(set) = self.kind {
            return write_set(set, out);
        }
        out.push_str("(?:");
        match &self.kind {
            Kind::Set(_) => {}
            Kind::Assertion(text) => out.push_str(text),
            Kind::Repeat(node, min, max) => {
                node.write(out);
                let max = max.map_or_else(String::new, |max| max.to_string());
                // Writing to a string does not fail.
                let _ = write!(out, "{{{min},{max}}}");
            }
            Kind::Sequence(nodes) => nodes.iter().for_each(|node| node.write(out)),
            Kind::Alternatives(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    if index > 0 {
                        out.push('|');
                    }
                    node.write(out);
                }
            }
        }
        out.push(')');
    }
}

fn write_set(set: Ascii, out: &mut String) {
    if set == Ascii::NONE {
        return out.push_str(r"[^\x00-\xff]");
    }
    let ranges = set.ranges();
    if let [(only, last)] = ranges[..]
        && only == last
        && only.is_ascii_alphanumeric()
    {
        return out.push(only.into());
    }
    out.push('[');
    for (first, last) in ranges {
        let _ = write!(out, r"\x{first:02x}-\x{last:02x}");
    }
    out.push(']');
}
