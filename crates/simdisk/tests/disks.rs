//! The simulated disks do what they say: what a crash takes away, and where the process ends.
#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use simdisk::kill::{KillDisk, Point};
use simdisk::{Loss, SimDisk};
use storage::disk::{Disk, OpenMode};

fn write(disk: &dyn Disk, path: &str, bytes: &[u8], sync: bool) {
    let file = disk.open(Path::new(path), OpenMode::CreateIfMissing).unwrap();
    file.write_at(bytes, 0).unwrap();
    if sync {
        file.sync_data().unwrap();
    }
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.contents().keys().map(|path| path.display().to_string()).collect()
}

fn content(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    disk.contents().remove(&PathBuf::from(path))
}

#[test]
fn a_dead_process_loses_nothing_a_dead_machine_all_that_was_not_synced() {
    let disk = SimDisk::default();
    disk.create_dir(Path::new("/d")).unwrap();
    write(&disk, "/d/named-and-synced", b"123", true);
    write(&disk, "/d/named", b"123", false);
    disk.sync_dir(Path::new("/")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    write(&disk, "/d/synced", b"123", true);
    disk.rename(Path::new("/d/named"), Path::new("/d/renamed")).unwrap();
    assert_eq!(disk.after_crash(Loss::None).contents(), disk.contents());
    let lost = disk.after_crash(Loss::All);
    assert_eq!(names(&lost), ["/d/named", "/d/named-and-synced"]);
    assert_eq!(content(&lost, "/d/named").unwrap(), b"");
    assert_eq!(content(&lost, "/d/named-and-synced").unwrap(), b"123");
    let kept = disk.after_crash(Loss::Contents);
    assert_eq!(content(&kept, "/d/renamed").unwrap(), b"");
    assert_eq!(content(&kept, "/d/synced").unwrap(), b"123");
    assert_eq!(content(&disk.after_crash(Loss::Zeros), "/d/renamed").unwrap(), [0; 3]);
    assert_eq!(content(&disk.after_crash(Loss::Names), "/d/named").unwrap(), b"123");
}

#[test]
fn a_synced_directory_is_lost_with_its_parent() {
    let disk = SimDisk::default();
    disk.create_dir(Path::new("/a/b")).unwrap();
    write(&disk, "/a/b/file", b"x", true);
    disk.sync_dir(Path::new("/a/b")).unwrap();
    assert!(names(&disk.after_crash(Loss::All)).is_empty());
    // With one journal for all it is there: in some crashes, and never without its parent.
    let found: BTreeSet<usize> =
        (0..40).map(|seed| names(&disk.after_crash(Loss::Some(seed))).len()).collect();
    assert_eq!(found, BTreeSet::from([0, 1]));
    disk.sync_dir(Path::new("/a")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(names(&disk.after_crash(Loss::All)), ["/a/b/file"]);
}

#[test]
fn names_are_lost_from_the_last_on() {
    let disk = SimDisk::default();
    for n in 0..4 {
        write(&disk, &format!("/{n}"), b"", true);
    }
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let left = names(&disk.after_crash(Loss::Some(seed)));
        let expected: Vec<String> = (0..left.len()).map(|n| format!("/{n}")).collect();
        assert_eq!(left, expected);
        seen.insert(left.len());
    }
    assert_eq!(seen, BTreeSet::from([0, 1, 2, 3, 4]));
}

#[test]
fn a_rename_is_in_both_directories_or_in_none() {
    let disk = SimDisk::default();
    for dir in ["/a", "/b"] {
        disk.create_dir(Path::new(dir)).unwrap();
    }
    write(&disk, "/a/x", b"x", true);
    for dir in ["/a", "/"] {
        disk.sync_dir(Path::new(dir)).unwrap();
    }
    disk.rename(Path::new("/a/x"), Path::new("/b/y")).unwrap();
    let left: BTreeSet<Vec<String>> =
        (0..40).map(|seed| names(&disk.after_crash(Loss::Some(seed)))).collect();
    let expected = [vec!["/a/x".to_owned()], vec!["/b/y".to_owned()]];
    assert_eq!(left, BTreeSet::from(expected));
}

#[test]
fn pages_come_in_any_order_and_version_and_sectors_whole() {
    let disk = SimDisk::with_pages(4, 2);
    write(&disk, "/f", b"aaaaaaaa", true);
    disk.sync_dir(Path::new("/")).unwrap();
    write(&disk, "/f", b"bbbbbbbb", false);
    write(&disk, "/f", b"cccccccc", false);
    let mut seen = BTreeSet::new();
    for seed in 0..2000 {
        let found = content(&disk.after_crash(Loss::Some(seed)), "/f").unwrap();
        assert!(found.chunks(2).all(|sector| sector[0] == sector[1]), "{found:?}");
        seen.insert(String::from_utf8(found).unwrap());
    }
    for expected in ["aaaaaaaa", "aaaacccc", "bbbbcccc", "ccccaaaa", "aaccaaaa", "cccccccc"] {
        assert!(seen.contains(expected), "{expected} of {seen:?}");
    }
    let torn: BTreeSet<Vec<u8>> =
        (0..200).map(|seed| content(&disk.after_crash(Loss::Torn(seed)), "/f").unwrap()).collect();
    assert_eq!(torn.len(), 16);
    assert!(torn.iter().flatten().all(|byte| *byte != b'a'));
}

#[test]
fn a_photo_is_the_disk_of_its_moment() {
    let disk = SimDisk::default();
    disk.take_photos();
    write(&disk, "/f", b"1234", true);
    disk.remove_file(Path::new("/f")).unwrap();
    let photos = disk.photos();
    let seen: Vec<(u64, Option<Vec<u8>>)> = photos
        .iter()
        .map(|photo| (photo.operation, content(&photo.after_crash(Loss::None), "/f")))
        .collect();
    let bytes = |text: &[u8]| Some(text.to_vec());
    let expected = [
        (0, None),
        (1, bytes(b"")),
        (1, bytes(b"12")),
        (2, bytes(b"1234")),
        (3, bytes(b"1234")),
        (4, None),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_full_disk_takes_what_fits() {
    let disk = SimDisk::default();
    disk.set_capacity(Some(6));
    let file = disk.open(Path::new("/f"), OpenMode::CreateIfMissing).unwrap();
    file.write_at(b"1234", 0).unwrap();
    let error = file.write_at(b"5678", 4).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(content(&disk, "/f").unwrap(), b"123456");
    // What is there may be written over.
    file.write_at(b"abcdef", 0).unwrap();
    file.set_len(2).unwrap();
    file.write_at(b"5678", 2).unwrap();
    assert_eq!(content(&disk, "/f").unwrap(), b"ab5678");
    assert_eq!(disk.used(), 6);
}

#[test]
fn a_point_ends_the_process_at_its_moment() {
    let cases = [
        ("write:*/f:2:before", 4, "12"),
        ("write:*/f:2:half", 4, "34"),
        ("write:*/f:2:after", 4, "3456"),
        ("rename:/g*:1:after", 3, ""),
        ("write:*/other:1:after", 5, ""),
    ];
    for (point, step, expected) in cases {
        let disk = SimDisk::default();
        let ended = Arc::new(AtomicU64::new(0));
        let steps = Arc::new(AtomicU64::new(0));
        let image = Arc::new(parking_lot::Mutex::new(String::new()));
        let end = {
            let (disk, ended, steps) = (disk.clone(), Arc::clone(&ended), Arc::clone(&steps));
            let image = Arc::clone(&image);
            move || {
                ended.store(steps.load(Ordering::Relaxed), Ordering::Relaxed);
                let found = content(&disk, "/f").unwrap_or_default();
                *image.lock() = String::from_utf8(found).unwrap();
            }
        };
        let point = Point::parse(point).unwrap();
        assert_eq!(Point::parse(&point.to_string()).unwrap(), point);
        let killing = KillDisk::new(Arc::new(disk), point.clone(), end);
        let step_done = || steps.fetch_add(1, Ordering::Relaxed);
        step_done();
        write(&killing, "/f", b"12", true);
        step_done();
        write(&killing, "/x", b"12", false);
        step_done();
        killing.rename(Path::new("/x"), Path::new("/g")).unwrap();
        step_done();
        write(&killing, "/f", b"3456", true);
        step_done();
        write(&killing, "/other", b"", true);
        assert_eq!(ended.load(Ordering::Relaxed), step, "{point}");
        if !expected.is_empty() {
            assert_eq!(*image.lock(), expected, "{point}");
        }
    }
    assert!(Point::parse("write:x:1").is_err());
    assert!(Point::parse("read:x:1:after").is_err());
    assert!(Point::parse("write:x:one:after").is_err());
}
