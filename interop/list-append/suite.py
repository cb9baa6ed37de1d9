"""Lists are appended to and read in transactions while clients, nodes, networks and frames fail; nothing is seen that must not be.

    ../run --only list-append -- [--seconds N] [--seed N] [--nodes 1|3] [--networks] [--proxy MONEDULA-FAULTS [--late]]
                                 [--clients java librdkafka ...] [--acts KIND...] [--isolation read_committed|read_uncommitted]

See README.md, and anomalies.py for what is looked for. Run by ../run, with AGAINST and MONEDULA_BIN; starts its own server, or three.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import appends
from appends import Appends
from harness import world
from harness.check import Checks
from harness.paths import LOGS
from harness.world import World

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]


class Run:
    def __init__(self, args, stack):
        self.args, self.name, self.done = args, f"{AGAINST}-lists-{os.getpid()}", collections.Counter()
        self.world = World(stack, args, self.name, AGAINST, BINARY)
        self.appends = Appends(self.name, self.world.cluster.bootstrap, self.world.cluster.directory, args.clients, args.isolation)
        stack.callback(self.appends.kill)

    def start(self):
        self.world.start()
        self.appends.start(self.world.copies)

    def disturb(self):
        chance, end = self.world.random, time.monotonic() + self.args.seconds
        kinds = self.args.acts or [*appends.ACTS, *self.world.kinds()]
        # Each kind once, in some order, as far as time is; then as chance wants it.
        order = chance.sample(sorted(set(kinds)), len(set(kinds)))
        while time.monotonic() < end:
            kind = order.pop() if order else chance.choice(kinds)
            if kind in appends.ACTS:
                self.appends.act(kind, chance)
            else:
                self.world.act(kind)
            self.done[kind] += 1
            time.sleep(chance.uniform(0.3, 2))
            self.appends.watch()
        return " ".join(f"{kind}={n}" for kind, n in sorted(self.done.items()))

    def settle(self):
        bites = self.world.settle()
        assert not self.args.proxy or bites, "the proxy has hit nothing"
        return " ".join(f"{kind}={n}" for kind, n in bites.items())

    def keep(self):
        """What was found, for looking at it."""
        h = self.appends.history
        path = LOGS / f"{AGAINST}-lists-final.json"
        path.write_text(json.dumps(h.final))

    def tidy(self):
        self.world.cluster.wipe()
        self.appends.tidy()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clients", nargs="+", choices=list(appends.COMMANDS), default=["java", "java", "librdkafka", "librdkafka"])
    parser.add_argument("--acts", nargs="+", choices=[*appends.ACTS, *world.ACTS])
    parser.add_argument("--isolation", choices=["read_committed", "read_uncommitted"], default="read_committed")
    world.add_arguments(parser)
    args, checks = parser.parse_args(), Checks()
    with contextlib.ExitStack() as stack:
        run = Run(args, stack)
        if checks.check("begin", run.start) and checks.check("disturb", run.disturb) and checks.check("settle", run.settle):
            if checks.check("end", run.appends.end):
                run.appends.verdict(checks)
                run.keep()
        if not checks.failed:
            run.tidy()
    return checks.failed > 0


if __name__ == "__main__":
    sys.exit(main())
