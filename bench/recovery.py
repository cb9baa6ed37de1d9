"""Recovery: what a start costs that must read all logs, because the server died before it wrote down how far they were flushed.

One directory, written by Apache Kafka, that both servers open in turn: first after a clean stop, then after kill -9 and without the
recovery points. The logs lie in the page cache. `loading_ms` is what the second start took longer than the first.
"""

import pathlib
import shutil

import scale
from harness import server
from harness.paths import WORK

TOPIC = "recovered"
READY_LIMIT_S = 600
GOALS = {"loading_ms": 0.5}


class Directory:
    """A directory that is written once and opened by both servers."""

    def __init__(self, binary, produce, records, name="bench-recovery", topic=TOPIC):
        self.binary, self.name, self.path = binary, name, WORK / "servers" / name
        server.READY_LIMIT_S = READY_LIMIT_S
        shutil.rmtree(self.path, ignore_errors=True)
        s = self.open("kafka", "fill")
        try:
            s.start()
            produce(name, s.bootstrap, topic, records)
            s.stop()
        finally:
            s.kill()

    def open(self, kind, n):
        return server.Server(kind, self.path, self.binary, name=f"{self.name}-{n}-{kind}")

    def read_all(self):
        """Brings the logs into the page cache; their size in bytes."""
        size, buffer = 0, bytearray(1 << 20)
        for path in sorted((self.path / "data").glob("*/*.log")):
            with open(path, "rb", buffering=0) as file:
                while got := file.readinto(buffer):
                    size += got
        return size

    def wipe(self):
        shutil.rmtree(self.path, ignore_errors=True)


def measure(directory, kind, n):
    """Two starts of one server: a dict of figures."""
    s, figures = directory.open(kind, n), {}
    try:
        figures["gb"] = directory.read_all() / 1e9
        s.start()
        figures["clean_ms"] = s.ready_ms
        s.kill()
        (pathlib.Path(s.data) / "recovery-point-offset-checkpoint").unlink(missing_ok=True)
        s.start()
        figures["recover_ms"], figures["recover_cpu_s"] = s.ready_ms, scale.cpu_s(s.pid)
        figures["loading_ms"] = figures["recover_ms"] - figures["clean_ms"]
        s.stop()
    finally:
        s.kill()
    return figures
