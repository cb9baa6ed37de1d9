package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"sort"
	"strings"
	"sync"
	"time"
)

const (
	groupPartitions = 6
	groupLimit      = 90 * time.Second
	groupsAtOnce    = 6
	groupSession    = 6 * time.Second
)

// groupKeep: the records' timestamps are long past, retention would take them away.
var groupKeep = map[string]string{"retention.ms": "-1"}

// at is a record's place, or, without offset, a partition.
type at struct {
	topic     string
	partition int32
	offset    int64
}

// committed is an offset as it was committed; epoch is -1 where the client does not tell.
type committed struct {
	offset   int64
	metadata string
	epoch    int32
}

// groupSpec says how a member joins.
type groupSpec struct {
	group, kind, client string
	topics              []string
	pattern, instance   string
	session             time.Duration
	autoCommit          bool
	// dial is the member's way to the server, which a check may cut.
	dial *wire
}

// session is one running member of a client library. It tells its member of partitions and records.
type session interface {
	// Commit writes these offsets, or the positions when there are none.
	Commit(offsets map[at]committed) error
	Pause(partitions []at) error
	Resume(partitions []at) error
	Leave() error
}

// describedMember is what the client says of a member; nil owned where it does not tell.
type describedMember struct {
	client, host, instance string
	owned                  map[at]bool
}

// groupAdapter opens members with one client library, and does its administration.
type groupAdapter interface {
	// Kinds names all protocols and assignors, Ways those that stand for each way to rebalance.
	Kinds() []string
	Ways() []string
	Open(spec groupSpec, m *groupMember) (session, error)
	Offsets(group string, topics map[string]int32) (map[at]committed, error)
	AlterOffsets(group string, offsets map[at]committed) error
	DeleteOffset(group string, partition at) error
	// ListGroups gives the state of each group, empty where the client does not tell; only of these states.
	ListGroups(states ...string) (map[string]string, error)
	DescribeGroup(group string) (state string, members []describedMember, err error)
	DeleteGroup(group string) error
	RemoveMembers(group string, instances ...string) error
}

// wire is a member's way to the server: when it is cut, the member is gone without a word.
type wire struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (w *wire) dial(connect func() (net.Conn, error)) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		return nil, errors.New("the wire is cut")
	}
	conn, err := connect()
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) Cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
}

// group is one group of this process: its live members, who owns what, every record that one of them read.
type group struct {
	a          Adapter
	g          groupAdapter
	id, kind   string
	mu         sync.Mutex
	live       []*groupMember
	read       map[at]int
	owners     map[at]*groupMember
	violations []string
}

// groupMember is one consumer; the client library calls assigned, revoked, record and failed.
type groupMember struct {
	group   *group
	name    string
	spec    groupSpec
	session session
	owned   map[at]bool
	events  []string
	failure error
}

func (m *groupMember) assigned(partitions ...at) {
	if len(partitions) == 0 {
		return
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	for _, p := range partitions {
		if other := m.group.owners[p]; other != nil && other != m {
			m.group.violations = append(m.group.violations, fmt.Sprintf("%v of %s given to %s", p, other.name, m.name))
		}
		m.group.owners[p] = m
		m.owned[p] = true
	}
	m.events = append(m.events, fmt.Sprint("+", partitions))
}

func (m *groupMember) revoked(partitions ...at) {
	if len(partitions) == 0 {
		return
	}
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	for _, p := range partitions {
		if m.group.owners[p] == m {
			delete(m.group.owners, p)
		}
		delete(m.owned, p)
	}
	m.events = append(m.events, fmt.Sprint("-", partitions))
}

// owns replaces what the member owns, for a client that has no callbacks.
func (m *groupMember) owns(partitions map[at]bool) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.owned = partitions
}

func (m *groupMember) record(topic string, partition int32, offset int64) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	m.group.read[at{topic, partition, offset}]++
}

func (m *groupMember) failed(err error) {
	m.group.mu.Lock()
	defer m.group.mu.Unlock()
	if m.failure == nil {
		m.failure = err
	}
}

func (m *groupMember) String() string {
	var owned []string
	for p := range m.owned {
		owned = append(owned, fmt.Sprint(p.topic, "-", p.partition))
	}
	sort.Strings(owned)
	return fmt.Sprint(m.name, " owns ", owned, " failure ", m.failure)
}

func (g *group) join(name string, how func(*groupSpec)) (*groupMember, error) {
	m := &groupMember{group: g, name: name, owned: map[at]bool{}}
	m.spec = groupSpec{group: g.id, kind: g.kind, client: g.id + "-" + name, topics: []string{g.id}, session: groupSession, dial: &wire{}}
	if how != nil {
		how(&m.spec)
	}
	g.mu.Lock()
	g.live = append(g.live, m)
	g.mu.Unlock()
	var err error
	m.session, err = g.g.Open(m.spec, m)
	return m, err
}

func (g *group) without(m *groupMember) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, other := range g.live {
		if other == m {
			g.live = append(append([]*groupMember{}, g.live[:i]...), g.live[i+1:]...)
		}
	}
	for p, owner := range g.owners {
		if owner == m {
			delete(g.owners, p)
		}
	}
}

func (m *groupMember) leave() error {
	err := m.session.Leave()
	m.group.without(m)
	return err
}

func (m *groupMember) vanish() {
	m.spec.dial.Cut()
	m.group.without(m)
	go func() { _ = m.session.Leave() }()
}

func (g *group) until(holds func() bool, about func() string) error {
	for end := time.Now().Add(groupLimit); ; time.Sleep(20 * time.Millisecond) {
		g.mu.Lock()
		done := holds()
		text := ""
		if !done && time.Now().After(end) {
			text = fmt.Sprintf("after %v: %s", groupLimit, about())
		}
		g.mu.Unlock()
		if done {
			return nil
		}
		if text != "" {
			return errors.New(text)
		}
	}
}

// await waits until every partition has one owner and the members own this many, in any order.
func (g *group) await(sizes ...int) error {
	sort.Ints(sizes)
	return g.until(func() bool {
		var got []int
		all := map[at]bool{}
		for _, m := range g.live {
			got = append(got, len(m.owned))
			for p := range m.owned {
				all[p] = true
			}
		}
		sort.Ints(got)
		total := 0
		for _, n := range sizes {
			total += n
		}
		return reflect.DeepEqual(got, sizes) && len(all) == total
	}, func() string { return fmt.Sprint("wanted ", sizes, " partitions, got ", g.live) })
}

// reads waits until exactly these records were read since the last call, each once.
func (g *group) reads(want []at) error {
	var missing []at
	err := g.until(func() bool {
		missing = nil
		for _, r := range want {
			if g.read[r] == 0 {
				missing = append(missing, r)
			}
		}
		return missing == nil
	}, func() string { return fmt.Sprint("not read: ", missing, " ", g.live) })
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.read
	g.read = map[at]int{}
	for _, r := range want {
		if got[r] == 1 {
			delete(got, r)
		}
	}
	if len(got) > 0 {
		return fmt.Errorf("read more than once, or not wanted: %v, %v", got, g.live)
	}
	return nil
}

func (g *group) produce(topic string, partitions int32, each int) ([]at, error) {
	var rows []*Record
	for i := range int(partitions) * each {
		rows = append(rows, &Record{Partition: int32(i) % partitions, Value: fmt.Appendf(nil, "value-%d", i), Timestamp: t0 + int64(i)})
	}
	offsets, err := g.a.Produce(topic, rows, Produce{Codec: "none", Acks: -1})
	if err != nil {
		return nil, err
	}
	var out []at
	for i, r := range rows {
		out = append(out, at{topic, r.Partition, offsets[i]})
	}
	return out, nil
}

// produceAndRead writes to each partition of the group's topic, and waits until that is read.
func (g *group) produceAndRead(partitions int32, each int) error {
	rows, err := g.produce(g.id, partitions, each)
	if err != nil {
		return err
	}
	return g.reads(rows)
}

func (g *group) commit() error {
	g.mu.Lock()
	members := append([]*groupMember{}, g.live...)
	g.mu.Unlock()
	for _, m := range members {
		err := m.session.Commit(nil)
		var r *Refused
		for tries := 0; tries < 40 && errors.As(err, &r) && (r.Code == 22 || r.Code == 27); tries++ {
			// A cooperative group may be on its way to one more generation.
			time.Sleep(50 * time.Millisecond)
			err = m.session.Commit(nil)
		}
		if err != nil {
			return fmt.Errorf("commit of %s: %w", m.name, err)
		}
	}
	return nil
}

func (g *group) offsets() (map[at]committed, error) {
	return g.g.Offsets(g.id, map[string]int32{g.id: groupPartitions})
}

func (g *group) close() {
	g.mu.Lock()
	members := append([]*groupMember{}, g.live...)
	g.mu.Unlock()
	for _, m := range members {
		if m.session != nil {
			_ = m.leave()
		}
	}
}

// runGroups goes through all checks of groups, several at once, and returns the exit code.
func runGroups(name string, a Adapter, g groupAdapter) int {
	checks := []struct {
		name string
		run  func(*group) (string, error)
		all  bool
	}{{"pattern", groupPattern, false}, {"killed", groupKilled, false}, {"static", groupStatic, false},
		{"static-fenced", groupFenced, false}, {"rebalance", groupRebalance, true}, {"commit", groupCommit, false},
		{"auto-commit", groupAutoCommit, false}, {"more-partitions", groupMorePartitions, false}, {"pause", groupPause, false},
		{"admin", groupAdmin, false}}
	var wait sync.WaitGroup
	var failed bool
	var mu sync.Mutex
	slots := make(chan struct{}, groupsAtOnce)
	for _, check := range checks {
		kinds := g.Ways()
		if check.all {
			kinds = g.Kinds()
		}
		for _, kind := range kinds {
			wait.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				text, ok := groupCheck(kind+"-"+check.name, name, kind, a, g, check.run)
				mu.Lock()
				defer mu.Unlock()
				fmt.Println(text)
				failed = failed || !ok
			})
		}
	}
	wait.Wait()
	if failed {
		return 1
	}
	return 0
}

func groupCheck(check, client, kind string, a Adapter, g groupAdapter, run func(*group) (string, error)) (string, bool) {
	each := &group{a: a, g: g, id: client + "-groups-" + check, kind: kind, read: map[at]int{}, owners: map[at]*groupMember{}}
	defer each.close()
	err := a.CreateTopic(each.id, groupPartitions, 1, groupKeep, false)
	if err == nil {
		err = eventually(func() error { _, err := a.DescribeTopic(each.id); return err })
	}
	detail := ""
	if err == nil {
		detail, err = run(each)
	}
	if err == nil && len(each.violations) > 0 {
		err = fmt.Errorf("%v", each.violations)
	}
	var missing *Missing
	switch {
	case errors.As(err, &missing):
		return fmt.Sprintf("n/a %s %s", check, missing.why), true
	case err != nil:
		return fmt.Sprintf("FAIL %s %s", check, strings.Join(strings.Fields(err.Error()), " ")), false
	}
	return strings.TrimSpace("ok " + check + " " + detail), true
}

func runGroupsOf(client string) int {
	bootstrap := os.Getenv("BOOTSTRAP")
	switch client {
	case "franz-go":
		a, err := newFranz(bootstrap)
		if err == nil {
			return runGroups(client, a, &franzGroups{a.(*franz)})
		}
		fmt.Println("FAIL connect", err)
	case "sarama":
		a, err := newSarama(bootstrap)
		if err == nil {
			return runGroups(client, a, &saramaGroups{a.(*saramaClient)})
		}
		fmt.Println("FAIL connect", err)
	case "kafka-go":
		a, err := newKafkaGo(bootstrap)
		if err == nil {
			return runGroups(client, a, &kafkaGoGroups{a.(*kafkaGo)})
		}
		fmt.Println("FAIL connect", err)
	}
	return 1
}
