//! The harness starts, kills and restarts brokers, and ends them with their test program.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leftfold_kafka_broker::{BrokerError, Cluster, Options};

#[test]
fn a_killed_broker_comes_back_on_its_port_and_ends_with_its_cluster() {
    let cluster = Cluster::start(&Options::default()).unwrap();
    let broker = cluster.broker(1).unwrap();
    println!("{:?}", cluster.timings());
    let address = broker.address();
    broker.kill().unwrap();
    assert!(TcpStream::connect(address).is_err());
    broker.restart().unwrap();
    assert_eq!(broker.address(), address);
    assert!(TcpStream::connect(address).is_ok());
    assert!(matches!(cluster.broker(2), Err(BrokerError::NoSuchBroker(2))));
    drop(cluster);
    assert!(TcpStream::connect(address).is_err());
}

const CHILD: &str = "LEFTFOLD_TEST_CHILD";

#[test]
fn brokers_end_with_a_process_that_is_killed() {
    if std::env::var_os(CHILD).is_some() {
        // The process to be killed is this test, run alone.
        let cluster = Cluster::start(&Options::default()).unwrap();
        println!("\nbroker at {}", cluster.bootstrap());
        loop {
            std::thread::park();
        }
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "brokers_end_with_a_process_that_is_killed", "--nocapture"])
        .env(CHILD, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("broker at ")).unwrap();
    let address = line.strip_prefix("broker at ").unwrap();
    assert!(TcpStream::connect(address).is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "the broker still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}
