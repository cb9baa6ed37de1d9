"""Offsets, keys and values of the records in uncompressed batches."""

import struct


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), at


def batches(data):
    """The whole batches, one after the other."""
    at = 0
    while at + 61 <= len(data):
        (length,) = struct.unpack_from(">i", data, at + 8)
        end = at + 12 + length
        if length < 49 or end > len(data):
            return
        yield data[at:end]
        at = end


def contents(batch):
    """(offset, key, value) of the records of a batch."""
    (base,), (count,) = struct.unpack_from(">q", batch, 0), struct.unpack_from(">i", batch, 57)
    inside = 61
    for _ in range(count):
        size, inside = varint(batch, inside)
        next_record = inside + size
        _, p = varint(batch, inside + 1)
        delta, p = varint(batch, p)
        n, p = varint(batch, p)
        key = None if n < 0 else batch[p:p + n]
        n, p = varint(batch, p + max(n, 0))
        yield base + delta, key, None if n < 0 else batch[p:p + n]
        inside = next_record


def records(data):
    """(offset, key, value is there) of all records."""
    return [(offset, key, value is not None) for batch in batches(data) for offset, key, value in contents(batch)]
