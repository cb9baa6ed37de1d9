//! Lines as Java's reader cuts them.

use super::*;

#[test]
fn lines() {
    let check = |chunks: &[&str], expected: &[&str]| {
        let mut splitter = Splitter::default();
        let mut lines: Vec<String> = Vec::new();
        for chunk in chunks {
            lines.extend(splitter.split(chunk.as_bytes()));
        }
        lines.extend(splitter.split(b""));
        assert_eq!(lines, expected, "{chunks:?}");
    };
    check(&["a\nb"], &["a", "b"]);
    check(&["a\nb\n"], &["a", "b"]);
    check(&["\n\n"], &["", ""]);
    check(&["a\r\nb\rc"], &["a", "b", "c"]);
    check(&["a\r", "\nb"], &["a", "b"]);
    check(&["a\r", "\r\n"], &["a", ""]);
    check(&["ab", "cd\ne", "f"], &["abcd", "ef"]);
    check(&[], &[]);
    let mut splitter = Splitter::default();
    assert_eq!(splitter.split(b"\xff\n"), ["\u{fffd}"]);
}
