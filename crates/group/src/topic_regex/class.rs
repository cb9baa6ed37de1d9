//! Classes of characters and escapes, as the parser meets them.

use super::ascii::Ascii;
use super::parser::Parser;
use super::{Refused, unicode};

impl Parser<'_> {
    /// `\pL`, `\p{Greek}`, `\d` and the like, if it is one.
    pub(super) fn escaped_class(&mut self) -> Result<Option<Ascii>, Refused> {
        let Some(behind) = self.rest.strip_prefix('\\') else { return Ok(None) };
        let mut chars = behind.chars();
        let Some(kind) = chars.next() else { return Ok(None) };
        if matches!(kind, 'p' | 'P') {
            self.rest = chars.as_str();
            return self.unicode_class(kind == 'P').map(Some);
        }
        let Some(set) = perl_class(kind.to_ascii_lowercase()) else { return Ok(None) };
        self.rest = chars.as_str();
        let set = if self.flags.fold_case { set.fold() } else { set };
        Ok(Some(set.not_if(kind.is_ascii_uppercase())))
    }

    fn unicode_class(&mut self, negated: bool) -> Result<Ascii, Refused> {
        let (name, behind) = match self.rest.strip_prefix('{') {
            Some(inside) => inside.split_once('}').ok_or(Refused::CharRange)?,
            None => {
                let first = self.rest.chars().next().ok_or(Refused::CharRange)?;
                self.rest.split_at(first.len_utf8())
            }
        };
        self.rest = behind;
        let bare = name.strip_prefix('^');
        let set = unicode::class(bare.unwrap_or(name), self.flags.fold_case);
        Ok(set.ok_or(Refused::CharRange)?.not_if(negated != bare.is_some()))
    }

    /// `[...]`.
    pub(super) fn class(&mut self) -> Result<Ascii, Refused> {
        self.skip(1);
        let negated = self.rest.starts_with('^');
        self.skip(usize::from(negated));
        let mut set = Ascii::NONE;
        let mut first = true;
        while first || !self.rest.starts_with(']') {
            first = false;
            let more = match self.posix_class()? {
                Some(more) => more,
                None => match self.escaped_class()? {
                    Some(more) => more,
                    None => self.class_range()?,
                },
            };
            set = set.or(more);
        }
        self.skip(1);
        Ok(set.not_if(negated))
    }

    /// `[:alpha:]`, if there is an end of such a thing anywhere.
    fn posix_class(&mut self) -> Result<Option<Ascii>, Refused> {
        if self.no_posix_class || !self.rest.starts_with("[:") {
            return Ok(None);
        }
        let Some(end) = self.rest.find(":]") else {
            self.no_posix_class = true;
            return Ok(None);
        };
        let (name, behind) = self.rest.split_at(end + ":]".len());
        self.rest = behind;
        let name = name.strip_prefix("[:").and_then(|name| name.strip_suffix(":]"));
        let name = name.ok_or(Refused::CharRange)?;
        let bare = name.strip_prefix('^');
        let set = posix_class(bare.unwrap_or(name)).ok_or(Refused::CharRange)?;
        let set = if self.flags.fold_case { set.fold() } else { set };
        Ok(Some(set.not_if(bare.is_some())))
    }

    fn class_range(&mut self) -> Result<Ascii, Refused> {
        let first = self.class_char()?;
        let mut last = first;
        if let Some(behind) = self.rest.strip_prefix('-')
            && !behind.starts_with(']')
        {
            self.rest = behind;
            last = self.class_char()?;
            if last < first {
                return Err(Refused::CharRange);
            }
        }
        Ok(self.set(first, last))
    }

    fn class_char(&mut self) -> Result<u32, Refused> {
        if self.rest.starts_with('\\') {
            return self.escape();
        }
        self.pop().map(u32::from).ok_or(Refused::MissingBracket)
    }

    /// The character that an escape stands for; it may be a surrogate.
    pub(super) fn escape(&mut self) -> Result<u32, Refused> {
        self.skip(1);
        let c = match self.pop().ok_or(Refused::TrailingBackslash)? {
            '0' => return Ok(self.octal(0)),
            c @ '1'..='7' if self.rest.starts_with(|c| matches!(c, '0'..='7')) => {
                return Ok(self.octal(c.to_digit(8).unwrap_or(0)));
            }
            'x' => return self.hex(),
            'a' => '\x07',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            c if c.is_ascii_alphanumeric() => return Err(Refused::Escape),
            c => c,
        };
        Ok(c.into())
    }

    /// Up to three digits, of which one was taken.
    fn octal(&mut self, mut value: u32) -> u32 {
        for _ in 0..2 {
            let digit = self.rest.chars().next().and_then(|c| c.to_digit(8));
            let Some(digit) = digit else { break };
            self.skip(1);
            value = value * 8 + digit;
        }
        value
    }

    /// Two digits, or any number of them in braces.
    fn hex(&mut self) -> Result<u32, Refused> {
        let first = self.pop().ok_or(Refused::Escape)?;
        let digits = if first == '{' {
            let (digits, behind) = self.rest.split_once('}').ok_or(Refused::Escape)?;
            self.rest = behind;
            digits.to_owned()
        } else {
            [first, self.pop().ok_or(Refused::Escape)?].iter().collect()
        };
        if digits.is_empty() {
            return Err(Refused::Escape);
        }
        let value = digits.chars().try_fold(0u32, |value, c| {
            Some(value * 16 + c.to_digit(16)?).filter(|value| *value <= u32::from(char::MAX))
        });
        value.ok_or(Refused::Escape)
    }
}

fn perl_class(kind: char) -> Option<Ascii> {
    posix_class(match kind {
        'd' => "digit",
        's' => return posix_class("space").map(|set| Ascii(set.0 & !(1 << 0x0b))),
        'w' => "word",
        _ => return None,
    })
}

fn posix_class(name: &str) -> Option<Ascii> {
    let ranges: &[(char, char)] = match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    let sets =
        ranges.iter().map(|(first, last)| Ascii::range(u32::from(*first)..=u32::from(*last)));
    Some(sets.fold(Ascii::NONE, Ascii::or))
}
