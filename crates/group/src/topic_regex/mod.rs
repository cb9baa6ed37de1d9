//! A `SubscribedTopicRegex` of KIP-848, in the syntax of RE2/J, which Kafka uses.
//!
//! Must not know: topics that exist, who may see them. A pattern is parsed as RE2/J does, with its rules and quirks, and handed to
//! the `regex` crate in the few forms that are left: sets of ASCII characters (names of topics have no others), sequences,
//! alternatives, repetitions, and assertions. What RE2/J would build however large it grows is refused above a size, and the ranges
//! on which it never ends (`(?i)` with a dotted I) end.

mod ascii;
mod class;
mod node;
mod parser;
mod unicode;

use regex::bytes::{Regex, RegexBuilder};

/// How large a compiled pattern may be: some ten thousand characters or repetitions. It bounds the time for a name, too.
const COMPILED_BYTES_MAX: usize = 512 << 10;
/// How long a pattern may be.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Why a pattern was refused; the texts of RE2/J where it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refused {
    InternalError,
    CharRange,
    Escape,
    NamedCapture,
    DuplicateNamedCapture,
    PerlOperator,
    NestedRepetition,
    RepeatCount,
    MissingBracket,
    MissingParen,
    MissingRepeatArgument,
    TrailingBackslash,
    /// Ours alone.
    TooLarge,
}

impl Refused {
    fn text(self) -> &'static str {
        match self {
            Self::InternalError => "regexp/syntax: internal error",
            Self::CharRange => "invalid character class range",
            Self::Escape => "invalid escape sequence",
            Self::NamedCapture => "invalid named capture",
            Self::DuplicateNamedCapture => "duplicate capture group name",
            Self::PerlOperator => "invalid or unsupported Perl syntax",
            Self::NestedRepetition => "invalid nested repetition operator",
            Self::RepeatCount => "invalid repeat count",
            Self::MissingBracket => "missing closing ]",
            Self::MissingParen => "missing closing )",
            Self::MissingRepeatArgument => "missing argument to repetition operator",
            Self::TrailingBackslash => "trailing backslash at end of expression",
            Self::TooLarge => "pattern too large",
        }
    }
}

/// A pattern that a topic's whole name has to match.
#[derive(Clone, Debug)]
pub struct TopicRegex(Regex);

impl TopicRegex {
    /// The message, if the pattern is refused, is Kafka's for `INVALID_REGULAR_EXPRESSION`.
    pub fn new(pattern: &str) -> Result<Self, String> {
        compile(pattern).map(Self).map_err(|refused| {
            let text = refused.text();
            format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {text}.")
        })
    }

    /// Whether it matches the name of a topic, which is ASCII.
    pub fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic.as_bytes())
    }
}

fn compile(pattern: &str) -> Result<Regex, Refused> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let mut translated = String::from(r"\A(?:");
    parser::parse(pattern)?.write(&mut translated);
    translated.push_str(r")\z");
    RegexBuilder::new(&translated)
        .unicode(false)
        .size_limit(COMPILED_BYTES_MAX)
        .nest_limit(node::REGEX_NEST_LIMIT)
        .build()
        .map_err(|_| Refused::TooLarge)
}
