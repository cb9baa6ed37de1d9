"""Kafka's messages by the text of the project's schemas (crates/protocol/schemas): bytes to dictionaries and back.

Slow and general: for watching and editing what clients and a server tell each other, not for talking fast.
"""

import pathlib
import struct
import uuid

SCHEMAS = pathlib.Path(__file__).resolve().parents[2] / "crates" / "protocol" / "schemas"
FILES = ("cluster.txt", "groups.txt", "produce_fetch.txt", "topics_admin.txt", "transactions.txt", "headers_and_data.txt")
INTS = {"int8": ">b", "int16": ">h", "int32": ">i", "int64": ">q", "uint16": ">H", "uint32": ">I", "float64": ">d"}
FOREVER = 1 << 15


def versions(text):
    if text == "removed":
        return 1, 0
    if text.endswith("+"):
        return int(text[:-1]), FOREVER
    low, _, high = text.partition("-")
    return int(low), int(high or low)


class Field:
    def __init__(self, words):
        self.name, self.type = words[0], words[1]
        self.versions, self.nullable, self.tag, self.compact, self.fields = (0, FOREVER), None, None, True, None
        for word in words[2:]:
            if word == "?":
                self.nullable = (0, FOREVER)
            elif word[0] == "?":
                self.nullable = versions(word[1:])
            elif word[0] == "#":
                self.tag = int(word[1:])
            elif word == "inflexible":
                self.compact = False
            elif word[0].isdigit():
                self.versions = versions(word)

    def at(self, version):
        return self.versions[0] <= version <= self.versions[1]

    def may_be_null(self, version):
        return self.nullable is not None and self.nullable[0] <= version <= self.nullable[1]


class Message:
    def __init__(self, head):
        words = head.split()
        self.kind, self.name = words[0], words[1]
        rest = words[2:]
        self.key = int(rest.pop(0)) if len(rest) > 1 and rest[0].isdigit() and not rest[1].startswith("flexible") else None
        self.versions = versions(rest[0])
        flexible = [word[9:] for word in rest if word.startswith("flexible=")]
        self.flexible = versions(flexible[0]) if flexible else (FOREVER, FOREVER)
        self.fields = []

    def is_flexible(self, version):
        return self.flexible[0] <= version <= self.flexible[1]

    def decode(self, data, version, at=0):
        """The message that begins at `at`, and where it ends."""
        return Reader(data, at, version, self.is_flexible(version)).structure(self.fields)

    def encode(self, value, version):
        out = bytearray()
        write_structure(out, self.fields, value, version, self.is_flexible(version))
        return bytes(out)


def parse(text):
    """The messages of one schema file, by name."""
    found, lines = {}, [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    at = 0
    while at < len(lines):
        message, end = Message(lines[at]), at + 1
        while end < len(lines) and lines[end].startswith("  "):
            end += 1
        structs = {}
        message.fields = parse_fields(lines[at + 1:end], 2, structs)
        resolve(message.fields, structs)
        found[message.name] = message
        at = end
    return found


def parse_fields(lines, indent, structs):
    fields, at = [], 0
    while at < len(lines):
        words, end = lines[at].split(), at + 1
        while end < len(lines) and len(lines[end]) - len(lines[end].lstrip()) > indent:
            end += 1
        below = parse_fields(lines[at + 1:end], indent + 2, structs) if end > at + 1 else None
        if words[0] == "struct":
            structs[words[1]] = below
        else:
            fields.append(Field(words))
            fields[-1].fields = below
            if below is not None:
                structs.setdefault(words[1].removeprefix("[]"), below)
        at = end
    return fields


def resolve(fields, structs):
    for field in fields:
        base = field.type.removeprefix("[]")
        if field.fields is None and base[0].isupper():
            field.fields = structs[base]
        if field.fields and not getattr(field, "resolved", False):
            field.resolved = True
            resolve(field.fields, structs)


class Reader:
    def __init__(self, data, at, version, flexible):
        self.data, self.at, self.version, self.flexible = data, at, version, flexible

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f"{n} bytes wanted at {self.at} of {len(self.data)}")
        self.at += n
        return self.data[self.at - n:self.at]

    def number(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def length(self, form, compact):
        return self.varint() - 1 if compact else self.number(form)

    def structure(self, fields):
        value = {f.name: self.value(f, f.type) for f in fields if f.at(self.version) and f.tag is None}
        if self.flexible:
            tags = {f.tag: f for f in fields if f.tag is not None and f.at(self.version)}
            for _ in range(self.varint()):
                tag, end = self.varint(), self.varint() + self.at
                if tag in tags:
                    value[tags[tag].name] = self.value(tags[tag], tags[tag].type)
                self.at = end
        return value, self.at

    def value(self, field, kind):
        if kind in INTS:
            return self.number(INTS[kind])
        if kind == "bool":
            return self.take(1) != b"\0"
        if kind == "uuid":
            return str(uuid.UUID(bytes=bytes(self.take(16))))
        compact = self.flexible and field.compact
        if kind.startswith("[]"):
            n = self.length(">i", compact)
            return None if n < 0 else [self.value(field, kind[2:]) for _ in range(n)]
        if kind in ("string", "bytes", "records"):
            n = self.length(">h" if kind == "string" else ">i", compact)
            raw = None if n < 0 else bytes(self.take(n))
            return raw.decode() if kind == "string" and raw is not None else raw
        # A structure; one that may be null has a byte before it.
        if not field.type.startswith("[]") and field.may_be_null(self.version) and self.number(">b") < 0:
            return None
        return self.structure(field.fields)[0]


def put_varint(out, value):
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def put_length(out, n, form, compact):
    if compact:
        put_varint(out, n + 1)
    else:
        out += struct.pack(form, n)


def write_structure(out, fields, value, version, flexible):
    for field in fields:
        if field.at(version) and field.tag is None:
            write(out, field, field.type, value[field.name], version, flexible)
    if flexible:
        # Nothing that is edited here has tagged fields.
        put_varint(out, 0)


def write(out, field, kind, value, version, flexible):
    compact = flexible and field.compact
    if kind in INTS:
        out += struct.pack(INTS[kind], value)
    elif kind == "bool":
        out.append(bool(value))
    elif kind == "uuid":
        out += uuid.UUID(value).bytes
    elif kind.startswith("[]"):
        put_length(out, -1 if value is None else len(value), ">i", compact)
        for each in value or ():
            write(out, field, kind[2:], each, version, flexible)
    elif kind in ("string", "bytes", "records"):
        raw = value.encode() if isinstance(value, str) else value
        put_length(out, -1 if raw is None else len(raw), ">h" if kind == "string" else ">i", compact)
        out += raw or b""
    else:
        if not field.type.startswith("[]") and field.may_be_null(version):
            out += struct.pack(">b", -1 if value is None else 1)
            if value is None:
                return
        write_structure(out, field.fields, value, version, flexible)


MESSAGES = {}
for _file in FILES:
    MESSAGES |= parse((SCHEMAS / _file).read_text())
REQUESTS = {m.key: m for m in MESSAGES.values() if m.kind == "request"}
RESPONSES = {m.key: m for m in MESSAGES.values() if m.kind == "response"}


def embedded(name, data):
    """A message of the consumer protocol inside a classic group's bytes: its version first. None when it cannot be read."""
    if not data or len(data) < 2:
        return None
    version = min(struct.unpack_from(">h", data)[0], MESSAGES[name].versions[1])
    try:
        return MESSAGES[name].decode(data, version, 2)[0]
    except (ValueError, IndexError, UnicodeDecodeError, struct.error):
        return None


def request_header(data):
    """(API key, version, correlation id, client id, where the body begins) of a request frame; a tagged section is skipped."""
    key, version, correlation = struct.unpack_from(">hhi", data)
    n = struct.unpack_from(">h", data, 8)[0]
    client = data[10:10 + n].decode(errors="replace") if n >= 0 else ""
    at = 10 + max(n, 0)
    if key in REQUESTS and REQUESTS[key].is_flexible(version):
        at = skip_tags(data, at, version)
    return key, version, correlation, client, at


def skip_tags(data, at, version=0):
    reader = Reader(data, at, version, True)
    return reader.structure([])[1]
