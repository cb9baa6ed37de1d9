"""Where partitions end, by librdkafka."""

import confluent_kafka as ck


def ends(bootstrap, topic, partitions, limit_s=10):
    """{partition: its high watermark}. For a reader of committed records a partition ends where the first open transaction begins, so
    this one is none. It is a new one each time: librdkafka 2.16.1 may ask the old leader for ever about a topic that it does not read."""
    asker = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": "read_uncommitted", "log_level": 2})
    try:
        return {p: asker.get_watermark_offsets(ck.TopicPartition(topic, p), limit_s)[1] for p in range(partitions)}
    finally:
        asker.close()
