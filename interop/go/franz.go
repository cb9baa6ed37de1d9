package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

type franz struct {
	bootstrap string
	client    *kgo.Client
	admin     *kadm.Client
}

func newFranz(bootstrap string) (Adapter, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(bootstrap))
	return &franz{bootstrap, client, kadm.NewClient(client)}, err
}

func (f *franz) Close() { f.client.Close() }

func franzError(err error, message string) error {
	var k *kerr.Error
	if errors.As(err, &k) {
		return &Refused{k.Code, message}
	}
	return err
}

func within() context.Context {
	ctx, _ := context.WithTimeout(context.Background(), limit) //nolint:govet // ends with the process
	return ctx
}

func (f *franz) Cluster() (brokers []int32, controller int32, id string, err error) {
	m, err := f.admin.BrokerMetadata(within())
	return m.Brokers.NodeIDs(), m.Controller, m.Cluster, err
}

func (f *franz) CreateTopic(topic string, partitions int32, replication int16, configs map[string]string, validateOnly bool) error {
	values := map[string]*string{}
	for key, value := range configs {
		values[key] = kadm.StringPtr(value)
	}
	call := f.admin.CreateTopics
	if validateOnly {
		call = f.admin.ValidateCreateTopics
	}
	got, err := call(within(), partitions, replication, values, topic)
	if err != nil {
		return err
	}
	return franzError(got[topic].Err, got[topic].ErrMessage)
}

func (f *franz) CreatePartitions(topic string, total int32) error {
	got, err := f.admin.UpdatePartitions(within(), int(total), topic)
	if err != nil {
		return err
	}
	return franzError(got[topic].Err, got[topic].ErrMessage)
}

func (f *franz) DeleteTopic(topic string) error {
	got, err := f.admin.DeleteTopics(within(), topic)
	if err != nil {
		return err
	}
	return franzError(got[topic].Err, got[topic].ErrMessage)
}

func (f *franz) DescribeTopic(topic string) ([]Partition, error) {
	got, err := f.admin.ListTopics(within(), topic)
	if err != nil {
		return nil, err
	}
	if err := got[topic].Err; err != nil {
		return nil, franzError(err, "")
	}
	var out []Partition
	for _, p := range got[topic].Partitions.Sorted() {
		out = append(out, Partition{p.Partition, p.Leader, p.Replicas, p.ISR})
	}
	return out, nil
}

func (f *franz) Configs(kind, name string) (map[string]string, error) {
	var got kadm.ResourceConfigs
	var err error
	if kind == "topic" {
		got, err = f.admin.DescribeTopicConfigs(within(), name)
	} else {
		id, _ := strconv.Atoi(name)
		got, err = f.admin.DescribeBrokerConfigs(within(), int32(id))
	}
	if err != nil {
		return nil, err
	}
	r, err := got.On(name, nil)
	if err == nil {
		err = r.Err
	}
	out := map[string]string{}
	for _, c := range r.Configs {
		out[c.Key] = c.MaybeValue()
	}
	return out, franzError(err, r.ErrMessage)
}

func (f *franz) AlterConfig(topic, key, value string) error {
	got, err := f.admin.AlterTopicConfigs(within(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	if err != nil {
		return err
	}
	r, err := got.On(topic, nil)
	if err == nil {
		err = r.Err
	}
	return franzError(err, r.ErrMessage)
}

func (f *franz) DeleteRecords(topic string, partition int32, before int64) (int64, error) {
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, partition, before, -1)
	got, err := f.admin.DeleteRecords(within(), offsets)
	if err != nil {
		return 0, err
	}
	r := got[topic][partition]
	return r.LowWatermark, franzError(r.Err, "")
}

func (f *franz) Offset(topic string, partition int32, spec int64) (int64, error) {
	var got kadm.ListedOffsets
	var err error
	switch spec {
	case specEarliest:
		got, err = f.admin.ListStartOffsets(within(), topic)
	case specLatest:
		got, err = f.admin.ListEndOffsets(within(), topic)
	case specMaxTimestamp:
		got, err = f.admin.ListMaxTimestampOffsets(within(), topic)
	default:
		return f.offsetAfter(topic, partition, spec)
	}
	if err != nil {
		return 0, err
	}
	o, _ := got.Lookup(topic, partition)
	return o.Offset, franzError(o.Err, "")
}

// offsetAfter: the client answers with the end offset where the server says that there is none.
func (f *franz) offsetAfter(topic string, partition int32, timestamp int64) (int64, error) {
	got, err := f.admin.ListOffsetsAfterMilli(within(), timestamp, topic)
	if err != nil {
		return 0, err
	}
	o, _ := got.Lookup(topic, partition)
	if o.Timestamp == -1 {
		return -1, nil
	}
	return o.Offset, franzError(o.Err, "")
}

func (f *franz) Produce(topic string, records []*Record, how Produce) ([]int64, error) {
	codec := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}[how.Codec]
	acks := map[int16]kgo.Acks{0: kgo.NoAck(), 1: kgo.LeaderAck(), -1: kgo.AllISRAcks()}[how.Acks]
	options := []kgo.Opt{kgo.SeedBrokers(f.bootstrap), kgo.RequiredAcks(acks), kgo.ProducerBatchCompression(codec),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(20 * time.Millisecond),
		kgo.ProducerBatchMaxBytes(1_048_588), kgo.AllowAutoTopicCreation(),
		kgo.UnknownTopicRetries(50)}
	// No delivery timeout: the client counts it from the record's timestamp, and these lie in the past.
	if !how.Idempotent {
		options = append(options, kgo.DisableIdempotentWrite())
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	var rows []*kgo.Record
	for _, r := range records {
		row := &kgo.Record{Topic: topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			row.Headers = append(row.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		rows = append(rows, row)
	}
	if err := client.ProduceSync(within(), rows...).FirstErr(); err != nil {
		return nil, franzError(err, "")
	}
	offsets := make([]int64, len(rows))
	for i, row := range rows {
		if offsets[i] = row.Offset; how.Acks == 0 {
			offsets[i] = -1
		}
	}
	return offsets, nil
}

func (f *franz) read(topic string, partition int32, at kgo.Offset, end int64, ready func() error) ([]*Record, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: at}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if ready != nil {
		// The position at the end is looked up by the first poll.
		short, cancel := context.WithTimeout(context.Background(), time.Second)
		client.PollFetches(short)
		cancel()
		if err := ready(); err != nil {
			return nil, err
		}
	}
	var out []*Record
	ctx := within()
	for len(out) == 0 || out[len(out)-1].Offset+1 < end {
		fetches := client.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			return nil, franzError(e.Err, "")
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("only %d records", len(out))
		}
		for _, r := range fetches.Records() {
			row := &Record{Partition: r.Partition, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Offset: r.Offset}
			for _, h := range r.Headers {
				row.Headers = append(row.Headers, Header{h.Key, h.Value})
			}
			out = append(out, row)
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Offset < out[j].Offset })
	return out, nil
}

func (f *franz) Fetch(topic string, partition int32, begin, end int64) ([]*Record, error) {
	at := kgo.NewOffset().AtStart()
	if begin != beginning {
		at = kgo.NewOffset().At(begin)
	}
	return f.read(topic, partition, at, end, nil)
}

func (f *franz) FetchNew(topic string, partition int32, produce func() error) ([]*Record, error) {
	return f.read(topic, partition, kgo.NewOffset().AtEnd(), 0, produce)
}
