//! A follower's own retention moves the start of its log: its leader is told with the next fetch.

use std::io::Write as _;
use std::time::{Duration, Instant};

use protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::messages::incremental_alter_configs_response::IncrementalAlterConfigsResponse;

use crate::common::cluster::until;
use crate::common::decoded;
use crate::leader::{FOLLOWER, World};

const TOPIC: i8 = 2;
const ROUNDS: usize = 7;
const ROUNDS_MAX: usize = 25;
/// A sync that takes no longer than this holds a pass up for less than a fetch.
const QUICK: Duration = Duration::from_millis(15);
/// All partitions are looked at every second; until then there would be some fifty fetches.
const FETCHES_MAX: usize = 10;

fn delete_old(world: &World) {
    let config = AlterableConfig {
        name: "retention.ms".into(),
        value: Some("1".into()),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let body = world.cluster.node(FOLLOWER).ask(&request, 1);
    let answer: IncrementalAlterConfigsResponse<'_> = decoded(&body, 1);
    assert_eq!(answer.responses[0].error_code, 0);
}

#[test]
fn the_next_fetch_tells_of_a_start_that_retention_moved() {
    let settings = [("log.retention.check.interval.ms", "50"), ("log.initial.task.delay.ms", "0")];
    let world = World::with(&settings);
    world.state.lock().unwrap().in_session = true;
    delete_old(&world);
    let mut fetches = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let end = world.state.lock().unwrap().end();
        // Everything is old: the log goes on with an empty segment at its end.
        let next = world.cluster.data(FOLLOWER).join(format!("t-0/{end:020}.log"));
        let was_quick = is_quick(&world);
        until("retention", || next.exists());
        let before = world.told();
        until("the leader is told", || world.state.lock().unwrap().start == end);
        let told = world.told() - before;
        if was_quick && is_quick(&world) {
            fetches.push(told);
        }
        if fetches.len() == ROUNDS {
            break;
        }
        world.append(end);
    }
    if fetches.len() < ROUNDS {
        println!("the disk is too slow to tell");
        return;
    }
    fetches.sort_unstable();
    // On a busy machine a pass may stop between the log and its telling: not most of the time.
    assert!(fetches[ROUNDS / 2] <= FETCHES_MAX, "fetches until it was told: {fetches:?}");
}

/// Whether the disk does not hold a pass up: what it takes with it is synced before anything is told.
fn is_quick(world: &World) -> bool {
    let mut file = tempfile::tempfile_in(world.cluster.data(FOLLOWER)).unwrap();
    file.write_all(b"x").unwrap();
    let begin = Instant::now();
    file.sync_all().unwrap();
    begin.elapsed() < QUICK
}
