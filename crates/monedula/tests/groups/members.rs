//! Members of our client come, go, are stuck and commit, in both protocols.

use std::time::Duration;

use client::group::{Subscription, fenced};

use super::{Cluster, block_on, topics, until};

/// Each way to be a member.
const CLASSIC: &str = "session.timeout.ms=20000 heartbeat.interval.ms=200";
const COOPERATIVE: &str = "session.timeout.ms=20000 heartbeat.interval.ms=200 \
                           partition.assignment.strategy=cooperative-sticky";
const STICKY: &str =
    "session.timeout.ms=20000 heartbeat.interval.ms=200 partition.assignment.strategy=sticky";
const CONSUMER: &str = "group.protocol=consumer";
const ALL: [&str; 4] = [CLASSIC, COOPERATIVE, STICKY, CONSUMER];

fn group_of(settings: &str) -> String {
    format!("g-{}", settings.rsplit('=').next().unwrap())
}

#[test]
fn a_member_goes_on_where_the_group_left_off() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 4).await;
        for settings in ALL {
            let group = group_of(settings);
            cluster.produce("t", 4, 10).await;
            let mut first = cluster.member(&group, settings, topics(&["t"]));
            until(&mut [&mut first], "all is read", |m| m[0].values.len() == 40).await;
            first.consumer.close().await.unwrap();
            // The next one begins behind what was committed when the first closed.
            let mut second = cluster.member(&group, settings, topics(&["t"]));
            until(&mut [&mut second], "it has all partitions", |m| m[0].count() == 4).await;
            cluster.produce("t", 1, 1).await;
            until(&mut [&mut second], "the new one is read", |m| !m[0].values.is_empty()).await;
            assert_eq!(second.values, ["0:0"], "{settings}");
            second.consumer.close().await.unwrap();
            cluster.trim("t").await;
        }
    });
}

#[test]
fn partitions_move_when_members_come_and_go() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 4).await;
        for settings in ALL {
            let group = group_of(settings);
            let mut a = cluster.member(&group, settings, topics(&["t"]));
            until(&mut [&mut a], "one has all", |m| m[0].count() == 4).await;
            let mut b = cluster.member(&group, settings, topics(&["t"]));
            until(&mut [&mut a, &mut b], "they share", |m| m[0].count() == 2 && m[1].count() == 2)
                .await;
            assert!(a.owned().is_disjoint(&b.owned()), "{settings}");
            // Who keeps partitions keeps reading them: only what moves is revoked.
            let kept = matches!(settings, COOPERATIVE | CONSUMER);
            let revoked = a.events.iter().find(|event| event.starts_with("revoked")).unwrap();
            assert_eq!(revoked.matches("t-").count(), if kept { 2 } else { 4 }, "{settings}");
            a.consumer.close().await.unwrap();
            until(&mut [&mut b], "the other has all", |m| m[0].count() == 4).await;
            b.consumer.close().await.unwrap();
        }
    });
}

#[test]
fn a_stuck_application_loses_its_partitions_and_its_commits() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 2).await;
        cluster.produce("t", 2, 3).await;
        for settings in [CLASSIC, CONSUMER] {
            let group = group_of(settings);
            let stuck = format!("{settings} max.poll.interval.ms=3000 enable.auto.commit=false");
            let mut a = cluster.member(&group, &stuck, topics(&["t"]));
            until(&mut [&mut a], "all is read", |m| m[0].values.len() == 6).await;
            let mut b = cluster.member(&group, settings, topics(&["t"]));
            // Only the other polls.
            until(&mut [&mut b], "the other has all", |m| m[0].count() == 2).await;
            let positions = a.consumer.positions();
            let error = a.consumer.commit(&positions).await.unwrap_err();
            assert!(fenced(&error), "{settings}: {error}");
            until(&mut [&mut b], "it reads all again", |m| m[0].values.len() == 6).await;
            until(&mut [&mut a, &mut b], "it is back", |m| m[0].count() == 1).await;
            let lost = a.events.iter().any(|event| event.starts_with("lost"));
            assert!(lost, "{settings}: {:?}", a.events);
            a.consumer.close().await.unwrap();
            b.consumer.close().await.unwrap();
        }
    });
}

#[test]
fn what_is_revoked_can_be_committed_until_the_next_call() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 2).await;
        cluster.produce("t", 2, 5).await;
        for settings in ALL {
            let group = group_of(settings);
            let manual = format!("{settings} enable.auto.commit=false");
            let mut a = cluster.member(&group, &manual, topics(&["t"]));
            until(&mut [&mut a], "all is read", |m| m[0].values.len() == 10).await;
            let mut b = cluster.member(&group, &manual, topics(&["t"]));
            let revoked = |m: &[&mut super::Member]| {
                m[0].events.iter().any(|event| event.starts_with("revoked"))
            };
            until(&mut [&mut a], "something is revoked", revoked).await;
            assert_eq!(a.consumer.positions().len(), 2, "{settings}");
            a.consumer.commit_positions().await.unwrap();
            until(&mut [&mut a, &mut b], "they share", |m| m[0].count() == 1 && m[1].count() == 1)
                .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            b.step().await;
            assert_eq!(b.values, Vec::<String>::new(), "{settings}");
            a.consumer.close().await.unwrap();
            b.consumer.close().await.unwrap();
        }
    });
}

#[test]
fn a_static_member_keeps_its_partitions_while_it_restarts() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("t", 4).await;
        for settings in [CLASSIC, CONSUMER] {
            let group = group_of(settings);
            let one = format!("{settings} group.instance.id=one");
            let mut a = cluster.member(&group, &one, topics(&["t"]));
            let mut b = cluster.member(&group, settings, topics(&["t"]));
            until(&mut [&mut a, &mut b], "they share", |m| m[0].count() == 2 && m[1].count() == 2)
                .await;
            let before = a.owned();
            a.consumer.close().await.unwrap();
            let mut a = cluster.member(&group, &one, topics(&["t"]));
            until(&mut [&mut a, &mut b], "it is back", |m| m[0].count() == 2).await;
            assert_eq!((a.owned(), b.count()), (before, 2), "{settings}");
            a.consumer.close().await.unwrap();
            b.consumer.close().await.unwrap();
        }
    });
}

#[test]
fn topics_that_appear_are_found() {
    let cluster = Cluster::start();
    block_on(async {
        cluster.create("other", 1).await;
        let mut client_side = cluster.member(
            "pattern",
            COOPERATIVE,
            Subscription::Matching(std::sync::Arc::new(|topic| topic.starts_with("log-"))),
        );
        let mut broker_side =
            cluster.member("regex", CONSUMER, Subscription::Regex("log-.*".into()));
        cluster.create("log-a", 1).await;
        let has = |n: usize| move |m: &[&mut super::Member]| m.iter().all(|m| m.count() == n);
        until(&mut [&mut client_side, &mut broker_side], "the first", has(1)).await;
        cluster.create("log-b", 2).await;
        until(&mut [&mut client_side, &mut broker_side], "the second", has(3)).await;
        client_side.consumer.close().await.unwrap();
        broker_side.consumer.close().await.unwrap();
    });
}
