"""Who is in which group: groups, their protocols and subscriptions, and the members with their client libraries."""

import dataclasses
import sys

from harness.paths import BROKER_JARS, HERE, WORK

SESSION_MS = 6000
# The topics of the whole run, with their partitions at the start; others come and go.
FIXED = {"churn-a": 4, "churn-b": 3}


@dataclasses.dataclass(frozen=True)
class Group:
    name: str
    protocol: str
    assignor: str
    topics: str
    clients: tuple[str, ...]
    # How many of the clients take part in a small run.
    small: int

    def wants(self, topic):
        return topic in FIXED or self.topics.startswith("^")


EVERY, LISTED = "^churn-.*", ",".join(FIXED)
GROUPS = [
    # All libraries in one classic group; range is the assignor that all of them have.
    Group("eager", "classic", "range", LISTED, ("java", "kafkajs", "kafka-python", "sarama", "aiokafka", "confluent", "franz-go"), 4),
    # Without librdkafka: in a group with it, franz-go was seen to rejoin without end, letting now these, now those partitions go.
    Group("cooperative", "classic", "cooperative-sticky", EVERY, ("java", "franz-go", "java", "franz-go", "franz-go"), 3),
    Group("modern", "consumer", "uniform", EVERY, ("java", "confluent", "franz-go", "confluent"), 3),
    # Begins classic; whoever joins in the second half speaks the consumer protocol. Not sticky: librdkafka's sticky assignments have
    # user data, and such a group cannot change its protocol.
    Group("moving", "classic", "range", LISTED, ("java", "confluent", "confluent", "java"), 3),
]


def command(client, bootstrap, group, protocol, name):
    """The command line of a member; all clients take the same arguments."""
    assignor = group.assignor if protocol == group.protocol else "uniform"
    args = [bootstrap, group.name, protocol, assignor, group.topics, name, str(SESSION_MS)]
    if client == "java":
        classpath = f"{WORK / 'java' / 'churn'}:{BROKER_JARS}/*"
        quick = ["-Xmx64M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"]
        return ["java", *quick, f"-Dlog4j2.configurationFile={HERE / 'kafka' / 'log4j2.properties'}", "-cp", classpath, "Member", *args]
    if client == "kafkajs":
        return ["node", HERE / "churn" / "members" / "member.js", *args]
    if client in ("franz-go", "sarama"):
        return [WORK / "go-clients", "member", client, *args]
    return [sys.executable, HERE / "churn" / "members" / "member.py", client, *args]


ENVIRONMENT = {"NODE_PATH": str(WORK / "node" / "node_modules"), "KAFKAJS_NO_PARTITIONER_WARNING": "1"}
