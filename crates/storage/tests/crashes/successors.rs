//! A partition is deleted, and one of its name takes its place after a crash: it has nothing of the old one.

use std::sync::Arc;

use base::{LeaderEpoch, Offset};
use records::{AppendOrigin, Compression};
use simdisk::Loss;
use storage::Disk;

use crate::common::{NOW, client_batch, prepared};
use crate::live_script;
use crate::script::Step;
use crate::world::{Kind, partition};

#[test]
fn what_has_the_name_of_a_deleted_log_begins_anew() {
    let mut script = vec![Step::SyncCreated];
    script.extend([Step::Plain; 5]);
    script.extend([Step::Flush, Step::DeleteRecords(2), Step::CheckpointStarts]);
    script.extend([Step::CheckpointWatermarks, Step::Recreate]);
    let root = tempfile::tempdir().unwrap();
    let (photos, record) = live_script(root.path(), Kind::USUAL, 1, &script, None);
    let mut successors = 0;
    for photo in photos {
        let disk: Arc<dyn Disk> = Arc::new(photo.after_crash(Loss::None));
        let manager = record.world.start(&disk, 0).unwrap();
        if manager.get(&partition()).is_some() || photo.operation < record.told[1].0 {
            continue;
        }
        successors += 1;
        let entry = record.world.create(&manager);
        manager.sync_created().unwrap();
        let batch = client_batch(&[(NOW.0, b"new")], Compression::None, None);
        let mut batch = prepared(batch, AppendOrigin::Client);
        let appended = {
            let mut log = entry.log.write();
            log.append_as_leader(&mut batch, LeaderEpoch(1), AppendOrigin::Client, NOW)
        };
        assert_eq!(appended.unwrap().first_offset, Offset::ZERO);
        manager.flush(&entry, NOW);
        drop((manager, entry));
        let manager = record.world.start(&disk, 0).unwrap();
        let entry = manager.get(&partition()).unwrap();
        let log = entry.log.read();
        let found = (log.start_offset(), log.end_offset(), log.high_watermark());
        assert!(found.0 == Offset::ZERO && found.1 == Offset(1), "{found:?} ({})", photo.what);
    }
    assert!(successors > 1, "{successors}");
}
