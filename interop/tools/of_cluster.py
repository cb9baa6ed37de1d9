"""What must be the same in the answers of the tools about clusters: without what changes from run to run, and without Java."""

import json
import re

from cluster_cases import AV, CL, F, LD, LE, MQ, RP, RV

TOOLS = (CL, MQ, F, LE, LD, AV, RP, RV)
WITH_SUBCOMMANDS = (CL, MQ, F)
CLASS = re.compile(r"\b([a-z][a-z0-9]*\.)+(\w|\$)*(Exception|Error)\w*: ")
# Where a stack trace begins, on whichever stream.
TRACE = re.compile(r"(\tat |Caused by: |\tSuppressed: |([a-z][a-z0-9]*\.)+(\w|\$)*(Exception|Error)(: |$))")
LOG = re.compile(r"\[\d{4}-[^]]*\] (WARN|ERROR|INFO) ")
TABLE = re.compile(r"(Option +Description|--[a-z.-]+ +[<\[]|usage: )")


def of_cluster(case, out, err):
    tool, line, _ = case
    err = complaint(tool, err)
    lines = []
    for text in out.splitlines():
        if TRACE.match(text):
            break
        lines.append(CLASS.sub("", text))
    out = re.sub(r"(Failed to create new KafkaAdminClient)(?s:.*)", r"\1", "\n".join(lines))
    # Directories are chosen by each broker.
    out = re.sub(r'"[^"]*/node-(\d+)/data(-\d)?"', r'"dir of \1"', out)
    if tool == MQ:
        ids = re.compile(r"(?<![\w-])[\w-]{22}(?![\w-])")
        err = re.sub(r"(voters \[)(.*)(\])", lambda found: found[1] + ", ".join(sorted(re.findall(r"ReplicaKey\([^)]*\)", found[2]))) + found[3], ids.sub("ID", err))
        out = ids.sub("ID", out)
        out = re.sub(r"\d+ ms ago|-?\b\d{1,}\b(?=\s)|: +-?\d+", "N", out) if "describe" in line else out
        out = re.sub(r"[ \t]+", " ", out)
        # A leader may have changed.
        out = "\n".join(sorted(re.sub(r"Leader|Follower", "Voter", out).splitlines()))
    if tool == F:
        # Kafka's tool is older than the level of its broker.
        out = re.sub(r"(UNKNOWN 33|4\.4-IV2) +", "LATEST ", re.sub(r"Epoch: \d+", "Epoch: N", out))
        out, err = re.sub(r"(Local c|C)ontroller \d+", "controller N", out), re.sub(r"4\.4-IV\d(, )?|, (?=$)", "", err)
    if tool == LD and "{" in out:
        head, _, body = out.partition("{")
        brokers = json.loads("{" + body)["brokers"]
        # Which directory has a partition is the broker's choice, which partition has the records the producer's.
        for broker in brokers:
            found = [{**p, "size": 0} for dir in broker["logDirs"] for p in dir["partitions"]]
            broker["partitions"] = found
            for dir in broker["logDirs"]:
                dir["partitions"] = []
        out = head + json.dumps(ordered(brokers))
    if tool == LE:
        out = re.sub(r"(partitions )(.*)", lambda found: found[1] + ", ".join(sorted(found[2].split(", "))), out)
    if tool == AV:
        # Newer APIs have no name in the older tool.
        names = re.sub(r"\t\w+(\(\d+\): [^\[,]*?)( \[\w+: [^\]]*\])?(,?)\n", r"\t\1\n", out + "\n")
        out = sorted(names.splitlines())
    if tool == RP and "Proposed" in out:
        out = re.sub(r"(?s)(Proposed.*)", lambda found: re.sub(r"\[[\d,]+\]", lambda r: f"{r[0].count(',') + 1} replicas", found[1]), out)
    return out, err


def ordered(value):
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted((ordered(each) for each in value), key=json.dumps)
    return value


def complaint(tool, err):
    """The message: after the usage for programs with subcommands, else the first line."""
    found = re.search(r":\s+error:", err)
    if tool in WITH_SUBCOMMANDS and found:
        message = err[found.start():].split("\n\nDid you mean")[0]
        # Their parser justifies its lines, and breaks them after two dashes.
        return " ".join(message.split()).replace("-- ", "--")
    for text in err.splitlines():
        if LOG.match(text) or TRACE.match(text) and not CLASS.match(text):
            continue
        if text.strip():
            return CLASS.sub("", re.sub(r'^Exception in thread "main" ', "", text))
    return ""
