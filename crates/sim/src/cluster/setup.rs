//! Who lives in the world, and how it is configured.

use std::rc::Rc;
use std::sync::Arc;

use base::NodeId;
use config::BrokerConfig;
use kraft::{ControlRecord, KRaftVersion, SnapshotId, VoterSet};
use metadata::{FEATURES, Image, MetadataVersion};
use protocol::metadata_records::MetadataRecord;
use protocol::metadata_records::feature_level_record::FeatureLevelRecord;

use super::meta_log::SnapshotFile;
use super::node::{Disk, Node, Nodes, PORT, Roles, Setup};
use super::quorum::voter;
use crate::Rng;

/// How many nodes have the role controller, the role broker, or both.
const SHAPES: [(i32, i32, i32); 7] =
    [(0, 0, 3), (3, 3, 0), (1, 3, 0), (3, 4, 0), (0, 2, 3), (0, 0, 5), (2, 2, 1)];

/// What is not left to chance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Beside three controllers.
    pub brokers: i32,
    /// Voters are in the log, and can change.
    pub dynamic: bool,
}

/// New disks of a node. Brokers and controllers that come later are formatted without initial voters.
pub(super) fn format(rng: &mut Rng) -> Disk {
    let mut disk = Disk { meta_directory: rng.uuid(), directory: rng.uuid(), ..Disk::default() };
    disk.meta.snapshots.insert(SnapshotId::BOOTSTRAP, bootstrap(Vec::new()));
    disk
}

/// The voters that formatting wrote.
pub(super) fn first_voters(nodes: &Nodes) -> VoterSet {
    let mut sets = nodes.values().filter_map(|node| node.disk.meta.last_voters());
    sets.next().cloned().unwrap_or_default()
}

/// The snapshot that formatting writes.
fn bootstrap(control: Vec<ControlRecord>) -> Rc<SnapshotFile> {
    let bootstrap = levels();
    Rc::new(SnapshotFile { image: Image::default(), control, bootstrap })
}

/// The levels that Kafka 4.4 finalises on a new cluster.
fn levels() -> Vec<MetadataRecord<'static>> {
    let version = MetadataVersion::LATEST_PRODUCTION;
    let level = |name: &'static str, feature_level: i16| {
        FeatureLevelRecord { name: name.into(), feature_level, ..Default::default() }.into()
    };
    let mut records = vec![level(MetadataVersion::FEATURE_NAME, version.level())];
    let others = FEATURES.iter().filter(|feature| feature.name != "kraft.version");
    let levels = others.map(|feature| (feature.name, feature.default_level(version)));
    records.extend(levels.filter(|(_, at)| *at > 0).map(|(name, at)| level(name, at)));
    records
}

pub(super) fn draw(rng: &mut Rng, shape: Option<Shape>) -> Result<(Setup, Nodes), String> {
    let drawn = rng.pick(&SHAPES).copied().unwrap_or((0, 0, 3));
    let (controllers, brokers, combined) = shape.map_or(drawn, |shape| (3, shape.brokers, 0));
    let mut nodes = Nodes::new();
    let mut add = |rng: &mut Rng, id: i32, controller: bool, broker: bool| {
        let id = NodeId(id);
        let disk = format(rng);
        nodes.insert(id, Node::new(id, Roles { controller, broker }, disk));
    };
    for id in 1..=combined {
        add(rng, id, true, true);
    }
    for id in 1..=brokers {
        add(rng, combined + id, false, true);
    }
    for id in 1..=controllers {
        add(rng, 100 + id, true, false);
    }
    let voters: Vec<NodeId> =
        nodes.values().filter(|node| node.roles.controller).map(|node| node.id).collect();
    let drawn = rng.chance(50);
    let dynamic = shape.map_or(drawn, |shape| shape.dynamic);
    let directory = |id: &NodeId| nodes.get(id).map(|node| node.disk.meta_directory);
    let directory = |id: &NodeId| directory(id).filter(|_| dynamic);
    let set: VoterSet = voters.iter().map(|id| voter(*id, PORT, directory(id))).collect();
    let control = if dynamic {
        vec![ControlRecord::KRaftVersion(KRaftVersion(1)), ControlRecord::Voters(set.clone())]
    } else {
        Vec::new()
    };
    for node in nodes.values_mut().filter(|node| node.roles.controller) {
        node.disk.meta.snapshots.insert(SnapshotId::BOOTSTRAP, bootstrap(control.clone()));
    }
    let setup = Setup {
        config: Arc::new(configuration()?),
        static_voters: if dynamic { VoterSet::default() } else { set },
        bootstrap_servers: voters.clone(),
        voters,
        auto_join: dynamic && shape.is_none() && rng.chance(40),
    };
    Ok((setup, nodes))
}

fn configuration() -> Result<BrokerConfig, String> {
    let given = [
        ("broker.heartbeat.interval.ms", "500"),
        ("broker.session.timeout.ms", "3000"),
        ("min.insync.replicas", "2"),
        ("leader.imbalance.check.interval.seconds", "5"),
    ];
    let given: Vec<(String, String)> =
        given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    BrokerConfig::load(None, &given).map_err(|error| error.to_string())
}
