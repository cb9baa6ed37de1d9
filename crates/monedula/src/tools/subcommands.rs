//! Arguments of programs with subcommands (`kafka-cluster`, `kafka-features`, ...), read as Kafka's tools do: `--name value`,
//! `--name=value`, unambiguous beginnings of long names, one-letter names; one subcommand, which ends the common flags.

use std::process::ExitCode;

/// What follows a flag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    Nothing,
    Text,
    Number(Width),
    /// Prints this and ends.
    Version(&'static str),
}

/// How large a number may be, by Java's names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Width {
    Short,
    Integer,
    Long,
}

impl Width {
    /// Whether the text is such a number; Java's complaint if not.
    fn check(self, text: &str) -> Result<(), String> {
        let fits = match self {
            Self::Short => text.parse::<i16>().is_ok(),
            Self::Integer => text.parse::<i32>().is_ok(),
            Self::Long => text.parse::<i64>().is_ok(),
        };
        if fits {
            return Ok(());
        }
        let why = if self == Self::Short && text.parse::<i32>().is_ok() {
            format!("Value out of range. Value:\"{text}\" Radix:10")
        } else {
            format!("For input string: \"{text}\"")
        };
        Err(format!("could not convert '{text}' to {self:?} ({why})"))
    }
}

/// Whether a flag stands alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Together {
    Free,
    Required,
    /// At most one of those that are marked so.
    OneOf,
    /// Exactly one of them.
    OneOfRequired,
}

#[derive(Clone, Copy, Debug)]
pub struct Flag {
    pub long: &'static str,
    /// Empty when it has none.
    pub short: &'static str,
    pub takes: Takes,
    pub together: Together,
    pub help: &'static str,
}

pub const fn flag(long: &'static str, help: &'static str) -> Flag {
    Flag { long, short: "", takes: Takes::Nothing, together: Together::Free, help }
}

pub const fn value(long: &'static str, help: &'static str) -> Flag {
    Flag { takes: Takes::Text, ..flag(long, help) }
}

impl Flag {
    pub const fn short(self, short: &'static str) -> Self {
        Self { short, ..self }
    }

    pub const fn together(self, together: Together) -> Self {
        Self { together, ..self }
    }

    pub const fn number(self) -> Self {
        self.number_of(Width::Integer)
    }

    pub const fn number_of(self, width: Width) -> Self {
        Self { takes: Takes::Number(width), ..self }
    }

    fn exclusive(&self) -> bool {
        matches!(self.together, Together::OneOf | Together::OneOfRequired)
    }

    /// As messages name it.
    fn names(&self) -> String {
        match self.short {
            "" => self.long.to_owned(),
            short => format!("{}/{short}", self.long),
        }
    }

    fn with_placeholder(&self) -> String {
        match self.takes {
            Takes::Nothing | Takes::Version(_) => self.long.to_owned(),
            Takes::Text | Takes::Number(_) => {
                let placeholder = self.long.trim_start_matches('-').replace('-', "_");
                format!("{} {}", self.long, placeholder.to_uppercase())
            }
        }
    }
}

pub struct Subcommand {
    pub name: &'static str,
    pub about: &'static str,
    pub flags: &'static [Flag],
}

pub struct Program {
    pub name: &'static str,
    pub about: &'static str,
    /// Those before the subcommand.
    pub flags: &'static [Flag],
    pub commands: &'static [Subcommand],
}

/// A command line that makes sense. Names of flags are the long ones.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    pub command: &'static str,
    given: Vec<(&'static str, String)>,
}

/// Why there is nothing to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// What `--help` shows.
    Help(String),
    Version(String),
    Bad {
        usage: String,
        what: String,
    },
}

impl Parsed {
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|(name, _)| *name == long)
    }

    /// The last value given.
    pub fn value(&self, long: &str) -> Option<&str> {
        self.given.iter().rev().find(|(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    pub fn values<'a>(&'a self, long: &'a str) -> impl Iterator<Item = &'a str> {
        self.given.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// Of a flag that takes a number.
    pub fn number<N: std::str::FromStr>(&self, long: &str) -> Option<N> {
        self.value(long)?.parse().ok()
    }
}

impl Program {
    pub fn parse(&self, words: &[String]) -> Result<Parsed, Stop> {
        let mut words = words.iter().map(String::as_str);
        let mut common = Level { program: self, command: None, given: Vec::new() };
        let name = loop {
            let word = words.next().ok_or_else(|| common.bad("too few arguments"))?;
            if !common.read(word, &mut words)? {
                break word;
            }
        };
        let Some(command) = self.commands.iter().find(|command| command.name == name) else {
            let names: Vec<String> =
                self.commands.iter().map(|c| format!("'{}'", c.name)).collect();
            let names = names.join(", ");
            return Err(common.bad(&format!("invalid choice: '{name}' (choose from {names})")));
        };
        let mut own = Level { program: self, command: Some(command), given: Vec::new() };
        while let Some(word) = words.next() {
            if !own.read(word, &mut words)? {
                return Err(own.bad(&format!("unrecognized arguments: '{word}'")));
            }
        }
        own.check()?;
        common.check()?;
        let mut given = common.given;
        given.append(&mut own.given);
        Ok(Parsed { command: command.name, given })
    }

    /// A whole tool: does what the words say, or says why not. After help it ends with `help_code`.
    pub fn run(
        &self,
        words: &[String],
        help_code: ExitCode,
        execute: impl FnOnce(&Parsed) -> Result<(), String>,
    ) -> ExitCode {
        let parsed = match self.parse(words) {
            Ok(parsed) => parsed,
            Err(stop) => return self.end(stop, help_code),
        };
        match execute(&parsed) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Says why there is nothing to do.
    fn end(&self, stop: Stop, help_code: ExitCode) -> ExitCode {
        match stop {
            Stop::Help(text) => {
                print!("{text}");
                help_code
            }
            Stop::Version(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Stop::Bad { usage, what } => {
                eprintln!("{usage}\n{}: error: {what}", self.name);
                ExitCode::FAILURE
            }
        }
    }

    /// The usage of the whole program, or of one subcommand.
    fn usage(&self, command: Option<&Subcommand>) -> String {
        let indent = format!("usage: {} ", self.name).len();
        let flags = command.map_or(self.flags, |command| command.flags);
        let mut parts = vec![String::from("[-h]")];
        for flag in flags.iter().filter(|flag| !flag.exclusive()) {
            let shown = flag.with_placeholder();
            let required = flag.together == Together::Required;
            parts.push(if required { shown } else { format!("[{shown}]") });
        }
        let exclusive: Vec<&Flag> = flags.iter().filter(|flag| flag.exclusive()).collect();
        let required = exclusive.iter().any(|flag| flag.together == Together::OneOfRequired);
        let (open, close) = if required { ("(", ")") } else { ("[", "]") };
        for (i, flag) in exclusive.iter().enumerate() {
            let open = if i == 0 { open } else { "" };
            let end = if i + 1 == exclusive.len() { close } else { " |" };
            parts.push(format!("{open}{}{end}", flag.with_placeholder()));
        }
        if command.is_none() {
            let names: Vec<&str> = self.commands.iter().map(|command| command.name).collect();
            parts.push(format!("{{{}}}", names.join(",")));
            parts.push(String::from("..."));
        }
        let mut text = format!("usage: {}", self.name);
        text.extend(command.iter().flat_map(|command| [" ", command.name]));
        let mut width = text.len();
        for part in parts {
            if width + 1 + part.len() > WIDTH {
                text.push_str(&format!("\n{:indent$}{part}", ""));
                width = indent + part.len();
            } else {
                text.push_str(&format!(" {part}"));
                width += 1 + part.len();
            }
        }
        text
    }

    fn help(&self, command: Option<&Subcommand>) -> String {
        let mut text = self.usage(command);
        let about = command.map_or(self.about, |command| command.about);
        text.push_str(&format!("\n\n{about}\n"));
        if command.is_none() {
            text.push_str("\nsubcommands:\n");
            for command in self.commands {
                text.push_str(&format!("  {:<22} {}\n", command.name, command.about));
            }
        }
        text.push_str("\noptions:\n  -h, --help             show this help message and exit\n");
        for flag in command.map_or(self.flags, |command| command.flags) {
            let short =
                if flag.short.is_empty() { String::new() } else { format!(", {}", flag.short) };
            let left = format!("{}{short}", flag.with_placeholder());
            if left.len() > 22 {
                text.push_str(&format!("  {left}\n{:25}{}\n", "", flag.help));
            } else {
                text.push_str(&format!("  {left:<22} {}\n", flag.help));
            }
        }
        text
    }
}

/// Longest line of a usage.
const WIDTH: usize = 75;

/// The flags of the program itself, or of its subcommand.
struct Level<'a> {
    program: &'a Program,
    command: Option<&'static Subcommand>,
    given: Vec<(&'static str, String)>,
}

impl Level<'_> {
    fn flags(&self) -> &'static [Flag] {
        self.command.map_or(self.program.flags, |command| command.flags)
    }

    fn bad(&self, what: &str) -> Stop {
        Stop::Bad { usage: self.program.usage(self.command), what: what.to_owned() }
    }

    /// Takes a flag with its value. False when the word is none.
    fn read<'w>(
        &mut self,
        word: &str,
        rest: &mut (impl Iterator<Item = &'w str> + Clone),
    ) -> Result<bool, Stop> {
        if word == "-h" || word == "--help" {
            return Err(Stop::Help(self.program.help(self.command)));
        }
        if !is_flag(word) {
            return Ok(false);
        }
        let Some((flag, inline)) = find(self.flags(), word) else {
            return Err(self.bad(&format!("unrecognized arguments: '{word}'")));
        };
        let names = flag.names();
        let value = match (flag.takes, inline) {
            (Takes::Version(version), None) => {
                return Err(Stop::Version(format!("{version}\n")));
            }
            (Takes::Nothing, None) => String::new(),
            (Takes::Nothing | Takes::Version(_), Some(text)) => {
                let what = format!("argument {names}: ignored explicit argument '{text}'");
                return Err(self.bad(&what));
            }
            (_, Some(text)) => text.to_owned(),
            (_, None) => match rest.next().filter(|next| !is_flag(next)) {
                Some(text) => text.to_owned(),
                None => return Err(self.bad(&format!("argument {names}: expected one argument"))),
            },
        };
        if let Takes::Number(width) = flag.takes {
            let checked = width.check(&value);
            checked.map_err(|what| self.bad(&format!("argument {names}: {what}")))?;
        }
        if flag.exclusive() {
            let before = |other: &&Flag| {
                other.exclusive()
                    && other.long != flag.long
                    && self.given.iter().any(|(long, _)| *long == other.long)
            };
            if let Some(other) = self.flags().iter().find(before) {
                let other = other.names();
                return Err(
                    self.bad(&format!("argument {names}: not allowed with argument {other}"))
                );
            }
        }
        self.given.push((flag.long, value));
        Ok(true)
    }

    /// Whether all is there that must be.
    fn check(&self) -> Result<(), Stop> {
        let given = |flag: &&Flag| self.given.iter().any(|(long, _)| *long == flag.long);
        let required = |flag: &&Flag| flag.together == Together::Required;
        if let Some(missing) = self.flags().iter().filter(required).find(|flag| !given(flag)) {
            return Err(self.bad(&format!("argument {} is required", missing.names())));
        }
        let one_of = |flag: &&Flag| flag.together == Together::OneOfRequired;
        let choice: Vec<&Flag> = self.flags().iter().filter(one_of).collect();
        if !choice.is_empty() && !choice.iter().any(given) {
            let names: Vec<String> = choice.iter().map(|flag| flag.names()).collect();
            let names = names.join(" ");
            return Err(self.bad(&format!("one of the arguments {names} is required")));
        }
        Ok(())
    }
}

/// A negative number is a value.
fn is_flag(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-') && word.parse::<f64>().is_err()
}

/// The flag that a word names, whole or by the beginning of its name, and the value that hangs on it.
fn find<'w>(flags: &'static [Flag], word: &'w str) -> Option<(&'static Flag, Option<&'w str>)> {
    if word.starts_with("--") {
        let (name, inline) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let exact = flags.iter().find(|flag| flag.long == name);
        let mut starting = flags.iter().filter(|flag| flag.long.starts_with(name));
        let unique = match (starting.next(), starting.next()) {
            (Some(flag), None) if name.len() > 2 => Some(flag),
            _ => None,
        };
        return Some((exact.or(unique)?, inline));
    }
    let flag = flags.iter().find(|flag| !flag.short.is_empty() && word.starts_with(flag.short))?;
    match word.strip_prefix(flag.short)? {
        "" => Some((flag, None)),
        value => Some((flag, Some(value.strip_prefix('=').unwrap_or(value)))),
    }
}

#[cfg(test)]
mod tests;
