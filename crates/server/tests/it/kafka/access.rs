//! Users: who is known, and what each may see, read, write and coordinate.

use std::sync::Arc;

use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    GroupId, InitProducerIdRequest, JoinGroupRequest, MetadataRequest, OffsetFetchRequest,
};
use leftfold_api::{IndexDefinition, PartitionKey, Query};
use leftfold_io::SystemClock;
use leftfold_io::fake::FakeDisk;
use leftfold_kafka::security::{Sasl, SaslMechanism, Security, Tls};
use leftfold_kafka::{Connection, KafkaError, ResponseError};
use leftfold_server::access::Secret;
use leftfold_server::{Server, StartOptions, make_certificate};

use super::support::{
    Broker, DEADLINE, batch_of, config, fetch_request, keyed, list_offset, orders, produce,
    store_on, text, topic_name,
};
use crate::access::support::{ADMIN, PASSWORD, Served, client};

/// A server with users, over TLS if there is a directory for its certificate.
struct WithUsers {
    served: Served,
    address: leftfold_kafka::Address,
    tls: Option<Tls>,
}

impl WithUsers {
    async fn begin(dir: Option<&std::path::Path>) -> Self {
        let mut config = config();
        let mut tls = None;
        if let Some(dir) = dir {
            let made = make_certificate(dir, &["localhost".to_owned()]).unwrap();
            (config.tls_certificate, config.tls_key) = (Some(made.certificate), Some(made.key));
            let ca = std::fs::read(dir.join("ca.pem")).unwrap();
            tls = Some(Tls::trusting(&ca).unwrap());
        }
        let store = store_on(Arc::new(FakeDisk::new()));
        let admin_password = Some(Secret::from(ADMIN.to_owned()));
        let beginning = StartOptions { admin_password, clock: Arc::new(SystemClock) };
        let running = Server::start_with(config, store.clone(), beginning).await.unwrap();
        let port = running.kafka_addr().unwrap().port();
        let address = leftfold_kafka::Address::new("localhost", port);
        WithUsers { served: Served { running, store, client: client() }, address, tls }
    }

    async fn login(
        &self,
        mechanism: SaslMechanism,
        user: &str,
        password: &str,
    ) -> Result<Connection, KafkaError> {
        let sasl = Some(Sasl::new(mechanism, user, password));
        let security = Security { tls: self.tls.clone(), sasl };
        Connection::open_secured(&self.address, DEADLINE, &security).await
    }

    async fn connect(&self, user: &str) -> Connection {
        self.login(SaslMechanism::ScramSha256, user, PASSWORD).await.unwrap()
    }
}

/// The topics that a user is told of, by name, and by a list of all.
async fn topics(connection: &Connection) -> Vec<String> {
    let request = MetadataRequest::default().with_topics(None);
    let answer = connection.call(&request).await.unwrap();
    let names = answer.topics.iter().map(|topic| topic.name.as_ref().unwrap().to_string());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

async fn error_of_metadata(connection: &Connection, topic: &str) -> i16 {
    use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    connection.call(&request).await.unwrap().topics[0].error_code
}

async fn error_of_fetch(connection: &Connection, topic: &str) -> i16 {
    let answer = connection.call(&fetch_request(topic, &[(0, 0)])).await.unwrap();
    answer.responses[0].partitions[0].error_code
}

async fn error_of_join(connection: &Connection, group: &str) -> i16 {
    let request = JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![JoinGroupRequestProtocol::default().with_name(text("range"))]);
    connection.call(&request).await.unwrap().error_code
}

#[tokio::test(flavor = "multi_thread")]
async fn users_prove_who_they_are_over_tls_by_each_mechanism() {
    let dir = tempfile::tempdir().unwrap();
    let with_users = WithUsers::begin(Some(dir.path())).await;
    for mechanism in SaslMechanism::ALL {
        let connection = with_users.login(mechanism, "admin", ADMIN).await.unwrap();
        assert_eq!(connection.call(&MetadataRequest::default()).await.unwrap().brokers.len(), 1);
        for (user, password) in [("admin", "wrong"), ("unknown", ADMIN)] {
            let refused = with_users.login(mechanism, user, password).await.unwrap_err();
            assert!(refused.to_string().contains("authentication failed"), "{refused}");
        }
    }
    // Without a proof nothing is answered but the versions.
    let security = Security { tls: with_users.tls.clone(), sasl: None };
    let stranger =
        Connection::open_secured(&with_users.address, DEADLINE, &security).await.unwrap();
    assert!(stranger.call(&MetadataRequest::default()).await.is_err());
    // Without TLS nothing is.
    assert!(Connection::open(&with_users.address, DEADLINE).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_seen_by_who_may_read_or_write_all_of_it() {
    let with_users = WithUsers::begin(None).await;
    let WithUsers { served, .. } = &with_users;
    served.user("reader", &[("read", "category:order")]).await;
    served.user("writer", &[("append", "category:order")]).await;
    served.user("part", &[("read", "stream:order-1"), ("append", "stream:order-1")]).await;
    served.user("none", &[]).await;
    let broker = Broker { running: with_users.served.running, store: with_users.served.store };
    broker.define(orders(1)).await;
    let paid = IndexDefinition::new("paid", "category:order type:Paid".parse().unwrap());
    broker.define(paid.partitioned(1, PartitionKey::StreamId)).await;
    broker.define(IndexDefinition::new("cart", Query::category("cart"))).await;
    let port = broker.address().port();
    let address = leftfold_kafka::Address::new("localhost", port);
    let connect = async |user: &str| {
        let sasl = Some(Sasl::new(SaslMechanism::Plain, user, PASSWORD));
        let security = Security { tls: None, sasl };
        Connection::open_secured(&address, DEADLINE, &security).await.unwrap()
    };
    let denied = ResponseError::TopicAuthorizationFailed.code();
    let reader = connect("reader").await;
    assert_eq!(topics(&reader).await, ["order", "paid"]);
    assert_eq!(error_of_metadata(&reader, "paid").await, 0);
    for topic in ["cart", "unknown"] {
        assert_eq!(error_of_metadata(&reader, topic).await, denied, "{topic}");
        assert_eq!(error_of_fetch(&reader, topic).await, denied, "{topic}");
        assert_eq!(list_offset(&reader, topic, 0, -1).await.error_code, denied, "{topic}");
    }
    assert_eq!(error_of_fetch(&reader, "order").await, 0);
    let answer = produce(&reader, "order", 0, batch_of(keyed("1", "x"))).await;
    assert_eq!(answer.error_code, denied, "{answer:?}");
    let init = InitProducerIdRequest::default().with_transactional_id(None);
    let cluster_denied = ResponseError::ClusterAuthorizationFailed.code();
    assert_eq!(reader.call(&init).await.unwrap().error_code, cluster_denied);

    let writer = connect("writer").await;
    assert_eq!(writer.call(&init).await.unwrap().error_code, 0);
    assert_eq!(error_of_metadata(&writer, "order").await, 0);
    let answer = produce(&writer, "order", 0, batch_of(keyed("1", "x"))).await;
    assert_eq!((answer.error_code, answer.base_offset), (0, 0), "{answer:?}");
    assert_eq!(error_of_fetch(&writer, "order").await, denied);
    assert_eq!(list_offset(&writer, "order", 0, -1).await.error_code, denied);
    assert!(!topics(&writer).await.contains(&"cart".to_owned()));

    for user in ["part", "none"] {
        let connection = connect(user).await;
        assert_eq!(topics(&connection).await, Vec::<String>::new(), "{user}");
        for topic in ["order", "paid", "cart", "unknown"] {
            assert_eq!(error_of_metadata(&connection, topic).await, denied, "{user} {topic}");
            assert_eq!(error_of_fetch(&connection, topic).await, denied, "{user} {topic}");
            let answer = produce(&connection, topic, 0, batch_of(keyed("1", "x"))).await;
            assert_eq!(answer.error_code, denied, "{user} {topic} {answer:?}");
        }
    }
    assert_eq!(broker.read("category:order").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_used_by_who_may_append_to_a_stream_of_its_name() {
    let with_users = WithUsers::begin(None).await;
    with_users
        .served
        .user("billing", &[("append", "stream:billing"), ("read", "category:order")])
        .await;
    with_users.served.user("other", &[("read", "category:order")]).await;
    let (billing, other) = (with_users.connect("billing").await, with_users.connect("other").await);
    let denied = ResponseError::GroupAuthorizationFailed.code();
    // It is given its name first.
    assert_eq!(error_of_join(&billing, "billing").await, ResponseError::MemberIdRequired.code());
    assert_eq!(error_of_join(&billing, "mail").await, denied);
    assert_eq!(error_of_join(&other, "billing").await, denied);
    assert_eq!(error_of_join(&billing, "").await, ResponseError::InvalidGroupId.code());
    let offsets = |group: &str| {
        OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(None)
    };
    assert_eq!(billing.call_at(7, &offsets("billing")).await.unwrap().error_code, 0);
    assert_eq!(other.call_at(7, &offsets("billing")).await.unwrap().error_code, denied);
}

/// A user that loses its rights or its password loses them on its open connections.
#[tokio::test(flavor = "multi_thread")]
async fn rights_that_are_taken_are_gone_at_once() {
    use reqwest::Method;
    use serde_json::json;
    let with_users = WithUsers::begin(None).await;
    with_users.served.user("reader", &[("read", "category:order")]).await;
    let definition = orders(1);
    leftfold_api::EventStore::define_index(&*with_users.served.store, definition).await.unwrap();
    let reader = with_users.connect("reader").await;
    assert_eq!(error_of_fetch(&reader, "order").await, 0);
    // What is granted already keeps its number.
    let grant = json!({"user": "reader", "action": "read", "scope": "category:order"});
    let grant = with_users.served.admin(Method::POST, "/v1/grants", grant).await;
    let path = format!("/v1/grants/{}", grant["grant"]);
    with_users.served.admin(Method::DELETE, &path, json!({})).await;
    let denied = ResponseError::TopicAuthorizationFailed.code();
    assert_eq!(error_of_fetch(&reader, "order").await, denied);
    with_users.served.admin(Method::DELETE, "/v1/users/reader", json!({})).await;
    assert!(reader.call(&MetadataRequest::default()).await.is_err());
}
