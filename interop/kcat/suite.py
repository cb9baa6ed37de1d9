"""kcat (librdkafka) writes and reads back, with each codec it has, and looks up metadata and offsets."""

import json
import os
import subprocess
import sys

BOOTSTRAP = os.environ["BOOTSTRAP"]
LIMIT_S = 90
failed = 0


def kcat(*args, stdin=b"", exit_code=0):
    """Runs kcat, returns its output; the wrong exit code is an error that shows what it said."""
    got = subprocess.run(["kcat", "-b", BOOTSTRAP, *args], input=stdin, capture_output=True, timeout=LIMIT_S)
    if got.returncode != exit_code:
        raise AssertionError(f"kcat {' '.join(args)}: exit code {got.returncode}: {got.stderr.decode(errors='replace')}")
    return got.stdout if exit_code == 0 else got.stderr


def check(name, call):
    global failed
    try:
        detail = call()
        print(f"ok {name}" + (f" {detail}" if detail else ""), flush=True)
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:500]}", flush=True)


def consume(topic, *args):
    lines = kcat("-C", "-t", topic, "-e", "-q", "-J", *args).splitlines()
    return [json.loads(line) for line in lines]


def same(want, got):
    assert want == got, f"expected {str(want)[:200]}, got {str(got)[:200]}"


def codec(name):
    topic = f"kcat-{name}"
    rows = [(f"key-{i}", f"value-{i}-" + chr(97 + i % 26) * (i * 37 % 700)) for i in range(500)]
    text = "".join(f"{k}|{v}\n" for k, v in rows).encode()
    kcat("-P", "-t", topic, "-p", "0", "-K", "|", "-H", "h=1", "-H", "e=", "-z", name, "-X", "linger.ms=20", stdin=text)
    got = consume(topic, "-p", "0", "-o", "beginning")
    same([(i, k, v, ["h", "1", "e", ""]) for i, (k, v) in enumerate(rows)],
         [(m["offset"], m["key"], m["payload"], m["headers"]) for m in got])
    return f"records={len(got)}"


def nulls():
    kcat("-P", "-t", "kcat-nulls", "-p", "0", "-K", "|", "-Z", stdin=b"k|\n|v\n|\n")
    got = consume("kcat-nulls", "-p", "0", "-o", "beginning")
    same([("k", None), (None, "v"), (None, None)], [(m["key"], m["payload"]) for m in got])


def large():
    value = b"x" * 900 * 1024
    kcat("-P", "-t", "kcat-large", "-p", "0", "-X", "message.max.bytes=2000000", stdin=value)
    same([len(value)], [len(m["payload"]) for m in consume("kcat-large", "-p", "0", "-o", "beginning")])


def acks(value):
    topic = f"kcat-acks{value}"
    kcat("-P", "-t", topic, "-X", f"request.required.acks={value}", stdin=b"a\nb\nc\n")
    got = consume(topic, "-o", "beginning")
    same(["a", "b", "c"], [m["payload"] for m in got])


def idempotent():
    kcat("-P", "-t", "kcat-idempotent", "-p", "0", "-X", "enable.idempotence=true", stdin=b"".join(b"%d\n" % i for i in range(1000)))
    same([str(i) for i in range(1000)], [m["payload"] for m in consume("kcat-idempotent", "-o", "beginning")])


def positions():
    payloads = lambda *args: [m["payload"] for m in consume("kcat-idempotent", "-p", "0", *args)]
    same([str(i) for i in range(990, 1000)], payloads("-o", "-10"))
    same(["500", "501", "502"], payloads("-o", "500", "-c", "3"))
    same([], payloads("-o", "end"))
    first = consume("kcat-none", "-p", "0", "-o", "beginning", "-c", "1")[0]["ts"]
    same(0, consume("kcat-none", "-p", "0", "-o", f"s@{first}", "-c", "1")[0]["offset"])
    same([], consume("kcat-none", "-p", "0", "-o", f"s@{first + 10_000_000}"))


def query():
    got = [kcat("-Q", "-t", f"kcat-idempotent:0:{spec}").decode().strip() for spec in (-1, -2, 1)]
    same(["kcat-idempotent [0] offset 1000", "kcat-idempotent [0] offset 0", "kcat-idempotent [0] offset 0"], got)


def metadata():
    got = json.loads(kcat("-L", "-J", "-t", "kcat-none"))
    same([{"id": 1, "name": BOOTSTRAP}], got["brokers"])
    same([{"partition": 0, "leader": 1, "replicas": [{"id": 1}], "isrs": [{"id": 1}]}], got["topics"][0]["partitions"])
    names = {topic["topic"] for topic in json.loads(kcat("-L", "-J"))["topics"]}
    assert {"kcat-none", "kcat-large"} <= names, names


def unknown():
    error = kcat("-C", "-t", "kcat-none", "-p", "77", "-e", exit_code=1).decode()
    assert "does not exist" in error or "nknown partition" in error, error
    error = kcat("-C", "-t", "kcat-none", "-p", "0", "-o", "99999", "-e", "-X", "auto.offset.reset=error", exit_code=1).decode()
    assert "ut of range" in error, error


for each in ("none", "gzip", "snappy", "lz4", "zstd"):
    check(f"codec-{each}", lambda: codec(each))
check("nulls", nulls)
check("large-record", large)
for each in (0, 1, -1):
    check(f"acks-{'all' if each < 0 else each}", lambda: acks(each))
check("idempotent", idempotent)
check("positions", positions)
check("query-offsets", query)
check("metadata", metadata)
check("err-unknown-partition-and-offset", unknown)
sys.exit(1 if failed else 0)
