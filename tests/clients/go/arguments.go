package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

type arguments struct {
	bootstrap, user, password, mechanism, ca string
	timeout                                  time.Duration
	command, topic                           string
	rest                                     []string
	keyPrefix, partitioner, from, staticID   string
	keys, start, count, commitEvery, session int
	idempotent, cooperative                  bool
}

// parse reads the options before, between and behind the words of the command.
func parse(words []string) (arguments, error) {
	var a arguments
	var passwordEnv string
	var seconds float64
	flags := flag.NewFlagSet("client", flag.ContinueOnError)
	flags.StringVar(&a.bootstrap, "bootstrap", "", "addresses")
	flags.StringVar(&a.user, "user", "", "user")
	flags.StringVar(&passwordEnv, "password-env", "KAFKA_PASSWORD", "variable with the password")
	flags.StringVar(&a.mechanism, "mechanism", "PLAIN", "mechanism of SASL")
	flags.StringVar(&a.ca, "ca", "", "file of the certificate authority")
	flags.Float64Var(&seconds, "timeout", 30, "seconds")
	flags.StringVar(&a.keyPrefix, "key-prefix", "k", "prefix of the keys")
	flags.IntVar(&a.keys, "keys", 20, "number of keys")
	flags.IntVar(&a.start, "start", 0, "first number")
	flags.BoolVar(&a.idempotent, "idempotent", false, "produce idempotently")
	flags.StringVar(&a.partitioner, "partitioner", "murmur2", "murmur2 or default")
	flags.StringVar(&a.from, "from", "earliest", "earliest or milliseconds")
	flags.IntVar(&a.count, "count", -1, "number of records")
	flags.IntVar(&a.commitEvery, "commit-every", 10, "records for each commit")
	flags.StringVar(&a.staticID, "static-id", "", "id of a static member")
	flags.BoolVar(&a.cooperative, "cooperative", false, "rebalance cooperatively")
	flags.IntVar(&a.session, "session-ms", 6000, "session timeout")
	var found []string
	for len(words) > 0 {
		if err := flags.Parse(words); err != nil {
			return a, err
		}
		words = flags.Args()
		if len(words) > 0 {
			found, words = append(found, words[0]), words[1:]
		}
	}
	if len(found) < 2 {
		return a, errors.New("expected a command and a topic")
	}
	a.command, a.topic, a.rest = found[0], found[1], found[2:]
	needed := map[string]int{"produce": 1, "consume": 0, "group": 1, "conflict": 2}[a.command]
	if len(a.rest) != needed {
		return a, fmt.Errorf("%s takes %d words behind the topic", a.command, needed)
	}
	a.password = os.Getenv(passwordEnv)
	a.timeout = time.Duration(seconds * float64(time.Second))
	return a, nil
}

// connect makes a client of these options and those of the command.
func (a arguments) connect(more ...kgo.Opt) (*kgo.Client, error) {
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(a.bootstrap, ",")...)}
	if a.ca != "" {
		pem, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, err
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		options = append(options, kgo.DialTLSConfig(&tls.Config{RootCAs: pool}))
	}
	if a.user != "" {
		credentials := scram.Auth{User: a.user, Pass: a.password}
		switch a.mechanism {
		case "PLAIN":
			options = append(options, kgo.SASL(plain.Auth{User: a.user, Pass: a.password}.AsMechanism()))
		case "SCRAM-SHA-256":
			options = append(options, kgo.SASL(credentials.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			options = append(options, kgo.SASL(credentials.AsSha512Mechanism()))
		default:
			return nil, fmt.Errorf("%q is no mechanism", a.mechanism)
		}
	}
	return kgo.NewClient(append(options, more...)...)
}
