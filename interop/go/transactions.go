package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	txnPartitions = 2
	txnAtOnce     = 4
	txnLimit      = 60 * time.Second
	// How long a reader waits to see that there is nothing.
	txnQuiet = 700 * time.Millisecond
)

// txnRow is a record of a transaction: where it is, and what it says.
type txnRow struct {
	partition int32
	value     string
}

// txnProducer is a transactional producer that has been initialised. Send returns when all are acknowledged.
type txnProducer interface {
	Begin() error
	Send(topic string, rows []txnRow) error
	End(commit bool) error
	Close()
}

// txnAdapter does with one client library what the checks ask for.
type txnAdapter interface {
	Producer(id string, timeout time.Duration) (txnProducer, error)
	// Reader gives every record from the beginning on to seen, until stop is called.
	Reader(topic string, committed bool, seen func(txnRow)) (stop func(), err error)
	// Copy copies so many records in transactions with their offsets, as a member of the group; every third transaction is aborted.
	Copy(from, to, group string, total int) (aborted int, err error)
	Offsets(group string, topic string) (map[int32]int64, error)
}

// txnScenario is one check with its own topic.
type txnScenario struct {
	a     Adapter
	t     txnAdapter
	topic string
}

func (s *txnScenario) create(topic string) error {
	return steps(func() error { return s.a.CreateTopic(topic, txnPartitions, 1, groupKeep, false) }, func() error {
		return eventually(func() error { _, err := s.a.DescribeTopic(topic); return err })
	})
}

// plain writes records without a transaction.
func (s *txnScenario) plain(rows []txnRow) error {
	var records []*Record
	for _, r := range rows {
		records = append(records, &Record{Partition: r.partition, Value: []byte(r.value), Timestamp: t0, Offset: -1})
	}
	_, err := s.a.Produce(s.topic, records, Produce{Codec: "none", Acks: -1})
	return err
}

func txnRows(prefix string, each int) (out []txnRow) {
	for i := range each {
		for p := range int32(txnPartitions) {
			out = append(out, txnRow{p, fmt.Sprintf("%s-%d-%d", prefix, p, i)})
		}
	}
	return out
}

// read reads until there are so many records, and a little longer; order counts within a partition.
func (s *txnScenario) read(topic string, committed bool, want ...txnRow) error {
	var mu sync.Mutex
	got := make([][]string, txnPartitions)
	count := 0
	stop, err := s.t.Reader(topic, committed, func(r txnRow) {
		mu.Lock()
		defer mu.Unlock()
		got[r.partition] = append(got[r.partition], r.value)
		count++
	})
	if err != nil {
		return err
	}
	for end := time.Now().Add(txnLimit); ; time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		enough := count >= len(want)
		mu.Unlock()
		if enough || time.Now().After(end) {
			break
		}
	}
	time.Sleep(txnQuiet)
	stop()
	mu.Lock()
	defer mu.Unlock()
	wanted := make([][]string, txnPartitions)
	for _, r := range want {
		wanted[r.partition] = append(wanted[r.partition], r.value)
	}
	for p := range got {
		if !slices.Equal(got[p], wanted[p]) {
			return fmt.Errorf("partition %d, committed=%v: wanted %v, got %v", p, committed, wanted[p], got[p])
		}
	}
	return nil
}

// both reads with both isolation levels.
func (s *txnScenario) both(committed, all []txnRow) func() error {
	return func() error {
		return steps(func() error { return s.read(s.topic, true, committed...) }, func() error { return s.read(s.topic, false, all...) })
	}
}

// write is a whole transaction.
func (s *txnScenario) write(p txnProducer, commit bool, rows []txnRow) error {
	return steps(p.Begin, func() error { return p.Send(s.topic, rows) }, func() error { return p.End(commit) })
}

// txnRefused wants one of these codes.
func txnRefused(err error, codes ...int16) (string, error) {
	var r *Refused
	if errors.As(err, &r) && slices.Contains(codes, r.Code) {
		return fmt.Sprint("code=", r.Code), nil
	}
	return "", fmt.Errorf("expected one of the codes %v, got %v", codes, err)
}

// with opens a producer for a check, which ends with it.
func (s *txnScenario) with(id string, timeout time.Duration, run func(txnProducer) error) error {
	p, err := s.t.Producer(id, timeout)
	if err != nil {
		return err
	}
	defer p.Close()
	return run(p)
}

// txnCommit: read_committed sees the records after the commit and not before, and nothing behind them either.
func txnCommit(s *txnScenario) (string, error) {
	before, inside, after := txnRows("before", 5), txnRows("inside", 5), txnRows("after", 5)
	all := slices.Concat(before, inside, after)
	return "", s.with(s.topic, txnLimit, func(p txnProducer) error {
		return steps(func() error { return s.plain(before) }, p.Begin, func() error { return p.Send(s.topic, inside) },
			func() error { return s.plain(after) }, s.both(before, all), func() error { return p.End(true) }, s.both(all, all))
	})
}

// txnAbort: what was aborted is read by read_uncommitted only; the producer goes on.
func txnAbort(s *txnScenario) (string, error) {
	aborted, kept := txnRows("aborted", 5), txnRows("kept", 5)
	return "", s.with(s.topic, txnLimit, func(p txnProducer) error {
		return steps(func() error { return s.write(p, false, aborted) }, func() error { return s.write(p, true, kept) },
			s.both(kept, slices.Concat(aborted, kept)))
	})
}

// txnSeveral: twenty transactions, every third aborted, quickly one after the other.
func txnSeveral(s *txnScenario) (string, error) {
	return "", s.with(s.topic, txnLimit, func(p txnProducer) error {
		var kept, all []txnRow
		for i := range 20 {
			rows, commit := txnRows(fmt.Sprint("t", i), 2), i%3 != 2
			if err := s.write(p, commit, rows); err != nil {
				return err
			}
			all = append(all, rows...)
			if commit {
				kept = append(kept, rows...)
			}
		}
		return s.both(kept, all)()
	})
}

// txnInterleaved: two transactions in the same partitions: the earlier one holds back what the later one committed.
func txnInterleaved(s *txnScenario) (string, error) {
	first, second, third := txnRows("a", 2), txnRows("b", 2), txnRows("c", 2)
	return "", s.with(s.topic+"-a", txnLimit, func(a txnProducer) error {
		return s.with(s.topic+"-b", txnLimit, func(b txnProducer) error {
			return steps(a.Begin, func() error { return a.Send(s.topic, first) }, func() error { return s.write(b, true, second) },
				func() error { return s.read(s.topic, true) }, func() error { return a.Send(s.topic, third) },
				func() error { return a.End(false) }, s.both(second, slices.Concat(first, second, third)))
		})
	})
}

// txnFencing: a second producer with the id: what the first one had open is aborted, and it can do nothing any more.
func txnFencing(s *txnScenario) (detail string, err error) {
	lost, kept := txnRows("lost", 2), txnRows("kept", 2)
	return detail, s.with(s.topic, txnLimit, func(old txnProducer) error {
		if err := steps(old.Begin, func() error { return old.Send(s.topic, lost) }); err != nil {
			return err
		}
		return s.with(s.topic, txnLimit, func(p txnProducer) error {
			return steps(func() error { return s.write(p, true, kept) }, func() error {
				err := steps(func() error { return old.Send(s.topic, lost) }, func() error { return old.End(true) })
				detail, err = txnRefused(err, 47, 90)
				return err
			}, s.both(kept, slices.Concat(lost, kept)), func() error { return s.write(p, true, kept) },
				func() error { return s.read(s.topic, true, slices.Concat(kept, kept)...) })
		})
	})
}

// txnTimeout: a transaction that takes longer than its timeout is aborted by the coordinator.
func txnTimeout(s *txnScenario) (detail string, err error) {
	lost, behind, again := txnRows("lost", 2), txnRows("behind", 2), txnRows("again", 2)
	err = s.with(s.topic, 5*time.Second, func(p txnProducer) error {
		return steps(p.Begin, func() error { return p.Send(s.topic, lost) }, func() error { return s.plain(behind) },
			func() error { return s.read(s.topic, true) }, s.both(behind, slices.Concat(lost, behind)), func() error {
				var err error
				detail, err = txnRefused(p.End(true), 47, 48, 90, 120)
				return err
			})
	})
	if err != nil {
		return "", err
	}
	return detail, s.with(s.topic, txnLimit, func(p txnProducer) error {
		return steps(func() error { return s.write(p, true, again) },
			func() error { return s.read(s.topic, true, slices.Concat(behind, again)...) })
	})
}

// txnTooLong: a timeout above the greatest one is refused.
func txnTooLong(s *txnScenario) (string, error) {
	return txnRefused(s.with(s.topic, 900_001*time.Millisecond, func(txnProducer) error { return nil }), 50)
}

// txnCopy: read, change, write, with the offsets in the transaction; every third transaction is aborted and done again.
func txnCopy(s *txnScenario) (string, error) {
	out, given := s.topic+"-out", txnRows("in", 30)
	var want []txnRow
	for _, r := range given {
		want = append(want, txnRow{r.partition, "copy of " + r.value})
	}
	return "", steps(func() error { return s.create(out) }, func() error { return s.plain(given) }, func() error {
		aborted, err := s.t.Copy(s.topic, out, s.topic, len(given))
		if err == nil && aborted == 0 {
			err = errors.New("nothing was aborted")
		}
		return err
	}, func() error {
		// The commit is answered before the offsets are seen.
		return eventually(func() error {
			got, err := s.t.Offsets(s.topic, s.topic)
			if err == nil && (got[0] != 30 || got[1] != 30) {
				err = fmt.Errorf("committed %v", got)
			}
			return err
		})
	}, func() error { return s.read(out, true, want...) })
}

func runTransactions(client string, a Adapter, t txnAdapter) int {
	checks := []struct {
		name string
		run  func(*txnScenario) (string, error)
	}{{"timeout", txnTimeout}, {"copy", txnCopy}, {"commit", txnCommit}, {"abort", txnAbort}, {"fencing", txnFencing},
		{"interleaved", txnInterleaved}, {"several", txnSeveral}, {"err-timeout-too-large", txnTooLong}}
	var wait sync.WaitGroup
	slots := make(chan struct{}, txnAtOnce)
	failed := false
	var mu sync.Mutex
	for _, check := range checks {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s := &txnScenario{a, t, client + "-transactions-" + check.name}
			detail := ""
			err := s.create(s.topic)
			if err == nil {
				detail, err = check.run(s)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = true
				fmt.Println("FAIL", check.name, strings.Join(strings.Fields(err.Error()), " "))
				return
			}
			fmt.Println(strings.TrimSpace("ok " + check.name + " " + detail))
		})
	}
	wait.Wait()
	if failed {
		return 1
	}
	return 0
}

func runTransactionsOf(client string) int {
	bootstrap := os.Getenv("BOOTSTRAP")
	switch client {
	case "franz-go":
		a, err := newFranz(bootstrap)
		if err == nil {
			return runTransactions(client, a, &franzTransactions{a.(*franz)})
		}
		fmt.Println("FAIL connect", err)
	case "sarama":
		a, err := newSarama(bootstrap)
		if err == nil {
			return runTransactions(client, a, &saramaTransactions{a.(*saramaClient)})
		}
		fmt.Println("FAIL connect", err)
	}
	return 1
}
