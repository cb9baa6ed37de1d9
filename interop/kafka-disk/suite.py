"""The data directory is Kafka's: what one server wrote, after a clean stop or kill -9, the other serves, and Kafka's tools accept.

Run by ../run, with AGAINST and MONEDULA_BIN. Against Kafka both sides are Kafka: what this suite expects is what Kafka does.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from harness import server, step
from harness.paths import LOG4J, TOOLS_JARS, WORK

AGAINST, BINARY = os.environ["AGAINST"], os.environ["MONEDULA_BIN"]
ROOT = WORK / "servers" / f"disk-{AGAINST}"
JAVA = ["java", "-Xmx384M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}", "-cp",
        f"{WORK / 'java' / 'disk'}:{TOOLS_JARS}/*", "Disk"]
# Few partitions and quick steps for the side that is Kafka; a session that ends soon, so that a restart after a kill is not long.
# Some records are of 2023 (topics say for themselves how long they keep them: a round sets the default to a day); a slow machine would
# meet the first pass of retention.
CONFIG = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500", "auto.create.topics.enable": "false",
          "log.retention.ms": "-1"}
failed = 0
running = []


def check(name, call, *args):
    global failed
    begin = time.monotonic()
    try:
        detail = call(*args)
        print(f"ok {name}" + ("" if detail is None else f" {detail}"), flush=True)
        return True
    except Exception as error:  # whatever a check throws is its result
        failed += 1
        print(f"FAIL {name} {type(error).__name__}: {' '.join(str(error).split())[:900]}", flush=True)
        return False
    finally:
        print(f"{name} took {time.monotonic() - begin:.1f} s", file=sys.stderr)


def java(name, *args, bootstrap=""):
    return step.run(f"disk-{AGAINST}-{name}", [*JAVA, *args], 120, env={"BOOTSTRAP": bootstrap})[1]


class Directory:
    """One data directory, on which now this, now that server runs."""

    def __init__(self, name):
        self.name, self.path, self.digest = name, ROOT / name, None
        shutil.rmtree(self.path, ignore_errors=True)

    def start(self, kind):
        self.server = server.Server(kind, self.path, BINARY, CONFIG, name=f"disk-{AGAINST}-{self.name}-{kind}")
        running.append(self.server)
        self.server.start()

    def write(self, round_, delete_records=True):
        """Looks at everything, which must be as it was left, writes more, and remembers how it is then."""
        args = ["write", str(round_), str(delete_records).lower()]
        before, after = java(f"{self.name}-{args[0]}{round_}", *args, bootstrap=self.server.bootstrap).split("== written\n")
        detail = self.compare(before) if self.digest else None
        self.digest = after
        return detail

    def same(self):
        return self.compare(java(f"{self.name}-digest", "digest", bootstrap=self.server.bootstrap))

    def compare(self, got):
        lines = sum(line.startswith("partition") for line in got.splitlines())
        if got != self.digest:
            before, after = self.digest.splitlines(), got.splitlines()
            raise AssertionError("before: " + " | ".join(x for x in before if x not in after)[:400]
                                 + " after: " + " | ".join(x for x in after if x not in before)[:400])
        return f"partitions={lines}"

    def dump(self):
        text = java(f"{self.name}-dump", "dump", str(self.path / "data"))
        bad = [line for line in text.splitlines() if line.startswith("bad")]
        good = sum(line.startswith("good") for line in text.splitlines())
        assert not bad, bad
        assert good > 20, text


def there_and_back(name, first, second, sudden):
    """first writes; second takes the directory over, serves it, writes on; first takes it back. sudden: every stop is kill -9."""
    d = Directory(name)
    def end():
        if sudden:
            # A crash right after the last answer: what was acknowledged stays.
            d.server.kill()
        else:
            d.server.stop()
            d.dump()
    def begin():
        d.start(first)
        # Kafka writes the new start of a log down once a minute: after a crash it may be the old one again.
        d.write(1, delete_records=not sudden)
        end()
    if not check(f"{name}-write", begin):
        return
    for n, kind in ((2, second), (3, first)):
        def go_on(n=n, kind=kind):
            d.start(kind)
            detail = d.write(n, delete_records=not sudden)
            end()
            return detail
        if not check(f"{name}-{n}-serve-and-write-on", go_on):
            return
    def last():
        d.start(second)
        detail = d.same()
        d.server.stop()
        d.dump()
        return detail
    check(f"{name}-4-serve", last)


def damaged():
    """Both servers recover a directory with torn and damaged files to the very same records."""
    d = Directory("damaged")
    d.start("kafka")
    d.write(1, delete_records=False)
    d.server.kill()
    data = d.path / "data"
    with open(data / "disk-gzip-0" / "00000000000000000000.log", "r+b") as f:
        f.truncate(f.seek(0, 2) - 10)
    with open(data / "disk-lz4-0" / "00000000000000000000.log", "ab") as f:
        f.write(b"\xff\x00garbage" * 40)
    with open(data / "disk-zstd-0" / "00000000000000000000.log", "r+b") as f:
        f.seek(f.seek(0, 2) - 200)
        f.write(b"\x55")
    for file in (data / "disk-plain-0").glob("*index"):
        file.write_bytes(b"\x07" * 37)
    for file in (data / "disk-plain-1").glob("*index"):
        file.unlink()
    for file in data.glob("disk-idempotent-*/*.snapshot"):
        file.write_bytes(b"nonsense")
    (data / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
    twin = Directory("damaged-twin")
    shutil.copytree(d.path, twin.path)
    d.start("kafka")
    twin.digest = java("damaged-digest", "digest", bootstrap=d.server.bootstrap)
    d.server.kill()
    twin.start(AGAINST)
    detail = twin.same()
    twin.server.stop()
    twin.dump()
    return detail


def refuses(name, change, words):
    """A start that must end by itself, with an exit code that is not 0, saying one of words, the data untouched."""
    def call():
        d = Directory(f"refuse-{name}")
        d.start(AGAINST)
        d.server.stop()
        change(d.path)
        before = sorted((str(p), p.stat().st_size) for p in d.path.rglob("*") if p.is_file())
        try:
            d.start(AGAINST)
        except step.Failed as error:
            text = d.server.err.read_text(errors="replace") + d.server.out.read_text(errors="replace")
            assert "ended with 0" not in str(error) and "not ready" not in str(error), str(error)[:300]
            assert re.search(words, text, re.IGNORECASE), text[-500:]
            after = sorted((str(p), p.stat().st_size) for p in d.path.rglob("*") if p.is_file())
            assert before == after, "files changed"
            return None
        d.server.kill()
        raise AssertionError("it started")
    check(f"refuse-{name}", call)


def edit(path, old, new):
    text = path.read_text()
    assert re.search(old, text), text
    path.write_text(re.sub(old, new, text))


def second_process():
    d = Directory("two")
    d.start(AGAINST)
    first = d.server
    other = server.Server(AGAINST, ROOT / "two-other", BINARY, CONFIG, name=f"disk-{AGAINST}-two-other")
    other.data = first.data
    running.append(other)
    try:
        other.start()
    except step.Failed as error:
        text = other.err.read_text(errors="replace") + other.out.read_text(errors="replace")
        assert "not ready" not in str(error) and re.search("lock", text, re.IGNORECASE), text[-500:]
        assert first.alive() and server.brokers_known(first.port) == 1
        # Kafka may take a minute over this.
        first.stop() if AGAINST == "monedula" else first.kill()
        return
    raise AssertionError("a second process started on the same directory")


def main():
    try:
        shutil.rmtree(ROOT, ignore_errors=True)
        there_and_back("clean", AGAINST, "kafka", sudden=False)
        there_and_back("crash", "kafka", AGAINST, sudden=True)
        check("damaged-files", damaged)
        check("refuse-second-process", second_process)
        refuses("wrong-node-id", lambda p: edit(p / "data" / "meta.properties", "node.id=1", "node.id=2"), "node.?id")
        refuses("broken-meta-properties", lambda p: (p / "data" / "meta.properties").write_text("version=7\n"), "meta.properties|version")
        return 1 if failed else 0
    finally:
        for each in running:
            each.kill()
        shutil.rmtree(ROOT, ignore_errors=True)


sys.exit(main())
