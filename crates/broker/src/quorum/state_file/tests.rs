//! Lines of the file, theirs and ours.

use super::*;

fn state(leader: i32, epoch: i32, voted: Option<(i32, Uuid)>, voters: &[i32]) -> ElectionState {
    ElectionState {
        epoch,
        leader: (leader >= 0).then_some(NodeId(leader)),
        voted: voted.map(|(id, directory)| ReplicaKey::new(NodeId(id), directory)),
        voters: voters.iter().map(|id| NodeId(*id)).collect(),
    }
}

/// Lines as Apache Kafka 4.4 wrote them.
#[test]
fn as_kafka_writes_it() {
    #[track_caller]
    fn check(state: &ElectionState, version: i16, line: &str) {
        assert_eq!(render(state, version), line);
        assert_eq!(parse(line.as_bytes()).as_ref(), Ok(state));
    }
    check(
        &state(1, 1, None, &[1]),
        0,
        r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#,
    );
    check(
        &state(1, 1, None, &[]),
        1,
        r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
    );
    check(
        &state(-1, 7, Some((2, Uuid([0xfb; 16]))), &[]),
        1,
        r#"{"leaderId":-1,"leaderEpoch":7,"votedId":2,"votedDirectoryId":"-_v7-_v7-_v7-_v7-_v7-w","data_version":1}"#,
    );
}

#[test]
fn what_it_refuses() {
    #[track_caller]
    fn check(text: &str, reason: &str) {
        let error = parse(text.as_bytes()).expect_err("refused");
        assert!(error.contains(reason), "{error}");
    }
    check("", "EOF");
    check("[]", "no JSON object");
    check("{}", "data_version is missing");
    check(r#"{"data_version":2}"#, "data_version 2 is not between 0 and 1");
    check(r#"{"data_version":0,"leaderEpoch":1.5}"#, "leaderEpoch is missing or no number");
    check(r#"{"data_version":0,"leaderEpoch":3000000000}"#, "leaderEpoch is out of range");
    check(r#"{"data_version":0,"leaderEpoch":3,"leaderId":1}"#, "votedId is missing");
    check(
        r#"{"data_version":1,"leaderEpoch":3,"leaderId":1,"votedId":1,"votedDirectoryId":"x"}"#,
        "is not a UUID",
    );
}
