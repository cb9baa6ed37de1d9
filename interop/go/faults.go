package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// faultClient is franz-go under faults: go-clients faults BOOTSTRAP TOPIC PARTITIONS TAG ACKS FLAG. Writers of numbered records, with
// and without idempotence, one of them compressed, and two members of a group that read them and commit. It writes what happens as JSON lines. While the
// file flag exists writers write; all leave on SIGTERM.
type faultClient struct {
	bootstrap, topic, tag, acks, flag string
	partitions                        int32
	events
}

const (
	faultEvery  = 100 * time.Millisecond
	faultCommit = 300 * time.Millisecond
)

func runFaults(args []string) int {
	if len(args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: go-clients faults BOOTSTRAP TOPIC PARTITIONS TAG ACKS FLAG")
		return 2
	}
	partitions, _ := strconv.Atoi(args[2])
	f := &faultClient{bootstrap: args[0], topic: args[1], partitions: int32(partitions), tag: args[3], acks: args[4], flag: args[5]}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	run := fmt.Sprintf("%s%d", f.tag, os.Getpid())
	var all sync.WaitGroup
	all.Go(func() { f.write(ctx, run+"p", false) })
	if f.acks == "all" {
		all.Go(func() { f.write(ctx, run+"i", true) })
	}
	for n := range 2 {
		all.Go(func() { f.read(ctx, fmt.Sprintf("%sr%d", run, n)) })
	}
	all.Wait()
	return 0
}

func (f *faultClient) options(name string, more ...kgo.Opt) []kgo.Opt {
	backoff := func(tries int) time.Duration { return min(50*time.Millisecond<<min(tries, 3), 200*time.Millisecond) }
	return append([]kgo.Opt{
		kgo.SeedBrokers(strings.Split(f.bootstrap, ",")...), kgo.ClientID(name), kgo.RetryBackoffFn(backoff),
		kgo.DialTimeout(3 * time.Second), kgo.RequestTimeoutOverhead(4 * time.Second), kgo.MetadataMaxAge(2 * time.Second),
		kgo.MetadataMinAge(100 * time.Millisecond),
	}, more...)
}

func (f *faultClient) write(ctx context.Context, name string, idempotent bool) {
	options := f.options(name, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(2*time.Millisecond),
		kgo.RecordDeliveryTimeout(60*time.Second), kgo.ProduceRequestTimeout(4*time.Second), kgo.RecordRetries(1_000_000),
		kgo.UnknownTopicRetries(-1))
	if idempotent {
		options = append(options, kgo.ProducerBatchCompression(kgo.SnappyCompression()))
	} else {
		options = append(options, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	if f.acks == "all" {
		options = append(options, kgo.RequiredAcks(kgo.AllISRAcks()))
	} else {
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()))
	}
	if !idempotent {
		options = append(options, kgo.DisableIdempotentWrite(), kgo.MaxProduceRequestsInflightPerBroker(1))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		f.log("error", map[string]any{"w": name, "error": err.Error()})
		return
	}
	defer client.Close()
	due := time.Now()
	for number := 0; ctx.Err() == nil; number++ {
		if _, err := os.Stat(f.flag); err != nil {
			break
		}
		for partition := range f.partitions {
			value := fmt.Sprintf("%s:%d:%d:%s", name, partition, number, strings.Repeat(".", 60))
			what := map[string]any{"w": name, "p": partition, "n": number, "s": nowMs()}
			record := &kgo.Record{Topic: f.topic, Partition: partition, Value: []byte(value)}
			client.Produce(context.Background(), record, func(record *kgo.Record, err error) {
				if err != nil {
					what["error"] = err.Error()
					f.log("fail", what)
					return
				}
				what["o"] = record.Offset
				f.log("ack", what)
			})
			due = due.Add(faultEvery / time.Duration(f.partitions))
			time.Sleep(time.Until(due))
		}
	}
	flush, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	_ = client.Flush(flush)
	f.log("written", map[string]any{"w": name})
}

func (f *faultClient) read(ctx context.Context, name string) {
	group := "faults-" + f.tag
	var lock sync.Mutex
	read := map[int32]int64{}
	parts := func(event string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			lock.Lock()
			if event == "revoked" {
				for _, partition := range changed[f.topic] {
					delete(read, partition)
				}
			}
			lock.Unlock()
			f.log(event, map[string]any{"r": name, "parts": changed[f.topic]})
		}
	}
	client, err := kgo.NewClient(f.options(name, kgo.ConsumerGroup(group), kgo.ConsumeTopics(f.topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(time.Second), kgo.FetchMaxWait(200*time.Millisecond), kgo.OnPartitionsAssigned(parts("assigned")),
		kgo.OnPartitionsRevoked(parts("revoked")), kgo.OnPartitionsLost(parts("revoked")), kgo.BlockRebalanceOnPoll())...)
	if err != nil {
		f.log("error", map[string]any{"r": name, "error": err.Error()})
		return
	}
	due := time.Now()
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		fetches.EachPartition(func(found kgo.FetchTopicPartition) {
			if len(found.Records) == 0 {
				return
			}
			records := make([]any, 0, len(found.Records))
			for _, record := range found.Records {
				text := string(record.Value)
				records = append(records, []any{record.Offset, text[:max(0, strings.LastIndexByte(text, ':'))]})
			}
			lock.Lock()
			read[found.Partition] = found.Records[len(found.Records)-1].Offset + 1
			lock.Unlock()
			f.log("read", map[string]any{"r": name, "g": group, "p": found.Partition, "recs": records})
		})
		if time.Now().After(due) {
			due = time.Now().Add(faultCommit)
			lock.Lock()
			now := read
			read = map[int32]int64{}
			lock.Unlock()
			f.commit(client, name, group, now)
		}
		client.AllowRebalance()
	}
	client.CloseAllowingRebalance()
	f.log("closed", map[string]any{"r": name})
}

func (f *faultClient) commit(client *kgo.Client, name, group string, read map[int32]int64) {
	if len(read) == 0 {
		return
	}
	records := make([]*kgo.Record, 0, len(read))
	for partition, next := range read {
		// A record commits the offset behind it.
		records = append(records, &kgo.Record{Topic: f.topic, Partition: partition, Offset: next - 1, LeaderEpoch: -1})
	}
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	sent := nowMs()
	if err := client.CommitRecords(limit, records...); err != nil {
		f.log("error", map[string]any{"r": name, "error": err.Error()})
		return
	}
	f.log("commit", map[string]any{"r": name, "g": group, "s": sent, "offs": read})
}
