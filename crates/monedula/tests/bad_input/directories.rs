//! Directories that this node must not or cannot use: the process ends with 1 and says which file is why.

use std::path::Path;
use std::process::Command;

use crate::common::{BINARY, Node, Place, Refused, batch, command};

/// The start is refused with exit code 1 and a message that holds each of `words`.
fn check_refused(command: Command, data: &Path, words: &[&str]) {
    let Err(refused) = Node::try_start(command, data) else {
        panic!("started, expected {words:?}")
    };
    let Refused { code, stderr } = &refused;
    assert_eq!(*code, Some(1), "{stderr}");
    for word in words {
        assert!(refused.reason().contains(word), "no {word:?} in: {stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_second_process_on_a_directory() {
    let place = Place::new();
    let mut first = Node::start(&place.data);
    let words = ["Failed to acquire lock on file .lock in", place.data.to_str().unwrap()];
    check_refused(command(&place.data, &[]), &place.data, &words);
    first.assert_alive("a second process");
    assert_eq!(first.create_topic("t", 1, &[]), 0);
    first.kill();
    assert_eq!(Node::start(&place.data).stop(), Some(0));
}

#[test]
fn one_of_several_directories_is_in_use() {
    let place = Place::new();
    let _first = Node::start(&place.data);
    let other = place.root.path().join("other");
    let both = format!("{},{}", other.display(), place.data.display());
    let second = command(&other, &[("log.dirs", &both)]);
    let words = ["Failed to acquire lock", place.data.to_str().unwrap()];
    check_refused(second, &other, &words);
}

#[test]
fn a_disk_that_fails_is_not_needed_for_what_is_on_the_others() {
    let place = Place::new();
    let other = place.root.path().join("other");
    let both = format!("{},{}", place.data.display(), other.display());
    let settings = [("log.dirs", both.as_str())];
    let node = Node::start_with(&place.data, &settings);
    for name in ["a", "b"] {
        assert_eq!(node.create_topic(name, 1, &[]), 0);
        assert_eq!(node.produce(name, &batch(&[b"1"])), (0, 0));
    }
    assert_eq!(node.stop(), Some(0));
    let lost = if other.join("a-0").is_dir() { "a" } else { "b" };
    assert!(other.join(format!("{lost}-0")).is_dir(), "the directories share the topics");
    // Opening it fails as on a disk that has gone.
    std::fs::remove_file(other.join(".lock")).unwrap();
    std::fs::create_dir(other.join(".lock")).unwrap();
    let node = Node::start_with(&place.data, &settings);
    let kept = if lost == "a" { "b" } else { "a" };
    assert_eq!(node.produce(kept, &batch(&[b"2"])), (0, 1));
    assert_ne!(node.produce_once(lost, &batch(&[b"2"])).0, 0);
    assert_eq!(node.stop(), Some(0));
    std::fs::remove_dir(other.join(".lock")).unwrap();
    let node = Node::start_with(&place.data, &settings);
    assert_eq!(node.produce(lost, &batch(&[b"2"])), (0, 1));
    assert_eq!(node.stop(), Some(0));
    // That of the metadata log is needed.
    std::fs::remove_file(place.data.join(".lock")).unwrap();
    std::fs::create_dir(place.data.join(".lock")).unwrap();
    let words = [".lock", place.data.to_str().unwrap()];
    check_refused(command(&place.data, &settings), &place.data, &words);
}

#[test]
fn a_disk_that_is_not_mounted() {
    let place = Place::new();
    let [other, disk] = ["other", "disk"].map(|name| place.root.path().join(name));
    let both = format!("{},{}", place.data.display(), other.display());
    let settings = [("log.dirs", both.as_str())];
    let node = Node::start_with(&place.data, &settings);
    for name in ["a", "b"] {
        assert_eq!(node.create_topic(name, 1, &[]), 0);
        assert_eq!(node.produce(name, &batch(&[b"1"])), (0, 0));
    }
    assert_eq!(node.stop(), Some(0));
    std::fs::rename(&other, &disk).unwrap();
    let words = ["meta.properties", other.to_str().unwrap(), "not mounted"];
    check_refused(command(&place.data, &settings), &place.data, &words);
    assert!(!other.exists());
    std::fs::create_dir(&other).unwrap();
    check_refused(command(&place.data, &settings), &place.data, &words);
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 0, "nothing was made there");
    std::fs::rename(&disk, &other).unwrap();
    let node = Node::start_with(&place.data, &settings);
    for name in ["a", "b"] {
        assert_eq!(node.produce(name, &batch(&[b"2"])), (0, 1));
    }
    assert_eq!(node.stop(), Some(0));
}

/// A directory is taken out of the configuration: what was in it begins anew, as in Kafka, but not silently. (Whether it can lead hangs on
/// who is first at the controller, the broker that is unfenced or its word of the new directory: in Kafka, too.)
#[test]
fn replicas_in_a_directory_that_is_gone() {
    let place = Place::new();
    let other = place.root.path().join("other");
    let both = format!("{},{}", place.data.display(), other.display());
    let settings = [("log.dirs", both.as_str())];
    let node = Node::start_with(&place.data, &settings);
    for name in ["a", "b"] {
        assert_eq!(node.create_topic(name, 1, &[]), 0);
        assert_eq!(node.produce(name, &batch(&[b"1"])), (0, 0));
    }
    assert_eq!(node.stop(), Some(0));
    let lost = if other.join("a-0").is_dir() { "a" } else { "b" };
    let meta = std::fs::read_to_string(other.join("meta.properties")).unwrap();
    let id = meta.lines().find_map(|line| line.strip_prefix("directory.id=")).unwrap();
    let node = Node::start(&place.data);
    let kept = if lost == "a" { "b" } else { "a" };
    assert_eq!(node.produce(kept, &batch(&[b"2"])), (0, 1));
    assert!(place.data.join(format!("{lost}-0")).is_dir());
    let is_told = |node: &Node| {
        let log = node.log();
        log.lines().any(|line| line.contains("replicas of this node") && line.contains(id))
    };
    assert!(is_told(&node));
    assert_eq!(node.stop(), Some(0));
    let node = Node::start(&place.data);
    assert!(!is_told(&node), "the controller knows where it is now");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn somebody_elses_directory() {
    let place = Place::new();
    let node = Node::start(&place.data);
    let cluster_id = node.cluster_id.clone();
    node.stop();
    let file = place.data.join("meta.properties");
    let before = std::fs::read(&file).unwrap();
    let other = "AAAAAAAAAAAAAAAAAAAAAQ";
    let start = command(&place.data, &[("cluster.id", other)]);
    let words = ["Invalid cluster.id", "meta.properties", other, &cluster_id];
    check_refused(start, &place.data, &words);
    let start =
        command(&place.data, &[("node.id", "2"), ("controller.quorum.voters", "2@127.0.0.1:9093")]);
    check_refused(start, &place.data, &["Stored node id 1", "meta.properties"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(Node::start_with(&place.data, &[("cluster.id", &cluster_id)]).stop(), Some(0));
}

#[test]
fn directories_of_two_clusters() {
    let (one, two) = (Place::new(), Place::new());
    Node::start(&one.data).stop();
    Node::start(&two.data).stop();
    let both = format!("{},{}", one.data.display(), two.data.display());
    let start = command(&one.data, &[("log.dirs", &both)]);
    check_refused(start, &one.data, &["Invalid cluster.id", "meta.properties"]);
}

#[test]
fn a_file_where_a_directory_should_be() {
    let place = Place::new();
    std::fs::write(&place.data, "x").unwrap();
    check_refused(command(&place.data, &[]), &place.data, &[place.data.to_str().unwrap()]);
    let below = place.data.join("below");
    check_refused(command(&below, &[]), &place.data, &[below.to_str().unwrap()]);
    assert_eq!(std::fs::read(&place.data).unwrap(), b"x");
}

/// A shell that gives up rights or file sizes first; the superuser may write everywhere, so it becomes nobody.
fn restricted(data: &Path, shell: &str) -> Command {
    let start = command(data, &[]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{shell}; exec \"$@\"")).arg("sh").arg(BINARY);
    command.args(start.get_args());
    command
}

#[test]
fn a_directory_without_write_permission() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    Node::start(&place.data).stop();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(place.root.path(), 0o755);
    mode(&place.data, 0o555);
    mode(&place.data.join(".lock"), 0o444);
    let mut start = command(&place.data, &[]);
    if rustix::process::geteuid().is_root() {
        // Root writes everywhere, so the node runs as nobody: from a copy of the binary that nobody can reach.
        use std::os::unix::process::CommandExt as _;
        let copy = place.root.path().join("monedula");
        std::fs::copy(BINARY, &copy).unwrap();
        let mut nobody = Command::new(&copy);
        nobody.args(start.get_args()).uid(65534).gid(65534).current_dir("/");
        start = nobody;
    }
    check_refused(start, &place.data, &[place.data.join(".lock").to_str().unwrap()]);
    mode(&place.data, 0o755);
}

/// No file may grow beyond some blocks: what a full disk does to a write, on every machine. Standard error is a file, too: that it cannot
/// be written must not matter.
#[test]
fn no_space_at_the_first_start() {
    for blocks in [0, 1] {
        let place = Place::new();
        let start = restricted(&place.data, &format!("trap '' XFSZ; ulimit -f {blocks}"));
        let Err(Refused { code, stderr }) = Node::try_start(start, &place.data) else {
            panic!("started without space")
        };
        assert_eq!(code, Some(1), "{blocks} blocks: {stderr}");
        // With space again, the half-made directory is made whole.
        let node = Node::start(&place.data);
        assert_eq!(node.create_topic("t", 1, &[]), 0);
        assert_eq!(node.stop(), Some(0));
    }
}

/// A real full disk where this process may mount one.
#[test]
fn a_full_disk_at_start() {
    let place = Place::new();
    let full = place.root.path().join("full");
    std::fs::create_dir(&full).unwrap();
    let mount = "mount -t tmpfs -o size=64k none \"$0\" && head -c 1m /dev/zero > \"$0/filler\"";
    let script = format!("{mount} 2>/dev/null; [ -s \"$0/filler\" ] || exit 77; exec \"$@\"");
    let data = full.join("data");
    let start = command(&data, &[]);
    // A mount namespace of its own: the mount ends with the process.
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(&full);
    unshare.arg(BINARY).args(start.get_args());
    let Err(refused) = Node::try_start(unshare, &place.data) else {
        panic!("started on a full disk")
    };
    let Refused { code, stderr } = &refused;
    if *code == Some(77) || stderr.starts_with("unshare:") {
        eprintln!(
            "this machine mounts no tmpfs for a test; no_space_at_the_first_start stands alone"
        );
        return;
    }
    assert_eq!(*code, Some(1), "{stderr}");
    let reason = refused.reason();
    assert!(reason.contains(data.to_str().unwrap()), "{stderr}");
    assert!(reason.contains("No space left on device"), "{stderr}");
}
