//! A classic group as the log holds it: key type 2.

use std::sync::Arc;

use protocol::coordinator_records::group_metadata_key::GroupMetadataKey;
use protocol::coordinator_records::group_metadata_value::{GroupMetadataValue, MemberMetadata};
use protocol::coordinator_records::{decode_key, decode_value, encode_key, encode_value};
use protocol::{DecodeError, Encode, EncodeError};

use crate::classic::{Classic, Member, Protocol};

/// Groups are written so.
const VERSION: i16 = 3;

pub(super) fn encode_group_key(group: &str) -> Result<Vec<u8>, EncodeError> {
    encode_key(&GroupMetadataKey { group: group.into() })
}

pub(super) fn decode_group_key(key: &[u8]) -> Result<Arc<str>, DecodeError> {
    Ok(decode_key::<GroupMetadataKey<'_>>(key)?.group.into())
}

pub(super) fn encode(group: &Classic) -> Result<Vec<u8>, EncodeError> {
    encode_value(&value(group), VERSION)
}

pub(super) fn encoded_len(group: &Classic) -> Result<usize, EncodeError> {
    value(group).encoded_len(VERSION)
}

fn value(group: &Classic) -> GroupMetadataValue<'_> {
    let mut value = GroupMetadataValue {
        protocol: None,
        leader: None,
        generation: group.generation,
        current_state_timestamp: group.since_ms.unwrap_or(-1),
        ..Default::default()
    };
    // Before its first generation nothing is known of a group.
    if group.generation != 0 {
        let protocol = group.protocol().unwrap_or_default();
        value.protocol_type = group.protocol_type().unwrap_or_default().into();
        value.protocol = group.protocol().map(Into::into);
        value.leader = group.leader().map(Into::into);
        value.members = group.members().map(|member| encode_member(member, protocol)).collect();
    }
    value
}

fn encode_member<'a>(member: &'a Member, protocol: &str) -> MemberMetadata<'a> {
    MemberMetadata {
        member_id: (&*member.id).into(),
        group_instance_id: member.instance_id.as_deref().map(Into::into),
        client_id: (&*member.client_id).into(),
        client_host: (&*member.client_host).into(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.metadata(protocol).into(),
        assignment: (&*member.assignment).into(),
        ..Default::default()
    }
}

pub(super) fn decode(value: &[u8]) -> Result<Classic, DecodeError> {
    let value: GroupMetadataValue<'_> = decode_value(value)?;
    let protocol: Option<Arc<str>> = value.protocol.map(Into::into);
    let protocol_type = (!value.protocol_type.is_empty()).then(|| value.protocol_type.into());
    let members = value.members.into_iter();
    let members = members.map(|member| decode_member(member, protocol.as_ref()));
    let mut group = Classic::default();
    group.generation = value.generation;
    group.leader = value.leader.map(Into::into);
    group.protocol = protocol.clone();
    group.since_ms = (value.current_state_timestamp != -1).then_some(value.current_state_timestamp);
    Ok(group.restore(protocol_type, members))
}

fn decode_member(member: MemberMetadata<'_>, protocol: Option<&Arc<str>>) -> Member {
    let said = |name: &Arc<str>| Protocol {
        name: Arc::clone(name),
        metadata: Arc::from(&*member.subscription),
    };
    let unset = member.rebalance_timeout == -1;
    Member {
        id: member.member_id.into(),
        instance_id: member.group_instance_id.map(Into::into),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        rebalance_timeout_ms: if unset { member.session_timeout } else { member.rebalance_timeout },
        session_timeout_ms: member.session_timeout,
        protocols: protocol.map(said).into_iter().collect(),
        assignment: Arc::from(&*member.assignment),
        is_new: false,
        join: None,
        sync: None,
    }
}
