package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

type saramaGroups struct{ *saramaClient }

func (s *saramaGroups) Kinds() []string {
	return []string{"classic-range", "classic-roundrobin", "classic-sticky"}
}

func (s *saramaGroups) Ways() []string { return []string{"classic-range", "classic-sticky"} }

// saramaSession is the member's session over all generations, and the handler of each.
type saramaSession struct {
	m       *groupMember
	client  sarama.ConsumerGroup
	cancel  context.CancelFunc
	done    chan struct{}
	mu      sync.Mutex
	current sarama.ConsumerGroupSession
	trouble error
	auto    bool
	last    map[at]*sarama.ConsumerMessage
}

type saramaDialer struct{ spec groupSpec }

func (d saramaDialer) Dial(network, host string) (net.Conn, error) {
	return d.spec.dial.dial(func() (net.Conn, error) { return net.DialTimeout(network, host, 5*time.Second) })
}

func (s *saramaGroups) Open(spec groupSpec, m *groupMember) (session, error) {
	if spec.pattern != "" {
		return nil, &Missing{"no subscription to a pattern"}
	}
	config := saramaConfig()
	config.ClientID = spec.client
	config.Net.Proxy.Enable, config.Net.Proxy.Dialer = true, saramaDialer{spec}
	config.Metadata.RefreshFrequency = 500 * time.Millisecond
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = spec.autoCommit
	config.Consumer.Offsets.AutoCommit.Interval = 200 * time.Millisecond
	config.Consumer.Group.Session.Timeout = spec.session
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	config.Consumer.Group.Rebalance.Retry.Backoff = 200 * time.Millisecond
	config.Consumer.Group.InstanceId = spec.instance
	strategies := map[string]sarama.BalanceStrategy{"classic-range": sarama.NewBalanceStrategyRange(),
		"classic-roundrobin": sarama.NewBalanceStrategyRoundRobin(), "classic-sticky": sarama.NewBalanceStrategySticky()}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategies[spec.kind]}
	client, err := sarama.NewConsumerGroup(s.bootstrap, spec.group, config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	each := &saramaSession{m: m, client: client, cancel: cancel, done: make(chan struct{}), auto: spec.autoCommit,
		last: map[at]*sarama.ConsumerMessage{}}
	go func() {
		for err := range client.Errors() {
			fmt.Fprintln(os.Stderr, spec.client, err)
			each.mu.Lock()
			each.trouble = err
			each.mu.Unlock()
		}
	}()
	go func() {
		defer close(each.done)
		for ctx.Err() == nil {
			err := client.Consume(ctx, spec.topics, each)
			if err != nil {
				fmt.Fprintln(os.Stderr, spec.client, err)
			}
			if errors.Is(err, sarama.ErrFencedInstancedId) {
				m.failed(saramaError(err))
				return
			}
		}
	}()
	return each, nil
}

func (s *saramaSession) Setup(session sarama.ConsumerGroupSession) error {
	s.mu.Lock()
	s.current = session
	s.mu.Unlock()
	s.m.assigned(flat(session.Claims())...)
	return nil
}

func (s *saramaSession) Cleanup(session sarama.ConsumerGroupSession) error {
	s.mu.Lock()
	s.current = nil
	s.mu.Unlock()
	s.m.revoked(flat(session.Claims())...)
	return nil
}

func (s *saramaSession) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for m := range claim.Messages() {
		if s.auto {
			session.MarkMessage(m, "")
		}
		s.mu.Lock()
		s.last[at{m.Topic, m.Partition, 0}] = m
		s.mu.Unlock()
		s.m.record(m.Topic, m.Partition, m.Offset)
	}
	return nil
}

func (s *saramaSession) Commit(offsets map[at]committed) error {
	s.mu.Lock()
	session := s.current
	s.trouble = nil
	// A commit takes with it whatever is marked.
	for _, m := range s.last {
		if offsets == nil && session != nil {
			session.MarkMessage(m, "")
		}
	}
	s.last = map[at]*sarama.ConsumerMessage{}
	s.mu.Unlock()
	if session == nil {
		return errors.New("no session")
	}
	for p, c := range offsets {
		session.MarkOffset(p.topic, p.partition, c.offset, c.metadata)
	}
	session.Commit()
	// The answer to a commit goes to the channel of errors only.
	time.Sleep(100 * time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	return saramaError(s.trouble)
}

func (s *saramaSession) Pause(partitions []at) error {
	s.client.Pause(byTopic(partitions))
	// The fetch that is on its way may still bring records.
	time.Sleep(300 * time.Millisecond)
	return nil
}

func (s *saramaSession) Resume(partitions []at) error {
	s.client.Resume(byTopic(partitions))
	return nil
}

func (s *saramaSession) Leave() error {
	s.cancel()
	<-s.done
	return s.client.Close()
}

func (s *saramaGroups) Offsets(group string, topics map[string]int32) (map[at]committed, error) {
	wanted := map[string][]int32{}
	for topic, n := range topics {
		for p := range n {
			wanted[topic] = append(wanted[topic], p)
		}
	}
	got, err := s.admin.ListConsumerGroupOffsets(group, wanted)
	if err != nil {
		return nil, saramaError(err)
	}
	out := map[at]committed{}
	for topic, blocks := range got.Blocks {
		for p, b := range blocks {
			if b.Err != sarama.ErrNoError {
				return nil, saramaError(b.Err)
			}
			if b.Offset >= 0 {
				out[at{topic, p, 0}] = committed{b.Offset, b.Metadata, b.LeaderEpoch}
			}
		}
	}
	return out, nil
}

func (s *saramaGroups) AlterOffsets(string, map[at]committed) error {
	return &Missing{"no call to alter offsets"}
}

func (s *saramaGroups) DeleteOffset(group string, partition at) error {
	return saramaError(s.admin.DeleteConsumerGroupOffset(group, partition.topic, partition.partition))
}

func (s *saramaGroups) ListGroups(states ...string) (map[string]string, error) {
	if len(states) > 0 {
		return nil, &Missing{"no filter"}
	}
	got, err := s.admin.ListConsumerGroups()
	out := map[string]string{}
	for g := range got {
		out[g] = ""
	}
	return out, saramaError(err)
}

func (s *saramaGroups) DescribeGroup(group string) (string, []describedMember, error) {
	got, err := s.admin.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", nil, saramaError(err)
	}
	var members []describedMember
	for _, m := range got[0].Members {
		row := describedMember{m.ClientId, m.ClientHost, text(m.GroupInstanceId), nil}
		if assignment, err := m.GetMemberAssignment(); err == nil && assignment != nil {
			row.owned = map[at]bool{}
			for _, p := range flat(assignment.Topics) {
				row.owned[p] = true
			}
		}
		members = append(members, row)
	}
	return got[0].State, members, nil
}

func (s *saramaGroups) DeleteGroup(group string) error {
	return saramaError(s.admin.DeleteConsumerGroup(group))
}

func (s *saramaGroups) RemoveMembers(group string, instances ...string) error {
	got, err := s.admin.RemoveMemberFromConsumerGroup(group, instances)
	if err != nil {
		return saramaError(err)
	}
	for _, m := range got.Members {
		if m.Err != sarama.ErrNoError {
			return saramaError(m.Err)
		}
	}
	return nil
}
