package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	t0         = int64(1_700_000_000_000)
	perCodec   = 600
	partitions = 3
	largeBytes = 900 * 1024
	limit      = 60 * time.Second

	specLatest       = int64(-1)
	specEarliest     = int64(-2)
	specMaxTimestamp = int64(-3)
	beginning        = int64(-2)
)

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Record is what is written, or was read. Offset is -1 until known.
type Record struct {
	Partition  int32
	Key, Value []byte
	Headers    []Header
	Timestamp  int64
	Offset     int64
}

func (r *Record) String() string {
	value := r.Value
	if len(value) > 40 {
		value = value[:40]
	}
	return fmt.Sprintf("(offset %d, ts %d, key %q, value %q of %d nil=%v, headers %q)", r.Offset, r.Timestamp, r.Key, value,
		len(r.Value), r.Value == nil, r.Headers)
}

func (r *Record) equal(o *Record) bool {
	if r.Offset != o.Offset || r.Timestamp != o.Timestamp || !bytes.Equal(r.Key, o.Key) || (r.Key == nil) != (o.Key == nil) ||
		!bytes.Equal(r.Value, o.Value) || (r.Value == nil) != (o.Value == nil) || len(r.Headers) != len(o.Headers) {
		return false
	}
	for i, h := range r.Headers {
		if h.Key != o.Headers[i].Key || !bytes.Equal(h.Value, o.Headers[i].Value) {
			return false
		}
	}
	return true
}

// Refused is an answer of the server with an error code of the Kafka protocol.
type Refused struct {
	Code    int16
	Message string
}

func (r *Refused) Error() string { return fmt.Sprintf("code %d: %s", r.Code, r.Message) }

// Missing says that the client has no such call.
type Missing struct{ why string }

func (m *Missing) Error() string { return m.why }

// Partition is what a client says of one partition of a topic.
type Partition struct {
	ID, Leader    int32
	Replicas, ISR []int32
}

// Produce says how records are to be written.
type Produce struct {
	Codec      string
	Acks       int16
	Idempotent bool
}

// Adapter does the contract's calls with one client library.
type Adapter interface {
	Cluster() (brokers []int32, controller int32, id string, err error)
	CreateTopic(topic string, partitions int32, replication int16, configs map[string]string, validateOnly bool) error
	CreatePartitions(topic string, total int32) error
	DeleteTopic(topic string) error
	DescribeTopic(topic string) ([]Partition, error)
	Configs(kind, name string) (map[string]string, error)
	AlterConfig(topic, key, value string) error
	DeleteRecords(topic string, partition int32, before int64) (int64, error)
	Offset(topic string, partition int32, spec int64) (int64, error)
	// Produce returns the offset of each record, -1 where the client does not tell.
	Produce(topic string, records []*Record, how Produce) ([]int64, error)
	// Fetch reads from begin (or beginning) up to the record before end.
	Fetch(topic string, partition int32, begin, end int64) ([]*Record, error)
	// FetchNew is set at the end of the partition, calls produce, and reads one record.
	FetchNew(topic string, partition int32, produce func() error) ([]*Record, error)
	Close()
}

func makeRecord(i int, partition int32) *Record {
	r := &Record{Partition: int32(i % partitions), Timestamp: t0 + int64(i)*1000, Offset: -1}
	if partition >= 0 {
		r.Partition = partition
	}
	// Some clients refuse a record with neither key nor value.
	if i%7 != 3 || i%10 == 4 {
		r.Key = []byte(fmt.Sprintf("key-%d", i))
	}
	switch i % 10 {
	case 4:
	case 5:
		r.Value = []byte{}
	default:
		r.Value = []byte(fmt.Sprintf("value-%d-%s", i, strings.Repeat(string(rune('a'+i%26)), i*37%700)))
	}
	if i%3 != 0 {
		r.Headers = []Header{{"n", []byte(fmt.Sprint(i))}, {"bin", []byte("\x00\xff\x80")}}
	}
	return r
}

type contract struct {
	name, topic string
	a           Adapter
	log         [partitions][]*Record
	next        int
	deleted     bool
	failed      int
}

func (c *contract) check(name string, call func() (string, error)) {
	detail, err := call()
	var missing *Missing
	switch {
	case errors.As(err, &missing):
		fmt.Println("n/a", name, missing.why)
	case err != nil:
		c.failed++
		fmt.Println("FAIL", name, strings.Join(strings.Fields(err.Error()), " "))
	case detail != "":
		fmt.Println("ok", name, detail)
	default:
		fmt.Println("ok", name)
	}
}

func refused(code int16, err error) (string, error) {
	var r *Refused
	if errors.As(err, &r) && r.Code == code {
		return strings.TrimSpace(fmt.Sprintf("code=%d %s", code, r.Message)), nil
	}
	if errors.As(err, new(*Missing)) {
		return "", err
	}
	return "", fmt.Errorf("expected code %d, got %v", code, err)
}

// eventually: metadata reaches a client a little after the call that changed it returned.
func eventually(call func() error) error {
	end := time.Now().Add(limit)
	for {
		err := call()
		if err == nil || time.Now().After(end) || errors.As(err, new(*Missing)) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (c *contract) take(count int, partition int32) (records []*Record) {
	for range count {
		records = append(records, makeRecord(c.next, partition))
		c.next++
	}
	return records
}

// produce writes, checks the offsets that the server gave out, and notes what was written.
func (c *contract) produce(records []*Record, how Produce) error {
	offsets, err := c.a.Produce(c.topic, records, how)
	if err != nil {
		return err
	}
	if len(offsets) != len(records) {
		return fmt.Errorf("%d offsets for %d records", len(offsets), len(records))
	}
	for i, r := range records {
		want := int64(len(c.log[r.Partition]))
		if offsets[i] != want && offsets[i] != -1 {
			return fmt.Errorf("partition %d: expected offset %d, got %d", r.Partition, want, offsets[i])
		}
		r.Offset = want
		c.log[r.Partition] = append(c.log[r.Partition], r)
	}
	return nil
}

func same(want, got []*Record, err error) error {
	if err != nil {
		return err
	}
	if len(want) != len(got) {
		return fmt.Errorf("expected %d records, got %d", len(want), len(got))
	}
	for i := range want {
		if !want[i].equal(got[i]) {
			return fmt.Errorf("expected %v, got %v", want[i], got[i])
		}
	}
	return nil
}

func (c *contract) readBack(partition int32, begin int64) error {
	log := c.log[partition]
	if begin >= int64(len(log)) {
		return errors.New("too few records were written before")
	}
	got, err := c.a.Fetch(c.topic, partition, begin, int64(len(log)))
	return same(log[max(begin, 0):], got, err)
}

func (c *contract) codec(codec string) (string, error) {
	var begin [partitions]int64
	for p, log := range c.log {
		begin[p] = int64(len(log))
	}
	if err := c.produce(c.take(perCodec, -1), Produce{Codec: codec, Acks: -1}); err != nil {
		return "", err
	}
	for p := range c.log {
		if err := c.readBack(int32(p), begin[p]); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("records=%d", perCodec), nil
}

func (c *contract) acks(acks int16) (string, error) {
	if err := c.produce(c.take(30, -1), Produce{Codec: "none", Acks: acks}); err != nil {
		return "", err
	}
	return "", eventually(func() error {
		for p, log := range c.log {
			got, err := c.a.Offset(c.topic, int32(p), specLatest)
			if err != nil || got != int64(len(log)) {
				return fmt.Errorf("partition %d: latest %d, expected %d, %v", p, got, len(log), err)
			}
		}
		return nil
	})
}

func (c *contract) largeRecord() (string, error) {
	r := c.take(1, 2)
	r[0].Value = make([]byte, largeBytes)
	for i := range r[0].Value {
		r[0].Value[i] = byte(i*31 + i/251)
	}
	if err := c.produce(r, Produce{Codec: "none", Acks: -1}); err != nil {
		return "", err
	}
	return "", c.readBack(2, r[0].Offset)
}

func (c *contract) consumeAll() (string, error) {
	count := 0
	for p, log := range c.log {
		if err := c.readBack(int32(p), beginning); err != nil {
			return "", err
		}
		count += len(log)
	}
	return fmt.Sprintf("records=%d", count), nil
}

func (c *contract) consumeFromTimestamp() (string, error) {
	if len(c.log[1]) < 200 {
		return "", errors.New("too few records were written before")
	}
	offset, err := c.a.Offset(c.topic, 1, c.log[1][150].Timestamp-500)
	if err != nil || offset != 150 {
		return "", fmt.Errorf("offset %d, %v", offset, err)
	}
	return "", c.readBack(1, offset)
}

func (c *contract) consumeFromEnd() (string, error) {
	r := c.take(1, 1)
	got, err := c.a.FetchNew(c.topic, 1, func() error { return c.produce(r, Produce{Codec: "none", Acks: -1}) })
	return "", same(r, got, err)
}

func (c *contract) listOffsets() (string, error) {
	log := c.log[0]
	if len(log) < 20 {
		return "", errors.New("too few records were written before")
	}
	var got []int64
	for _, spec := range []int64{specEarliest, specLatest, log[10].Timestamp, log[10].Timestamp + 1, log[len(log)-1].Timestamp + 1} {
		offset, err := c.a.Offset(c.topic, 0, spec)
		if err != nil {
			return "", err
		}
		got = append(got, offset)
	}
	want := []int64{0, int64(len(log)), 10, 11, -1}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return "", fmt.Errorf("expected %v, got %v", want, got)
	}
	return fmt.Sprint(got), nil
}

func (c *contract) describe(count int) func() error {
	return func() error {
		got, err := c.a.DescribeTopic(c.topic)
		if err != nil {
			return err
		}
		var want []Partition
		for p := range count {
			want = append(want, Partition{int32(p), 1, []int32{1}, []int32{1}})
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			return fmt.Errorf("expected %v, got %v", want, got)
		}
		return nil
	}
}

func (c *contract) topicConfig() (string, error) {
	got, err := c.a.Configs("topic", c.topic)
	if err != nil {
		return "", err
	}
	if got["segment.bytes"] != "1048576" || got["retention.ms"] != "-1" {
		return "", fmt.Errorf("%v", got)
	}
	var some []string
	for _, key := range []string{"cleanup.policy", "compression.type", "max.message.bytes", "min.insync.replicas", "message.timestamp.type"} {
		some = append(some, key+"="+got[key])
	}
	return fmt.Sprintf("%v count=%d", some, len(got)), nil
}

func (c *contract) alterConfig() (string, error) {
	if err := c.a.AlterConfig(c.topic, "retention.bytes", "123456789"); err != nil {
		return "", err
	}
	return "", eventually(func() error {
		got, err := c.a.Configs("topic", c.topic)
		if err != nil || got["retention.bytes"] != "123456789" || got["segment.bytes"] != "1048576" {
			return fmt.Errorf("%v %v", got, err)
		}
		return nil
	})
}

func (c *contract) tooLarge() (string, error) {
	name := c.name + "-small"
	if err := c.a.CreateTopic(name, 1, 1, map[string]string{"max.message.bytes": "2000"}, false); err != nil {
		return "", err
	}
	r := makeRecord(0, 0)
	r.Value = bytes.Repeat([]byte("x"), 5000)
	_, err := c.a.Produce(name, []*Record{r}, Produce{Codec: "none", Acks: -1})
	detail, err := refused(10, err)
	if err != nil {
		return "", err
	}
	r.Value = r.Value[:100]
	offsets, err := c.a.Produce(name, []*Record{r}, Produce{Codec: "none", Acks: -1})
	if err == nil && offsets[0] != 0 {
		err = fmt.Errorf("expected offset 0, got %v", offsets)
	}
	return detail, err
}

func (c *contract) deleteRecords() (string, error) {
	var low int64
	// A partition is for a moment without its leader while the topic grows.
	err := eventually(func() (err error) {
		low, err = c.a.DeleteRecords(c.topic, 0, 100)
		return err
	})
	if errors.As(err, new(*Missing)) {
		return "", err
	}
	if err != nil || (low != 100 && low != -1) {
		return "", fmt.Errorf("low watermark %d, %v", low, err)
	}
	earliest, err := c.a.Offset(c.topic, 0, specEarliest)
	if err != nil || earliest != 100 {
		return "", fmt.Errorf("earliest %d, %v", earliest, err)
	}
	c.deleted = true
	got, err := c.a.Fetch(c.topic, 0, beginning, int64(len(c.log[0])))
	return "", same(c.log[0][100:], got, err)
}

func (c *contract) autoCreate() (string, error) {
	name := c.name + "-auto"
	if _, err := c.a.Produce(name, []*Record{makeRecord(0, 0)}, Produce{Codec: "none", Acks: -1}); err != nil {
		return "", err
	}
	got, err := c.a.DescribeTopic(name)
	return fmt.Sprint(got), err
}
