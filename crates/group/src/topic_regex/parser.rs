//! RE2/J's syntax: what is a pattern, what it means for ASCII, and which of its errors a broken one makes.

use std::collections::BTreeSet;

use super::Refused;
use super::ascii::Ascii;
use super::node::Node;

/// Repetitions beyond this many are refused.
const REPEAT_MAX: u32 = 1000;

/// What `(?flags)` can change and matters for whether a name matches.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
}

/// A group that is open: its alternatives so far, the last of which grows.
#[derive(Default)]
struct Group {
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
    /// Those that hold again behind it.
    outer: Flags,
}

pub(super) struct Parser<'a> {
    pub(super) rest: &'a str,
    pub(super) flags: Flags,
    /// The innermost last; the first is the pattern itself.
    groups: Vec<Group>,
    names: BTreeSet<&'a str>,
    /// No end of one is in the rest: it need not be looked for again.
    pub(super) no_posix_class: bool,
}

pub(super) fn parse(pattern: &str) -> Result<Node, Refused> {
    let mut parser = Parser {
        rest: pattern,
        flags: Flags::default(),
        groups: vec![Group::default()],
        names: BTreeSet::new(),
        no_posix_class: false,
    };
    // Whether what came just before was a repetition, or the brace of one that is none.
    let mut repeated = false;
    while let Some(next) = parser.rest.chars().next() {
        repeated = parser.step(next, repeated)?;
    }
    let group = parser.close().ok_or(Refused::InternalError)??;
    if parser.groups.is_empty() { Ok(group) } else { Err(Refused::MissingParen) }
}

impl<'a> Parser<'a> {
    /// Takes what begins with `next`; whether it was a repetition.
    fn step(&mut self, next: char, repeated: bool) -> Result<bool, Refused> {
        match next {
            '*' | '+' | '?' => {
                self.skip(1);
                let (min, max) = match next {
                    '*' => (0, None),
                    '+' => (1, None),
                    _ => (0, Some(1)),
                };
                self.repeat(min, max, repeated)?;
                return Ok(true);
            }
            '{' => {
                match self.repeat_counts()? {
                    Some((min, max)) => self.repeat(min, max, repeated)?,
                    None => {
                        self.skip(1);
                        self.literal('{');
                    }
                }
                return Ok(true);
            }
            '(' if self.rest.starts_with("(?") => self.perl_group()?,
            '(' => {
                self.skip(1);
                self.open(self.flags);
            }
            ')' => {
                self.skip(1);
                let outer = self.groups.last().map(|group| group.outer);
                let group = self.close().ok_or(Refused::InternalError)??;
                if self.groups.is_empty() {
                    return Err(Refused::InternalError);
                }
                self.flags = outer.unwrap_or_default();
                self.push(group);
            }
            '|' => {
                self.skip(1);
                if let Some(group) = self.groups.last_mut() {
                    let done = std::mem::take(&mut group.sequence);
                    group.alternatives.push(Node::sequence(done)?);
                }
            }
            '^' => self.assertion(if self.flags.multi_line { "(?m:^)" } else { r"\A" }),
            '$' => self.assertion(if self.flags.multi_line { "(?m:$)" } else { r"\z" }),
            '.' => {
                self.skip(1);
                let newline = self.flags.dot_newline;
                self.push(Node::set(if newline { Ascii::ALL } else { Ascii::NOT_NEWLINE }));
            }
            '[' => {
                let set = self.class()?;
                self.push(Node::set(set));
            }
            '\\' => self.backslash()?,
            other => {
                self.skip(other.len_utf8());
                self.literal(other);
            }
        }
        Ok(false)
    }

    pub(super) fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    pub(super) fn pop(&mut self) -> Option<char> {
        let next = self.rest.chars().next()?;
        self.skip(next.len_utf8());
        Some(next)
    }

    fn push(&mut self, node: Node) {
        if let Some(group) = self.groups.last_mut() {
            group.sequence.push(node);
        }
    }

    fn literal(&mut self, c: char) {
        let set = self.set(c.into(), c.into());
        self.push(Node::set(set));
    }

    pub(super) fn set(&self, first: u32, last: u32) -> Ascii {
        if self.flags.fold_case { Ascii::folded(first..=last) } else { Ascii::range(first..=last) }
    }

    /// `^` or `$`.
    fn assertion(&mut self, text: &'static str) {
        self.skip(1);
        self.push(Node::assertion(text));
    }

    fn open(&mut self, inner: Flags) {
        self.groups.push(Group { outer: self.flags, ..Group::default() });
        self.flags = inner;
    }

    /// The innermost group, if there is one, as a node.
    fn close(&mut self) -> Option<Result<Node, Refused>> {
        let mut group = self.groups.pop()?;
        Some(Node::sequence(group.sequence).and_then(|last| {
            group.alternatives.push(last);
            Node::alternatives(group.alternatives)
        }))
    }

    /// Repeats the node before; a `?` behind only says which match is wanted.
    fn repeat(&mut self, min: u32, max: Option<u32>, repeated: bool) -> Result<(), Refused> {
        if self.rest.starts_with('?') {
            self.skip(1);
        }
        if repeated {
            return Err(Refused::NestedRepetition);
        }
        let node = self.groups.last_mut().and_then(|group| group.sequence.pop());
        let node = node.ok_or(Refused::MissingRepeatArgument)?.repeat(min, max)?;
        self.push(node);
        Ok(())
    }

    /// `{2}`, `{2,}`, `{2,5}`: taken if it is one of these, otherwise the brace stands for itself.
    fn repeat_counts(&mut self) -> Result<Option<(u32, Option<u32>)>, Refused> {
        let Some(inside) = self.rest.strip_prefix('{') else { return Ok(None) };
        let (min, behind) = count(inside);
        let (max, behind) = match behind.strip_prefix(',') {
            None => (min.map(Some), behind),
            Some(behind) if behind.starts_with('}') => (Some(None), behind),
            Some(behind) => {
                let (max, behind) = count(behind);
                (max.map(Some), behind)
            }
        };
        let Some(behind) = behind.strip_prefix('}') else { return Ok(None) };
        let (Some(min), Some(max)) = (min, max) else { return Ok(None) };
        if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
            return Err(Refused::RepeatCount);
        }
        self.rest = behind;
        Ok(Some((min, max)))
    }

    /// A group with a name, one that captures nothing, or flags.
    fn perl_group(&mut self) -> Result<(), Refused> {
        let named = self.rest.strip_prefix("(?P<").or_else(|| self.rest.strip_prefix("(?<"));
        if let Some(named) = named {
            let (name, behind) = named.split_once('>').ok_or(Refused::NamedCapture)?;
            let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            if name.is_empty() || !name.chars().all(word) {
                return Err(Refused::NamedCapture);
            }
            if !self.names.insert(name) {
                return Err(Refused::DuplicateNamedCapture);
            }
            self.rest = behind;
            self.open(self.flags);
            return Ok(());
        }
        self.skip("(?".len());
        let mut flags = self.flags;
        let mut on = true;
        let mut saw_flag = false;
        loop {
            match self.pop().ok_or(Refused::PerlOperator)? {
                'i' => flags.fold_case = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                // Which match is wanted.
                'U' => {}
                '-' if on => {
                    on = false;
                    saw_flag = false;
                    continue;
                }
                end @ (':' | ')') if on || saw_flag => {
                    if end == ':' {
                        self.open(flags);
                    }
                    self.flags = flags;
                    return Ok(());
                }
                _ => return Err(Refused::PerlOperator),
            }
            saw_flag = true;
        }
    }

    /// What begins with a backslash, outside of a class.
    fn backslash(&mut self) -> Result<(), Refused> {
        let behind = self.rest.get(1..).unwrap_or_default();
        let assertion = match behind.chars().next() {
            Some('A') => r"\A",
            Some('b') => r"\b",
            Some('B') => r"\B",
            Some('z') => r"\z",
            Some('C') => return Err(Refused::Escape),
            Some('Q') => {
                self.skip(2);
                let (quoted, behind) = self.rest.split_once(r"\E").unwrap_or((self.rest, ""));
                self.rest = behind;
                quoted.chars().for_each(|c| self.literal(c));
                return Ok(());
            }
            _ => {
                let set = match self.escaped_class()? {
                    Some(set) => set,
                    None => {
                        let c = self.escape()?;
                        self.set(c, c)
                    }
                };
                self.push(Node::set(set));
                return Ok(());
            }
        };
        self.skip(2);
        self.push(Node::assertion(assertion));
        Ok(())
    }
}

/// The count of a repetition, and what is behind it: no leading zeros; a very long one is merely too large.
fn count(text: &str) -> (Option<u32>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, behind) = text.split_at(end);
    let counts = !digits.is_empty() && (digits.len() == 1 || !digits.starts_with('0'));
    (counts.then(|| digits.parse().unwrap_or(u32::MAX)), behind)
}
