"""The live clients of a run: processes of three client libraries, and what they wrote down."""

import json
import os
import signal
import time

from harness import step
from harness.check import eventually
from harness.paths import BROKER_JARS, LOG4J, LOGS, WORK

HERE = os.path.dirname(os.path.abspath(__file__))
JAVA = ["java", "-Xmx160M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={LOG4J}",
        "-cp", f"{WORK / 'java' / 'faults'}:{BROKER_JARS}/*", "Client"]
COMMANDS = {"java": JAVA, "librdkafka": [WORK / "python" / "bin" / "python", os.path.join(HERE, "client.py")],
            "franz-go": [WORK / "go-clients", "faults"]}
# A member's name and its group's begin with it.
TAGS = {"java": "ja", "librdkafka": "rd", "franz-go": "fr"}


class Clients:
    def __init__(self, name, bootstrap, topic, partitions, acks, directory):
        self.name, self.flag, self.processes, self.ended = name, directory / "writing", {}, []
        directory.mkdir(parents=True, exist_ok=True)
        self.arguments = lambda tag: [bootstrap, topic, partitions, tag, acks, self.flag]
        self.groups = [f"faults-{tag}" for tag in TAGS.values()]

    def log(self, client):
        return f"{self.name}-{client}"

    def start(self):
        self.flag.touch()
        for client in COMMANDS:
            self.start_one(client, False)

    def start_one(self, client, append):
        words = [*COMMANDS[client], *self.arguments(TAGS[client])]
        self.processes[client] = step.spawn(self.log(client), words, append=append)

    def watch(self):
        """A client that ended by itself is a failure of the run, and is started again."""
        for client, process in list(self.processes.items()):
            if process.poll() is not None:
                self.ended.append(f"{client} ended with {process.returncode}")
                self.start_one(client, True)

    def events(self):
        found = []
        for client in COMMANDS:
            for line in (LOGS / f"{self.log(client)}.out").read_text(errors="replace").splitlines():
                # The last line may be torn.
                if line.startswith("{") and line.endswith("}"):
                    found.append(json.loads(line))
        return found

    def wait_begun(self, partitions):
        """Every writer wrote to every partition, every group owns all of them."""
        def check():
            self.watch()
            assert not self.ended, self.ended
            events = self.events()
            for client, tag in TAGS.items():
                acked = {e["p"] for e in events if e["ev"] == "ack" and e["w"].startswith(tag)}
                read = {e["p"] for e in events if e["ev"] == "read" and e["r"].startswith(tag)}
                assert len(acked) == len(read) == partitions, f"{client}: acks of {len(acked)}, reads of {len(read)} partitions"
        eventually(150, check, 0.5)

    def wait_written(self):
        """Writers stop, and hear of everything that is on its way."""
        self.flag.unlink(missing_ok=True)
        started = {e["w"] for e in self.events() if e["ev"] in ("ack", "fail")}

        def check():
            self.watch()
            written = {e["w"] for e in self.events() if e["ev"] == "written"}
            # A writer whose process ended by itself says nothing more.
            assert self.ended or started <= written, f"not done: {sorted(started - written)}"
        eventually(100, check, 0.5)

    def stop(self):
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        end = time.monotonic() + 25
        while any(process.poll() is None for process in self.processes.values()) and time.monotonic() < end:
            time.sleep(0.1)
        late = [client for client, process in self.processes.items() if process.poll() is None]
        self.kill()
        assert not late, f"did not end within 25 s of SIGTERM: {', '.join(late)}"

    def kill(self):
        for process in self.processes.values():
            step.end_group(process, 0)
