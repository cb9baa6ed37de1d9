//! Transactions, and what they are remembered in, while logs move.

use crate::place::{Place, alter, until};
use crate::producer::{Producer, committed, decides};

const MINUTE_MS: i32 = 60_000;
const SETTINGS: [(&str, &str); 3] = [
    ("transaction.state.log.num.partitions", "3"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
];

#[test]
fn transactions_go_on_while_their_partitions_move() {
    let place = Place::new(2);
    let mut node = place.start(&SETTINGS);
    assert_eq!(node.create_topic("t", 1, &[("retention.ms", "-1")]), 0);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    let moved = |node: &_| {
        let to = 1 - place.dir_of(node, "t");
        assert_eq!(alter(node, "t", 0, &place.path(to)), 0);
        place.wait_until_in(node, "t", to);
    };
    // Open, moved, and written to again: its sequences are known there.
    producer.send("t", 0, &["a"]).unwrap();
    moved(&node);
    producer.send("t", 0, &["b"]).unwrap();
    let seen = committed(&node.address, "t", 0);
    assert_eq!((seen.values.len(), seen.stable, seen.high_watermark), (0, 0, 2));
    moved(&node);
    producer.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b"]);
    producer.send("t", 0, &["never"]).unwrap();
    moved(&node);
    producer.end(false).unwrap();
    moved(&node);
    producer.send("t", 0, &["c"]).unwrap();
    producer.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b", "c"]);
    // The coordinator's own log, too.
    let topic = "__transaction_state";
    for index in 0..3 {
        let to = 1 - place.find(&node, topic, index)[0].dir;
        assert_eq!(alter(&node, topic, index, &place.path(to)), 0);
        until("it has moved", || {
            let found = place.find(&node, topic, index);
            found.len() == 1 && found[0].dir == to && !found[0].is_future
        });
    }
    producer.send("t", 0, &["d"]).unwrap();
    producer.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b", "c", "d"]);
    node.assert_alive("moves");
    node.kill();
    let node = place.start(&SETTINGS);
    decides(&node.address, "t", 0, &["a", "b", "c", "d"]);
    let mut producer = Producer::new(&node.address, "x", MINUTE_MS);
    producer.send("t", 0, &["e"]).unwrap();
    producer.end(true).unwrap();
    decides(&node.address, "t", 0, &["a", "b", "c", "d", "e"]);
}
