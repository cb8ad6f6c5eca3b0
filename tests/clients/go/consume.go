package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func consume(context context.Context, a arguments) error {
	start := kgo.NewOffset().AtStart()
	if a.from != "earliest" {
		milliseconds, err := strconv.ParseInt(a.from, 10, 64)
		if err != nil {
			return err
		}
		start = kgo.NewOffset().AfterMilli(milliseconds)
	}
	client, err := a.connect(kgo.ConsumeTopics(a.topic), kgo.ConsumeResetOffset(start))
	if err != nil {
		return err
	}
	defer client.Close()
	for left := a.count; left > 0; {
		records, err := poll(context, client, left)
		if err != nil {
			return err
		}
		for _, record := range records {
			emitRecord(record)
		}
		left -= len(records)
	}
	emit(event{"done": a.count})
	return nil
}

// poll returns the next records; the first error ends the command.
func poll(context context.Context, client *kgo.Client, most int) ([]*kgo.Record, error) {
	fetches := client.PollRecords(context, most)
	for _, failed := range fetches.Errors() {
		return nil, fmt.Errorf("partition %d: %w", failed.Partition, failed.Err)
	}
	return fetches.Records(), nil
}

// member is a member of a group. The library calls its methods from goroutines of its own.
type member struct {
	topic string
	lock  sync.Mutex
	next  map[int32]kgo.EpochOffset
	since int
}

func group(stop context.Context, a arguments) error {
	m := &member{topic: a.topic, next: map[int32]kgo.EpochOffset{}}
	options := []kgo.Opt{
		kgo.ConsumeTopics(a.topic),
		kgo.ConsumerGroup(a.rest[0]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		// Partitions must not move between a record's line and its commit.
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(time.Duration(a.session) * time.Millisecond),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
	}
	if !a.cooperative {
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	}
	if a.staticID != "" {
		options = append(options, kgo.InstanceID(a.staticID))
	}
	client, err := a.connect(options...)
	if err != nil {
		return err
	}
	left := a.count
	for left != 0 && stop.Err() == nil {
		records, err := poll(stop, client, 100)
		// A lost session is told, and the library joins again by itself.
		var lost *kgo.ErrGroupSession
		if errors.As(err, &lost) {
			fmt.Fprintln(os.Stderr, err)
		} else if err != nil && stop.Err() == nil {
			return err
		}
		for _, record := range records {
			emitRecord(record)
			m.add(record)
			if m.since >= a.commitEvery {
				m.commit(client)
			}
			if left--; left == 0 {
				break
			}
		}
		client.AllowRebalance()
	}
	m.commit(client)
	client.CloseAllowingRebalance()
	emit(event{"closed": true})
	return nil
}

func (m *member) add(record *kgo.Record) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.next[record.Partition] = kgo.EpochOffset{Epoch: record.LeaderEpoch, Offset: record.Offset + 1}
	m.since++
}

// commit commits what has been printed. A failure is shown, and the next commit includes it.
func (m *member) commit(client *kgo.Client) {
	m.lock.Lock()
	defer m.lock.Unlock()
	if len(m.next) == 0 {
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{m.topic: m.next}
	var failed error
	client.CommitOffsetsSync(context.Background(), offsets, keepError(&failed))
	if failed != nil {
		emit(event{"error": name(failed), "message": failed.Error()})
		return
	}
	committed := map[int32]int64{}
	for partition, position := range m.next {
		committed[partition] = position.Offset
	}
	emit(event{"committed": committed})
	m.next, m.since = map[int32]kgo.EpochOffset{}, 0
}

func (m *member) assigned(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	emit(event{"assigned": orEmpty(partitions[m.topic])})
}

func (m *member) revoked(_ context.Context, client *kgo.Client, partitions map[string][]int32) {
	m.commit(client)
	m.forget(partitions[m.topic])
	emit(event{"revoked": orEmpty(partitions[m.topic])})
}

// forget drops the positions of partitions: if they come back, they are read from the last commit.
func (m *member) forget(partitions []int32) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for _, partition := range partitions {
		delete(m.next, partition)
	}
}

func (m *member) lost(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
	m.forget(partitions[m.topic])
	emit(event{"revoked": orEmpty(partitions[m.topic])})
}

// orEmpty returns an empty list for none, which JSON would show as null.
func orEmpty(partitions []int32) []int32 {
	if partitions == nil {
		return []int32{}
	}
	return partitions
}
