"""The checker finds what is planted, and nothing in a history without a fault."""

import copy
import pathlib
import random
import struct
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import checker
import plan


class Batch:
    """As dump.Batch, with one record whose value is its bytes."""

    def __init__(self, base, value, epoch=1, whole=True, producer=(-1, -1, -1, -1)):
        self.producer = producer
        self.base = self.last = base
        self.epoch, self.bytes, self.whole = epoch, value.encode() + b"@%d" % epoch, whole


def history():
    """Two writers, one partition, six records; acknowledged in the order of their offsets, read and committed by a group."""
    names = ["ai", "bp"] * 3
    acks = [{"w": w, "p": 0, "n": o // 2, "o": o, "s": 10 * o, "t": 10 * o + 15} for o, w in enumerate(names)]
    values = {a["o"]: checker.value_of(a) for a in acks}
    reads = [{"r": "r0", "g": "g", "p": 0, "recs": [[o, values[o]] for o in range(n, n + 3)]} for n in (0, 3)]
    commits = [{"g": "g", "s": 100, "t": 110, "offs": {"0": 3}}, {"g": "g", "s": 200, "t": 210, "offs": {"0": 6}}]
    observed = [{"g": "g", "s": 111, "t": 115, "offs": {0: 3}}, {"g": "g", "s": 205, "t": 209, "offs": {0: 3}},
                {"g": "g", "s": 300, "t": 301, "offs": {0: 6}}]
    held = {node: {0: dict(values)} for node in ("1", "2", "3")}
    logs = {node: {0: [Batch(o, values[o], 1 + o // 3) for o in values]} for node in (1, 2, 3)}
    return acks, reads, commits, observed, held, logs


def everything(acks, reads, commits, observed, held, logs):
    values = held["1"]
    return [name for name, found in {
        "acked": checker.acked_kept(acks, held), "read": checker.read_kept(reads, held), "one": checker.one_value(acks, reads, held),
        "sequences": checker.sequences(logs), "equal": checker.replicas_equal(logs), "order": checker.in_order(values), "time": checker.real_time(acks),
        "commits": checker.commits_kept(commits, observed), "delivered": checker.delivered(reads, values, ["g"])}.items() if found]


class Planted(unittest.TestCase):
    def setUp(self):
        self.history = history()
        self.acks, self.reads, self.commits, self.observed, self.held, self.logs = self.history

    def found(self):
        return everything(*self.history)

    def test_nothing_is_found_in_peace(self):
        self.assertEqual(self.found(), [])

    def test_an_acknowledged_record_is_gone_from_one_replica(self):
        del self.held["2"][0][5]
        self.reads.clear()
        self.assertEqual(checker.acked_kept(self.acks, self.held), ["node 2 has None at 0@5, acknowledged was bp:0:2"])

    def test_an_acknowledged_record_is_gone_that_nobody_was_told_the_place_of(self):
        self.acks.append({"w": "ai", "p": 0, "n": 9, "o": -1, "s": 1, "t": 2})
        self.assertEqual(len(checker.acked_kept(self.acks, self.held)), 3)
        for values in self.held.values():
            values[0][6] = "ai:0:9"
        self.assertEqual(checker.acked_kept(self.acks, self.held), [])

    def test_two_values_of_one_offset(self):
        for plant in (lambda: self.acks.append({**self.acks[2], "n": 7}),
                      lambda: self.reads[1]["recs"].append([1, "ai:0:8"]),
                      lambda: self.held["3"][0].update({4: "ai:0:8"})):
            saved = copy.deepcopy(self.history)
            plant()
            self.assertIn("one", self.found())
            self.history = saved
            self.acks, self.reads, self.commits, self.observed, self.held, self.logs = saved

    def test_a_record_that_was_read_is_gone(self):
        self.acks.pop()
        for values in self.held.values():
            del values[0][5]
        self.assertEqual(self.found(), ["read"])

    def test_replicas_differ(self):
        for plant in (lambda log: log.pop(), lambda log: log.append(Batch(6, "x", 2)), lambda log: log.__setitem__(3, Batch(3, "bp:0:1", 1)),
                      lambda log: log.__setitem__(2, Batch(2, "other")), lambda log: log.pop(2)):
            logs = copy.deepcopy(self.logs)
            plant(logs[2][0])
            self.assertTrue(checker.replicas_equal(logs))

    def test_a_replica_that_begins_later_is_equal(self):
        del self.logs[2][0][:2]
        self.assertEqual(checker.replicas_equal(self.logs), [])

    def test_all_replicas_are_wrong_in_the_same_way(self):
        for plant in (lambda log: log.__setitem__(4, Batch(4, "x", 1)), lambda log: log.__setitem__(1, Batch(1, "x", 1, False)),
                      lambda log: log.pop(3)):
            logs = copy.deepcopy(self.logs)
            for partitions in logs.values():
                plant(partitions[0])
            self.assertTrue(checker.replicas_equal(logs))

    def test_order(self):
        values = self.held["1"][0]
        values[2], values[4] = values[4], values[2]
        self.assertIn("ai:0:1 at 4 comes after number 2", checker.in_order({0: values}))

    def test_sequences(self):
        def found(*producers):
            return checker.sequences({1: {0: [Batch(o, "x", 1, True, each) for o, each in enumerate(producers)]}})
        self.assertEqual(found((7, 0, 5, 5), (8, 0, 0, 3), (7, 0, 6, 9), (7, 1, 0, 0), (7, 1, 1, 1)), [])
        for wrong in ([(7, 0, 5, 5), (7, 0, 5, 5)], [(7, 0, 5, 5), (7, 0, 7, 7)], [(7, 1, 5, 5), (7, 0, 0, 0)], [(7, 0, 5, 5), (7, 1, 6, 6)],
                      [(7, 0, 5, 9), (8, 0, 0, 0), (7, 0, 8, 9)]):
            self.assertEqual(len(found(*wrong)), 1, wrong)

    def test_a_repeated_record(self):
        values = self.held["1"][0]
        self.assertEqual(checker.in_order({0: {**values, 6: "bp:0:1", 7: "bp:0:2"}}), [])
        self.assertEqual(checker.in_order({0: {0: "bp:0:1", 1: "bp:0:0"}}), [])
        self.assertEqual(checker.in_order({1: {0: "bp:0:0"}}), ["bp:0:0 is in partition 1"])

    def test_an_offset_is_given_again(self):
        self.acks.append({"w": "ai", "p": 0, "n": 3, "o": 4, "s": 500, "t": 510})
        self.assertEqual(checker.real_time(self.acks), ["ai:0:3 was sent after 0@5 was acknowledged and is at 4"])

    def test_commits_go_back(self):
        self.observed.append({"g": "g", "s": 400, "t": 401, "offs": {0: 3}})
        self.assertEqual(checker.commits_kept(self.commits, self.observed), ["g 0: an answer of 3 after 6, 99 ms later"])
        self.observed.pop()
        self.commits.append({"g": "g", "s": 400, "t": 401, "offs": {"0": 5}})
        self.assertEqual(self.found(), ["commits"])
        # Of another group, or begun before: nothing is wrong.
        self.commits[-1]["g"] = "h"
        self.assertEqual(self.found(), [])
        self.commits[-1] = {"g": "g", "s": 205, "t": 401, "offs": {"0": 5}}
        self.assertEqual(self.found(), [])

    def test_two_leaders(self):
        seen = [{"node": n, "what": "quorum", "epoch": e, "leader": leader} for n, e, leader in ((1, 4, 1), (2, 4, 1), (3, 5, 2), (1, 5, 2))]
        self.assertEqual(checker.one_leader(seen), [])
        seen += [{**seen[0], "what": "partition 0", "leader": 3}]
        self.assertEqual(checker.one_leader(seen), [])
        seen += [{"node": 3, "what": "quorum", "epoch": 4, "leader": 3}] * 2
        self.assertEqual(checker.one_leader(seen), ["quorum, epoch 4: node 1 says 1, node 3 says 3"])

    def test_a_record_is_not_delivered(self):
        self.reads[0]["recs"].pop(1)
        self.assertEqual(self.found(), ["delivered"])
        self.assertTrue(checker.delivered(self.reads, self.held["1"], ["g", "nobody"]))

    def test_stalls(self):
        times = [0, 10, 20, 500, 510]
        self.assertEqual(checker.stall_ms(times, 15, 505), 480)
        self.assertEqual(checker.stall_ms(times, 15, 100), 480)
        self.assertEqual(checker.stall_ms(times, 100, 200), 480)
        self.assertEqual(checker.stall_ms(times, 0, 15), 10)
        self.assertEqual(checker.stall_ms(times, 505, 900), 390)
        self.assertEqual(checker.stall_ms([], 5, 10), 5)
        acks = [{"p": 0, "t": t} for t in range(0, 1000, 10)] + [{"p": 1, "t": t} for t in (0, 10, 700, 990)]
        self.assertEqual(checker.stalls(acks, 2, 5, 900), 690)
        self.assertEqual(checker.stalls(acks, 3, 0, 900), 900)

    def test_a_failed_write_is_the_clients_affair_when_it_is_there_and_others_followed(self):
        acks = [{"w": "ai", "p": 0, "n": 8, "t": 50}]
        fail = {"w": "ai", "p": 0, "n": 7, "t": 60}
        values = {0: {3: "ai:0:7"}}
        self.assertEqual(checker.given_up([fail], acks, values), [fail])
        self.assertEqual(checker.given_up([fail], acks, {0: {}}), [])
        self.assertEqual(checker.given_up([fail], [{**acks[0], "t": 70}], values), [])
        self.assertEqual(checker.given_up([fail], [{**acks[0], "p": 1}], values), [])

    def test_the_stall_of_each_writer(self):
        acks = [{"w": w, "p": p, "t": t} for w, step in (("ja7i", 100), ("rd7p", 500)) for p in (0, 1) for t in range(0, 2000, step)]
        self.assertEqual(checker.writers_stalls(acks, 300, 1200), {"ja-i": 100, "rd-p": 500})


class Disk(unittest.TestCase):
    """Needs crc32c, as the dump does."""

    def setUp(self):
        try:
            import dump
        except ImportError as error:
            self.skipTest(str(error))
        self.dump = dump

    @staticmethod
    def varint(n):
        n, out = (n << 1) ^ (n >> 63), b""
        while n > 0x7F:
            out, n = out + bytes([n & 0x7F | 0x80]), n >> 7
        return out + bytes([n])

    def batch(self, base, values, epoch=3, codec=0, pack=bytes):
        import crc32c
        records = b""
        for delta, value in enumerate(values):
            body = b"\0" + self.varint(5) + self.varint(delta) + self.varint(-1) + self.varint(len(value)) + value + self.varint(0)
            records += self.varint(len(body)) + body
        rest = struct.pack(">hiqqqhii", codec, len(values) - 1, 0, 0, 77, 2, 9, len(values)) + pack(records)
        return struct.pack(">qiibI", base, len(rest) + 9, epoch, 2, crc32c.crc32c(rest)) + rest

    def test_batches_are_read(self):
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "t-4"
            log.mkdir()
            data = self.batch(0, [b"a:4:0:..", b"a:4:1:" + b"." * 200]) + self.batch(2, [b"a:4:2:.."], 5)
            (log / "0.log").write_bytes(data + b"torn")
            found = self.dump.batches([folder], "t", 4)
            self.assertEqual([(b.base, b.last, b.epoch, b.whole) for b in found], [(0, 1, 3, True), (2, 2, 5, True)])
            self.assertEqual([b.producer for b in found], [(77, 2, 9, 10), (77, 2, 9, 9)])
            self.assertEqual(checker.contents(found, self.dump.values), {0: "a:4:0", 1: "a:4:1", 2: "a:4:2"})
            (log / "0.log").write_bytes(data[:80] + b"x" + data[81:])
            self.assertFalse(self.dump.batches([folder], "t", 4)[0].whole)
            self.assertIsNone(self.dump.batches([folder], "t", 5))

    def test_batches_of_every_codec_are_read_from_the_second_directory(self):
        import cramjam

        def xerial(data):
            blocks = [bytes(cramjam.snappy.compress_raw(data[at:at + 100])) for at in range(0, len(data), 100)]
            return self.dump.XERIAL + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(b)) + b for b in blocks)

        packs = [(1, cramjam.gzip.compress), (2, cramjam.snappy.compress_raw), (2, xerial), (3, cramjam.lz4.compress), (4, cramjam.zstd.compress)]
        with tempfile.TemporaryDirectory() as folder:
            log = pathlib.Path(folder) / "two" / "t-4"
            log.mkdir(parents=True)
            values = [b"a:4:%d:" % n + b"." * 60 for n in range(9)]
            data = b"".join(self.batch(9 * n, values, 3, codec, lambda b, pack=pack: bytes(pack(b))) for n, (codec, pack) in enumerate(packs))
            (log / "0.log").write_bytes(data)
            found = self.dump.batches([pathlib.Path(folder) / "one", log.parent], "t", 4)
            self.assertEqual([b.codec for b in found], ["gzip", "snappy", "snappy", "lz4", "zstd"])
            self.assertEqual(checker.contents(found, self.dump.values), {n: f"a:4:{n % 9}" for n in range(45)})


class Plans(unittest.TestCase):
    def test_a_seed_is_a_plan_and_every_kind_comes(self):
        needs = {kind.needs for kind in plan.KINDS.values()}

        def kinds(seed, have=needs):
            found = plan.plan(random.Random(seed), have)
            return [next(found).name for _ in range(len(plan.KINDS) * 2)]
        self.assertEqual(kinds(1), kinds(1))
        self.assertNotEqual(kinds(1), kinds(2))
        self.assertEqual(set(kinds(1)[:len(plan.KINDS)]), set(plan.KINDS))
        for need in needs - {""}:
            self.assertFalse({name for name in kinds(3, needs - {need}) if plan.KINDS[name].needs == need})


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    print(f"ok tests {result.testsRun}" if result.wasSuccessful() else "FAIL tests")
    sys.exit(not result.wasSuccessful())
