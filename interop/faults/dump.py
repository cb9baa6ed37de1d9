"""What a replica has on disk: the batches of a partition's log, read without any broker."""

import dataclasses
import functools
import pathlib
import struct

import cramjam
import crc32c

HEAD = struct.Struct(">qiibIhiqqqhii")
HEAD_BYTES, BEFORE_LENGTH = HEAD.size, 12
CRC_FROM = 21
XERIAL = b"\x82SNAPPY\0"
XERIAL_HEAD_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Batch:
    base: int
    last: int
    epoch: int
    bytes: bytes
    whole: bool
    # Producer id, its epoch, first and last sequence number; an id of -1 is none.
    producer: tuple
    codec: str = "none"


def batches(directories, topic, partition):
    """All batches of a replica, in order; None when it is in none of the log directories. What a torn write left is not looked at."""
    folders = [pathlib.Path(directory) / f"{topic}-{partition}" for directory in directories]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        return None
    return [batch for path in sorted(folder.glob("*.log")) for batch in in_file(path.read_bytes())]


def in_file(data):
    at = 0
    while at + HEAD_BYTES <= len(data):
        base, length, epoch, magic, crc, attributes, last_delta, _, _, producer_id, producer_epoch, sequence, _ = HEAD.unpack_from(data, at)
        end = at + BEFORE_LENGTH + length
        if magic != 2 or length < HEAD_BYTES - BEFORE_LENGTH or end > len(data):
            return
        producer = (producer_id, producer_epoch, sequence, sequence + last_delta)
        whole = crc32c.crc32c(data[at + CRC_FROM:end]) == crc
        yield Batch(base, base + last_delta, epoch, data[at:end], whole, producer, CODECS.get(attributes & 7, "unknown"))
        at = end


def unsnap(data):
    """Snappy as librdkafka writes it, or in the blocks of snappy-java."""
    if not data.startswith(XERIAL):
        return bytes(cramjam.snappy.decompress_raw(data))
    found, at = b"", XERIAL_HEAD_BYTES
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        found += bytes(cramjam.snappy.decompress_raw(data[at + 4:at + 4 + size]))
        at += 4 + size
    return found


CODECS = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
UNPACK = {"none": bytes, "gzip": lambda data: bytes(cramjam.gzip.decompress(data)), "snappy": unsnap,
          "lz4": lambda data: bytes(cramjam.lz4.decompress(data)), "zstd": lambda data: bytes(cramjam.zstd.decompress(data))}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at
        shift += 7


@functools.lru_cache(1 << 20)
def values(data):
    """(offset, value) of each record of a batch; a value is what stands before its padding."""
    base, _, _, _, _, attributes, _, _, _, _, _, _, count = HEAD.unpack_from(data)
    if attributes & 0x20:
        return ()
    data = UNPACK[CODECS[attributes & 7]](data[HEAD_BYTES:])
    found, at = [], 0
    for _ in range(count):
        size, at = varint(data, at)
        end = at + size
        _, at = varint(data, at + 1)
        delta, at = varint(data, at)
        key, at = varint(data, at)
        size, at = varint(data, at + max(0, key))
        found.append((base + delta, data[at:at + max(0, size)].decode().rsplit(":", 1)[0]))
        at = end
    return tuple(found)
