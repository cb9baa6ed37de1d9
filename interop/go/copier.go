package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// How it ends when another one has its id, and when it lost its connections for longer than the client tries: it may begin again.
const (
	fenced = 3
	again  = 4
)

func logCopy(event string, more map[string]any) {
	line := map[string]any{"ev": event}
	for key, value := range more {
		line[key] = value
	}
	text, _ := json.Marshal(line)
	fmt.Println(string(text))
}

// runCopier copies a topic in transactions with franz-go's GroupTransactSession, as ../exactly-once/copier.py does: copier
// BOOTSTRAP GROUP ID INPUT OUTPUT MODE.
func runCopier(words []string) int {
	bootstrap, group, id, input, output, mode := words[0], words[1], words[2], words[3], words[4], words[5]
	isolation := kgo.ReadCommitted()
	if mode == "uncommitted" {
		isolation = kgo.ReadUncommitted()
	}
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(bootstrap, ",")...), kgo.ClientID(id), kgo.TransactionalID(id), kgo.TransactionTimeout(6*time.Second),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(input), kgo.FetchIsolationLevel(isolation), kgo.RequireStableFetchOffsets(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.ProducerLinger(2*time.Millisecond), kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		logCopy("failed", map[string]any{"why": err.Error()})
		return 1
	}
	logCopy("ready", nil)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	for ctx.Err() == nil {
		fetches := session.PollRecords(ctx, 40)
		if ctx.Err() != nil {
			break
		}
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, kgo.ErrClientClosed) {
				return 0
			}
			logCopy("error", map[string]any{"why": e.Err.Error()})
		}
		if fetches.Empty() {
			continue
		}
		if code := copyOnce(session, fetches, output); code != 0 {
			return code
		}
	}
	session.Close()
	logCopy("end", nil)
	return 0
}

func copyOnce(session *kgo.GroupTransactSession, fetches kgo.Fetches, output string) int {
	whole := context.Background()
	if err := session.Begin(); err != nil {
		return failedWith(err)
	}
	failed := kgo.AbortingFirstErrPromise(session.Client())
	n := 0
	fetches.EachRecord(func(r *kgo.Record) {
		n++
		session.Produce(whole, &kgo.Record{Topic: output, Partition: r.Partition, Key: r.Key, Value: r.Value}, failed.Promise())
	})
	why := failed.Err()
	commit := kgo.TransactionEndTry(why == nil)
	if rand.Float64() < 0.1 && why == nil {
		why, commit = errors.New("on purpose"), kgo.TryAbort
	}
	committed, err := session.End(whole, commit)
	switch {
	case isFenced(err) || isFenced(why):
		logCopy("fenced", map[string]any{"why": fmt.Sprint(err, why)})
		return fenced
	case err != nil:
		return failedWith(err)
	case committed:
		logCopy("commit", map[string]any{"n": n})
	default:
		logCopy("abort", map[string]any{"why": fmt.Sprint(why)})
	}
	return 0
}

// failedWith says with which code the process ends. A broker that is down refuses connections, or closes them; what is open then is
// the coordinator's to end, or its next owner's.
func failedWith(err error) int {
	var network *net.OpError
	if errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, context.DeadlineExceeded) || kgo.IsRetryableBrokerErr(err) {
		logCopy("lost", map[string]any{"why": err.Error()})
		return again
	}
	logCopy("failed", map[string]any{"why": err.Error()})
	return 1
}

// isFenced says whether it has lost its place: to another one with its id, or to the coordinator's clock, which has aborted what it
// would commit.
func isFenced(err error) bool {
	return errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.InvalidProducerIDMapping)
}
