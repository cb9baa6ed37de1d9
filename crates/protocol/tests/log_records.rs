//! Frames of metadata records and prefixes of the coordinators' records.

use protocol::coordinator_records::offset_commit_key::OffsetCommitKey;
use protocol::coordinator_records::offset_commit_value::OffsetCommitValue;
use protocol::coordinator_records::{decode_key, decode_value, encode_key, encode_value, key_type};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;
use protocol::metadata_records::no_op_record::NoOpRecord;
use protocol::{DecodeError, EncodeError};

#[test]
fn metadata_records_have_a_frame() {
    let level = FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: 30,
        ..Default::default()
    };
    let record = MetadataRecord::from(level);
    let value = record.encode_value(0).unwrap();
    assert_eq!(value, b"\x01\x0c\x00\x11metadata.version\x00\x1e\x00");
    assert_eq!(record.value_len(0), Ok(value.len()));
    assert_eq!(MetadataRecord::decode_versioned(&value), Ok((record.clone(), 0)));
    assert_eq!((record.api_key(), record.versions()), (12, 0..=0));
    assert_eq!(MetadataRecord::decode_value(&value).unwrap().into_owned(), record);
    assert!(matches!(record.encode_value(1), Err(EncodeError::UnsupportedVersion { .. })));
    assert_eq!(MetadataRecord::NoOp(NoOpRecord::default()).encode_value(0), Ok(vec![1, 20, 0, 0]));
}

#[test]
fn other_frames_are_refused() {
    let cases: [(&[u8], DecodeError); 5] = [
        (&[0, 20, 0, 0], DecodeError::UnknownFrameVersion { version: 0 }),
        (&[1, 0x7f, 0, 0], DecodeError::UnknownRecordType { key: 127 }),
        (&[1, 20, 0, 0, 0], DecodeError::TrailingBytes { count: 1 }),
        (
            &[1, 20, 1, 0],
            DecodeError::UnsupportedVersion { name: "NoOpRecord", version: 1, low: 0, high: 0 },
        ),
        (&[1, 0x80, 0x80, 4, 0], DecodeError::InvalidLength { at: 1, length: 65536 }),
    ];
    for (value, error) in cases {
        assert_eq!(MetadataRecord::decode_value(value), Err(error), "{value:?}");
    }
}

#[test]
fn coordinator_records_have_prefixes() {
    let key = OffsetCommitKey { group: "g".into(), topic: "t".into(), partition: 2 };
    let bytes = encode_key(&key).unwrap();
    assert_eq!(bytes, b"\x00\x01\x00\x01g\x00\x01t\x00\x00\x00\x02");
    assert_eq!(key_type(&bytes), Ok(1));
    assert_eq!(decode_key(&bytes), Ok(key));
    let mut other = bytes;
    other[1] = 2;
    let refused = decode_key::<OffsetCommitKey<'_>>(&other);
    assert_eq!(refused, Err(DecodeError::UnknownRecordType { key: 2 }));

    let value = OffsetCommitValue { offset: 5, metadata: "m".into(), ..Default::default() };
    for version in 0..=4 {
        let bytes = encode_value(&value, version).unwrap();
        assert_eq!(bytes[..2], version.to_be_bytes());
        assert_eq!(decode_value(&bytes), Ok(value.clone()), "version {version}");
    }
}
