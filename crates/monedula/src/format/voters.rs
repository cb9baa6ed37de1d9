//! `--initial-controllers ID@HOST:PORT:DIRECTORY,...`.

use base::{DirectoryId, NodeId};

/// One of the controllers that a dynamic quorum begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitialVoter {
    pub id: NodeId,
    pub host: String,
    pub port: u16,
    pub directory: DirectoryId,
}

/// The voters by their ids; the messages are Kafka's.
pub fn parse(text: &str) -> Result<Vec<InitialVoter>, String> {
    let entries = text.trim().split(',').filter(|entry| !entry.is_empty());
    let mut voters: Vec<InitialVoter> = Vec::new();
    for entry in entries {
        let voter = parse_one(entry.trim())?;
        if voters.iter().any(|other| other.id == voter.id) {
            return Err(format!("Node id {} was specified more than once.", voter.id));
        }
        voters.push(voter);
    }
    if voters.is_empty() {
        return Err("No voters given.".to_owned());
    }
    voters.sort_by_key(|voter| voter.id);
    Ok(voters)
}

fn parse_one(text: &str) -> Result<InitialVoter, String> {
    let (id, rest) = text.split_once('@').ok_or("No @ found in dynamic voter string.")?;
    if id.is_empty() {
        return Err("Invalid @ at beginning of dynamic voter string.".into());
    }
    let id: i32 = id.parse().map_err(|_| "Failed to parse node id in dynamic voter string.")?;
    if id < 0 {
        return Err(format!("Invalid negative node id {id} in dynamic voter string."));
    }
    if rest.is_empty() {
        return Err("No hostname found after node id.".into());
    }
    let (host, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest
            .split_once(']')
            .ok_or("Hostname began with left bracket, but no right bracket was found.")?,
        None => {
            let colon = rest.find(':').ok_or("No colon following hostname could be found.")?;
            rest.split_at(colon)
        }
    };
    let rest = rest.strip_prefix(':').ok_or("Port section must start with a colon.")?;
    let (port, directory) =
        rest.split_once(':').ok_or("No colon following port could be found.")?;
    let port: i32 = port.parse().map_err(|_| "Failed to parse port in dynamic voter string.")?;
    let port =
        u16::try_from(port).map_err(|_| format!("Invalid port {port} in dynamic voter string."))?;
    let directory =
        directory.parse().map_err(|_| "Failed to parse directory ID in dynamic voter string.")?;
    Ok(InitialVoter { id: NodeId(id), host: host.to_owned(), port, directory })
}
