//! The pretty `Debug` text of a message as a tree, and the tree as a flat list of fields.

/// A structure, a list, or one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tree {
    Leaf { name: String, value: String },
    Node { name: String, list: bool, children: Vec<Tree> },
}

impl Tree {
    /// Of `{:#?}`.
    pub fn parse(text: &str) -> Self {
        let mut lines = text.lines();
        let first = lines.next().unwrap();
        Self::node(first.trim(), &mut lines)
    }

    fn node<'a>(open: &str, lines: &mut impl Iterator<Item = &'a str>) -> Self {
        let (name, value) = named(open);
        let list = value.ends_with('[');
        if !value.ends_with(['{', '[', '(']) {
            return Self::Leaf { name, value: value.trim_end_matches(',').to_owned() };
        }
        let mut children = Vec::new();
        while let Some(line) = lines.next().map(str::trim) {
            if matches!(line.trim_end_matches(','), "}" | "]" | ")") {
                break;
            }
            children.push(Self::node(line, lines));
        }
        if value.ends_with('(')
            && let [only] = children.as_mut_slice()
        {
            let (Self::Leaf { name: inner, .. } | Self::Node { name: inner, .. }) = only;
            *inner = name;
            return only.clone();
        }
        let bytes = children.iter().map(|child| match child {
            Self::Leaf { name, value } if name.is_empty() => value.parse::<i64>().ok(),
            _ => None,
        });
        match bytes.collect::<Option<Vec<_>>>() {
            Some(numbers) if list => Self::Leaf { name, value: format!("{numbers:?}") },
            _ => Self::Node { name, list, children },
        }
    }

    /// Sorts the items of the lists with these names.
    pub fn sort(&mut self, lists: &[&str]) {
        match self {
            Self::Node { name, list, children } => {
                children.iter_mut().for_each(|child| child.sort(lists));
                if *list && lists.contains(&name.as_str()) {
                    children.sort();
                }
            }
            Self::Leaf { name, value } if lists.contains(&name.as_str()) => {
                let items = value.trim_start_matches('[').trim_end_matches(']');
                let mut items: Vec<&str> = items.split(", ").collect();
                items.sort_unstable();
                *value = format!("[{}]", items.join(", "));
            }
            Self::Leaf { .. } => {}
        }
    }

    /// Path and value of each leaf; an empty list is a leaf.
    pub fn fields(&self) -> Vec<(String, String)> {
        let mut all = Vec::new();
        self.collect("", &mut all);
        all
    }

    fn collect(&self, path: &str, all: &mut Vec<(String, String)>) {
        match self {
            Self::Leaf { name, value } => all.push((format!("{path}{name}"), value.clone())),
            Self::Node { name, list, children } => {
                if *list && children.is_empty() {
                    all.push((format!("{path}{name}"), "[]".into()));
                }
                for (index, child) in children.iter().enumerate() {
                    let dot = if name.is_empty() { "" } else { "." };
                    let item = if *list { format!("{index}.") } else { String::new() };
                    child.collect(&format!("{path}{name}{dot}{item}"), all);
                }
            }
        }
    }
}

/// `name: value` or a value alone.
fn named(line: &str) -> (String, &str) {
    match line.split_once(": ") {
        Some((name, value))
            if name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') =>
        {
            (name.to_owned(), value)
        }
        _ => (String::new(), line),
    }
}

pub fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Times of the run as `NOW`, and what lies as far before one as a 64-bit number reaches: all times in the questions are
/// earlier or much later.
pub fn without_times(text: &str) -> String {
    let is_now = |number: &str| match number.parse::<i64>() {
        Ok(number) => {
            (1_780_000_000_000..4_000_000_000_000).contains(&number)
                || (9_223_370_000_000_000_000..i64::MAX - 4_000).contains(&number)
        }
        Err(_) => false,
    };
    let mut out = String::new();
    let mut number = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        out += if is_now(&number) { "NOW" } else { &number };
        number.clear();
        out.push(c);
    }
    out.pop();
    out
}
