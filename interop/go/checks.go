package main

import (
	"fmt"
	"strings"
)

// runContract goes through all checks in order and returns the exit code.
func runContract(name string, a Adapter) int {
	c := &contract{name: name, topic: name + "-main", a: a}
	create := func(topic string, partitions int32, replication int16, configs map[string]string) func() error {
		return func() error { return a.CreateTopic(topic, partitions, replication, configs, false) }
	}
	expect := func(check string, code int16, call func() error) {
		c.check(check, func() (string, error) { return refused(code, call()) })
	}
	plain := func(check string, call func() error) {
		c.check(check, func() (string, error) { return "", call() })
	}
	c.check("cluster", func() (string, error) {
		brokers, controller, id, err := a.Cluster()
		if err == nil && (fmt.Sprint(brokers) != "[1]" || controller != 1 || (id != "" && id != "MkU3OEVBNTcwNTJENDM2Qg")) {
			err = fmt.Errorf("brokers %v, controller %d, cluster %q", brokers, controller, id)
		}
		return "cluster_id=" + id, err
	})
	plain("create-topic", create(c.topic, partitions, 1, map[string]string{"segment.bytes": "1048576", "retention.ms": "-1"}))
	plain("describe-topic", func() error { return eventually(c.describe(partitions)) })
	c.check("create-topic-validate-only", func() (string, error) {
		if err := a.CreateTopic(name+"-dry-run", 1, 1, nil, true); err != nil {
			return "", err
		}
		_, err := a.DescribeTopic(name + "-dry-run")
		return refused(3, err)
	})
	expect("err-create-existing", 36, create(c.topic, 1, 1, nil))
	expect("err-create-name", 17, create("not a name!", 1, 1, nil))
	expect("err-create-name-dots", 17, create("..", 1, 1, nil))
	expect("err-create-name-long", 17, create(strings.Repeat("n", 250), 1, 1, nil))
	expect("err-create-config", 40, create(name+"-x", 1, 1, map[string]string{"retention.ms": "soon"}))
	expect("err-create-config-unknown", 40, create(name+"-x", 1, 1, map[string]string{"no.such.config": "1"}))
	expect("err-create-no-partitions", 37, create(name+"-x", 0, 1, nil))
	expect("err-create-replication", 38, create(name+"-x", 1, 2, nil))
	expect("err-describe-unknown", 3, func() error { _, err := a.DescribeTopic(name + "-unknown"); return err })
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		c.check("codec-"+codec, func() (string, error) { return c.codec(codec) })
	}
	c.check("acks-0", func() (string, error) { return c.acks(0) })
	c.check("acks-1", func() (string, error) { return c.acks(1) })
	c.check("acks-all", func() (string, error) { return c.acks(-1) })
	plain("idempotent", func() error {
		return c.produce(c.take(300, -1), Produce{Codec: "none", Acks: -1, Idempotent: true})
	})
	c.check("large-record", c.largeRecord)
	c.check("consume-all", c.consumeAll)
	plain("consume-from-offset", func() error { return c.readBack(1, 77) })
	c.check("consume-from-timestamp", c.consumeFromTimestamp)
	c.check("consume-from-end", c.consumeFromEnd)
	c.check("list-offsets", c.listOffsets)
	plain("list-offsets-max-timestamp", func() error {
		got, err := a.Offset(c.topic, 0, specMaxTimestamp)
		if err == nil && got != int64(len(c.log[0])-1) {
			err = fmt.Errorf("got %d of %d", got, len(c.log[0]))
		}
		return err
	})
	c.check("describe-topic-config", c.topicConfig)
	c.check("alter-topic-config", c.alterConfig)
	expect("err-alter-config", 40, func() error { return a.AlterConfig(c.topic, "retention.ms", "soon") })
	c.check("describe-broker-config", func() (string, error) {
		got, err := a.Configs("broker", "1")
		return strings.Join([]string{got["log.segment.bytes"], got["num.io.threads"], got["node.id"]}, " "), err
	})
	c.check("err-record-too-large", c.tooLarge)
	plain("create-partitions", func() error {
		if err := a.CreatePartitions(c.topic, 5); err != nil {
			return err
		}
		return eventually(c.describe(5))
	})
	expect("err-create-partitions-fewer", 37, func() error { return a.CreatePartitions(c.topic, 2) })
	c.check("delete-records", c.deleteRecords)
	expect("err-delete-records-beyond", 1, func() error { _, err := a.DeleteRecords(c.topic, 0, 10_000_000); return err })
	expect("err-offset-below-start", 1, func() error {
		if !c.deleted {
			return &Missing{"no records were deleted"}
		}
		_, err := a.Fetch(c.topic, 0, 5, 6)
		return err
	})
	expect("err-offset-beyond-end", 1, func() error { _, err := a.Fetch(c.topic, 0, 10_000_000, 10_000_001); return err })
	c.check("auto-create", c.autoCreate)
	c.check("delete-topic", func() (string, error) {
		if err := a.DeleteTopic(name + "-small"); err != nil {
			return "", err
		}
		var detail string
		return detail, eventually(func() (err error) {
			_, err = a.DescribeTopic(name + "-small")
			detail, err = refused(3, err)
			return err
		})
	})
	expect("err-delete-unknown", 3, func() error { return a.DeleteTopic(name + "-unknown") })
	a.Close()
	if c.failed > 0 {
		return 1
	}
	return 0
}
