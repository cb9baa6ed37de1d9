//! UUIDs print and parse as Kafka's do.

use base::Uuid;

#[test]
fn text_round_trips() {
    let text = "MkU3OEVBNTcwNTJENDM2Qg";
    let id: Uuid = text.parse().unwrap();
    assert_eq!(id.to_string(), text);
    assert_eq!(Uuid::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(Uuid::ONE.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
}

#[test]
fn bad_text_is_refused() {
    for text in [
        "",
        "x",
        "AAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAA!A",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert!(text.parse::<Uuid>().is_err(), "{text}");
    }
}

#[test]
fn random_ids_are_never_reserved_nor_dashed() {
    assert!(Uuid::from_random([0xfb; 16]).is_none()); // would print as "-..."
    let id = Uuid::from_random([7; 16]).unwrap();
    assert!(!id.is_reserved());
    assert_eq!(id.0[6] >> 4, 4);
}
