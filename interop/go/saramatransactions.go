package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type saramaTransactions struct{ *saramaClient }

type saramaProducer struct{ p sarama.SyncProducer }

func (s *saramaTransactions) transactional(id string, timeout time.Duration) (sarama.SyncProducer, error) {
	config := saramaConfig()
	config.Producer.Idempotent = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	config.Producer.Return.Errors = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Transaction.ID = id
	config.Producer.Transaction.Timeout = timeout
	config.Net.MaxOpenRequests = 1
	return sarama.NewSyncProducer(s.bootstrap, config)
}

// saramaTxnError also looks into the errors of single records.
func saramaTxnError(err error) error {
	var many sarama.ProducerErrors
	if errors.As(err, &many) && len(many) > 0 {
		err = many[0].Err
	}
	return saramaError(err)
}

func (s *saramaTransactions) Producer(id string, timeout time.Duration) (txnProducer, error) {
	p, err := s.transactional(id, timeout)
	if err != nil {
		return nil, saramaTxnError(err)
	}
	return &saramaProducer{p}, nil
}

func (p *saramaProducer) Begin() error { return saramaTxnError(p.p.BeginTxn()) }

func (p *saramaProducer) Send(topic string, rows []txnRow) error {
	var records []*sarama.ProducerMessage
	for _, r := range rows {
		records = append(records, &sarama.ProducerMessage{Topic: topic, Partition: r.partition, Value: sarama.StringEncoder(r.value)})
	}
	return saramaTxnError(p.p.SendMessages(records))
}

func (p *saramaProducer) End(commit bool) error {
	if commit {
		return saramaTxnError(p.p.CommitTxn())
	}
	return saramaTxnError(p.p.AbortTxn())
}

func (p *saramaProducer) Close() { _ = p.p.Close() }

func (s *saramaTransactions) Reader(topic string, committed bool, seen func(txnRow)) (func(), error) {
	config := saramaConfig()
	if committed {
		config.Consumer.IsolationLevel = sarama.ReadCommitted
	}
	consumer, err := sarama.NewConsumer(s.bootstrap, config)
	if err != nil {
		return nil, err
	}
	var wait sync.WaitGroup
	var all []sarama.PartitionConsumer
	for p := range int32(txnPartitions) {
		one, err := consumer.ConsumePartition(topic, p, sarama.OffsetOldest)
		if err != nil {
			return nil, saramaError(err)
		}
		all = append(all, one)
		wait.Go(func() {
			for m := range one.Messages() {
				seen(txnRow{m.Partition, string(m.Value)})
			}
		})
	}
	return func() {
		for _, one := range all {
			one.AsyncClose()
		}
		wait.Wait()
		_ = consumer.Close()
	}, nil
}

// saramaCopier copies one claim at a time, a few records in each transaction.
type saramaCopier struct {
	p                            sarama.SyncProducer
	to, group                    string
	total, done, rounds, aborted int
	mu                           sync.Mutex
	end                          context.CancelFunc
	failure                      error
}

func (c *saramaCopier) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (c *saramaCopier) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (c *saramaCopier) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	var rows []*sarama.ConsumerMessage
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			if rows = append(rows, m); len(rows) < 5 {
				continue
			}
		case <-session.Context().Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
		// The client has no way back within a claim: what was aborted is written again by the next transaction.
		for len(rows) > 0 {
			committed, err := c.write(rows)
			if err != nil {
				return err
			}
			if committed {
				rows = nil
			}
		}
	}
}

func (c *saramaCopier) write(rows []*sarama.ConsumerMessage) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rounds++
	commit := c.rounds%3 != 2
	var out []*sarama.ProducerMessage
	for _, m := range rows {
		out = append(out, &sarama.ProducerMessage{Topic: c.to, Partition: m.Partition, Value: sarama.StringEncoder("copy of " + string(m.Value))})
	}
	last := rows[len(rows)-1]
	err := steps(c.p.BeginTxn, func() error { return c.p.SendMessages(out) },
		func() error { return c.p.AddMessageToTxn(last, c.group, nil) }, func() error {
			if commit {
				return c.p.CommitTxn()
			}
			return c.p.AbortTxn()
		})
	if err != nil {
		c.failure = saramaTxnError(err)
		c.end()
		return false, err
	}
	if !commit {
		c.aborted++
		return false, nil
	}
	if c.done += len(rows); c.done >= c.total {
		c.end()
	}
	return true, nil
}

func (s *saramaTransactions) Copy(from, to, group string, total int) (int, error) {
	p, err := s.transactional(group, txnLimit)
	if err != nil {
		return 0, saramaTxnError(err)
	}
	defer p.Close()
	config := saramaConfig()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	members, err := sarama.NewConsumerGroup(s.bootstrap, group, config)
	if err != nil {
		return 0, saramaError(err)
	}
	defer members.Close()
	ctx, cancel := context.WithTimeout(context.Background(), txnLimit)
	defer cancel()
	copier := &saramaCopier{p: p, to: to, group: group, total: total, end: cancel}
	for ctx.Err() == nil {
		if err := members.Consume(ctx, []string{from}, copier); err != nil && ctx.Err() == nil {
			return copier.aborted, saramaError(err)
		}
	}
	if copier.failure == nil && copier.done < total {
		return copier.aborted, ctx.Err()
	}
	return copier.aborted, copier.failure
}

func (s *saramaTransactions) Offsets(group string, topic string) (map[int32]int64, error) {
	got, err := s.admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		return nil, saramaError(err)
	}
	out := map[int32]int64{}
	for p, block := range got.Blocks[topic] {
		out[p] = block.Offset
	}
	return out, nil
}
