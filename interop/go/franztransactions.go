package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type franzTransactions struct{ *franz }

type franzProducer struct{ client *kgo.Client }

func (f *franzTransactions) Producer(id string, timeout time.Duration) (txnProducer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap), kgo.TransactionalID(id), kgo.TransactionTimeout(timeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	// The id is asked for when it is first needed: a fenced producer must have had it before the other one.
	if _, _, err = client.ProducerID(within()); err != nil {
		client.Close()
		return nil, franzError(err, "")
	}
	return &franzProducer{client}, nil
}

func (p *franzProducer) Begin() error { return franzError(p.client.BeginTransaction(), "") }

func (p *franzProducer) Send(topic string, rows []txnRow) error {
	var records []*kgo.Record
	for _, r := range rows {
		records = append(records, &kgo.Record{Topic: topic, Partition: r.partition, Value: []byte(r.value)})
	}
	return franzError(p.client.ProduceSync(within(), records...).FirstErr(), "")
}

func (p *franzProducer) End(commit bool) error {
	return franzError(p.client.EndTransaction(within(), kgo.TransactionEndTry(commit)), "")
}

func (p *franzProducer) Close() { p.client.Close() }

func (f *franzTransactions) Reader(topic string, committed bool, seen func(txnRow)) (func(), error) {
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	from := map[int32]kgo.Offset{}
	for p := range int32(txnPartitions) {
		from[p] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(f.bootstrap), kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) { seen(txnRow{r.Partition, string(r.Value)}) })
		}
	}()
	return func() { cancel(); <-done; client.Close() }, nil
}

func (f *franzTransactions) Copy(from, to, group string, total int) (aborted int, err error) {
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(f.bootstrap), kgo.TransactionalID(group), kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return 0, err
	}
	defer session.Close()
	ctx, cancel := context.WithTimeout(context.Background(), txnLimit)
	defer cancel()
	for done, round := 0, 0; done < total; {
		// A poll marks what it returned as read: only so many records are in a transaction.
		fetches := session.PollRecords(ctx, 7)
		if ctx.Err() != nil {
			return aborted, ctx.Err()
		}
		rows := fetches.Records()
		if len(rows) == 0 {
			continue
		}
		round++
		if err := session.Begin(); err != nil {
			return aborted, franzError(err, "")
		}
		for _, r := range rows {
			session.Produce(ctx, &kgo.Record{Topic: to, Partition: r.Partition, Value: append([]byte("copy of "), r.Value...)}, nil)
		}
		committed, err := session.End(ctx, kgo.TransactionEndTry(round%3 != 2))
		if err != nil {
			return aborted, franzError(err, "")
		}
		if committed {
			done += len(rows)
		} else {
			aborted++
		}
	}
	return aborted, nil
}

func (f *franzTransactions) Offsets(group string, topic string) (map[int32]int64, error) {
	got, err := f.admin.FetchOffsets(within(), group)
	out := map[int32]int64{}
	for p, o := range got[topic] {
		out[p] = o.At
	}
	return out, err
}
