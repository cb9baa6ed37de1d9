"""Each sentence of the checker is said of a history with its fault, and none of one without. Run by ../run: suite exactly-once-checker."""

import pathlib
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import checker
from harness.check import Checks, same

SOURCE = {0: ["a", "b", "c"], 1: ["d"]}


def copies():
    same([], checker.copied_once(SOURCE, {0: ["a", "b", "c"], 1: ["d"]}))
    table = [
        ({0: ["a", "b", "b", "c"], 1: ["d"]}, ["partition 0: b was copied 2 times"]),
        ({0: ["a", "b", "c"]}, ["partition 1: d is missing"]),
        ({0: ["a", "c"], 1: ["d"]}, ["partition 0: b is missing"]),
        ({0: ["a", "b", "c", "z"], 1: ["d"]}, ["partition 0: z is no record of the source"]),
        ({0: ["a", "c", "b"], 1: ["d"]}, ["partition 0: b comes after c"]),
        # A part of it a second time, later: twice, though each first time is in order.
        ({0: ["a", "b", "a", "b", "c"], 1: ["d"]}, ["partition 0: a was copied 2 times", "partition 0: b was copied 2 times"]),
        ({0: ["a", "b", "c", "d"]}, ["partition 0: d is no record of the source", "partition 1: d is missing"]),
    ]
    for got, want in table:
        same(want, checker.copied_once(SOURCE, got))
    twice = {0: ["a", "b", "b"]}
    same([], checker.copied_once(twice, {0: ["a", "b", "b"]}))
    same(["partition 0: b is missing"], checker.copied_once(twice, {0: ["a", "b"]}))
    same(["partition 0: b was copied 3 times"], checker.copied_once(twice, {0: ["a", "b", "b", "b"]}))


def transfers():
    good = [("t1", 0, -5), ("t2", 3, -1), ("t1", 1, 5), ("t2", 0, 1)]
    same([], checker.whole(good))
    same(["half of t1 is missing"], checker.whole(good[1:]))
    same(["t1 is there more than once"], checker.whole([*good, ("t1", 1, 5)]))
    same(["t1 is there more than once"], checker.whole([("t1", 0, -5), ("t1", 0, -5)]))
    same(["the halves of t1 do not cancel out"], checker.whole([("t1", 0, -5), ("t1", 1, 4)]))
    same([], checker.unseen(good, ["t3"]))
    same(["t2 was aborted and is seen"], checker.unseen(good, ["t2"]))
    same([], checker.kept(good, ["t1", "t2"]))
    same(["t3 was committed and is missing"], checker.kept(good, ["t1", "t3"]))


def sums():
    seen = [("t1", 0, -5), ("t1", 1, 5), ("t2", 0, -3), ("t2", 1, 3)]
    same([], checker.balanced(seen, [0, 2, 4]))
    same(["after 3 records the sum has changed by -3"], checker.balanced(seen, [2, 3, 4]))
    same(["after 2 records the sum has changed by 1", "after 4 records the sum has changed by 1"],
         checker.balanced([("t1", 0, 1), ("t3", 1, 0), *seen[2:]], [2, 4]))


checks = Checks()
checks.check("copies", copies)
checks.check("transfers", transfers)
checks.check("sums", sums)
sys.exit(checks.failed > 0)
