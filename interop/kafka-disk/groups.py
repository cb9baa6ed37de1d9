"""Groups and committed offsets on a data directory that two servers share in turns: their members come back to what they had.

Run by ../run, with AGAINST and MONEDULA_BIN, as suite.py beside it. Against Kafka both sides are Kafka.
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
ROOT = WORK / "servers" / f"disk-groups-{AGAINST}"
JAVA = ["java", "-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}", "-cp",
        f"{WORK / 'java' / 'disk'}:{TOOLS_JARS}/*"]
# Members that went without leaving stay over the change of the server.
CONFIG = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "offsets.topic.num.partitions": "4",
          "group.consumer.session.timeout.ms": "60000"}
failed = 0
running = []


def check(name, call):
    global failed
    begin = time.monotonic()
    try:
        detail = call()
        print(f"ok {name}" + ("" if detail is None else f" {detail}"), flush=True)
        return True
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[-1200:]}", flush=True)
        return False
    finally:
        print(f"{name} took {time.monotonic() - begin:.1f} s", file=sys.stderr)


class Directory:
    def __init__(self, name):
        self.name, self.path, self.digest = name, ROOT / name, None

    def start(self, kind):
        self.server = server.Server(kind, self.path, BINARY, CONFIG, name=f"disk-groups-{AGAINST}-{self.name}-{kind}")
        running.append(self.server)
        self.server.start()

    def java(self, *args):
        return step.run(f"disk-groups-{AGAINST}-{self.name}-{args[1]}", [*JAVA, *args], 120, env={"BOOTSTRAP": self.server.bootstrap if self.server else ""})[1]

    def write(self, round_):
        before, after = self.java("DiskGroups", "write", str(round_)).split("== written\n")
        if self.digest:
            self.compare(before)
        self.digest = after
        return f"groups={sum(line.startswith('group ') for line in after.splitlines())}"

    def compare(self, got):
        if got != self.digest:
            before, after = self.digest.splitlines(), got.splitlines()
            raise AssertionError("before: " + " | ".join(x for x in before if x not in after)[:600]
                                 + " after: " + " | ".join(x for x in after if x not in before)[:600])

    def dump(self, sudden):
        """Kafka's tool decodes every record of the topic of offsets. A crash leaves the indexes as they were."""
        text = self.java("Disk", "dump", str(self.path / "data"), "__consumer_offsets-")
        bad = [line for line in text.splitlines() if line.startswith("bad") and (not sudden or ".log " in line)]
        assert not bad and text.count("good __consumer_offsets") >= 4, bad or text


def there_and_back(name, kinds, sudden):
    """Each server in turn serves the groups as the last one left them, lets their members go on, and hands them over."""
    d = Directory(name)
    for n, kind in enumerate(kinds, 1):
        def go_on(n=n, kind=kind):
            d.start(kind)
            detail = d.write(n)
            d.server.kill() if sudden else d.server.stop()
            d.server = None
            d.dump(sudden)
            return detail
        if not check(f"{name}-{n}", go_on):
            return


def main():
    try:
        shutil.rmtree(ROOT, ignore_errors=True)
        there_and_back("clean", (AGAINST, "kafka", AGAINST), sudden=False)
        there_and_back("crash", ("kafka", AGAINST, "kafka"), sudden=True)
        return 1 if failed else 0
    finally:
        for each in running:
            each.kill()
        shutil.rmtree(ROOT, ignore_errors=True)


sys.exit(main())
