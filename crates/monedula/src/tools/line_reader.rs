//! What a line of `console-producer`'s input means: headers, key and value, with their separators.

use regex::Regex;

use super::settings::Settings;

/// How lines are read, with Kafka's defaults.
#[derive(Debug)]
pub struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

/// What a line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: Vec<(String, Option<String>)>,
}

impl LineReader {
    /// Errors are Kafka's texts.
    pub fn new(settings: &Settings) -> Result<Self, String> {
        let on =
            |key: &str| settings.get(key).is_some_and(|v| v.trim().eq_ignore_ascii_case("true"));
        let text =
            |key: &str, default: &str| settings.get(key).map_or(default, String::as_str).to_owned();
        let key_separator = text("key.separator", "\t");
        let headers_delimiter = text("headers.delimiter", "\t");
        let headers_separator = text("headers.separator", ",");
        let headers_key_separator = text("headers.key.separator", ":");
        let null_marker = settings.get("null.marker").cloned();
        let marker = null_marker.as_deref();
        let equal = [
            (headers_delimiter == headers_separator, "headers.delimiter and headers.separator"),
            (
                headers_delimiter == headers_key_separator,
                "headers.delimiter and headers.key.separator",
            ),
            (
                headers_separator == headers_key_separator,
                "headers.separator and headers.key.separator",
            ),
            (marker == Some(&key_separator), "null.marker and key.separator"),
            (marker == Some(&headers_separator), "null.marker and headers.separator"),
            (marker == Some(&headers_delimiter), "null.marker and headers.delimiter"),
            (marker == Some(&headers_key_separator), "null.marker and headers.key.separator"),
        ];
        if let Some((_, which)) = equal.iter().find(|(equal, _)| *equal) {
            return Err(format!("{which} may not be equal"));
        }
        let pattern = Regex::new(&headers_separator);
        Ok(Self {
            parse_key: on("parse.key"),
            key_separator,
            parse_headers: on("parse.headers"),
            headers_delimiter,
            headers_separator: pattern
                .map_err(|e| format!("headers.separator={headers_separator}: {e}"))?,
            headers_key_separator,
            ignore_error: on("ignore.error"),
            null_marker,
        })
    }

    /// The line numbered `number`, from 1 on.
    pub fn parse(&self, line: &str, number: u64) -> Result<Parsed, String> {
        let cut = |enabled: bool,
                   rest: &str,
                   separator: &str,
                   what: &str|
         -> Result<Option<(String, usize)>, String> {
            if !enabled {
                return Ok(None);
            }
            match rest.find(separator) {
                Some(at) => Ok(Some((rest[..at].to_owned(), at + separator.len()))),
                None if self.ignore_error => Ok(None),
                None => Err(format!("No {what} found on line number {number}: '{line}'")),
            }
        };
        let (headers, rest) =
            match cut(self.parse_headers, line, &self.headers_delimiter, "headers delimiter")? {
                Some((headers, end)) => (Some(headers), &line[end..]),
                None => (None, line),
            };
        let (key, value) = match cut(self.parse_key, rest, &self.key_separator, "key separator")? {
            Some((key, end)) => (Some(key), &rest[end..]),
            None => (None, rest),
        };
        let present = |text: &String| Some(text) != self.null_marker.as_ref();
        let headers = match headers.filter(present) {
            Some(headers) => self.headers(&headers, number)?,
            None => Vec::new(),
        };
        Ok(Parsed {
            key: key.filter(present),
            value: Some(value.to_owned()).filter(present),
            headers,
        })
    }

    fn headers(&self, text: &str, number: u64) -> Result<Vec<(String, Option<String>)>, String> {
        let mut pairs: Vec<&str> = self.headers_separator.split(text).collect();
        // As in Java: empty pieces at the end do not count, unless there is nothing else.
        while pairs.len() > 1 && pairs.last().is_some_and(|last| last.is_empty()) {
            pairs.pop();
        }
        let header = |pair: &str| {
            let Some(at) = pair.find(&self.headers_key_separator) else {
                if self.ignore_error {
                    return Ok((pair.to_owned(), None));
                }
                return Err(format!(
                    "No header key separator found in pair '{pair}' on line number {number}"
                ));
            };
            let (key, value) = (&pair[..at], &pair[at + self.headers_key_separator.len()..]);
            let marker = self.null_marker.as_deref();
            if marker == Some(key) {
                return Err(format!(
                    "Header keys should not be equal to the null marker '{key}' as they can't be null"
                ));
            }
            Ok((key.to_owned(), Some(value.to_owned()).filter(|_| marker != Some(value))))
        };
        pairs.into_iter().map(header).collect()
    }
}

#[cfg(test)]
mod tests;
