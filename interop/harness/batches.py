"""Strings and small record batches as they stand in requests, for clients that measure. Knows no request; wrong ones: bad-input/wire.py."""

import struct
import time


def _table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def varint(value):
    value, out = value << 1, b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def batch(value):
    """A batch of one record without a key."""
    now = int(time.time() * 1000)
    record = bytes([0, 0, 0, 1]) + varint(len(value)) + value + b"\0"
    body = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + varint(len(record)) + record
    return struct.pack(">qiibI", 0, len(body) + 9, -1, 2, crc32c(body)) + body


def string(text):
    return struct.pack(">h", len(text)) + text.encode()
