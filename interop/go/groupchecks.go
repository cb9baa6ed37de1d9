package main

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// steps runs one after another until one fails.
func steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// joined gives a step that lets a member in, into m.
func (g *group) joined(m **groupMember, name string, how func(*groupSpec)) func() error {
	return func() (err error) {
		got, err := g.join(name, how)
		if m != nil {
			*m = got
		}
		return err
	}
}

func (g *group) awaiting(sizes ...int) func() error { return func() error { return g.await(sizes...) } }

func (g *group) writing(each int) func() error {
	return func() error { return g.produceAndRead(groupPartitions, each) }
}

// groupRebalance: two members, a third, one leaves: all partitions owned, none twice, each record read once.
func groupRebalance(g *group) (string, error) {
	var a *groupMember
	return "", steps(g.joined(&a, "a", nil), g.awaiting(6), g.writing(5), g.commit,
		g.joined(nil, "b", nil), g.awaiting(3, 3), g.writing(10), g.commit,
		g.joined(nil, "c", nil), g.awaiting(2, 2, 2), g.writing(10), g.commit,
		func() error { return a.leave() }, g.awaiting(3, 3), g.writing(10), g.commit,
		func() error {
			got, err := g.offsets()
			for _, c := range got {
				if c.offset != 35 || len(got) != groupPartitions {
					return fmt.Errorf("committed %v", got)
				}
			}
			return err
		})
}

// groupKilled: a member whose wire is cut: the other one has all after the session timeout, from the commits on.
func groupKilled(g *group) (string, error) {
	var a, b *groupMember
	short := func(s *groupSpec) { s.session = 2 * time.Second }
	return "", steps(g.joined(&a, "a", short), g.joined(&b, "b", short), g.awaiting(3, 3), g.writing(5), g.commit, func() error {
		rows, err := g.produce(g.id, groupPartitions, 2)
		if err != nil {
			return err
		}
		if err := steps(func() error { return g.reads(rows) }, func() error { return b.session.Commit(nil) }); err != nil {
			return err
		}
		var again []at
		for _, r := range rows {
			if a.owned[at{r.topic, r.partition, 0}] {
				again = append(again, r)
			}
		}
		a.vanish()
		// What it read and did not commit is read again.
		return steps(g.awaiting(6), func() error { return g.reads(again) })
	})
}

func instance(id string) func(*groupSpec) { return func(s *groupSpec) { s.instance = id } }

// groupStatic: a static member that is back in time has what it had, and the other one sees nothing of it.
func groupStatic(g *group) (string, error) {
	var a, b, again *groupMember
	return "", steps(g.joined(&a, "a", instance("one")), g.joined(&b, "b", instance("two")), g.awaiting(3, 3), g.writing(5), g.commit, func() error {
		had := map[at]bool{}
		for p := range a.owned {
			had[p] = true
		}
		events := len(b.events)
		return steps(func() error { return a.leave() }, g.joined(&again, "again", instance("one")), g.awaiting(3, 3), g.writing(5), func() error {
			// Joining anew, franz-go's member sends its subscription in a way that lets Apache Kafka assign afresh.
			if strings.HasPrefix(g.kind, "consumer") {
				return nil
			}
			if !reflect.DeepEqual(had, again.owned) {
				return fmt.Errorf("had %v, now %v, the other one saw %v", had, again.owned, b.events)
			}
			if len(b.events) != events {
				return fmt.Errorf("the other one saw %v", b.events[events:])
			}
			return nil
		}, func() error {
			_, members, err := g.g.DescribeGroup(g.id)
			if err == nil && len(members) != 2 {
				err = fmt.Errorf("members %v", members)
			}
			return err
		}, func() error { return again.leave() }, func() error { return b.leave() },
			func() error { return g.g.RemoveMembers(g.id, "one", "two") },
			func() error {
				_, members, err := g.g.DescribeGroup(g.id)
				if err == nil && len(members) != 0 {
					err = fmt.Errorf("still members %v", members)
				}
				return err
			})
	})
}

// groupFenced: two with one instance id: in the classic protocol the old one is put out, in the consumer protocol the new one is
// refused.
func groupFenced(g *group) (detail string, err error) {
	var a, b *groupMember
	return "", steps(g.joined(&a, "a", instance("one")), g.awaiting(6), g.joined(&b, "b", instance("one")), func() error {
		loser, winner, code := a, b, int16(82)
		if strings.HasPrefix(g.kind, "consumer") {
			loser, winner, code = b, a, 111
		}
		err := g.until(func() bool { return loser.failure != nil }, func() string { return fmt.Sprint("nobody is fenced: ", g.live) })
		if err != nil {
			return err
		}
		if detail, err = refused(code, loser.failure); err != nil {
			return err
		}
		g.without(loser)
		defer func() { _ = loser.session.Leave() }()
		// The old one learns of it after the new one got its partitions.
		g.violations = nil
		return steps(g.awaiting(6), func() error { return winner.failure })
	})
}

func groupCommit(g *group) (string, error) {
	var a *groupMember
	var rows []at
	p0, p1 := at{g.id, 0, 0}, at{g.id, 1, 0}
	said := ""
	return said, steps(g.joined(&a, "a", nil), g.awaiting(6), func() (err error) {
		if rows, err = g.produce(g.id, groupPartitions, 10); err != nil {
			return err
		}
		return g.reads(rows)
	}, func() error {
		return a.session.Commit(map[at]committed{p0: {7, "m\u00e9tadata", 0}, p1: {10, "", 0}})
	}, func() error {
		got, err := g.offsets()
		if err != nil {
			return err
		}
		if len(got) != 2 || got[p0].offset != 7 || got[p0].metadata != "m\u00e9tadata" || got[p1].offset != 10 || got[p1].metadata != "" ||
			got[p0].epoch > 0 {
			return fmt.Errorf("committed %v", got)
		}
		said = fmt.Sprint(got[p0])
		return nil
	}, func() error {
		_, err := refused(12, a.session.Commit(map[at]committed{p0: {8, strings.Repeat("x", 5000), 0}}))
		return err
	}, func() error { return a.leave() }, g.joined(&a, "a", nil), g.awaiting(6), func() error {
		var rest []at
		for _, r := range rows {
			if r.partition > 1 || r.partition == 0 && r.offset >= 7 {
				rest = append(rest, r)
			}
		}
		return g.reads(rest)
	})
}

func groupAutoCommit(g *group) (string, error) {
	var a *groupMember
	auto := func(s *groupSpec) { s.autoCommit = true }
	total := func() (n int64) {
		got, _ := g.offsets()
		for _, c := range got {
			n += c.offset
		}
		return n
	}
	return "", steps(g.joined(&a, "a", auto), g.awaiting(6), g.writing(10), func() error {
		return eventually(func() error {
			if n := total(); n != 60 {
				return fmt.Errorf("committed %d of 60", n)
			}
			return nil
		})
	}, g.writing(1), func() error { return a.leave() }, func() error {
		// Closing commits what the interval has not.
		if n := total(); n != 66 {
			return fmt.Errorf("committed %d of 66", n)
		}
		return nil
	}, g.joined(nil, "b", auto), g.awaiting(6), g.writing(1))
}

// groupPattern: a topic that is made later, and matches, is read; one that does not, is not.
func groupPattern(g *group) (string, error) {
	match := func(s *groupSpec) { s.topics, s.pattern = nil, "^"+g.id+"(-later)?$" }
	return "", steps(g.joined(nil, "a", match), g.joined(nil, "b", match), g.awaiting(3, 3), g.writing(1), g.commit,
		func() error { return g.a.CreateTopic(g.id+"-other", 2, 1, groupKeep, false) },
		func() error { return g.a.CreateTopic(g.id+"-later", 4, 1, groupKeep, false) },
		g.awaiting(5, 5), func() error {
			if _, err := g.produce(g.id+"-other", 2, 1); err != nil {
				return err
			}
			rows, err := g.produce(g.id+"-later", 4, 1)
			if err != nil {
				return err
			}
			return g.reads(rows)
		})
}

func groupMorePartitions(g *group) (string, error) {
	return "", steps(g.joined(nil, "a", nil), g.joined(nil, "b", nil), g.awaiting(3, 3),
		func() error { return g.a.CreatePartitions(g.id, 10) }, g.awaiting(5, 5),
		func() error { return g.produceAndRead(10, 3) })
}

func groupPause(g *group) (string, error) {
	var a *groupMember
	some := []at{{g.id, 0, 0}, {g.id, 3, 0}}
	return "", steps(g.joined(&a, "a", nil), g.awaiting(6), g.writing(2), func() error { return a.session.Pause(some) }, func() error {
		rows, err := g.produce(g.id, groupPartitions, 2)
		if err != nil {
			return err
		}
		var paused, others []at
		for _, r := range rows {
			if r.partition%3 == 0 {
				paused = append(paused, r)
			} else {
				others = append(others, r)
			}
		}
		return steps(func() error { return g.reads(others) }, func() error { return a.session.Resume(some) }, func() error { return g.reads(paused) })
	})
}

// optional lets a step be missing from the client.
func optional(said *[]string, what string, err error) error {
	if m, ok := err.(*Missing); ok {
		*said = append(*said, "("+m.why+")")
		return nil
	}
	if err == nil {
		*said = append(*said, what)
	}
	return err
}

func groupAdmin(g *group) (string, error) {
	var a, b *groupMember
	var said []string
	p0 := at{g.id, 0, 0}
	refuse := func(code int16, call func() error) func() error {
		return func() error {
			err := call()
			if _, missing := err.(*Missing); missing {
				return optional(&said, "", err)
			}
			_, err = refused(code, err)
			return optional(&said, fmt.Sprint("code=", code), err)
		}
	}
	listed := func(state, other string) func() error {
		return func() error {
			return eventually(func() error {
				all, err := g.g.ListGroups()
				if got, ok := all[g.id]; err == nil && (!ok || got != "" && got != state) {
					err = fmt.Errorf("listed %v as %q", ok, got)
				}
				for _, filter := range []string{state, other} {
					if err != nil {
						break
					}
					var some map[string]string
					some, err = g.g.ListGroups(filter)
					if _, ok := some[g.id]; err == nil && ok != (filter == state) {
						err = fmt.Errorf("filtered by %s: %v", filter, ok)
					}
				}
				if _, missing := err.(*Missing); missing {
					return nil
				}
				return err
			})
		}
	}
	count := func(want int) func() error {
		return func() error {
			got, err := g.offsets()
			if err == nil && len(got) != want {
				err = fmt.Errorf("expected %d offsets, got %v", want, got)
			}
			return err
		}
	}
	err := steps(g.joined(&a, "a", nil), g.joined(&b, "b", nil), g.awaiting(3, 3), g.writing(2), g.commit, listed("Stable", "Empty"), func() error {
		state, members, err := g.g.DescribeGroup(g.id)
		if err != nil || state != "Stable" || len(members) != 2 {
			return fmt.Errorf("described as %s with %v: %w", state, members, err)
		}
		for _, m := range []*groupMember{a, b} {
			for _, d := range members {
				if d.client == m.spec.client && (!strings.Contains(d.host, "127.0.0.1") || d.owned != nil && !reflect.DeepEqual(d.owned, m.owned)) {
					return fmt.Errorf("described as %v, is %v", d, m)
				}
			}
		}
		return nil
	}, refuse(68, func() error { return g.g.DeleteGroup(g.id) }),
		refuse(86, func() error { return g.g.DeleteOffset(g.id, p0) }),
		refuse(25, func() error { return g.g.AlterOffsets(g.id, map[at]committed{p0: {1, "", -1}}) }),
		func() error { return a.leave() }, func() error { return b.leave() }, listed("Empty", "Stable"), count(6),
		func() error {
			err := g.g.AlterOffsets(g.id, map[at]committed{p0: {1, "altered", 0}})
			if err == nil {
				var got map[at]committed
				if got, err = g.offsets(); err == nil && (got[p0].offset != 1 || got[p0].metadata != "altered") {
					err = fmt.Errorf("altered to %v", got[p0])
				}
			}
			return optional(&said, "altered", err)
		}, func() error {
			err := g.g.DeleteOffset(g.id, p0)
			if err == nil {
				err = count(5)()
			}
			return optional(&said, "offset-deleted", err)
		}, func() error {
			err := g.g.DeleteGroup(g.id)
			if err == nil {
				all, listing := g.g.ListGroups()
				if _, ok := all[g.id]; ok || listing != nil {
					err = fmt.Errorf("still listed: %w", listing)
				}
			}
			return optional(&said, "deleted", err)
		}, refuse(69, func() error { return g.g.DeleteGroup(g.id) }))
	return strings.Join(said, " "), err
}
