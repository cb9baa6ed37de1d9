package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

type saramaClient struct {
	bootstrap []string
	client    sarama.Client
	admin     sarama.ClusterAdmin
}

func saramaConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.Metadata.AllowAutoTopicCreation = true
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Consumer.Fetch.Default = 4 << 20
	return config
}

func newSarama(bootstrap string) (Adapter, error) {
	s := &saramaClient{bootstrap: []string{bootstrap}}
	var err error
	if s.client, err = sarama.NewClient(s.bootstrap, saramaConfig()); err != nil {
		return nil, err
	}
	s.admin, err = sarama.NewClusterAdmin(s.bootstrap, saramaConfig())
	return s, err
}

func (s *saramaClient) Close() {
	_ = s.admin.Close()
	_ = s.client.Close()
}

func saramaError(err error) error {
	var topic *sarama.TopicError
	if errors.As(err, &topic) {
		message := ""
		if topic.ErrMsg != nil {
			message = *topic.ErrMsg
		}
		return &Refused{int16(topic.Err), message}
	}
	var partition *sarama.TopicPartitionError
	if errors.As(err, &partition) && partition.ErrMsg != nil {
		return &Refused{int16(partition.Err), *partition.ErrMsg}
	}
	var code sarama.KError
	if errors.As(err, &code) && code > 0 {
		return &Refused{int16(code), ""}
	}
	return err
}

func (s *saramaClient) Cluster() (brokers []int32, controller int32, id string, err error) {
	rows, controller, err := s.admin.DescribeCluster()
	for _, b := range rows {
		brokers = append(brokers, b.ID())
	}
	return brokers, controller, "", err
}

func (s *saramaClient) CreateTopic(topic string, partitions int32, replication int16, configs map[string]string, validateOnly bool) error {
	entries := map[string]*string{}
	for key, value := range configs {
		entries[key] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replication, ConfigEntries: entries}
	return saramaError(s.admin.CreateTopic(topic, detail, validateOnly))
}

func (s *saramaClient) CreatePartitions(topic string, total int32) error {
	return saramaError(s.admin.CreatePartitions(topic, total, nil, false))
}

func (s *saramaClient) DeleteTopic(topic string) error {
	return saramaError(s.admin.DeleteTopic(topic))
}

func (s *saramaClient) DescribeTopic(topic string) ([]Partition, error) {
	got, err := s.admin.DescribeTopics([]string{topic})
	if err != nil {
		return nil, err
	}
	if got[0].Err != sarama.ErrNoError {
		return nil, saramaError(got[0].Err)
	}
	out := make([]Partition, len(got[0].Partitions))
	for _, p := range got[0].Partitions {
		out[p.ID] = Partition{p.ID, p.Leader, p.Replicas, p.Isr}
	}
	return out, nil
}

func (s *saramaClient) Configs(kind, name string) (map[string]string, error) {
	resource := &sarama.ConfigResource{Type: sarama.TopicResource, Name: name}
	if kind == "broker" {
		resource.Type = sarama.BrokerResource
	}
	got, err := s.admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err != nil {
		return nil, saramaError(err)
	}
	out := map[string]string{}
	for _, e := range got[0].Configs {
		out[e.Name] = e.Value
	}
	return out, nil
}

func (s *saramaClient) AlterConfig(topic, key, value string) error {
	entries := map[string]sarama.IncrementalAlterConfigsEntry{key: {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
	return saramaError(s.admin.IncrementalAlterConfig(sarama.TopicResource, topic, entries, false))
}

func (s *saramaClient) DeleteRecords(topic string, partition int32, before int64) (int64, error) {
	return -1, saramaError(s.admin.DeleteRecords(topic, map[int32]int64{partition: before}))
}

func (s *saramaClient) Offset(topic string, partition int32, spec int64) (int64, error) {
	if spec == specMaxTimestamp {
		return 0, &Missing{"its version of ListOffsets is from before the greatest timestamp could be asked for"}
	}
	got, err := s.client.GetOffset(topic, partition, spec)
	return got, saramaError(err)
}

func (s *saramaClient) Produce(topic string, records []*Record, how Produce) ([]int64, error) {
	config := saramaConfig()
	config.Producer.RequiredAcks = sarama.RequiredAcks(how.Acks)
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 2_000_000
	config.Producer.Flush.Frequency = 20 * time.Millisecond
	config.Producer.Compression = map[string]sarama.CompressionCodec{"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP,
		"snappy": sarama.CompressionSnappy, "lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD}[how.Codec]
	if how.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	producer, err := sarama.NewSyncProducer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	var rows []*sarama.ProducerMessage
	for _, r := range records {
		row := &sarama.ProducerMessage{Topic: topic, Partition: r.Partition, Timestamp: time.UnixMilli(r.Timestamp)}
		if r.Key != nil {
			row.Key = sarama.ByteEncoder(r.Key)
		}
		if r.Value != nil {
			row.Value = sarama.ByteEncoder(r.Value)
		}
		for _, h := range r.Headers {
			row.Headers = append(row.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		rows = append(rows, row)
	}
	if err := producer.SendMessages(rows); err != nil {
		var all sarama.ProducerErrors
		if errors.As(err, &all) && len(all) > 0 {
			err = all[0].Err
		}
		return nil, saramaError(err)
	}
	offsets := make([]int64, len(rows))
	for i, row := range rows {
		if offsets[i] = row.Offset; how.Acks == 0 {
			offsets[i] = -1
		}
	}
	return offsets, nil
}

func (s *saramaClient) read(topic string, partition int32, begin, end int64, ready func() error) ([]*Record, error) {
	consumer, err := sarama.NewConsumer(s.bootstrap, saramaConfig())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	rows, err := consumer.ConsumePartition(topic, partition, begin)
	if err != nil {
		return nil, saramaError(err)
	}
	defer rows.AsyncClose()
	if ready != nil {
		if err := ready(); err != nil {
			return nil, err
		}
	}
	var out []*Record
	end1 := time.After(limit)
	for len(out) == 0 || out[len(out)-1].Offset+1 < end {
		select {
		case m, open := <-rows.Messages():
			if !open {
				return nil, fmt.Errorf("closed after %d records", len(out))
			}
			row := &Record{Partition: m.Partition, Key: m.Key, Value: m.Value, Timestamp: m.Timestamp.UnixMilli(), Offset: m.Offset}
			for _, h := range m.Headers {
				row.Headers = append(row.Headers, Header{string(h.Key), h.Value})
			}
			out = append(out, row)
		case e := <-rows.Errors():
			if e != nil {
				return nil, saramaError(e.Err)
			}
		case <-end1:
			return nil, fmt.Errorf("only %d records", len(out))
		}
	}
	return out, nil
}

func (s *saramaClient) Fetch(topic string, partition int32, begin, end int64) ([]*Record, error) {
	if begin == beginning {
		begin = sarama.OffsetOldest
	}
	return s.read(topic, partition, begin, end, nil)
}

func (s *saramaClient) FetchNew(topic string, partition int32, produce func() error) ([]*Record, error) {
	return s.read(topic, partition, sarama.OffsetNewest, 0, produce)
}
