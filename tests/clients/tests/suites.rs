//! The suites that librdkafka and franz-go ship, and Spark, against the server that `LEFTFOLD_KAFKA`
//! names, or else against a real Apache Kafka.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::time::Duration;

use leftfold_kafka_clients::suites::{self, Outcome, Total, Verdict};
use leftfold_kafka_clients::{Apache, Broker, Client, Command, Endpoint, Produce};

/// The tests of librdkafka that need a server. Left out are those of transactions (0098, 0103, 0129) and
/// of compaction (0077), those of access lists (0081), those that run Kafka's shell scripts (0052, 0092,
/// 0109), need several brokers, racks or OAuth (0101, 0126, 0142), and all that bring a server of their
/// own.
const LIBRDKAFKA: &str = "\
    0001 0002 0003 0005 0007 0008 0011 0012 0013 0014 0015 0016 0017 0018 0019 0020 0021 0022 0026 \
    0029 0030 0031 0033 0034 0036 0037 0038 0039 0040 0041 0042 0044 0045 0046 0047 0048 0049 0050 \
    0051 0053 0054 0055 0056 0057 0060 0061 0063 0064 0065 0067 0068 0069 0070 0073 0074 0075 0076 \
    0079 0082 0083 0084 0085 0086 0088 0089 0090 0091 0093 0094 0099 0100 0102 0107 0110 0111 0112 \
    0113 0114 0116 0118 0121 0122 0123 0125 0127 0130 0132 0137 0140 1000";
/// The tests of franz-go that are left out: those of transactions and of share groups.
const FRANZ_GO_SKIPPED: &str = "Txn|Transact|Share";
/// How many of them run at once: most of them wait.
const AT_ONCE: usize = 3;

/// The server to test. The broker ends with the value.
struct Server(Box<dyn Broker + Send + Sync>);

fn server() -> Server {
    match std::env::var("LEFTFOLD_KAFKA") {
        Ok(bootstrap) => Server(Box::new(Endpoint { bootstrap, login: None })),
        Err(_) => Server(Box::new(Apache::start().unwrap())),
    }
}

/// What is chosen by a variable, or all.
fn chosen(variable: &str, all: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| all.to_owned())
}

fn show(outcomes: &[Outcome]) {
    for outcome in outcomes {
        let took = outcome.took.as_secs_f32();
        println!("{:>6.1} s {:?} {}", took, outcome.result, outcome.test);
    }
    let count = |verdict| outcomes.iter().filter(|outcome| outcome.result == verdict).count();
    let counts = [Verdict::Passed, Verdict::Skipped, Verdict::Failed].map(count);
    println!("{} passed, {} left out, {} failed", counts[0], counts[1], counts[2]);
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn librdkafka() {
    let (server, outcomes) = (server(), Mutex::new(Vec::new()));
    let (bootstrap, limit) = (server.0.bootstrap(), Duration::from_secs(120));
    let tests = chosen("LEFTFOLD_LIBRDKAFKA_TESTS", LIBRDKAFKA);
    let tests = Mutex::new(tests.split_whitespace());
    suites::prepare_librdkafka().unwrap();
    let work = || {
        loop {
            let next = tests.lock().unwrap().next();
            let Some(test) = next else { break };
            let outcome = suites::librdkafka(&bootstrap, test, limit).unwrap();
            println!("{outcome:?}");
            outcomes.lock().unwrap().push(outcome);
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..AT_ONCE {
            threads.spawn(work);
        }
    });
    show(&outcomes.into_inner().unwrap());
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn franz_go() {
    let server = server();
    let wanted = chosen("LEFTFOLD_FRANZ_GO_TESTS", ".");
    let unwanted = chosen("LEFTFOLD_FRANZ_GO_SKIPPED", FRANZ_GO_SKIPPED);
    let limit = Duration::from_secs(900);
    let found = suites::franz_go(&server.0.bootstrap(), [&*wanted, &*unwanted], limit).unwrap();
    show(&found);
}

#[test]
#[ignore = "long: cargo xtask clients"]
fn spark_sums_a_topic() {
    let (server, count) = (server(), 10_000);
    let limit = Duration::from_secs(240);
    let command = Command::Produce(Produce::new("spark", 0, count));
    let producer = Client::Confluent.start(&*server.0, &command, limit).unwrap();
    producer.finish(limit).unwrap();
    let total = Total { sum: (0..count).sum(), count };
    assert_eq!(suites::spark(&server.0.bootstrap(), "spark", limit).unwrap(), [total; 2]);
}
