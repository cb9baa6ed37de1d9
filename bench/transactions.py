"""Transactions: how many a server does, what they cost it, how long a commit takes; and reading what they wrote.

The producers and the consumer are `monedula-load`'s (crates/load), the same for both servers.
"""

from groups import Load, running
from harness import step

PARTITIONS, RECORDS, SPREAD, SIZE = 6, 5, 2, 100
# Transactional ids: transactions of each.
COUNTS = {1: 1000, 50: 60}
WARM = 4
# Transactions of each of these many ids, their records, and bytes in each: 200 MB.
LARGE = {"transactions": 50, "ids": 20, "records": 200, "size": 1000}
READS = 2
GOALS = {f"ids_{ids}_{what}": goal for ids in COUNTS for what, goal in (("cpu_s_per_1000", 0.35), ("p99_ms", 0.7))}


def small(driver, ids, figures):
    count = COUNTS[ids]
    driver.ask("transactions", count // WARM, ids, RECORDS, SPREAD, SIZE)
    answer, cpu_s = driver.measured("transactions", count, ids, RECORDS, SPREAD, SIZE)
    done = answer["transactions"]
    if done != count * ids:
        raise step.Failed(f"{done} transactions were done, not {count * ids}")
    figures[f"ids_{ids}_per_s"] = done * 1000 / answer["ms"]
    figures[f"ids_{ids}_cpu_s_per_1000"] = cpu_s * 1000 / done
    figures[f"ids_{ids}_p50_ms"] = answer["p50_us"] / 1000
    figures[f"ids_{ids}_p99_ms"] = answer["p99_us"] / 1000


def reading(driver, figures):
    written = driver.ask("transactions", LARGE["transactions"], LARGE["ids"], LARGE["records"], SPREAD, LARGE["size"])["records"]
    total, spent, took = written * LARGE["size"], {}, {}
    # A first one each for the page cache; then in turn.
    for isolation in ("read_uncommitted", "read_committed") * (READS + 1):
        answer, cpu_s = driver.measured("read", isolation, 1)
        if answer["records"] != written or answer["bytes"] != total:
            raise step.Failed(f"{isolation} found {answer['records']} of {written} records")
        spent.setdefault(isolation, []).append(cpu_s)
        took.setdefault(isolation, []).append(answer["ms"] / 1000)
    for isolation in spent:
        read = READS * total
        figures[f"{isolation}_cpu_s_per_gb"] = sum(spent[isolation][1:]) / (read / 1e9)
        figures[f"{isolation}_mb_s"] = read / 1e6 / sum(took[isolation][1:])
    figures["read_committed_by_uncommitted"] = figures["read_committed_cpu_s_per_gb"] / figures["read_uncommitted_cpu_s_per_gb"]


def measure(kind, binary, load, n):
    """One life of one server: a dict of figures."""
    figures = {}
    with running(kind, binary, f"bench-transactions-{n}-{kind}", {}) as s:
        for topic in (*(f"ids-{ids}" for ids in COUNTS), "large"):
            driver = Load(load, s, f"{s.name}-{topic}", topic=topic)
            try:
                driver.ask("topic", PARTITIONS)
                if topic == "large":
                    reading(driver, figures)
                else:
                    small(driver, int(topic.removeprefix("ids-")), figures)
            finally:
                driver.close()
    return figures
