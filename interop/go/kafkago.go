package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/segmentio/kafka-go"
)

type kafkaGo struct {
	bootstrap string
	client    *kafka.Client
}

func newKafkaGo(bootstrap string) (Adapter, error) {
	return &kafkaGo{bootstrap, &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: limit}}, nil
}

func (k *kafkaGo) Close() {}

func kafkaGoError(err error) error {
	var code kafka.Error
	if errors.As(err, &code) {
		// Its texts are "[36] Title: description" or, with a message of the server, "that: message".
		message := strings.TrimPrefix(strings.TrimPrefix(err.Error(), code.Error()), ": ")
		return &Refused{int16(code), message}
	}
	return err
}

func ids(brokers []kafka.Broker) (out []int32) {
	for _, b := range brokers {
		out = append(out, int32(b.ID))
	}
	return out
}

func (k *kafkaGo) Cluster() (brokers []int32, controller int32, id string, err error) {
	m, err := k.client.Metadata(within(), &kafka.MetadataRequest{})
	if err != nil {
		return nil, 0, "", err
	}
	return ids(m.Brokers), int32(m.Controller.ID), m.ClusterID, nil
}

func (k *kafkaGo) CreateTopic(topic string, partitions int32, replication int16, configs map[string]string, validateOnly bool) error {
	config := kafka.TopicConfig{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: int(replication)}
	for key, value := range configs {
		config.ConfigEntries = append(config.ConfigEntries, kafka.ConfigEntry{ConfigName: key, ConfigValue: value})
	}
	ctx := within()
	if validateOnly {
		// The client waits for the topic to appear, also for one that is only validated, until its time is up.
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		ctx = short
	}
	got, err := k.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{config}, ValidateOnly: validateOnly})
	if err != nil {
		return kafkaGoError(err)
	}
	return kafkaGoError(got.Errors[topic])
}

func (k *kafkaGo) CreatePartitions(topic string, total int32) error {
	got, err := k.client.CreatePartitions(within(), &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: total}}})
	if err != nil {
		return kafkaGoError(err)
	}
	return kafkaGoError(got.Errors[topic])
}

func (k *kafkaGo) DeleteTopic(topic string) error {
	got, err := k.client.DeleteTopics(within(), &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return kafkaGoError(err)
	}
	return kafkaGoError(got.Errors[topic])
}

func (k *kafkaGo) DescribeTopic(topic string) ([]Partition, error) {
	got, err := k.client.Metadata(within(), &kafka.MetadataRequest{Topics: []string{topic}})
	if err != nil {
		return nil, kafkaGoError(err)
	}
	if got.Topics[0].Error != nil {
		return nil, kafkaGoError(got.Topics[0].Error)
	}
	out := make([]Partition, len(got.Topics[0].Partitions))
	for _, p := range got.Topics[0].Partitions {
		out[p.ID] = Partition{int32(p.ID), int32(p.Leader.ID), ids(p.Replicas), ids(p.Isr)}
	}
	return out, nil
}

func (k *kafkaGo) Configs(kind, name string) (map[string]string, error) {
	resource := kafka.DescribeConfigRequestResource{ResourceType: kafka.ResourceTypeTopic, ResourceName: name}
	if kind == "broker" {
		resource.ResourceType = kafka.ResourceTypeBroker
	}
	got, err := k.client.DescribeConfigs(within(), &kafka.DescribeConfigsRequest{Resources: []kafka.DescribeConfigRequestResource{resource}})
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, e := range got.Resources[0].ConfigEntries {
		out[e.ConfigName] = e.ConfigValue
	}
	return out, kafkaGoError(got.Resources[0].Error)
}

func (k *kafkaGo) AlterConfig(topic, key, value string) error {
	got, err := k.client.IncrementalAlterConfigs(within(), &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: topic,
			Configs: []kafka.IncrementalAlterConfigsRequestConfig{{Name: key, Value: value, ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil {
		return kafkaGoError(err)
	}
	return kafkaGoError(got.Resources[0].Error)
}

func (k *kafkaGo) DeleteRecords(string, int32, int64) (int64, error) {
	return 0, &Missing{"no call to delete records"}
}

func (k *kafkaGo) Offset(topic string, partition int32, spec int64) (int64, error) {
	if spec == specMaxTimestamp {
		return 0, &Missing{"no call for the offset of the greatest timestamp"}
	}
	got, err := k.client.ListOffsets(within(), &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		topic: {{Partition: int(partition), Timestamp: spec}}}})
	if err != nil {
		return 0, kafkaGoError(err)
	}
	p := got.Topics[topic][0]
	switch {
	case p.Error != nil:
		return 0, kafkaGoError(p.Error)
	case spec == specEarliest:
		return p.FirstOffset, nil
	case spec == specLatest:
		return p.LastOffset, nil
	}
	for offset := range p.Offsets {
		return offset, nil
	}
	return -1, nil
}

func (k *kafkaGo) Produce(topic string, records []*Record, how Produce) ([]int64, error) {
	if how.Idempotent {
		return nil, &Missing{"no idempotent producer"}
	}
	codec := map[string]kafka.Compression{"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd}[how.Codec]
	if strings.HasSuffix(topic, "-auto") || how.Acks == 0 {
		return k.write(topic, records, how, codec)
	}
	offsets := make([]int64, len(records))
	last := int32(0)
	for _, r := range records {
		last = max(last, r.Partition)
	}
	for p := range last + 1 {
		var rows []kafka.Record
		var at []int
		for i, r := range records {
			if r.Partition == p {
				row := kafka.Record{Key: nullable(r.Key), Value: nullable(r.Value), Time: time.UnixMilli(r.Timestamp)}
				for _, h := range r.Headers {
					row.Headers = append(row.Headers, kafka.Header{Key: h.Key, Value: h.Value})
				}
				rows, at = append(rows, row), append(at, i)
			}
		}
		if len(rows) == 0 {
			continue
		}
		var got *kafka.ProduceResponse
		produce := func() (err error) {
			got, err = k.client.Produce(within(), &kafka.ProduceRequest{Topic: topic, Partition: int(p), RequiredAcks: kafka.RequiredAcks(how.Acks),
				Records: kafka.NewRecordReader(rows...), Compression: codec})
			return err
		}
		err := produce()
		if err != nil && strings.Contains(err.Error(), "topic partition not found") {
			// The client's own view of a topic that has just grown.
			err = eventually(produce)
		}
		if err == nil {
			err = got.Error
		}
		if err != nil {
			return nil, kafkaGoError(err)
		}
		for n, i := range at {
			offsets[i] = got.BaseOffset + int64(n)
		}
	}
	return offsets, nil
}

func nullable(b []byte) kafka.Bytes {
	if b == nil {
		return nil
	}
	return kafka.NewBytes(b)
}

// write uses the high-level writer, which creates topics and does not tell offsets.
func (k *kafkaGo) write(topic string, records []*Record, how Produce, codec kafka.Compression) ([]int64, error) {
	writer := &kafka.Writer{Addr: kafka.TCP(k.bootstrap), Topic: topic, RequiredAcks: kafka.RequiredAcks(how.Acks), Compression: codec,
		AllowAutoTopicCreation: true, BatchTimeout: 20 * time.Millisecond, MaxAttempts: 50,
		Balancer: kafka.BalancerFunc(func(m kafka.Message, _ ...int) int { return m.WriterData.(int) })}
	offsets := make([]int64, len(records))
	var rows []kafka.Message
	for i, r := range records {
		offsets[i] = -1
		row := kafka.Message{Key: r.Key, Value: r.Value, Time: time.UnixMilli(r.Timestamp), WriterData: int(r.Partition)}
		for _, h := range r.Headers {
			row.Headers = append(row.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		rows = append(rows, row)
	}
	// A topic that is created on the way is not yet known at the first look-up, and the writer gives up then.
	err := eventually(func() error { return writer.WriteMessages(within(), rows...) })
	return offsets, errors.Join(kafkaGoError(err), writer.Close())
}

func (k *kafkaGo) Fetch(topic string, partition int32, begin, end int64) ([]*Record, error) {
	var out []*Record
	ctx := within()
	if begin == beginning {
		begin = kafka.FirstOffset
	}
	for next := begin; len(out) == 0 || out[len(out)-1].Offset+1 < end; {
		got, err := k.client.Fetch(ctx, &kafka.FetchRequest{Topic: topic, Partition: int(partition), Offset: next, MinBytes: 1,
			MaxBytes: 4 << 20, MaxWait: 100 * time.Millisecond})
		if err == nil {
			err = got.Error
		}
		if err != nil {
			return nil, kafkaGoError(err)
		}
		for {
			r, err := got.Records.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			// Whole batches come back: those before the wanted offset are the client's to skip.
			if next >= 0 && r.Offset < next {
				continue
			}
			row, err := kafkaGoRecord(partition, r)
			if err != nil {
				return nil, err
			}
			out, next = append(out, row), r.Offset+1
		}
	}
	return out, nil
}

func kafkaGoRecord(partition int32, r *kafka.Record) (*Record, error) {
	row := &Record{Partition: partition, Timestamp: r.Time.UnixMilli(), Offset: r.Offset}
	for _, part := range []struct {
		from kafka.Bytes
		to   *[]byte
	}{{r.Key, &row.Key}, {r.Value, &row.Value}} {
		if part.from == nil {
			continue
		}
		all, err := io.ReadAll(part.from)
		if err != nil {
			return nil, err
		}
		*part.to = append([]byte{}, all...)
	}
	for _, h := range r.Headers {
		row.Headers = append(row.Headers, Header{h.Key, append([]byte{}, h.Value...)})
	}
	return row, nil
}

func (k *kafkaGo) FetchNew(topic string, partition int32, produce func() error) ([]*Record, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{k.bootstrap}, Topic: topic, Partition: int(partition), MaxWait: 100 * time.Millisecond})
	defer reader.Close()
	end, err := k.Offset(topic, partition, specLatest)
	if err != nil {
		return nil, err
	}
	if err := reader.SetOffset(end); err != nil {
		return nil, err
	}
	if err := produce(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	m, err := reader.ReadMessage(ctx)
	if err != nil {
		return nil, kafkaGoError(err)
	}
	row := &Record{Partition: partition, Key: m.Key, Value: m.Value, Timestamp: m.Time.UnixMilli(), Offset: m.Offset}
	for _, h := range m.Headers {
		row.Headers = append(row.Headers, Header{h.Key, h.Value})
	}
	return []*Record{row}, nil
}
