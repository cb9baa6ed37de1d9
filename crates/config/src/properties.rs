//! Java's `.properties` format, read as `java.util.Properties.load` reads it, order kept.

use std::collections::BTreeMap;

/// More than this many bytes of properties are refused: no real file comes near.
pub const MAX_BYTES: usize = 16 << 20;

/// Why a text is not a properties file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PropertiesError {
    #[error("line {line}: malformed \\uxxxx encoding")]
    MalformedUnicode { line: usize },
    #[error("{bytes} bytes of properties, at most {MAX_BYTES} are read")]
    TooLong { bytes: usize },
}

/// Keys and values in the order written; of a key given twice the last value counts, in the place of the first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Properties {
    entries: Vec<(String, String)>,
    places: BTreeMap<String, usize>,
}

impl Properties {
    /// Reads a file's bytes as ISO-8859-1, which is what Java takes every such file for: a directory whose name is
    /// written in UTF-8 has the same wrong name on disk under Kafka, and must be found again.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PropertiesError> {
        if bytes.len() > MAX_BYTES {
            return Err(PropertiesError::TooLong { bytes: bytes.len() });
        }
        Self::parse(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
    }

    pub fn parse(text: &str) -> Result<Self, PropertiesError> {
        if text.len() > 2 * MAX_BYTES {
            return Err(PropertiesError::TooLong { bytes: text.len() });
        }
        let mut properties = Self::default();
        for line in LogicalLines::new(text) {
            let (key, value) = split(&line.text);
            let malformed = || PropertiesError::MalformedUnicode { line: line.number };
            let key = unescape(key).ok_or_else(malformed)?;
            let value = unescape(value).ok_or_else(malformed)?;
            properties.set(key, value);
        }
        Ok(properties)
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.places.get(key).map(|place| self.entries[*place].1.as_str())
    }

    pub fn contains(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let key = key.into();
        match self.places.get(&key) {
            Some(place) => self.entries[*place].1 = value.into(),
            None => {
                self.places.insert(key.clone(), self.entries.len());
                self.entries.push((key, value.into()));
            }
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Properties {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut properties = Self::default();
        for (key, value) in entries {
            properties.set(key, value);
        }
        properties
    }
}

fn is_white(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// A line with its continuations, neither blank nor a comment.
struct Line {
    text: String,
    number: usize,
}

/// Joins lines whose end of line is escaped; skips comments and blank lines.
struct LogicalLines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> LogicalLines<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, number: 0 }
    }

    /// The next line as it stands, without its end; CR, LF and CR LF all end one.
    fn natural(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.number += 1;
        let Some((line, rest)) = self.rest.split_once(['\n', '\r']) else {
            return Some(std::mem::take(&mut self.rest));
        };
        let ended_by_cr = self.rest.as_bytes().get(line.len()) == Some(&b'\r');
        self.rest = if ended_by_cr { rest.strip_prefix('\n').unwrap_or(rest) } else { rest };
        Some(line)
    }
}

impl Iterator for LogicalLines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        'line: loop {
            let first = self.natural()?.trim_start_matches(is_white);
            if first.is_empty() || first.starts_with(['#', '!']) {
                continue;
            }
            let mut line = Line { text: first.to_owned(), number: self.number };
            while continues(&line.text) {
                line.text.pop();
                if self.rest.is_empty() {
                    break;
                }
                if line.text.is_empty() {
                    // Nothing is continued: what follows may be a comment again.
                    continue 'line;
                }
                let more = self.natural().unwrap_or_default();
                line.text.push_str(more.trim_start_matches(is_white));
            }
            return Some(line);
        }
    }
}

/// True when the last character is an escape that nothing before it escapes.
fn continues(line: &str) -> bool {
    (line.len() - line.trim_end_matches('\\').len()) % 2 == 1
}

/// The raw key and value: `=`, `:` or white space ends the key, unless escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.char_indices().find(|(_, c)| {
        let ends = !escaped && (is_white(*c) || matches!(c, '=' | ':'));
        escaped = *c == '\\' && !escaped;
        ends
    });
    let Some((end, _)) = end else { return (line, "") };
    let (key, rest) = line.split_at(end);
    let rest = rest.trim_start_matches(is_white);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(is_white))
}

/// Resolves escapes; `None` for a `\u` without four hexadecimal digits. Pairs of surrogates become one character,
/// a lone one the replacement character: no Rust string can hold it.
fn unescape(raw: &str) -> Option<String> {
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    let mut units: Vec<u16> = Vec::new();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { Some(chars.next()) } else { None };
        if let Some(Some('u')) = escaped {
            let digits: String = chars.by_ref().take(4).collect();
            let valid = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            units.push(valid.then(|| u16::from_str_radix(&digits, 16).ok()).flatten()?);
            continue;
        }
        flush(&mut units, &mut text);
        match escaped {
            None => text.push(c),
            Some(None) => {}
            Some(Some('t')) => text.push('\t'),
            Some(Some('r')) => text.push('\r'),
            Some(Some('n')) => text.push('\n'),
            Some(Some('f')) => text.push('\x0c'),
            Some(Some(other)) => text.push(other),
        }
    }
    flush(&mut units, &mut text);
    Some(text)
}

fn flush(units: &mut Vec<u16>, text: &mut String) {
    let decoded = char::decode_utf16(units.drain(..));
    text.extend(decoded.map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
}
