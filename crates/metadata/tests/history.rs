//! Random histories: snapshots hold everything, deltas name everything, transactions leave nothing behind.
#![allow(clippy::unwrap_used)] // helpers of tests fail by panicking, too

mod common;

use base::{LeaderEpoch, Offset, WallMs};
use common::{Random, next_record};
use metadata::{Delta, Image, Loader, MetadataVersion, Provenance, ReplayError, record_version};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::abort_transaction_record::AbortTransactionRecord;
use protocol::metadata_records::begin_transaction_record::BeginTransactionRecord;
use protocol::metadata_records::end_transaction_record::EndTransactionRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;

const STEPS: i64 = 400;

fn feature(name: &str, feature_level: i16) -> MetadataRecord<'_> {
    FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() }.into()
}

/// An image at the latest level with eligible leaders on, so that a snapshot can hold everything.
fn start() -> Image {
    let mut image = Image::default();
    for record in
        [feature(MetadataVersion::FEATURE_NAME, 33), feature("eligible.leader.replicas.version", 1)]
    {
        image.replay(&record, &mut Delta::default()).unwrap();
    }
    image
}

fn provenance(offset: i64) -> Provenance {
    Provenance { offset: Offset(offset), epoch: LeaderEpoch(1), time: WallMs(0) }
}

/// Everything the log can hold survives a snapshot, through the bytes on disk.
#[test]
fn snapshots_hold_everything() {
    for seed in 0..25 {
        let mut random = Random(seed);
        let mut image = start();
        for _ in 0..STEPS {
            let record = next_record(&image, &mut random);
            image.replay(&record, &mut Delta::default()).unwrap();
        }
        // Turned off by the history, eligible leaders would rightly be left out.
        image
            .replay(&feature("eligible.leader.replicas.version", 1), &mut Delta::default())
            .unwrap();

        let version = image.features.metadata_version.unwrap();
        let mut loaded = Image::default();
        for record in image.to_records() {
            let bytes = record.encode_value(record_version(&record, version)).unwrap();
            let decoded = MetadataRecord::decode_value(&bytes).unwrap();
            loaded.replay(&decoded, &mut Delta::default()).unwrap();
        }
        assert_eq!(loaded, image, "seed {seed}");
        assert!(image.topics.len() > 5 && image.acls.size() > 1, "seed {seed} tests too little");
    }
}

#[test]
fn deltas_name_everything_that_differs() {
    for seed in 100..125 {
        let mut random = Random(seed);
        let before = start();
        let mut after = before.clone();
        let mut delta = Delta::default();
        for _ in 0..STEPS {
            after.replay(&next_record(&after, &mut random), &mut delta).unwrap();
        }
        let mut more = delta.clone();
        more.merge(Delta::between(&before, &after));
        assert_eq!(more, delta, "seed {seed}: something changed without being named");
    }
}

/// Transactions are seen whole or not at all, wherever publication falls.
#[test]
fn transactions_are_published_whole() {
    for seed in 200..240 {
        let mut random = Random(seed);
        let mut loader = Loader::new(start());
        let (mut outside, mut inside): (Image, Option<Image>) = (start(), None);
        let mut published = start();
        for offset in 0..STEPS {
            let record = match (random.below(12), &mut inside) {
                (0, None) => {
                    inside = Some(outside.clone());
                    BeginTransactionRecord::default().into()
                }
                (0, Some(image)) => {
                    outside = image.clone();
                    inside = None;
                    EndTransactionRecord::default().into()
                }
                (1, Some(_)) => {
                    inside = None;
                    AbortTransactionRecord::default().into()
                }
                (_, open) => {
                    let target = open.as_mut().unwrap_or(&mut outside);
                    let record = next_record(target, &mut random);
                    target.replay(&record, &mut Delta::default()).unwrap();
                    record
                }
            };
            loader.replay(&record).unwrap();
            if random.below(5) == 0
                && let Some(update) = loader.publish(provenance(offset))
            {
                assert!(update.before.same_state(&published), "seed {seed}: updates do not join");
                assert!(update.after.same_state(&outside), "seed {seed}: half a transaction");
                let differing = Delta::between(&update.before, &update.after);
                let mut named = update.delta.clone();
                named.merge(differing);
                assert_eq!(named, update.delta, "seed {seed}: a change was not named");
                assert_eq!(update.after.provenance.offset, Offset(offset));
                published = update.after;
            }
        }
    }
}

#[test]
fn a_snapshot_in_place_of_records_is_one_update() {
    let mut random = Random(7);
    let mut image = start();
    let mut loader = Loader::new(start());
    for _ in 0..STEPS {
        let record = next_record(&image, &mut random);
        image.replay(&record, &mut Delta::default()).unwrap();
    }
    image.replay(&feature("eligible.leader.replicas.version", 1), &mut Delta::default()).unwrap();
    let records = image.to_records().map(Ok::<_, ReplayError>);
    let update = loader.load_snapshot(provenance(9), records).unwrap();
    assert!(update.after.same_state(&image));
    assert_eq!(update.delta, Delta::between(&start(), &image));
    assert_eq!(loader.image().provenance, provenance(9));
}

#[test]
fn markers_out_of_place_are_errors() {
    let mut loader = Loader::default();
    assert!(loader.replay(&EndTransactionRecord::default().into()).is_err());
    assert!(loader.replay(&AbortTransactionRecord::default().into()).is_err());
    loader.replay(&BeginTransactionRecord::default().into()).unwrap();
    assert!(loader.replay(&BeginTransactionRecord::default().into()).is_err());
}
