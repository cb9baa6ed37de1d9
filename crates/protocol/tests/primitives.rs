//! The rules below the messages: numbers, strings, arrays, tags, null, what is refused, external records, frames.

use std::borrow::Cow;

use protocol::messages::api_versions_response::ApiVersionsResponse;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::{FetchResponse, FetchableTopicResponse, PartitionData};
use protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use protocol::messages::produce_request::ProduceRequest;
use protocol::messages::request_header::RequestHeader;
use protocol::messages::response_header::ResponseHeader;
use protocol::messages::sasl_handshake_request::SaslHandshakeRequest;
use protocol::{
    Decode as _, DecodeError, Encode as _, EncodeError, Part, Reader, Records, UnknownTags,
    decode_exact, encode_frame, encode_to_parts, encode_to_vec, varint,
};

#[test]
fn unsigned_varints() {
    let cases: [(u32, &[u8]); 7] = [
        (0, &[0]),
        (127, &[0x7f]),
        (128, &[0x80, 1]),
        (300, &[0xac, 2]),
        (1 << 28, &[0x80, 0x80, 0x80, 0x80, 1]),
        (i32::MAX as u32, &[0xff, 0xff, 0xff, 0xff, 7]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ];
    for (value, bytes) in cases {
        let mut out = [0; 5];
        let len = varint::write_unsigned(value, &mut out);
        assert_eq!(&out[..len], bytes);
        assert_eq!(varint::unsigned_len(value), len);
        assert_eq!(varint::read_unsigned(bytes), Some((value, len)));
        assert_eq!(Reader::new(bytes).unsigned_varint(), Ok(value));
    }
    let refused: [(&[u8], DecodeError); 4] = [
        (&[], DecodeError::Truncated { at: 0, needed: 1, remaining: 0 }),
        (&[0x80, 0x80], DecodeError::Truncated { at: 0, needed: 3, remaining: 2 }),
        (&[0xff, 0xff, 0xff, 0xff, 0x10], DecodeError::InvalidVarint { at: 0 }),
        (&[0x80, 0x80, 0x80, 0x80, 0x80, 1], DecodeError::InvalidVarint { at: 0 }),
    ];
    for (bytes, error) in refused {
        assert_eq!(Reader::new(bytes).unsigned_varint(), Err(error), "{bytes:x?}");
    }
}

#[test]
fn strings() {
    let read = |bytes: &'static [u8], flex| Reader::new(bytes).opt_string(flex);
    assert_eq!(read(&[0, 1, b'a'], false), Ok(Some("a".into())));
    assert_eq!(read(&[2, b'a'], true), Ok(Some("a".into())));
    assert_eq!(read(&[0xff, 0xff], false), Ok(None));
    assert_eq!(read(&[0], true), Ok(None));
    assert_eq!(read(&[3, 0xff, b'a'], true), Ok(Some("\u{fffd}a".into())), "as Kafka reads it");
    assert!(matches!(read(&[9, b'a'], true), Err(DecodeError::Truncated { needed: 8, .. })));
    assert!(matches!(
        read(&[0x81, 0x80, 2], true),
        Err(DecodeError::InvalidLength { length: 0x8000, .. })
    ));
    assert_eq!(Reader::new(&[0]).string(true), Err(DecodeError::UnexpectedNull { at: 1 }));

    let borrowed = Reader::new(b"\x03ab").string(true).unwrap();
    assert!(matches!(borrowed, Cow::Borrowed("ab")), "valid text is not copied");

    let long = SaslHandshakeRequest { mechanism: "x".repeat(32768).into() };
    assert_eq!(encode_to_vec(&long, 0), Err(EncodeError::StringTooLong { len: 32768 }));
}

#[test]
fn arrays_are_believed_only_as_far_as_there_are_bytes() {
    let count = |n: i32| n.to_be_bytes();
    let short = Reader::new(&count(3)).array::<i32>(false, 0);
    assert_eq!(short, Err(DecodeError::Truncated { at: 4, needed: 12, remaining: 0 }));
    assert_eq!(Reader::new(&count(-5)).opt_array::<i32>(false, 0), Ok(None));

    let mut bytes = count(1_000_001).to_vec();
    bytes.resize(1_000_005, 0);
    let refused = Reader::new(&bytes).array::<i8>(false, 0);
    assert_eq!(refused, Err(DecodeError::InvalidLength { at: 4, length: 1_000_001 }));
    bytes[..4].copy_from_slice(&count(1_000_000));
    assert_eq!(Reader::new(&bytes).array::<i8>(false, 0).unwrap().len(), 1_000_000);
}

#[test]
fn versions_out_of_range_are_refused() {
    let error = decode_exact::<ProduceRequest<'_>>(&[], 2);
    let (name, low, high) = ("ProduceRequest", 3, 13);
    assert_eq!(error, Err(DecodeError::UnsupportedVersion { name, version: 2, low, high }));
    let error = ProduceRequest::default().encoded_len(14);
    assert_eq!(error, Err(EncodeError::UnsupportedVersion { name, version: 14, low, high }));
}

#[test]
fn bytes_after_the_end_are_seen() {
    let mut bytes = encode_to_vec(&ResponseHeader::default(), 0).unwrap();
    bytes.extend([1, 2]);
    let exact = decode_exact::<ResponseHeader>(&bytes, 0);
    assert_eq!(exact, Err(DecodeError::TrailingBytes { count: 2 }));
    let mut r = Reader::new(&bytes);
    ResponseHeader::decode(&mut r, 0).unwrap();
    assert_eq!((r.rest(), r.position()), (&[1, 2][..], 4));
}

#[test]
fn fields_that_a_version_lacks() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    assert_eq!(encode_to_vec(&all, 0), Err(EncodeError::UnexpectedNull { field: "Topics" }));
    assert_eq!(encode_to_vec(&all, 1), Ok(vec![0xff; 4]));

    // Not ignorable: only its default may be dropped.
    let no_creation = MetadataRequest { allow_auto_topic_creation: false, ..all.clone() };
    let refused = EncodeError::UnsupportedField { field: "AllowAutoTopicCreation", version: 3 };
    assert_eq!(encode_to_vec(&no_creation, 3), Err(refused));
    assert_eq!(encode_to_vec(&no_creation, 4), Ok(vec![0xff, 0xff, 0xff, 0xff, 0]));

    // Ignorable: dropped whatever it is.
    let by_id = MetadataRequestTopic {
        topic_id: base::Uuid::ONE,
        name: Some("t".into()),
        ..Default::default()
    };
    let request = MetadataRequest { topics: Some(vec![by_id]), ..Default::default() };
    assert_eq!(encode_to_vec(&request, 1), Ok(vec![0, 0, 0, 1, 0, 1, b't']));
}

#[test]
fn request_headers_keep_the_old_form_of_the_client_id() {
    let header = RequestHeader {
        request_api_key: 18,
        request_api_version: 3,
        correlation_id: 7,
        client_id: Some("me".into()),
        ..Default::default()
    };
    let expected = [0, 18, 0, 3, 0, 0, 0, 7, 0, 2, b'm', b'e', 0];
    assert_eq!(encode_to_vec(&header, 2).unwrap(), expected);
    assert_eq!(encode_to_vec(&header, 1).unwrap(), expected[..12]);
    assert_eq!(decode_exact(&expected, 2), Ok(header));
}

/// Tags of ApiVersionsResponse: it knows 0 to 3.
#[test]
fn unknown_tags_are_kept_in_their_place() {
    let body = [0, 0, 1, 0, 0, 0, 0];
    let check = |tags: &[u8], unknown: &[(u32, &[u8])]| {
        let bytes = [&body[..], tags].concat();
        let m: ApiVersionsResponse<'_> = decode_exact(&bytes, 3).unwrap();
        assert_eq!(m.unknown_tags.iter().collect::<Vec<_>>(), unknown);
        assert_eq!(encode_to_vec(&m, 3).unwrap(), bytes);
        m.finalized_features_epoch
    };
    assert_eq!(check(&[0], &[]), -1);
    assert_eq!(check(&[1, 9, 1, 0xaa], &[(9, &[0xaa])]), -1);
    let epoch = check(&[2, 1, 8, 0, 0, 0, 0, 0, 0, 0, 5, 0x80, 1, 0], &[(128, &[])]);
    assert_eq!(epoch, 5);

    let refuse = |tags: &[u8]| {
        let bytes = [&body[..], tags].concat();
        decode_exact::<ApiVersionsResponse<'_>>(&bytes, 3).unwrap_err()
    };
    let long = refuse(&[1, 1, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0]);
    assert!(matches!(long, DecodeError::InvalidTag { tag: 1, .. }), "{long:?}");
    let short = refuse(&[1, 1, 2, 0, 0]);
    assert!(matches!(short, DecodeError::Truncated { needed: 8, .. }), "{short:?}");
    // A tag that a later version knows is not an unknown one.
    let request = FetchRequest { unknown_tags: one_tag(1), ..Default::default() };
    let bytes = encode_to_vec(&request, 12).unwrap();
    let early = decode_exact::<FetchRequest<'_>>(&bytes, 12);
    assert!(matches!(early, Err(DecodeError::InvalidTag { tag: 1, .. })), "{early:?}");
    let many = refuse(&[0x91, 0x4e]);
    assert!(matches!(many, DecodeError::InvalidLength { length: 10_001, .. }), "{many:?}");
}

fn one_tag(tag: u32) -> UnknownTags {
    let mut tags = UnknownTags::default();
    tags.push(tag, &[]);
    tags
}

#[test]
fn unknown_tags_in_disorder_are_not_written() {
    for tags in [&[7, 7][..], &[8, 7], &[1]] {
        let mut unknown_tags = UnknownTags::default();
        tags.iter().for_each(|tag| unknown_tags.push(*tag, &[]));
        let m =
            ApiVersionsResponse { finalized_features_epoch: 3, unknown_tags, ..Default::default() };
        assert!(matches!(encode_to_vec(&m, 3), Err(EncodeError::InvalidTag { .. })), "{tags:?}");
    }
}

fn fetched(records: Records<'_>) -> FetchResponse<'_> {
    let partition = PartitionData { records: Some(records), ..Default::default() };
    let topic = FetchableTopicResponse { partitions: vec![partition], ..Default::default() };
    FetchResponse { responses: vec![topic], ..Default::default() }
}

#[test]
fn external_records_split_the_message() {
    let bytes = [5; 300];
    let whole = encode_to_vec(&fetched(Records::borrowed(&bytes)), 16).unwrap();
    let external = fetched(Records::External { slot: 4, len: 300 });
    assert_eq!(external.encoded_len(16), Ok(whole.len()));
    assert_eq!(encode_to_vec(&external, 16), Err(EncodeError::ExternalRecords));

    let parts = encode_to_parts(&external, 16).unwrap();
    let [Part::Bytes(before), Part::External { slot: 4, len: 300 }, Part::Bytes(after)] =
        &parts[..]
    else {
        panic!("{parts:?}");
    };
    assert_eq!([before, &bytes[..], after].concat(), whole);
}

#[test]
fn frames_start_with_their_length() {
    let header = ResponseHeader { correlation_id: 9, ..Default::default() };
    let bytes = [5; 300];
    let body = fetched(Records::borrowed(&bytes));
    let parts = encode_frame(&header, 1, &body, 16).unwrap();
    let [Part::Bytes(frame)] = &parts[..] else { panic!("{parts:?}") };
    let rest = [encode_to_vec(&header, 1).unwrap(), encode_to_vec(&body, 16).unwrap()].concat();
    assert_eq!(frame[..4], (rest.len() as u32).to_be_bytes());
    assert_eq!(frame[4..], rest);

    let external = fetched(Records::External { slot: 0, len: i32::MAX as u32 - 1 });
    assert!(matches!(encode_frame(&header, 1, &external, 16), Err(EncodeError::TooLong { .. })));
}

#[test]
fn owned_messages_outlive_their_bytes() {
    let bytes = vec![7; 20];
    let owned = fetched(Records::borrowed(&bytes)).into_owned();
    drop(bytes);
    assert_eq!(owned.responses[0].partitions[0].records, Some(Records::from(vec![7; 20])));
}
