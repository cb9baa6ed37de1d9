package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// member is one member of the churn test: go-clients member CLIENT BOOTSTRAP GROUP PROTOCOL ASSIGNOR TOPICS NAME SESSION_MS.
// TOPICS is a list with commas, or a regular expression that begins with ^. It writes what happens to it as JSON lines, and
// leaves its group on SIGTERM.
type member struct {
	bootstrap, group, protocol, assignor, topics, name string
	session                                            time.Duration
	events
}

type part struct {
	topic     string
	partition int32
}

const commitEvery = 300 * time.Millisecond

func runMember(args []string) int {
	if len(args) != 8 {
		fmt.Fprintln(os.Stderr, "usage: go-clients member CLIENT BOOTSTRAP GROUP PROTOCOL ASSIGNOR TOPICS NAME SESSION_MS")
		return 2
	}
	session, _ := strconv.Atoi(args[7])
	m := &member{bootstrap: args[1], group: args[2], protocol: args[3], assignor: args[4], topics: args[5], name: args[6],
		session: time.Duration(session) * time.Millisecond}
	m.always = map[string]any{"member": m.name, "group": m.group}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	m.log("start", nil)
	run := map[string]func(context.Context) error{"franz-go": m.franz, "sarama": m.sarama}[args[0]]
	if err := run(ctx); err != nil {
		m.log("error", map[string]any{"error": err.Error()})
		return 1
	}
	m.log("closed", nil)
	return 0
}

// consumed writes down which offsets were read, before anything of it is committed.
func (m *member) consumed(p part, offsets []int64) {
	first, last := offsets[0], offsets[0]
	row := func() {
		m.log("consumed", map[string]any{"topic": p.topic, "partition": p.partition, "first": first, "last": last})
	}
	for _, offset := range offsets[1:] {
		if offset != last+1 {
			row()
			first = offset
		}
		last = offset
	}
	row()
}

func rows(parts map[string][]int32) [][]any {
	out := [][]any{}
	for topic, partitions := range parts {
		for _, p := range partitions {
			out = append(out, []any{topic, p})
		}
	}
	return out
}

func (m *member) franz(ctx context.Context) error {
	read := map[string]map[int32]kgo.EpochOffset{}
	commit := func(cl *kgo.Client) {
		if len(read) == 0 {
			return
		}
		within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		cl.CommitOffsetsSync(within, read, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, r *kmsg.OffsetCommitResponse, err error) {
			if r != nil && err == nil {
				for _, t := range r.Topics {
					for _, p := range t.Partitions {
						if err == nil {
							err = kerr.ErrorForCode(p.ErrorCode)
						}
					}
				}
			}
			if err != nil {
				m.log("refused", map[string]any{"error": err.Error()})
				return
			}
			done := [][]any{}
			for topic, partitions := range read {
				for p, offset := range partitions {
					done = append(done, []any{topic, p, offset.Offset})
				}
			}
			m.log("committed", map[string]any{"offsets": done})
		})
		read = map[string]map[int32]kgo.EpochOffset{}
	}
	forget := func(parts map[string][]int32) {
		for topic, partitions := range parts {
			for _, p := range partitions {
				delete(read[topic], p)
			}
		}
	}
	tell := func(event string, cl *kgo.Client, parts map[string][]int32) {
		id, epoch := cl.GroupMetadata()
		m.log(event, map[string]any{"id": id, "epoch": epoch, "parts": rows(parts)})
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(m.bootstrap), kgo.ClientID(m.name), kgo.ConsumerGroup(m.group), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(m.session), kgo.HeartbeatInterval(time.Second),
		kgo.RebalanceTimeout(time.Minute), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.FetchMaxWait(200 * time.Millisecond), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeTopics(strings.Split(m.topics, ",")...),
		kgo.OnPartitionsAssigned(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) { tell("assigned", cl, parts) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
			commit(cl)
			tell("revoked", cl, parts)
		}),
		kgo.OnPartitionsLost(func(_ context.Context, cl *kgo.Client, parts map[string][]int32) {
			forget(parts)
			tell("lost", cl, parts)
		}),
	}
	if strings.HasPrefix(m.topics, "^") {
		opts = append(opts, kgo.ConsumeRegex())
	}
	switch {
	case m.protocol == "consumer":
		opts = append(opts, kgo.ServerSideBalancer())
	case m.assignor == "cooperative-sticky":
		opts = append(opts, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	default:
		opts = append(opts, kgo.Balancers(kgo.RangeBalancer()))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	due := time.Now().Add(commitEvery)
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		fetches := cl.PollFetches(within)
		cancel()
		fetches.EachError(func(topic string, p int32, err error) {
			if err != context.DeadlineExceeded && err != context.Canceled {
				m.log("error", map[string]any{"error": err.Error()})
			}
		})
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if len(p.Records) == 0 {
				return
			}
			offsets := make([]int64, len(p.Records))
			for i, r := range p.Records {
				offsets[i] = r.Offset
			}
			m.consumed(part{p.Topic, p.Partition}, offsets)
			if read[p.Topic] == nil {
				read[p.Topic] = map[int32]kgo.EpochOffset{}
			}
			read[p.Topic][p.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offsets[len(offsets)-1] + 1}
		})
		if time.Now().After(due) {
			commit(cl)
			due = time.Now().Add(commitEvery)
		}
		cl.AllowRebalance()
	}
	cl.AllowRebalance()
	cl.Close()
	return nil
}

type saramaHandler struct {
	m *member
}

func (h saramaHandler) Setup(s sarama.ConsumerGroupSession) error {
	h.m.log("assigned", map[string]any{"id": s.MemberID(), "epoch": s.GenerationID(), "parts": rows(s.Claims())})
	return nil
}

func (h saramaHandler) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	h.m.log("revoked", map[string]any{"id": s.MemberID(), "epoch": s.GenerationID(), "parts": rows(s.Claims())})
	return nil
}

// ConsumeClaim takes what is there of one partition, writes it down, and commits. (Sarama does not say whether a commit succeeded.)
func (h saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	p := part{claim.Topic(), claim.Partition()}
	for message := range claim.Messages() {
		offsets := []int64{message.Offset}
	more:
		for {
			select {
			case next, ok := <-claim.Messages():
				if !ok {
					break more
				}
				offsets = append(offsets, next.Offset)
			default:
				break more
			}
		}
		h.m.consumed(p, offsets)
		s.MarkOffset(p.topic, p.partition, offsets[len(offsets)-1]+1, "")
		s.Commit()
	}
	return nil
}

func (m *member) sarama(ctx context.Context) error {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = m.name
	config.Consumer.Return.Errors = true
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.MaxWaitTime = 200 * time.Millisecond
	config.Consumer.Group.Session.Timeout = m.session
	config.Consumer.Group.Heartbeat.Interval = time.Second
	config.Consumer.Group.Rebalance.Timeout = time.Minute
	config.Metadata.RefreshFrequency = time.Second
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	group, err := sarama.NewConsumerGroup([]string{m.bootstrap}, m.group, config)
	if err != nil {
		return err
	}
	go func() {
		for err := range group.Errors() {
			m.log("error", map[string]any{"error": err.Error()})
		}
	}()
	go func() {
		// Sarama does not give up a join that others hold up: then it goes without leaving.
		<-ctx.Done()
		time.Sleep(5 * time.Second)
		m.log("closed", nil)
		os.Exit(0)
	}()
	for ctx.Err() == nil {
		if err := group.Consume(ctx, strings.Split(m.topics, ","), saramaHandler{m}); err != nil {
			m.log("error", map[string]any{"error": err.Error()})
			time.Sleep(200 * time.Millisecond)
		}
	}
	return group.Close()
}
