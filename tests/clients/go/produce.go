package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// producer makes a client that waits for all replicas and may create topics. It is idempotent by default,
// and its partitioner is murmur2, as Java's.
func (a arguments) producer() (*kgo.Client, error) {
	return a.connect(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowAutoTopicCreation(),
		// A busy broker takes a while to make a topic.
		kgo.UnknownTopicRetries(20),
	)
}

func produce(context context.Context, a arguments) error {
	count, err := strconv.Atoi(a.rest[0])
	if err != nil {
		return err
	}
	client, err := a.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	failures := make(chan error, count)
	for n := a.start; n < a.start+count; n++ {
		key := fmt.Sprintf("%s%d", a.keyPrefix, n%a.keys)
		record := &kgo.Record{Topic: a.topic, Key: []byte(key), Value: fmt.Appendf(nil, `{"n": %d}`, n)}
		client.Produce(context, record, func(record *kgo.Record, err error) {
			if err != nil {
				failures <- err
				return
			}
			emit(event{"delivered": event{
				"partition": record.Partition, "offset": record.Offset, "key": key, "n": n,
			}})
		})
	}
	if err := client.Flush(context); err != nil {
		return err
	}
	if len(failures) > 0 {
		return <-failures
	}
	emit(event{"done": count})
	return nil
}

func conflict(context context.Context, a arguments) error {
	client, err := a.producer()
	if err != nil {
		return err
	}
	defer client.Close()
	record := &kgo.Record{
		Topic:   a.topic,
		Key:     []byte(a.rest[0]),
		Value:   []byte(`{"n": 0}`),
		Headers: []kgo.RecordHeader{{Key: "expected-version", Value: []byte(a.rest[1])}},
	}
	written, err := client.ProduceSync(context, record).First()
	if err == nil {
		emit(event{"ok": written.Offset})
		return nil
	}
	refused := event{"error": name(err), "message": err.Error()}
	var known *kerr.Error
	if errors.As(err, &known) {
		refused["code"] = known.Code
	}
	emit(refused)
	return nil
}
