"""The command lines about a cluster of three combined nodes and a controller that does not vote yet (101), with two log directories each.

As in `cases.py`; `K` stands for the controllers, `NEW` for the properties of node 101, `NEWDIR` for the id of its directory.
"""

CL, MQ, F, LE = "cluster", "metadata-quorum", "features", "leader-election"
LD, AV, RP, RV = "log-dirs", "broker-api-versions", "reassign-partitions", "replica-verification"
# Not a tool: time for replicas to move.
SETTLE = ("settle", "3", None)


def of(tool, *lines):
    return [(tool, line, None) for line in lines]


def reassign(*lines):
    return of(RP, *("--bootstrap-server B " + line for line in lines))


USAGE = [
    *of(CL, "", "foo", "--help", "cluster-id", "cluster-id --help", "unregister --bootstrap-server B", "unregister --bootstrap-server B --id x",
        "cluster-id --bootstrap-server B -C K", "cluster-id --bootstrap-server B --zz", "cluster-id --bootstrap-server B zz",
        "cluster-id --bootstrap-server", "cluster-id -b B --config DIR/none", "cluster-id -b B --config DIR/P-empty -c DIR/P-empty",
        "cluster-id -b nohost", "list-endpoints -C K --include-fenced-brokers"),
    *of(MQ, "", "foo", "--bootstrap-server B", "describe", "--bootstrap-server B describe", "--bootstrap-server B --bootstrap-controller K describe --status",
        "--bootstrap-server B describe --status --human-readable", "--bootstrap-server B describe --status --replication",
        "--bootstrap-server B add-controller", "--bootstrap-server B --command-config DIR/none add-controller",
        "--bootstrap-server B --command-config DIR/P-empty add-controller", "--bootstrap-server B remove-controller",
        "--bootstrap-server B remove-controller --controller-id 101", "--bootstrap-server B remove-controller --controller-id -1 --controller-directory-id x",
        "--bootstrap-server B remove-controller --controller-id x --controller-directory-id x",
        "--bootstrap-server B remove-controller --controller-id 1 --controller-directory-id xyz", "--help"),
    *of(F, "", "foo", "describe", "--bootstrap-server B", "--help", "--bootstrap-server B describe --node-id x", "--bootstrap-server B describe --node-id -2",
        "--bootstrap-server B upgrade", "--bootstrap-server B disable", "--bootstrap-server B upgrade --release-version 4.1 --feature group.version=1",
        "--bootstrap-server B upgrade --feature group.version", "--bootstrap-server B upgrade --feature group.version=x",
        "--bootstrap-server B upgrade --feature group.version=1 --feature group.version=1", "--bootstrap-server nohost describe",
        "--bootstrap-server B --command-config DIR/none describe", "version-mapping --release-version 4.0", "feature-dependencies",
        "feature-dependencies --feature transaction.version=2", "feature-dependencies --feature metadata.version=20",
        "feature-dependencies --feature metadata.version=2", "feature-dependencies --feature zz=2", "feature-dependencies --feature group.version=22"),
    *of(LE, "", "--help", "--version", "--bootstrap-server B", "--bootstrap-server B --election-type foo --all-topic-partitions",
        "--bootstrap-server B --election-type preferred", "--bootstrap-server B --election-type preferred --topic P-m",
        "--bootstrap-server B --election-type preferred --partition 0", "--bootstrap-server B --election-type preferred --topic P-m --partition x",
        "--bootstrap-server B --election-type preferred --topic P-m --partition 0 --all-topic-partitions",
        "--bootstrap-server B --election-type preferred --all-topic-partitions --partition 0",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-empty",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-broken",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-no-list",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/none",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-elect-twice",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-elect-half",
        "--bootstrap-server B --admin.config DIR/P-empty --command-config DIR/P-empty --election-type preferred --all-topic-partitions",
        "--bootstrap-server nohost --election-type preferred --all-topic-partitions"),
    *of(LD, "", "--help", "--version", "--bootstrap-server B", "--bootstrap-server B --describe --broker-list 2,9",
        "--bootstrap-server B --describe --broker-list x", "--bootstrap-server nohost --describe",
        "--bootstrap-server B --describe --command-config DIR/none", "--bootstrap-server B --describe --zz"),
    *of(AV, "", "--help", "--version", "--bootstrap-server nohost", "--zz"),
    *of(RP, "", "--help", "--version", "--list", "--list --bootstrap-server B --bootstrap-controller K", "--bootstrap-server nohost --list",
        "--verify --bootstrap-controller K --reassignment-json-file DIR/P-move"),
    *reassign("", "--list --verify", "--verify", "--generate --topics-to-move-json-file DIR/P-topics", "--list --zz",
              "--verify --reassignment-json-file DIR/P-move --throttle 1", "--execute --reassignment-json-file DIR/none",
              "--execute --reassignment-json-file DIR/P-broken", "--execute --reassignment-json-file DIR/P-no-list",
              "--execute --reassignment-json-file DIR/P-move --throttle x", "--execute --reassignment-json-file DIR/P-version",
              "--execute --reassignment-json-file DIR/P-repeated", "--generate --topics-to-move-json-file DIR/P-topics --broker-list 1,1",
              "--generate --topics-to-move-json-file DIR/P-topics --broker-list 1,x", "--generate --topics-to-move-json-file DIR/P-broken --broker-list 1"),
    *of(RV, "", "--help", "--version", "--zz", "--broker-list nohost", "--broker-list B --topics-include [", "--broker-list B --max-wait-ms x",
        "--broker-list B --topics-include no-topic-has-this-name"),
]

CLUSTER = [
    *of(CL, "cluster-id --bootstrap-server B", "cluster-id --bootstrap-controller K", "cluster-id --bootstrap-controller B", "cluster-id --bootstrap-server K",
        "cluster-id -b B --config DIR/P-empty", "list-endpoints -b B", "list-endpoints -b B --include-fenced-brokers", "list-endpoints -C K",
        "unregister -b B --id 9", "unregister -C K --id 9"),
    *of(MQ, "--bootstrap-server B describe --status", "--bootstrap-controller K describe --status", "--bootstrap-server B describe --replication",
        "--bootstrap-controller K describe --replication", "--bootstrap-server B describe --replication --human-readable",
        "--bootstrap-controller K --command-config NEW add-controller --dry-run", "--bootstrap-server B --command-config NEW add-controller",
        "--bootstrap-server B --command-config NEW add-controller", "--bootstrap-server B describe --status",
        "--bootstrap-server B remove-controller --controller-id 101 --controller-directory-id AAAAAAAAAAAAAAAAAAAAAQ",
        "--bootstrap-server B remove-controller -i 101 -d NEWDIR --dry-run", "--bootstrap-controller K remove-controller -i 101 -d NEWDIR",
        "--bootstrap-controller K --command-config NEW add-controller", "--bootstrap-server B remove-controller -i 101 -d NEWDIR"),
    *of(F, "--bootstrap-server B describe", "--bootstrap-controller K describe", "--bootstrap-server B describe --node-id 2",
        "--bootstrap-server B upgrade --metadata 3.3-IV3 --dry-run", "--bootstrap-server B upgrade --release-version 4.0-IV3 --dry-run",
        "--bootstrap-server B upgrade --release-version 4.1", "--bootstrap-server B upgrade --feature group.version=1 --dry-run",
        "--bootstrap-server B upgrade --feature zz=1", "--bootstrap-controller K downgrade --feature share.version=1 --dry-run",
        "--bootstrap-server B downgrade --feature share.version=1", "--bootstrap-server B upgrade --feature share.version=2",
        "--bootstrap-server B downgrade --feature metadata.version=20 --unsafe", "--bootstrap-server B downgrade --metadata 3.9-IV0 --dry-run",
        "--bootstrap-server B disable --feature streams.version", "--bootstrap-server B upgrade --feature streams.version=1"),
    ("topics", "--bootstrap-server B --create --topic P-m --replica-assignment 1:2,2:3,3:1", None),
    ("console-producer", "--bootstrap-server B --topic P-m", "a\nb\nc\n"),
    SETTLE,
    *of(LE, "--bootstrap-server B --election-type preferred --all-topic-partitions", "--bootstrap-server B --election-type preferred --topic P-m --partition 0",
        "--bootstrap-server B --election-type unclean --topic P-m --partition 0", "--bootstrap-server B --election-type preferred --topic P-zz --partition 0",
        "--bootstrap-server B --election-type preferred --topic P-m --partition 9",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-elect",
        "--bootstrap-server B --admin.config DIR/P-empty --election-type preferred --all-topic-partitions"),
    *of(LD, "--bootstrap-server B --describe --topic-list P-m", "--bootstrap-server B --describe --broker-list 2 --topic-list P-m,P-zz"),
    *of(AV, "--bootstrap-server B", "--bootstrap-server K"),
    *reassign("--generate --topics-to-move-json-file DIR/P-topics --broker-list 1", "--generate --topics-to-move-json-file DIR/P-topics --broker-list 1,2,3",
              "--list", "--verify --reassignment-json-file DIR/P-move", "--verify --reassignment-json-file DIR/P-move --preserve-throttles",
              "--verify --reassignment-json-file DIR/P-no-topic", "--verify --reassignment-json-file DIR/P-no-partition --preserve-throttles",
              "--execute --reassignment-json-file DIR/P-unknown", "--execute --reassignment-json-file DIR/P-no-topic",
              "--execute --reassignment-json-file DIR/P-no-partition",
              "--execute --reassignment-json-file DIR/P-move --disallow-replication-factor-change"),
    # Only one of its partitions was refused.
    SETTLE,
    *reassign("--execute --reassignment-json-file DIR/P-move --throttle 100000 --replica-alter-log-dirs-throttle 100000"),
    SETTLE,
    ("configs", "--bootstrap-server B --describe --topic P-m", None),
    ("configs", "--bootstrap-server B --describe --broker 2", None),
    *reassign("--verify --reassignment-json-file DIR/P-move"),
    ("configs", "--bootstrap-server B --describe --topic P-m", None),
    ("configs", "--bootstrap-server B --describe --broker 2", None),
    *reassign("--execute --reassignment-json-file DIR/P-bad-dir", "--execute --reassignment-json-file DIR/P-dirs"),
    SETTLE,
    *reassign("--verify --reassignment-json-file DIR/P-dirs", "--verify --reassignment-json-file DIR/P-bad-dir --preserve-throttles",
              "--cancel --reassignment-json-file DIR/P-dirs", "--cancel --reassignment-json-file DIR/P-dirs --preserve-throttles",
              "--generate --topics-to-move-json-file DIR/P-no-topics --broker-list 1,2"),
    *of(RP, "--bootstrap-controller K --list", "--bootstrap-controller K --cancel --reassignment-json-file DIR/P-move"),
    ("topics", "--bootstrap-server B --delete --topic P-m", None),
]

# A broker is away. Not for `compare.py`: "stop" and "start" are done to a node.
AWAY = [
    ("topics", "--bootstrap-server B --create --topic P-r --replica-assignment 1:2:3,2:3:1,3:1:2", None),
    ("console-producer", "--bootstrap-server B --topic P-r", "a\nb\nc\n"),
    SETTLE,
    *of(RV, "--broker-list B --topics-include P-r --time -2 --report-interval-ms 500"),
    ("stop-node", "3", None),
    *of(CL, "list-endpoints -b B", "list-endpoints -b B --include-fenced-brokers"),
    *of(MQ, "--bootstrap-server B describe --status", "--bootstrap-controller K describe --replication"),
    ("topics", "--bootstrap-server B --describe --topic P-r", None),
    ("topics", "--bootstrap-server B --describe --under-replicated-partitions", None),
    *of(LE, "--bootstrap-server B --election-type preferred --topic P-r --partition 2",
        "--bootstrap-server B --election-type preferred --path-to-json-file DIR/P-elect-replicated",
        "--bootstrap-server B --election-type unclean --all-topic-partitions"),
    *of(LD, "--bootstrap-server B --describe --topic-list P-r", "--bootstrap-server B --describe --broker-list 3"),
    *reassign("--execute --reassignment-json-file DIR/P-to-away", "--list", "--verify --reassignment-json-file DIR/P-to-away --preserve-throttles",
              "--cancel --reassignment-json-file DIR/P-to-away --preserve-throttles"),
    *of(CL, "unregister -b B --id 3", "unregister -b B --id 3", "list-endpoints -b B --include-fenced-brokers"),
    *reassign("--execute --reassignment-json-file DIR/P-to-away"),
    ("start-node", "3", None),
    SETTLE,
    *of(CL, "list-endpoints -b B"),
    *of(LE, "--bootstrap-server B --election-type preferred --all-topic-partitions"),
    ("topics", "--bootstrap-server B --describe --topic P-r", None),
]


def file(*partitions, version=1):
    listed = ", ".join('{"topic": "%s", "partition": %d, "replicas": %s%s}' % (topic, index, replicas, dirs) for topic, index, replicas, dirs in partitions)
    return '{"version": %d, "partitions": [%s]}' % (version, listed)


def dirs(*names):
    return ', "log_dirs": [%s]' % ", ".join(f'"{name}"' for name in names)


# NODES stands for the directory of the nodes.
FILES = {
    "P-empty": "",
    "P-broken": "nonsense",
    "P-no-list": "{}",
    "P-elect": '{"partitions": [{"topic": "P-m", "partition": 0}, {"topic": "P-m", "partition": 1}]}',
    "P-elect-twice": '{"partitions": [{"topic": "P-m", "partition": 0}, {"topic": "P-m", "partition": 0}]}',
    "P-elect-half": '{"partitions": [{"topic": "P-m"}]}',
    "P-move": file(("P-m", 0, [2, 3], ""), ("P-m", 1, [3, 1, 2], "")),
    "P-version": file(version=2),
    "P-repeated": file(("P-m", 0, [1, 1], "")),
    "P-unknown": file(("P-m", 0, [1, 9], "")),
    "P-no-topic": file(("P-zz", 0, [1, 2], "")),
    "P-no-partition": file(("P-m", 7, [1, 2], "")),
    "P-dirs": file(("P-m", 0, [2, 3], dirs("NODES/node-2/data-1", "NODES/node-3/data-1"))),
    "P-bad-dir": file(("P-m", 0, [2, 3], dirs("/nowhere", "any"))),
    "P-elect-replicated": '{"partitions": [{"topic": "P-r", "partition": 1}, {"topic": "P-r", "partition": 2}]}',
    "P-to-away": file(("P-r", 0, [1, 3], "")),
    "P-topics": '{"version": 1, "topics": [{"topic": "P-m"}]}',
    "P-no-topics": '{"version": 1, "topics": [{"topic": "P-zz"}]}',
}

CASES = {"cluster-usage": USAGE, "cluster": CLUSTER}

ON_PURPOSE = {
    **{(tool, "--version"): "each tells its own version" for tool in (LE, LD, AV, RP, RV)},
    (CL, "cluster-id --bootstrap-server K"): "says what was asked for and what is offered",
    (AV, "--bootstrap-server K"): "says why",
    (RP, "--bootstrap-server B --execute --reassignment-json-file DIR/P-broken"): "says in its own words where the JSON is wrong",
    # Found by their own words: the usage of help is our own text.
    **{(tool, "--help"): "the usage is our own text" for tool in (CL, MQ, F)},
    (CL, "cluster-id --help"): "the usage is our own text",
}
