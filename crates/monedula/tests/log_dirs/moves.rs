//! AlterReplicaLogDirs: moves under load, through crashes, cancelled, refused.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::common::{Node, RaisedAtEnd, batch};
use crate::place::{Place, alter, delete_topic, read, set, until};

const LIMIT: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
/// A batch of this size, a hundred times, takes the limit below for some seconds.
static VALUE: [u8; 40_000] = [b'v'; 40_000];
/// During each move.
const WRITES_MAX: usize = 100;

/// A topic with segments of 1 MiB, and so many large records.
fn filled(node: &Node, topic: &str, batches: usize) {
    assert_eq!(
        node.create_topic(topic, 1, &[("segment.bytes", "1048576"), ("retention.ms", "-1")]),
        0
    );
    for n in 0..batches {
        let number = format!("{n}");
        let (error, at) = node.produce(topic, &batch(&[number.as_bytes(), &VALUE]));
        assert_eq!((error, at), (0, 2 * i64::try_from(n).unwrap()));
    }
}

fn is_whole(node: &Node, topic: &str, batches: usize) {
    let values = read(node, topic, 0);
    assert_eq!(values.len(), 2 * batches);
    for (n, pair) in values.chunks(2).enumerate() {
        assert_eq!(pair[0], (2 * i64::try_from(n).unwrap(), n.to_string().into_bytes()));
        assert_eq!(pair[1].1, VALUE);
    }
}

#[test]
fn a_replica_moves_while_it_is_written_and_read() {
    let place = Place::new(3);
    let mut node = place.start(&[]);
    filled(&node, "t", 40);
    let mut from = place.dir_of(&node, "t");
    let (stop, moves) = (AtomicBool::new(false), AtomicUsize::new(1));
    let written = std::thread::scope(|scope| {
        // Also when the test fails.
        let stopped = RaisedAtEnd(&stop);
        let producer = scope.spawn(|| {
            let mut written = 0_usize;
            while !stop.load(Ordering::Relaxed) {
                // On a slow disk it would outrun the move for ever.
                if written >= WRITES_MAX * moves.load(Ordering::Relaxed) {
                    std::thread::sleep(std::time::Duration::from_millis(4));
                    continue;
                }
                let number = format!("{}", 40 + written);
                let (error, _) = node.produce("t", &batch(&[number.as_bytes(), &VALUE]));
                assert_eq!(error, 0, "{}", node.log());
                written += 1;
                // No more than can be read in good time.
                std::thread::sleep(std::time::Duration::from_millis(4));
            }
            written
        });
        for _ in 0..4 {
            let to = (from + 1) % 3;
            assert_eq!(alter(&node, "t", 0, &place.path(to)), 0);
            place.wait_until_in(&node, "t", to);
            assert!(!read(&node, "t", 70).is_empty());
            let left: Vec<_> = (0..3).flat_map(|dir| place.names(dir, "t")).collect();
            let serving: Vec<_> = left.iter().filter(|name| !name.ends_with("-delete")).collect();
            assert_eq!(serving, ["t-0"]);
            assert!(place.names(to, "t").contains(&"t-0".to_owned()), "{left:?}");
            from = to;
            moves.fetch_add(1, Ordering::Relaxed);
        }
        drop(stopped);
        producer.join().unwrap()
    });
    is_whole(&node, "t", 40 + written);
    node.assert_alive("moves");
    // The controller knows where it is: a restart finds no reason to tell it.
    assert_eq!(node.stop(), Some(0));
    let node = place.start(&[]);
    assert_eq!(place.dir_of(&node, "t"), from);
    is_whole(&node, "t", 40 + written);
}

#[test]
fn a_move_goes_on_after_a_crash() {
    let place = Place::new(2);
    let node = place.start(&[]);
    filled(&node, "t", 100);
    let from = place.dir_of(&node, "t");
    let to = 1 - from;
    assert_eq!(set(&node, LIMIT, Some("1000000")).0, 0);
    assert_eq!(alter(&node, "t", 0, &place.path(to)), 0);
    until("some of it is copied", || {
        let found = place.find(&node, "t", 0);
        found.len() == 2 && found[1].is_future && found[1].size > 0 && found[1].lag < 200
    });
    let found = place.find(&node, "t", 0);
    assert_eq!((found[0].dir, found[1].dir), (from, to));
    assert!(found[0].size > 4_000_000 && found[0].lag == 0, "{found:?}");
    assert!(found[1].size < found[0].size && found[1].lag > 0, "{found:?}");
    // The same again is no new move; the way is still the limit's.
    assert_eq!(alter(&node, "t", 0, &place.path(to)), 0);
    assert_eq!(place.names(to, "t").len(), 1);
    node.kill();
    let node = place.start(&[]);
    until("the copy is there", || place.find(&node, "t", 0).len() == 2);
    is_whole(&node, "t", 100);
    assert_eq!(set(&node, LIMIT, None).0, 0);
    place.wait_until_in(&node, "t", to);
    is_whole(&node, "t", 100);
    assert_eq!(place.names(to, "t"), ["t-0"]);
}

#[test]
fn a_move_is_cancelled_or_sent_elsewhere_or_ends_with_its_topic() {
    let place = Place::new(3);
    let mut node = place.start(&[("log.segment.delete.delay.ms", "100")]);
    assert_eq!(set(&node, LIMIT, Some("1000")).0, 0);
    for topic in ["kept", "sent", "gone"] {
        filled(&node, topic, 30);
        let from = place.dir_of(&node, topic);
        assert_eq!(alter(&node, topic, 0, &place.path((from + 1) % 3)), 0);
        until("the move has begun", || place.find(&node, topic, 0).len() == 2);
    }
    // Back to where it is: no move.
    let from = place.dir_of(&node, "kept");
    assert_eq!(alter(&node, "kept", 0, &place.path(from)), 0);
    place.wait_until_in(&node, "kept", from);
    // Elsewhere: a new copy.
    let from = place.dir_of(&node, "sent");
    assert_eq!(alter(&node, "sent", 0, &place.path((from + 2) % 3)), 0);
    let found = place.find(&node, "sent", 0);
    assert_eq!((found.len(), found[1].dir), (2, (from + 2) % 3));
    delete_topic(&node, "gone");
    until("both are removed", || (0..3).all(|dir| place.names(dir, "gone").is_empty()));
    assert_eq!(set(&node, LIMIT, None).0, 0);
    place.wait_until_in(&node, "sent", (from + 2) % 3);
    for topic in ["kept", "sent"] {
        is_whole(&node, topic, 30);
        until("only the log is left", || {
            let names: Vec<_> = (0..3).flat_map(|dir| place.names(dir, topic)).collect();
            names == [format!("{topic}-0")]
        });
    }
    node.assert_alive("cancelled moves");
}

/// Of two whole logs of one partition the one counts that the controller knows: so a crash leaves them that comes just when one
/// takes the place of the other.
#[test]
fn a_crash_between_the_renames_of_a_move_is_healed() {
    let place = Place::new(2);
    let node = place.start(&[]);
    filled(&node, "t", 10);
    filled(&node, "u", 10);
    let (t, u) = (place.dir_of(&node, "t"), place.dir_of(&node, "u"));
    for (topic, from) in [("t", t), ("u", u)] {
        assert_eq!(alter(&node, topic, 0, &place.path(1 - from)), 0);
        place.wait_until_in(&node, topic, 1 - from);
    }
    node.kill();
    // The old log was not renamed yet; the new one was not either.
    let old = place.names(t, "t").pop().unwrap();
    std::fs::rename(place.dirs[t].join(old), place.dirs[t].join("t-0")).unwrap();
    let future = format!("u-0.{:032x}-future", 7);
    std::fs::rename(place.dirs[1 - u].join("u-0"), place.dirs[1 - u].join(&future)).unwrap();
    let node = place.start(&[]);
    for (topic, from) in [("t", t), ("u", u)] {
        assert_eq!(place.dir_of(&node, topic), 1 - from);
        assert_eq!(place.names(1 - from, topic), [format!("{topic}-0")]);
        is_whole(&node, topic, 10);
    }
    assert!(place.names(t, "t")[0].ends_with("-stray"));
}

#[test]
fn what_cannot_be_moved_is_refused_as_by_kafka() {
    let place = Place::new(2);
    let node = place.start(&[]);
    filled(&node, "t", 1);
    let from = place.dir_of(&node, "t");
    let long = "x".repeat(215);
    assert_eq!(node.create_topic(&long, 1, &[]), 0);
    let (here, there) = (place.path(from), place.path(1 - from));
    for (topic, index, path, expected) in [
        ("t", 0, "/nowhere", 57),
        ("t", 0, "", 57),
        ("t", 1, &*here, 3),
        ("none", 0, &*here, 3),
        (&*long, 0, &*here, 17),
        ("t", 0, &*here, 0),
    ] {
        assert_eq!(alter(&node, topic, index, path), expected, "{topic}-{index} to {path}");
    }
    assert_eq!(set(&node, "cordoned.log.dirs", Some(&there)).0, 0);
    assert_eq!(alter(&node, "t", 0, &there), 39);
    assert_eq!(alter(&node, "t", 0, &here), 0, "it is there");
    // A topic that comes later lies where it was wished to be, though it was refused.
    assert_eq!(set(&node, "cordoned.log.dirs", None).0, 0);
    for n in 0..6 {
        let (name, dir) = (format!("later-{n}"), if n % 3 == 0 { &here } else { &there });
        assert_eq!(alter(&node, &name, 0, dir), 3);
        assert_eq!(node.create_topic(&name, 1, &[]), 0);
        until("it is there", || !place.find(&node, &name, 0).is_empty());
        assert_eq!(&place.path(place.dir_of(&node, &name)), dir);
    }
}

#[test]
fn cordoned_directories_get_no_new_partitions() {
    let place = Place::new(3);
    let node = place.start(&[("cordoned.log.dirs", &place.path(0))]);
    let cordoned = |node: &Node| {
        let described = place.describe(node);
        let row = |dir: usize| {
            described.results.iter().find(|told| *told.log_dir == *place.path(dir)).unwrap()
        };
        (0..3).map(|dir| row(dir).is_cordoned).collect::<Vec<_>>()
    };
    let counts = |topic: &str| (0..3).map(|dir| place.names(dir, topic).len()).collect::<Vec<_>>();
    assert_eq!(cordoned(&node), [true, false, false]);
    assert_eq!(node.create_topic("a", 8, &[]), 0);
    until("all are there", || counts("a") == [0, 4, 4]);
    assert_eq!(set(&node, "cordoned.log.dirs", Some(&place.path(2))).0, 0);
    until("it is known", || cordoned(&node) == [false, false, true]);
    assert_eq!(node.create_topic("b", 5, &[]), 0);
    until("all are there", || counts("b").iter().sum::<usize>() == 5);
    assert_eq!(counts("b")[2], 0);
    // All: the controller places nothing here.
    assert_eq!(set(&node, "cordoned.log.dirs", Some("*")).0, 0);
    assert_eq!(cordoned(&node), [true, true, true]);
    until("the controller knows", || node.create_topic("c", 1, &[]) == 38);
    assert_eq!(set(&node, "cordoned.log.dirs", None).0, 0);
    assert_eq!(cordoned(&node), [true, false, false], "the file's holds again");
    until("the controller knows", || node.create_topic("d", 1, &[]) == 0);
    // Kafka's words.
    let expected = "requirement failed: All entries in cordoned.log.dirs must be present in log.dirs or log.dir. \
                    Missing entries : /nowhere";
    assert_eq!(set(&node, "cordoned.log.dirs", Some("/nowhere")), (42, expected.to_owned()));
}
