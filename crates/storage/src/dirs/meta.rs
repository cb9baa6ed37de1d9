//! `meta.properties`: whose directory this is. All directories of a node must agree.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use base::{DirectoryId, NodeId, WallMs};

use super::error::{DirError, Result};
use super::{properties, small_file};
use crate::disk::Disk;

pub const FILE_NAME: &str = "meta.properties";
const MAX_BYTES: usize = 64 << 10;
const WHAT: &str = "meta.properties file";

/// Layout of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetaVersion {
    /// From the days of ZooKeeper, with `broker.id`; every field may be missing.
    V0,
    /// With `node.id` and `cluster.id`.
    V1,
}

/// One directory's `meta.properties`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MetaProperties {
    pub version: MetaVersion,
    pub cluster_id: Option<String>,
    pub node_id: Option<NodeId>,
    /// Missing in directories that a Kafka before 3.7 formatted.
    pub directory_id: Option<DirectoryId>,
}

impl MetaProperties {
    /// As a format writes it.
    pub fn new(cluster_id: &str, node_id: NodeId, directory_id: DirectoryId) -> Self {
        Self {
            version: MetaVersion::V1,
            cluster_id: Some(cluster_id.into()),
            node_id: Some(node_id),
            directory_id: Some(directory_id),
        }
    }

    /// Reads the file in `dir`; `None` when the directory was never formatted.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE_NAME);
        let content = small_file::read(disk, &path, WHAT, MAX_BYTES)?;
        content
            .map(|content| {
                // Java reads the file as Latin-1.
                let text: String = content.into_iter().map(char::from).collect();
                Self::parse(&text).map_err(|reason| DirError::invalid(&path, WHAT, reason))
            })
            .transpose()
    }

    /// Writes the file into `dir`, durably.
    pub fn write(&self, disk: &dyn Disk, dir: &Path, now: WallMs) -> Result<()> {
        let text = properties::format(&self.to_properties(), now);
        small_file::write(disk, &dir.join(FILE_NAME), text.as_bytes())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let properties = properties::parse(text);
        let get = |key: &str| properties.get(key).map(String::as_str);
        let version = match get("version") {
            None | Some("0") => MetaVersion::V0,
            Some("1") => MetaVersion::V1,
            Some(other) => return Err(format!("version {other:?} is not known")),
        };
        let node_key = match version {
            MetaVersion::V0 => "broker.id",
            MetaVersion::V1 => "node.id",
        };
        let node_id = get(node_key)
            .map(|id| id.parse().map(NodeId).map_err(|_| format!("{node_key} {id:?} is no number")))
            .transpose()?;
        let directory_id = get("directory.id")
            .map(|id| id.parse().map_err(|fault| format!("directory.id: {fault}")))
            .transpose()?;
        let cluster_id = get("cluster.id").map(str::to_owned);
        if version == MetaVersion::V1 {
            cluster_id.as_ref().ok_or("cluster.id was not found")?;
            node_id.ok_or("node.id was not found")?;
        }
        Ok(Self { version, cluster_id, node_id, directory_id })
    }

    fn to_properties(&self) -> BTreeMap<String, String> {
        let (version, node_key) = match self.version {
            MetaVersion::V0 => ("0", "broker.id"),
            MetaVersion::V1 => ("1", "node.id"),
        };
        let fields = [
            ("version", Some(version.to_string())),
            ("cluster.id", self.cluster_id.clone()),
            (node_key, self.node_id.map(|id| id.to_string())),
            ("directory.id", self.directory_id.map(|id| id.to_string())),
        ];
        fields.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))).collect()
    }
}

/// What was found in one directory.
#[derive(Debug)]
pub enum DirMeta {
    /// Not formatted (or not there).
    Missing,
    /// The disk or the file is at fault.
    Unreadable(DirError),
    Present(MetaProperties),
}

/// The `meta.properties` of all directories of a node.
#[derive(Debug)]
pub struct MetaEnsemble {
    dirs: Vec<(PathBuf, DirMeta)>,
}

impl MetaEnsemble {
    /// Reads all of them; a fault of one directory does not stop the others.
    pub fn load<'a>(disk: &dyn Disk, dirs: impl IntoIterator<Item = &'a Path>) -> Self {
        let load = |dir: &'a Path| {
            let meta = match MetaProperties::read(disk, dir) {
                Ok(None) => DirMeta::Missing,
                Ok(Some(meta)) => DirMeta::Present(meta),
                Err(fault) => DirMeta::Unreadable(fault),
            };
            (dir.to_path_buf(), meta)
        };
        Self { dirs: dirs.into_iter().map(load).collect() }
    }

    pub fn dirs(&self) -> &[(PathBuf, DirMeta)] {
        &self.dirs
    }

    pub fn into_dirs(self) -> Vec<(PathBuf, DirMeta)> {
        self.dirs
    }

    pub fn present(&self) -> impl Iterator<Item = (&Path, &MetaProperties)> {
        self.dirs.iter().filter_map(|(dir, meta)| match meta {
            DirMeta::Present(meta) => Some((dir.as_path(), meta)),
            _ => None,
        })
    }

    /// Directories that have to be formatted before they serve.
    pub fn missing(&self) -> impl Iterator<Item = &Path> {
        self.dirs
            .iter()
            .filter_map(|(dir, meta)| matches!(meta, DirMeta::Missing).then_some(dir.as_path()))
    }

    pub fn cluster_id(&self) -> Option<&str> {
        self.present().find_map(|(_, meta)| meta.cluster_id.as_deref())
    }

    pub fn node_id(&self) -> Option<NodeId> {
        self.present().find_map(|(_, meta)| meta.node_id)
    }

    /// Checks that the directories belong to one node of one cluster, this one if it is told, and that their ids are
    /// their own. At least one must be formatted and readable; `metadata_dir` must not be unreadable.
    pub fn verify(
        &self,
        cluster_id: Option<&str>,
        node_id: Option<NodeId>,
        metadata_dir: Option<&Path>,
    ) -> Result<()> {
        let mut cluster_id = cluster_id.map(str::to_owned);
        let mut node_id = node_id;
        let mut seen: HashMap<DirectoryId, &Path> = HashMap::new();
        if self.present().next().is_none() {
            return Err(DirError::NoMetaProperties);
        }
        for (dir, meta) in self.present() {
            let path = dir.join(FILE_NAME);
            if let Some(found) = &meta.cluster_id {
                let expected = cluster_id.get_or_insert_with(|| found.clone());
                if found != expected {
                    let (expected, found) = (expected.clone(), found.clone());
                    return Err(DirError::WrongClusterId { path, expected, found });
                }
            }
            if let Some(NodeId(found)) = meta.node_id {
                let expected = node_id.get_or_insert(NodeId(found)).0;
                if found != expected {
                    return Err(DirError::WrongNodeId { path, expected, found });
                }
            }
            let Some(id) = meta.directory_id else { continue };
            if id.is_reserved() {
                return Err(DirError::ReservedDirectoryId { path, id });
            }
            if let Some(first) = seen.insert(id, dir) {
                let (first, second) = (first.to_path_buf(), dir.to_path_buf());
                return Err(DirError::DuplicateDirectoryId { id, first, second });
            }
        }
        let unreadable = self.dirs.iter().find_map(|(dir, meta)| match meta {
            DirMeta::Unreadable(fault) if Some(dir.as_path()) == metadata_dir => Some(fault),
            _ => None,
        });
        match unreadable {
            None => Ok(()),
            Some(fault) => Err(DirError::invalid(
                metadata_dir.unwrap_or(Path::new("")).join(FILE_NAME),
                WHAT,
                fault.to_string(),
            )),
        }
    }
}
