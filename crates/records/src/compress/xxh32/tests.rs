//! The hash against values of the reference implementation.

#[test]
fn known_hashes() {
    for (input, expected) in [
        (&b""[..], 0x02cc_5d05),
        (b"a", 0x550d_7456),
        (b"abc", 0x32d1_53ff),
        (b"Nobody inspects the spammish repetition", 0xe229_3b2f),
    ] {
        assert_eq!(super::xxh32(input), expected, "{input:?}");
    }
}
