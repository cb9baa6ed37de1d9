//! What `configs --alter` is to change: `--add-config k=v,k2=[v1,v2]`, `--add-config-file`, `--delete-config`.

use std::collections::BTreeMap;

use crate::tools::args::Args;
use crate::tools::settings;

pub type Added = BTreeMap<String, String>;

pub fn added(args: &Args) -> Result<Added, String> {
    let mut added = match args.value("add-config-file")? {
        Some(path) => settings::from_file(path)?,
        None => Added::new(),
    };
    if let Some(text) = args.value("add-config")? {
        added.extend(pairs(text)?);
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match added.keys().find(|key| !key.chars().all(plain)) {
        Some(key) => Err(format!("Invalid character found for config key: {key}")),
        None => Ok(added),
    }
}

pub fn deleted(args: &Args) -> Vec<String> {
    args.values("delete-config")
        .flat_map(|keys| keys.split(','))
        .map(|k| k.trim().to_owned())
        .collect()
}

fn pairs(text: &str) -> Result<Added, String> {
    let pair = |piece: &str| {
        let parts = split(piece, '=');
        match parts.as_slice() {
            [key, value] => {
                let value = value.replace(['[', ']'], "");
                Some((key.trim().to_owned(), value.trim().to_owned()))
            }
            _ => None,
        }
    };
    let pieces = split(text, ',');
    // As in Java, empty pieces at the end do not count.
    let last = pieces.iter().rposition(|piece| !piece.is_empty()).map_or(0, |last| last + 1);
    let pairs: Option<Added> = pieces.iter().take(last.max(1)).map(|piece| pair(piece)).collect();
    pairs.ok_or_else(|| {
        String::from(
            "requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  \
             \"key=[val1,val2]\" to group values which contain commas.",
        )
    })
}

/// Splits outside of square brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut inside) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if c == separator && !inside => {
                pieces.extend(text.get(from..at));
                from = at + c.len_utf8();
            }
            _ => {}
        }
    }
    pieces.extend(text.get(from..));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[(&str, &str)], ()>) {
        let expected = expected.map(|pairs| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Added>()
        });
        assert_eq!(pairs(text).map_err(|_| ()), expected, "{text}");
    }

    #[test]
    fn pairs_to_add() {
        check("a=1", Ok(&[("a", "1")]));
        check("a=1,b = 2 ,c=", Ok(&[("a", "1"), ("b", "2"), ("c", "")]));
        check("a=[1,2],b=3", Ok(&[("a", "1,2"), ("b", "3")]));
        check("a=[k=v]", Ok(&[("a", "k=v")]));
        check("a=1,", Ok(&[("a", "1")]));
        check("a", Err(()));
        check("a=1=2", Err(()));
        check("a=1,,b=2", Err(()));
        check("", Err(()));
    }
}
