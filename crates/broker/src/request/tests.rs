//! Answers that cannot be written.

use protocol::messages::create_topics_response::CreateTopicsResponse;
use protocol::messages::join_group_response::JoinGroupResponse;
use protocol::messages::metadata_response::MetadataResponse;

use super::*;

fn bytes(response: Response) -> Vec<u8> {
    let chunks = response.chunks.into_iter().map(|chunk| match chunk {
        Chunk::Bytes(bytes) => bytes,
        Chunk::File { .. } => panic!("no file"),
    });
    chunks.collect::<Vec<_>>().concat()
}

#[test]
fn who_asked_is_told_when_the_answer_cannot_be_written() {
    // A protocol without name is not in this version.
    let (api, id, version) = (ApiKey::JoinGroup, 7, 5);
    let answer = JoinGroupResponse { protocol_name: None, generation_id: 3, ..Default::default() };
    let error = written(api, id, &answer, version, &mut []).expect_err("no name");
    let told = bytes(mistaken::<JoinGroupResponse<'_>>(api, id, error, version).expect("told"));
    let mut reader = Reader::new(&told);
    assert_eq!(reader.i32(), Ok(7));
    let read = JoinGroupResponse::decode(&mut reader, version).expect("a response");
    assert_eq!(read.error_code, ErrorCode::UnknownServerError.code());
    assert_eq!(read.generation_id, JoinGroupResponse::default().generation_id);

    let other = EncodeError::UnsupportedField { field: "f", version };
    let told = bytes(mistaken::<JoinGroupResponse<'_>>(api, id, other, version).expect("told"));
    let read = JoinGroupResponse::decode(&mut Reader::new(&told[4..]), version);
    assert_eq!(read.expect("a response").error_code, ErrorCode::UnsupportedVersion.code());
}

#[test]
fn an_answer_without_a_place_for_errors_is_not_replaced_by_an_empty_one() {
    let error = EncodeError::StringTooLong { len: 40_000 };
    let told = |version| mistaken::<MetadataResponse<'_>>(ApiKey::Metadata, 1, error, version);
    assert!(told(12).is_none(), "it would say that there are no topics");
    assert!(told(13).is_some());
    assert!(mistaken::<CreateTopicsResponse<'_>>(ApiKey::CreateTopics, 1, error, 7).is_none());
}
