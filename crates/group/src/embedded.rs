//! The consumer protocol inside of the classic one: what members of consumers say in their bytes, and are told in such.

use protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::{Decode, Encode, Reader, Writer};

/// Of both messages. Newer ones begin as this does.
const VERSION_MAX: i16 = 3;

/// The version that a message begins with, as far as it is known here.
pub(crate) fn version(blob: &[u8]) -> Option<i16> {
    let version = Reader::new(blob).i16().ok()?;
    (version >= 0).then_some(version.min(VERSION_MAX))
}

/// `None` when it cannot be read.
pub(crate) fn subscription(blob: &[u8]) -> Option<ConsumerProtocolSubscription<'_>> {
    read(blob)
}

/// `None` when it cannot be read.
pub(crate) fn assignment(blob: &[u8]) -> Option<ConsumerProtocolAssignment<'_>> {
    read(blob)
}

fn read<'a, T: Decode<'a>>(blob: &'a [u8]) -> Option<T> {
    let mut reader = Reader::new(blob);
    reader.i16().ok()?;
    T::decode(&mut reader, version(blob)?).ok()
}

/// `None` when it does not fit the format.
pub(crate) fn write_assignment(
    assignment: &ConsumerProtocolAssignment<'_>,
    version: i16,
) -> Option<Vec<u8>> {
    let mut writer = Writer::with_capacity(2 + assignment.encoded_len(version).ok()?);
    writer.raw(&version.to_be_bytes());
    assignment.encode(&mut writer, version).ok()?;
    writer.into_vec().ok()
}
