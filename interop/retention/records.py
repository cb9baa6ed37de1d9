"""Offsets and keys of the records in uncompressed batches."""

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


def records(data):
    """(offset, key, value is there) of all records in whole, uncompressed batches."""
    at, found = 0, []
    while at + 61 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        (count,) = struct.unpack_from(">i", data, at + 57)
        inside = at + 61
        for _ in range(count):
            size, inside = varint(data, inside)
            next_record = inside + size
            _, p = varint(data, inside + 1)
            delta, p = varint(data, p)
            n, p = varint(data, p)
            key = None if n < 0 else data[p:p + n]
            n, p = varint(data, p + max(n, 0))
            found.append((base + delta, key, n >= 0))
            inside = next_record
        at = end
    return found
