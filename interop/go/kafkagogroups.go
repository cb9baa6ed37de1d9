package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

type kafkaGoGroups struct{ *kafkaGo }

func (k *kafkaGoGroups) Kinds() []string { return []string{"classic-range", "classic-roundrobin"} }

func (k *kafkaGoGroups) Ways() []string { return []string{"classic-range"} }

// kafkaGoSession is a Reader, the client's usual way to be in a group. It does not tell its partitions: the group is described.
type kafkaGoSession struct {
	m      *groupMember
	reader *kafka.Reader
	cancel context.CancelFunc
	wait   sync.WaitGroup
	mu     sync.Mutex
	last   map[at]kafka.Message
}

func (k *kafkaGoGroups) Open(spec groupSpec, m *groupMember) (session, error) {
	if spec.pattern != "" {
		return nil, &Missing{"no subscription to a pattern"}
	}
	if spec.instance != "" {
		return nil, &Missing{"no static members"}
	}
	balancer := map[string]kafka.GroupBalancer{"classic-range": kafka.RangeGroupBalancer{}, "classic-roundrobin": kafka.RoundRobinGroupBalancer{}}
	interval := time.Duration(0)
	if spec.autoCommit {
		interval = 200 * time.Millisecond
	}
	reader := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{k.bootstrap}, GroupID: spec.group, GroupTopics: spec.topics,
		GroupBalancers: []kafka.GroupBalancer{balancer[spec.kind]}, MaxWait: 100 * time.Millisecond, CommitInterval: interval,
		WatchPartitionChanges: true, PartitionWatchInterval: 500 * time.Millisecond, StartOffset: kafka.FirstOffset,
		SessionTimeout: spec.session, RebalanceTimeout: 6 * time.Second, HeartbeatInterval: 200 * time.Millisecond,
		JoinGroupBackoff: 200 * time.Millisecond, Dialer: &kafka.Dialer{ClientID: spec.client,
			DialFunc: func(_ context.Context, network, host string) (net.Conn, error) {
				return spec.dial.dial(func() (net.Conn, error) { return net.DialTimeout(network, host, 5*time.Second) })
			}}})
	ctx, cancel := context.WithCancel(context.Background())
	s := &kafkaGoSession{m: m, reader: reader, cancel: cancel, last: map[at]kafka.Message{}}
	s.wait.Go(func() { s.read(ctx, spec.autoCommit) })
	s.wait.Go(func() { s.watch(ctx, k) })
	return s, nil
}

func (s *kafkaGoSession) read(ctx context.Context, auto bool) {
	next := s.reader.FetchMessage
	if auto {
		// Commits what it gives out, in the interval.
		next = s.reader.ReadMessage
	}
	for {
		got, err := next(ctx)
		if err != nil {
			if ctx.Err() == nil {
				s.m.failed(kafkaGoError(err))
			}
			return
		}
		s.mu.Lock()
		s.last[at{got.Topic, int32(got.Partition), 0}] = got
		s.mu.Unlock()
		s.m.record(got.Topic, int32(got.Partition), got.Offset)
	}
}

func (s *kafkaGoSession) watch(ctx context.Context, k *kafkaGoGroups) {
	for ctx.Err() == nil {
		if state, members, err := k.DescribeGroup(s.m.group.id); err == nil && state == "Stable" {
			for _, m := range members {
				if m.client == s.m.spec.client {
					s.m.owns(m.owned)
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (s *kafkaGoSession) Commit(offsets map[at]committed) error {
	if offsets != nil {
		return &Missing{"no commit with metadata by a member"}
	}
	s.mu.Lock()
	var all []kafka.Message
	for _, m := range s.last {
		all = append(all, m)
	}
	s.last = map[at]kafka.Message{}
	s.mu.Unlock()
	return kafkaGoError(s.reader.CommitMessages(within(), all...))
}

func (s *kafkaGoSession) Pause([]at) error { return &Missing{"no pause"} }

func (s *kafkaGoSession) Resume([]at) error { return &Missing{"no pause"} }

func (s *kafkaGoSession) Leave() error {
	s.cancel()
	err := s.reader.Close()
	s.wait.Wait()
	return err
}

func (k *kafkaGoGroups) Offsets(group string, topics map[string]int32) (map[at]committed, error) {
	wanted := map[string][]int{}
	for topic, n := range topics {
		for p := range int(n) {
			wanted[topic] = append(wanted[topic], p)
		}
	}
	got, err := k.client.OffsetFetch(within(), &kafka.OffsetFetchRequest{GroupID: group, Topics: wanted})
	if err == nil {
		err = got.Error
	}
	if err != nil {
		return nil, kafkaGoError(err)
	}
	out := map[at]committed{}
	for topic, rows := range got.Topics {
		for _, r := range rows {
			if r.Error != nil {
				return nil, kafkaGoError(r.Error)
			}
			if r.CommittedOffset >= 0 {
				out[at{topic, int32(r.Partition), 0}] = committed{r.CommittedOffset, r.Metadata, -1}
			}
		}
	}
	return out, nil
}

func (k *kafkaGoGroups) AlterOffsets(group string, offsets map[at]committed) error {
	topics := map[string][]kafka.OffsetCommit{}
	for p, c := range offsets {
		topics[p.topic] = append(topics[p.topic], kafka.OffsetCommit{Partition: int(p.partition), Offset: c.offset, Metadata: c.metadata})
	}
	got, err := k.client.OffsetCommit(within(), &kafka.OffsetCommitRequest{GroupID: group, GenerationID: -1, Topics: topics})
	if err != nil {
		return kafkaGoError(err)
	}
	for _, rows := range got.Topics {
		for _, r := range rows {
			if r.Error != nil {
				return kafkaGoError(r.Error)
			}
		}
	}
	return nil
}

func (k *kafkaGoGroups) DeleteOffset(group string, partition at) error {
	got, err := k.client.OffsetDelete(within(), &kafka.OffsetDeleteRequest{GroupID: group,
		Topics: map[string][]int{partition.topic: {int(partition.partition)}}})
	if err == nil {
		err = got.Error
	}
	if err != nil {
		return kafkaGoError(err)
	}
	for _, r := range got.Topics[partition.topic] {
		if r.Error != nil {
			return kafkaGoError(r.Error)
		}
	}
	return nil
}

func (k *kafkaGoGroups) ListGroups(states ...string) (map[string]string, error) {
	if len(states) > 0 {
		return nil, &Missing{"no filter"}
	}
	got, err := k.client.ListGroups(within(), &kafka.ListGroupsRequest{})
	if err == nil {
		err = got.Error
	}
	if err != nil {
		return nil, kafkaGoError(err)
	}
	out := map[string]string{}
	for _, g := range got.Groups {
		out[g.GroupID] = ""
	}
	return out, nil
}

func (k *kafkaGoGroups) DescribeGroup(group string) (string, []describedMember, error) {
	got, err := k.client.DescribeGroups(within(), &kafka.DescribeGroupsRequest{GroupIDs: []string{group}})
	if err != nil {
		return "", nil, kafkaGoError(err)
	}
	if len(got.Groups) != 1 {
		return "", nil, errors.New("no group in the answer")
	}
	var members []describedMember
	for _, m := range got.Groups[0].Members {
		row := describedMember{m.ClientID, m.ClientHost, "", map[at]bool{}}
		for _, t := range m.MemberAssignments.Topics {
			for _, p := range t.Partitions {
				row.owned[at{t.Topic, int32(p), 0}] = true
			}
		}
		members = append(members, row)
	}
	return got.Groups[0].GroupState, members, kafkaGoError(got.Groups[0].Error)
}

func (k *kafkaGoGroups) DeleteGroup(group string) error {
	got, err := k.client.DeleteGroups(within(), &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})
	if err == nil {
		err = got.Errors[group]
	}
	return kafkaGoError(err)
}

func (k *kafkaGoGroups) RemoveMembers(string, ...string) error {
	return &Missing{"no call to remove members"}
}
