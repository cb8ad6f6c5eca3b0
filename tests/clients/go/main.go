// franz-go with the command line and the lines of output of ../python/client.py.
//
//	client --bootstrap HOST:PORT [options] COMMAND ... [options]
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// event is one line of output: a name and what belongs to it.
type event map[string]any

var output sync.Mutex

// emit prints one line. Callbacks of the library run on other goroutines.
func emit(e event) {
	output.Lock()
	defer output.Unlock()
	line, err := json.Marshal(e)
	if err == nil {
		fmt.Println(string(line))
	}
}

func main() {
	arguments, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	time.AfterFunc(arguments.timeout, func() {
		emit(event{"error": "timeout", "message": "the command did not end in time"})
		os.Exit(1)
	})
	context, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	if err := run(context, arguments); err != nil {
		emit(event{"error": name(err), "message": err.Error()})
		os.Exit(1)
	}
}

func run(context context.Context, arguments arguments) error {
	switch arguments.command {
	case "produce":
		return produce(context, arguments)
	case "consume":
		return consume(context, arguments)
	case "group":
		return group(context, arguments)
	case "conflict":
		return conflict(context, arguments)
	}
	return fmt.Errorf("%q is no command", arguments.command)
}

// name returns the name of an error of the broker, or a word for any other.
func name(err error) string {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Message
	}
	return "failure"
}

func emitRecord(record *kgo.Record) {
	headers := map[string]string{}
	for _, header := range record.Headers {
		headers[header.Key] = string(header.Value)
	}
	emit(event{"record": event{
		"partition": record.Partition,
		"offset":    record.Offset,
		"key":       string(record.Key),
		"value":     string(record.Value),
		"timestamp": record.Timestamp.UnixMilli(),
		"headers":   headers,
	}})
}
