"""A Java application that a suite starts, stops and kills, more than once."""

from . import server, step
from .paths import TOOLS_JARS

HEAP = ["-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


class Jvm:
    """Subclasses set `log` (the name of what it prints) and `arguments` (main class and what it is given)."""

    starts = 0
    # All that were started: who ends a suite ends them.
    running = []

    def start(self):
        command = server.java(HEAP, TOOLS_JARS, *self.arguments())
        self.process = step.spawn(self.log, command, append=self.starts > 0)
        self.starts += 1
        self.running.append(self.process)
        return self

    def stop(self):
        # So long Connect gives its REST interface alone (Streams is done sooner).
        step.end_group(self.process, grace_s=70)
        # A JVM ends with 143 after SIGTERM.
        assert self.process.returncode in (0, 143), f"exit code {self.process.returncode}"

    def crash(self):
        server.end_group_now(self.process)

    @classmethod
    def end_all(cls):
        for process in cls.running:
            if process.poll() is None:
                server.end_group_now(process)
