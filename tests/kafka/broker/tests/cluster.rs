//! Brokers as the harness starts, pauses, kills and restarts them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpStream;

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
