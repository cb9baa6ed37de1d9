//! Arguments as Kafka's tools read them: `--name value`, `--name=value`, `-name value`; no abbreviations; words that
//! belong to no option are left alone.

use std::fmt::Write as _;

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    Nothing,
    /// With the name of its value in the help.
    Value(&'static str),
    /// The value may be missing.
    MaybeValue(&'static str),
}

/// One option of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub name: &'static str,
    pub takes: Takes,
    pub help: &'static str,
}

pub const fn flag(name: &'static str, help: &'static str) -> Opt {
    Opt { name, takes: Takes::Nothing, help }
}

pub const fn value(name: &'static str, placeholder: &'static str, help: &'static str) -> Opt {
    Opt { name, takes: Takes::Value(placeholder), help }
}

pub const HELP: Opt = flag("help", "Print this list.");
pub const VERSION: Opt = flag("version", "Print the version.");

/// The options that were given, in order.
#[derive(Debug)]
pub struct Args {
    table: &'static [Opt],
    given: Vec<(&'static str, Option<String>)>,
}

impl Args {
    /// Errors are Kafka's texts.
    pub fn parse(table: &'static [Opt], words: &[String]) -> Result<Self, String> {
        let mut given = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(token) = word.strip_prefix("--").or_else(|| word.strip_prefix('-')) else {
                continue;
            };
            if token.is_empty() {
                continue;
            }
            let (name, inline) = match token.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (token, None),
            };
            let Some(opt) = table.iter().find(|opt| opt.name == name) else {
                // After one dash every letter would be an option of its own.
                let unknown = if word.starts_with("--") { name } else { first_letter(name) };
                return Err(format!("{unknown} is not a recognized option"));
            };
            let value = match opt.takes {
                Takes::Nothing => None,
                Takes::Value(_) => match inline.or_else(|| words.next().cloned()) {
                    Some(value) => Some(value),
                    None => return Err(format!("Option {name} requires an argument")),
                },
                Takes::MaybeValue(_) => inline.or_else(|| {
                    let mut ahead = words.clone();
                    let next =
                        ahead.next().filter(|next| !next.starts_with('-') || next.as_str() == "-");
                    let next = next.cloned();
                    if next.is_some() {
                        words = ahead;
                    }
                    next
                }),
            };
            given.push((opt.name, value));
        }
        Ok(Self { table, given })
    }

    /// [`Self::parse`] for a tool, which shows its options by itself when asked for help or for nothing. `None` when it was asked
    /// for its version: then there is no more to do.
    ///
    /// # Errors
    /// What `wrong` makes of words that make no sense, and `help` of `about`.
    pub fn begin<F>(
        table: &'static [Opt],
        words: &[String],
        about: &str,
        wrong: fn(String) -> F,
        help: fn(String) -> F,
    ) -> Result<Option<Self>, F> {
        let args = Self::parse(table, words).map_err(wrong)?;
        if words.is_empty() || args.has("help") {
            return Err(help(about.to_owned()));
        }
        if args.has("version") {
            println!("{}", super::KAFKA_VERSION);
            return Ok(None);
        }
        Ok(Some(args))
    }

    pub fn has(&self, name: &str) -> bool {
        debug_assert!(self.table.iter().any(|opt| opt.name == name), "{name} is not in the table");
        self.given.iter().any(|(known, _)| *known == name)
    }

    /// The value of an option that may be given once.
    pub fn value(&self, name: &str) -> Result<Option<&str>, String> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() {
            return Err(format!(
                "Found multiple arguments for option {name}, but you asked for only one"
            ));
        }
        Ok(first)
    }

    /// All values of an option.
    pub fn values<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        debug_assert!(self.table.iter().any(|opt| opt.name == name), "{name} is not in the table");
        self.given
            .iter()
            .filter(move |(known, _)| *known == name)
            .filter_map(|(_, value)| value.as_deref())
    }

    /// The value as a number.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, String> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| format!("Cannot parse argument '{text}' of option {name}"))
    }

    /// Every option that must hold a number does.
    pub fn check_required(&self, names: &[&str]) -> Result<(), String> {
        match names.iter().find(|name| !self.has(name)) {
            Some(missing) => Err(format!("Missing required argument \"[{missing}]\"")),
            None => Ok(()),
        }
    }

    /// `name` may not stand beside one of `others`.
    pub fn check_alone(&self, name: &str, others: &[&str]) -> Result<(), String> {
        if !self.has(name) {
            return Ok(());
        }
        match others.iter().find(|other| self.has(other)) {
            Some(other) => {
                Err(format!("Option \"[{name}]\" can't be used with option \"[{other}]\""))
            }
            None => Ok(()),
        }
    }
}

fn first_letter(name: &str) -> &str {
    name.char_indices().nth(1).map_or(name, |(end, _)| name.split_at(end).0)
}

/// The table of options in two columns.
pub fn usage(table: &[Opt]) -> String {
    const LEFT: usize = 40;
    const RIGHT: usize = 60;
    let mut rows: Vec<&Opt> = table.iter().collect();
    rows.sort_unstable_by_key(|opt| opt.name);
    let mut text = String::new();
    for opt in rows {
        let left = match opt.takes {
            Takes::Nothing => format!("--{}", opt.name),
            Takes::Value(placeholder) => format!("--{} <{placeholder}>", opt.name),
            Takes::MaybeValue(placeholder) => format!("--{} [{placeholder}]", opt.name),
        };
        let mut first = left.as_str();
        if left.len() >= LEFT {
            let _ = writeln!(text, "{left}");
            first = "";
        }
        for line in wrap(opt.help, RIGHT) {
            let _ = writeln!(text, "{first:<LEFT$}{line}");
            first = "";
        }
    }
    text
}

fn wrap(help: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in help.split(' ') {
        let Some(line) = lines.last_mut() else { continue };
        if !line.is_empty() && line.len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests;
