"""Transactions on a data directory that two servers share in turns: ended, open, and prepared ones, with offsets of groups.

Run by ../run, with AGAINST and MONEDULA_BIN, as suite.py beside it. Against Kafka both sides are Kafka. At the older levels of
transaction.version one handover each way is shown; with DISK_TRANSACTIONS_ALL=1 both ways and back at each level.
"""

import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import server, step
from harness.paths import LOG4J, TOOLS_JARS, WORK

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
ROOT = WORK / "servers" / f"disk-transactions-{AGAINST}"
JAVA = ["java", "-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}", "-cp",
        f"{WORK / 'java' / 'disk'}:{TOOLS_JARS}/*", "DiskTransactions"]
CONFIG = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "offsets.topic.num.partitions": "4",
          "transaction.state.log.num.partitions": "4"}
# How often a server is killed among the ends of transactions until one is prepared on disk.
TRIES = 5
failed = 0
running = []


def check(name, call):
    global failed
    begin = time.monotonic()
    try:
        print(f"ok {name} {call()}", flush=True)
        return True
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[-1200:]}", flush=True)
        return False
    finally:
        print(f"{name} took {time.monotonic() - begin:.1f} s", file=sys.stderr)


def on_disk(counts):
    return "on disk: " + ", ".join(f"{state} {count}" for state, count in sorted(counts.items()))


class Directory:
    def __init__(self, name, sudden, level):
        self.name, self.path, self.sudden, self.level = name, ROOT / name, sudden, level
        self.digest = None
        self.states = self.path / "states"

    def java(self, name, *args, bootstrap=""):
        return step.run(f"disk-transactions-{AGAINST}-{self.name}-{name}", [*JAVA, *args], 120,
                        env={"BOOTSTRAP": bootstrap, "LEVEL": str(self.level)})[1]

    def start(self, kind):
        own = server.Server(kind, self.path, BINARY, CONFIG, name=f"disk-transactions-{AGAINST}-{self.name}-{kind}")
        running.append(own)
        return own.start()

    def round(self, n, kind, last):
        """The server of this kind serves what the last one left, ends it, leaves more, and is stopped or killed."""
        own = self.start(kind)
        text = self.java(f"round-{n}", "round", n, self.states if self.digest and self.sudden else "", str(last).lower(), kind,
                         bootstrap=own.bootstrap)
        details = []
        if self.digest:
            before, text = text.split("== went on\n")
            self.compare(before)
            details.append("before: " + text.splitlines()[0])
        if not last:
            self.digest = text.split("== written\n")[1]
        if not self.sudden:
            own.stop()
        elif last:
            own.kill()
        else:
            details.append(on_disk(self.kill_among_ends(own, n, kind)))
        if not self.sudden and not last:
            details.append(on_disk(self.dump()))
        return " ".join(details)

    def kill_among_ends(self, own, n, kind):
        """Until a crash leaves something prepared on disk whose markers are not all written."""
        for again in range(TRIES):
            self.java(f"kill-{n}", "kill", f"{n}-{again}", own.pid, bootstrap=own.bootstrap)
            # The process is dead, but nobody waited for it yet.
            own.kill()
            counts = self.dump()
            if counts.get("PrepareCommit", 0) + counts.get("PrepareAbort", 0) > 0:
                return counts
            own = self.start(kind)
        own.kill()
        raise AssertionError(f"nothing is prepared after {TRIES} crashes: {counts}")

    def compare(self, got):
        if got != self.digest:
            before, after = self.digest.splitlines(), got.splitlines()
            raise AssertionError("before: " + " | ".join(x for x in before if x not in after)[:600]
                                 + " after: " + " | ".join(x for x in after if x not in before)[:600])

    def dump(self):
        """How many ids are in each state on disk. Kafka's tool decodes every record there; a crash leaves the indexes as they were."""
        text = self.java("dump", "dump", self.path / "data")
        self.states.write_text(text)
        lines = text.splitlines()
        bad = [line for line in lines if line.startswith("bad") and (not self.sudden or ".log " in line)]
        assert not bad and text.count("good __transaction_state") >= 4, bad or text[-600:]
        counts = {}
        for line in lines:
            if line.startswith("state "):
                state = line.split()[2]
                counts[state] = counts.get(state, 0) + 1
        assert counts.get("Ongoing", 0) >= 4, counts
        return counts


def there_and_back(name, kinds, sudden, level=2):
    d = Directory(name, sudden, level)
    for n, kind in enumerate(kinds, 1):
        if not check(f"{name}-{n}", lambda n=n, kind=kind: d.round(n, kind, n == len(kinds))):
            return


def main():
    try:
        shutil.rmtree(ROOT, ignore_errors=True)
        there_and_back("crash", ("kafka", AGAINST, "kafka"), sudden=True)
        there_and_back("clean", (AGAINST, "kafka", AGAINST), sudden=False)
        everything = bool(os.environ.get("DISK_TRANSACTIONS_ALL"))
        for level in (0, 1):
            there = ("kafka", AGAINST) if level == 0 or everything else (AGAINST, "kafka")
            there_and_back(f"crash-level-{level}", (*there, "kafka") if everything else there, sudden=True, level=level)
            if everything:
                there_and_back(f"clean-level-{level}", (AGAINST, "kafka", AGAINST), sudden=False, level=level)
        return 1 if failed else 0
    finally:
        for each in running:
            each.kill()
        shutil.rmtree(ROOT, ignore_errors=True)


sys.exit(main())
