package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type franzGroups struct{ *franz }

func (f *franzGroups) Kinds() []string {
	return []string{"classic-range", "classic-roundrobin", "classic-sticky", "classic-cooperative", "consumer-uniform", "consumer-range"}
}

func (f *franzGroups) Ways() []string {
	return []string{"classic-range", "classic-cooperative", "consumer-uniform"}
}

func balancing(kind string) []kgo.Opt {
	switch kind {
	case "classic-range":
		return []kgo.Opt{kgo.Balancers(kgo.RangeBalancer())}
	case "classic-roundrobin":
		return []kgo.Opt{kgo.Balancers(kgo.RoundRobinBalancer())}
	case "classic-sticky":
		return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer())}
	case "classic-cooperative":
		return []kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}
	case "consumer-range":
		return []kgo.Opt{kgo.Balancers(kgo.RangeBalancer()), kgo.ServerSideBalancer()}
	}
	return []kgo.Opt{kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer()}
}

type franzSession struct {
	m      *groupMember
	client *kgo.Client
	done   chan struct{}
}

func flat(partitions map[string][]int32) (out []at) {
	for topic, ids := range partitions {
		for _, p := range ids {
			out = append(out, at{topic, p, 0})
		}
	}
	return out
}

func (f *franzGroups) Open(spec groupSpec, m *groupMember) (session, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	gone := func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.revoked(flat(p)...) }
	options := append(balancing(spec.kind), kgo.SeedBrokers(f.bootstrap), kgo.ClientID(spec.client), kgo.ConsumerGroup(spec.group),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(spec.session), kgo.HeartbeatInterval(200*time.Millisecond),
		kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(500*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
			return spec.dial.dial(func() (net.Conn, error) { return dialer.DialContext(ctx, network, host) })
		}),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, p map[string][]int32) { m.assigned(flat(p)...) }),
		kgo.OnPartitionsLost(gone))
	if spec.autoCommit {
		// The commit at a revocation is the client's own, when it is not given another callback.
		options = append(options, kgo.AutoCommitInterval(200*time.Millisecond))
	} else {
		options = append(options, kgo.DisableAutoCommit(), kgo.OnPartitionsRevoked(gone))
	}
	if spec.pattern != "" {
		options = append(options, kgo.ConsumeRegex(), kgo.ConsumeTopics(spec.pattern))
	} else {
		options = append(options, kgo.ConsumeTopics(spec.topics...))
	}
	if spec.instance != "" {
		options = append(options, kgo.InstanceID(spec.instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, err
	}
	s := &franzSession{m, client, make(chan struct{})}
	go s.poll()
	return s, nil
}

func (s *franzSession) poll() {
	defer close(s.done)
	for {
		fetches := s.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachError(func(_ string, _ int32, err error) {
			var k *kerr.Error
			if errors.As(err, &k) && !k.Retriable {
				s.m.failed(franzError(err, err.Error()))
			}
		})
		fetches.EachRecord(func(r *kgo.Record) { s.m.record(r.Topic, r.Partition, r.Offset) })
	}
}

func (s *franzSession) Commit(offsets map[at]committed) error {
	if offsets == nil {
		return franzError(s.client.CommitUncommittedOffsets(within()), "")
	}
	rows := map[string]map[int32]kgo.EpochOffset{}
	for p, c := range offsets {
		if rows[p.topic] == nil {
			rows[p.topic] = map[int32]kgo.EpochOffset{}
		}
		rows[p.topic][p.partition] = kgo.EpochOffset{Epoch: c.epoch, Offset: c.offset}
	}
	// The client has no parameter for the metadata.
	ctx := kgo.PreCommitFnContext(within(), func(request *kmsg.OffsetCommitRequest) error {
		for t := range request.Topics {
			for p := range request.Topics[t].Partitions {
				row := &request.Topics[t].Partitions[p]
				for place, c := range offsets {
					if place.partition == row.Partition {
						metadata := c.metadata
						row.Metadata = &metadata
					}
				}
			}
		}
		return nil
	})
	var result error
	s.client.CommitOffsetsSync(ctx, rows, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, response *kmsg.OffsetCommitResponse, err error) {
		if result = err; err != nil {
			return
		}
		for _, t := range response.Topics {
			for _, p := range t.Partitions {
				if p.ErrorCode != 0 {
					result = &Refused{p.ErrorCode, ""}
				}
			}
		}
	})
	return franzError(result, "")
}

func byTopic(partitions []at) map[string][]int32 {
	out := map[string][]int32{}
	for _, p := range partitions {
		out[p.topic] = append(out[p.topic], p.partition)
	}
	return out
}

func (s *franzSession) Pause(partitions []at) error {
	s.client.PauseFetchPartitions(byTopic(partitions))
	return nil
}

func (s *franzSession) Resume(partitions []at) error {
	s.client.ResumeFetchPartitions(byTopic(partitions))
	return nil
}

func (s *franzSession) Leave() error {
	s.client.Close()
	<-s.done
	return nil
}

func (f *franzGroups) Offsets(group string, _ map[string]int32) (map[at]committed, error) {
	got, err := f.admin.FetchOffsets(within(), group)
	out := map[at]committed{}
	got.Each(func(o kadm.OffsetResponse) {
		out[at{o.Topic, o.Partition, 0}] = committed{o.At, o.Metadata, o.LeaderEpoch}
		if o.Err != nil {
			err = o.Err
		}
	})
	return out, franzError(err, "")
}

func (f *franzGroups) AlterOffsets(group string, offsets map[at]committed) error {
	wanted := kadm.Offsets{}
	for p, c := range offsets {
		wanted.Add(kadm.Offset{Topic: p.topic, Partition: p.partition, At: c.offset, LeaderEpoch: c.epoch, Metadata: c.metadata})
	}
	return franzError(f.admin.CommitAllOffsets(within(), group, wanted), "")
}

func (f *franzGroups) DeleteOffset(group string, partition at) error {
	wanted := kadm.TopicsSet{}
	wanted.Add(partition.topic, partition.partition)
	got, err := f.admin.DeleteOffsets(within(), group, wanted)
	if err == nil {
		err, _ = got.Lookup(partition.topic, partition.partition)
	}
	return franzError(err, "")
}

func (f *franzGroups) ListGroups(states ...string) (map[string]string, error) {
	got, err := f.admin.ListGroups(within(), states...)
	out := map[string]string{}
	for _, g := range got {
		out[g.Group] = g.State
	}
	return out, franzError(err, "")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (f *franzGroups) DescribeGroup(group string) (string, []describedMember, error) {
	var members []describedMember
	consumer, err := f.admin.DescribeConsumerGroups(within(), group)
	if got, ok := consumer[group]; err == nil && ok && got.Err == nil {
		for _, m := range got.Members {
			row := describedMember{m.ClientID, m.ClientHost, text(m.InstanceID), map[at]bool{}}
			for topic, ids := range m.Assignment {
				for p := range ids {
					row.owned[at{topic, p, 0}] = true
				}
			}
			members = append(members, row)
		}
		return got.State, members, nil
	}
	classic, err := f.admin.DescribeGroups(within(), group)
	if err != nil {
		return "", nil, err
	}
	for _, m := range classic[group].Members {
		row := describedMember{m.ClientID, m.ClientHost, text(m.InstanceID), nil}
		if c, ok := m.Assigned.AsConsumer(); ok {
			row.owned = map[at]bool{}
			for _, t := range c.Topics {
				for _, p := range t.Partitions {
					row.owned[at{t.Topic, p, 0}] = true
				}
			}
		}
		members = append(members, row)
	}
	return classic[group].State, members, franzError(classic[group].Err, classic[group].ErrMessage)
}

func (f *franzGroups) DeleteGroup(group string) error {
	got, err := f.admin.DeleteGroup(within(), group)
	if err == nil {
		err = got.Err
	}
	return franzError(err, "")
}

func (f *franzGroups) RemoveMembers(group string, instances ...string) error {
	got, err := f.admin.LeaveGroup(within(), kadm.LeaveGroup(group).InstanceIDs(instances...))
	for _, r := range got {
		if err == nil {
			err = r.Err
		}
	}
	return franzError(err, "")
}
