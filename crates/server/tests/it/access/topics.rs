//! Grants hold for clients of Kafka: a topic is its query.

use std::sync::Arc;

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_io::SystemClock;
use leftfold_io::fake::FakeDisk;
use leftfold_kafka::{
    Client, FetchOptions, KafkaError, Partition, ResponseError, Sasl, SaslMechanism, Security,
};
use leftfold_server::access::Secret;
use leftfold_server::{Server, StartOptions};

use crate::access::support::{ADMIN, DEADLINE, PASSWORD, Served, config, store_on};

/// A server with users that listens for clients of Kafka.
async fn served() -> Served {
    let mut config = config();
    config.kafka_listen = Some(([127, 0, 0, 1], 0).into());
    let store = store_on(Arc::new(FakeDisk::new()));
    let admin_password = Some(Secret::from(ADMIN.to_owned()));
    let beginning = StartOptions { admin_password, clock: Arc::new(SystemClock) };
    let running = Server::start_with(config, store.clone(), beginning).await.unwrap();
    Served { running, store, client: reqwest::Client::new() }
}

fn client(served: &Served, user: &str) -> Client {
    let address = served.running.kafka_addr().unwrap().to_string();
    let sasl = Sasl::new(SaslMechanism::Plain, user, PASSWORD);
    let client = Client::new(&address, DEADLINE).unwrap();
    client.secured(Security { sasl: Some(sasl), ..Security::default() })
}

/// Fetches a partition from its start; a category becomes a topic when it is first fetched.
async fn fetch(client: &Client, topic: &str, number: i32) -> Result<usize, KafkaError> {
    let partition = Partition::new(topic, number);
    let fetching = async {
        loop {
            let leader = client.any().await?;
            match leader.fetch(&partition, 0, FetchOptions::default()).await {
                Err(error) if error.is_retriable() => tokio::task::yield_now().await,
                fetched => return fetched.map(|found| found.records().len()),
            }
        }
    };
    tokio::time::timeout(DEADLINE, fetching).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_reads_all_partitions_of_a_topic_within_a_grant_and_no_other_topic() {
    let served = served().await;
    let mut append = Append::new();
    for number in 0..32 {
        append = append.event(format!("order-{number}"), NewEvent::new("Placed", ""));
        append = append.event(format!("cart-{number}"), NewEvent::new("Filled", ""));
    }
    served.store.append(append).await.unwrap();
    served.user("ann", &[("read", "category:order")]).await;
    let client = client(&served, "ann");
    let topic = client.describe_topic("order").await.unwrap().unwrap();
    let mut counts = Vec::new();
    for number in 0..topic.partitions {
        counts.push(fetch(&client, "order", number).await.unwrap());
    }
    assert_eq!(counts.iter().sum::<usize>(), 32, "{counts:?}");
    assert!(counts.iter().filter(|count| **count > 0).count() > 1, "{counts:?}");
    let refused = client.describe_topic("cart").await.unwrap_err();
    assert_eq!(refused.code(), Some(ResponseError::TopicAuthorizationFailed));
}
