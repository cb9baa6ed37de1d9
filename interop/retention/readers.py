"""Consumers whose place was deleted, or never was: where each `auto.offset.reset` takes them, with the Java client and librdkafka.

    ../run --only retention-readers

The log begins within a segment, at 5 of 9: older records went by their age, one more by DeleteRecords. Run by ../run, with AGAINST and
MONEDULA_BIN; starts its own server.
"""

import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import confluent_kafka as ck
from log import AGAINST, DAY, HOUR, KEEP, TOPIC_RESOURCE, Log
from harness import step
from harness.check import Checks, eventually, same
from harness.paths import BROKER_JARS, LOG4J, WORK

TOPIC, START, END = "readers", 5, 9
# Of the records that are left two are older than six hours.
TIMES = [-8 * DAY] * 4 + [-20 * HOUR] * 3 + [0] * 2
# Deleted with its segment, deleted from a segment that is there, beyond the end.
PLACES = [0, 4, 10]
OUT = {"none": "OffsetOutOfRangeException", "earliest": "record 5", "latest": "end 9", "by_duration:PT6H": "record 7",
       "by_duration:PT100H": "record 5"}
# librdkafka's names; it is told of no exception but of an error.
LIBRDKAFKA = {"earliest": 5, "latest": 9, "error": "_AUTO_OFFSET_RESET"}
JAVA = ["java", "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{WORK / 'java' / 'clients'}:{BROKER_JARS}/*", "Resets"]
LIMIT_S = 120


def made(log):
    log.create(TOPIC, **KEEP)
    log.append(TOPIC, *TIMES)
    log.alter(TOPIC_RESOURCE, TOPIC, retention_ms=str(7 * DAY))
    eventually(15, lambda: same([4, 6, 8], log.segments(TOPIC)))
    same((0, START), log.delete_records(TOPIC, START))
    same({"segments": [4, 6, 8], "start": START, "end": END}, log.state(TOPIC))


def java(log, checks):
    """Each line says place, how it was taken, policy, and what came."""
    _, text, _ = step.run(f"retention-readers-{AGAINST}-java", [*JAVA, log.server.bootstrap, TOPIC, *map(str, PLACES)], LIMIT_S)
    got = dict(line.rsplit(" -> ", 1) for line in text.splitlines() if " -> " in line)
    want = {f"{place} {way} {policy}": result for place in PLACES for way in ("seek", "commit") for policy, result in OUT.items()}
    want |= {f"- nothing {policy}": "NoOffsetForPartitionException" if policy == "none" else result for policy, result in OUT.items()}
    for question, answer in want.items():
        checks.check(f"java {question}", same, answer, got.get(question))


def goes_on(consumer):
    """Where: an offset, or the name of the error."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is None:
            continue
        if message.error() is None:
            return message.offset()
        if message.error().code() == ck.KafkaError._PARTITION_EOF:
            return message.offset()
        return message.error().name()
    return "nothing"


def librdkafka(log, place, policy):
    consumer = ck.Consumer({"bootstrap.servers": log.server.bootstrap, "group.id": "unused", "enable.auto.commit": False, "log_level": 2,
                            "auto.offset.reset": policy, "enable.partition.eof": True, "fetch.wait.max.ms": 100})
    try:
        consumer.assign([ck.TopicPartition(TOPIC, 0, place)])
        same(LIBRDKAFKA[policy], goes_on(consumer))
    finally:
        consumer.close()


def running(log):
    """A consumer whose place is deleted while it reads goes on where the log starts then."""
    log.create("running", **KEEP)
    log.append("running", *[0] * 8)
    consumer = ck.Consumer({"bootstrap.servers": log.server.bootstrap, "group.id": "unused", "enable.auto.commit": False, "log_level": 2,
                            "auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "queued.min.messages": 1, "fetch.message.max.bytes": 500})
    try:
        partition = ck.TopicPartition("running", 0, 0)
        consumer.assign([partition])
        same(0, goes_on(consumer))
        consumer.pause([partition])
        same((0, 7), log.delete_records("running", 7))
        consumer.resume([partition])
        same(7, goes_on(consumer))
    finally:
        consumer.close()


def main():
    log, checks = Log("retention-readers", {"log.retention.check.interval.ms": "300"}), Checks()
    try:
        log.start()
        if checks.check("made", made, log):
            checks.check("java", java, log, checks)
            for place in PLACES:
                for policy in LIBRDKAFKA:
                    checks.check(f"librdkafka {place} {policy}", librdkafka, log, place, policy)
        checks.check("running", running, log)
        checks.check("stop", log.server.stop)
    finally:
        log.server.kill()
    sys.exit(1 if checks.failed else 0)


main()
