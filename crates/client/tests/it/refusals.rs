//! Error codes over gRPC: invalid requests, each with its status and its code.

use leftfold_api::{CheckpointMove, Cursor, EventStore, Expected, NewEvent, Query};
use leftfold_server::codes;
use leftfold_wire::v1::admin_client::AdminClient;
use leftfold_wire::v1::store_client::StoreClient;
use leftfold_wire::{CODE_TRAILER, from_status, v1};
use pollster::block_on;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::served::{RUNTIME, Served, url};

const KNOWN: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

/// Serves a store with the streams `a-1` (two events) and `gone-1` (closed), an index and a
/// checkpoint.
fn prepared() -> Served {
    let served = Served::fresh();
    let put = |id| NewEvent::new("Put", "1").id(id).tag("k", "v");
    let append =
        KNOWN.iter().fold(leftfold_api::Append::new(), |append, id| append.event("a-1", put(*id)));
    let cursor = block_on(served.append(append)).unwrap().cursor;
    let gone = leftfold_api::Append::new().event("gone-1", NewEvent::new("Put", ""));
    block_on(served.append(gone)).unwrap();
    block_on(served.tombstone_stream("gone-1", Expected::Any)).unwrap();
    block_on(
        served.define_index(leftfold_api::IndexDefinition::new("puts", Query::event_type("Put"))),
    )
    .unwrap();
    let to = CheckpointMove { name: "c".to_owned(), expected: None, to: cursor };
    block_on(served.append(leftfold_api::Append::new().checkpoint(to))).unwrap();
    served
}

fn text(query: &str) -> Option<v1::Query> {
    Some(v1::Query { is: Some(v1::query::Is::Text(query.to_owned())) })
}

fn event(stream: &str) -> v1::NewEvent {
    let (stream, r#type) = (Some(stream.to_owned()), "Put".to_owned());
    v1::NewEvent { stream, r#type, ..v1::NewEvent::default() }
}

fn known(stream: &str, id: Uuid, data: &'static str) -> v1::NewEvent {
    let tags = vec![v1::Tag { key: "k".to_owned(), value: "v".to_owned() }];
    let id = Some(id.as_bytes().to_vec().into());
    v1::NewEvent { id, data: data.into(), tags, ..event(stream) }
}

fn events(events: Vec<v1::NewEvent>) -> v1::AppendRequest {
    v1::AppendRequest { events, ..v1::AppendRequest::default() }
}

fn expecting(stream: &str, expected: Expected) -> v1::AppendRequest {
    let expected = Some(expected.into());
    let expectations = vec![v1::Expectation { stream: stream.to_owned(), expected }];
    v1::AppendRequest { expectations, ..events(vec![event(stream)]) }
}

fn none_after(query: &str, cursor: Vec<u8>) -> v1::AppendRequest {
    let none_after = vec![v1::NoneAfter { query: text(query), cursor: cursor.into() }];
    v1::AppendRequest { none_after, ..events(vec![event("b-1")]) }
}

fn moves(name: &str, to: Vec<u8>) -> v1::AppendRequest {
    let moves = vec![v1::CheckpointMove { name: name.to_owned(), expected: None, to: to.into() }];
    v1::AppendRequest { moves, ..v1::AppendRequest::default() }
}

fn read(query: &str) -> v1::ReadRequest {
    v1::ReadRequest { query: text(query), ..v1::ReadRequest::default() }
}

fn begin(is: v1::point::Is) -> v1::ReadRequest {
    let at = Some(v1::begin::At::Including(v1::Point { is: Some(is) }));
    v1::ReadRequest { begin: Some(v1::Begin { at }), ..v1::ReadRequest::default() }
}

/// Makes a cursor that this store never returned: of another store, or far ahead of this one.
fn cursor_like(own: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut cursor = own.to_vec();
    change(&mut cursor);
    cursor
}

struct Table {
    provoked: Vec<&'static str>,
}

impl Table {
    fn refused<T>(&mut self, code: &'static str, answer: Result<T, Status>) {
        let status = answer.err();
        assert!(status.is_some(), "{code} was not provoked");
        let status = status.unwrap();
        let said = status.metadata().get(CODE_TRAILER).map(|code| code.to_str().unwrap());
        assert_eq!(said, Some(code), "{status}");
        assert_eq!(status.code() as i32, codes::find(code).grpc as i32, "{code}");
        let problem = from_status(&status).unwrap();
        assert_eq!(problem.code, code);
        assert!(problem.message.len() > 10, "{code}: {}", problem.message);
        self.provoked.push(code);
    }
}

#[test]
fn each_refusal_has_its_code_and_its_status() {
    let served = prepared();
    RUNTIME.block_on(async {
        let channel = Channel::from_shared(url(served.address())).unwrap().connect().await.unwrap();
        let mut store = StoreClient::new(channel.clone()).max_encoding_message_size(usize::MAX);
        let head = store.head(v1::HeadRequest {}).await.unwrap().into_inner().cursor.to_vec();
        let foreign = cursor_like(&head, |cursor| cursor[1] ^= 0xff);
        let ahead = cursor_like(&head, |cursor| {
            let last = cursor.len() - 2;
            cursor[last] ^= 0x7f;
        });
        let mut table = Table { provoked: Vec::new() };

        let tagged = |tag: &str| {
            let tags = vec![v1::Tag { key: tag.to_owned(), value: "v".to_owned() }];
            events(vec![v1::NewEvent { tags, ..event("b-1") }])
        };
        let many_tags = (0..2_000).map(|n| v1::Tag { key: format!("k{n}"), value: String::new() });
        let many_tags = v1::NewEvent { tags: many_tags.collect(), ..event("b-1") };
        let large = |bytes: usize| v1::NewEvent { data: vec![0; bytes].into(), ..event("b-1") };
        let moved = moves("c", head.clone());
        let twice = v1::AppendRequest {
            moves: [moves("d", head.clone()).moves, moves("d", head.clone()).moves].concat(),
            ..v1::AppendRequest::default()
        };
        for (code, request) in [
            ("name_invalid", events(vec![event("a\nb")])),
            ("name_reserved", events(vec![event("$leftfold")])),
            ("tag_invalid", tagged("a=b")),
            ("too_many_tags", events(vec![many_tags])),
            ("event_too_large", events(vec![large(17 << 20)])),
            ("append_too_large", events(vec![large(15 << 20); 5])),
            ("too_many_events", events(vec![event("b-1"); 10_001])),
            ("append_empty", v1::AppendRequest::default()),
            ("append_contradictory", twice),
            ("wrong_version", expecting("a-1", Expected::Exactly(7))),
            ("stream_tombstoned", events(vec![event("gone-1")])),
            ("query_matched", none_after("type:Put", Vec::new())),
            ("query_syntax", none_after("color:red", Vec::new())),
            ("index_unknown", none_after("index:none", Vec::new())),
            ("cursor_invalid", none_after("type:Put", b"?".to_vec())),
            ("cursor_foreign", none_after("type:Put", foreign)),
            ("cursor_ahead", none_after("type:Put", ahead)),
            ("checkpoint_moved", moved),
            ("partial_repeat", events(vec![known("a-1", KNOWN[0], "1"), event("a-1")])),
            ("event_id_reused", events(vec![known("a-1", KNOWN[0], "other")])),
            ("request_invalid", events(vec![v1::NewEvent { stream: None, ..event("") }])),
        ] {
            table.refused(code, store.append(request).await);
        }
        for (code, request) in [
            ("query_syntax", read("color:red")),
            ("query_too_large", read(&vec!["type:a"; 20_000].join(" or "))),
            ("index_unknown", read("index:none")),
            ("limit_invalid", v1::ReadRequest { limit: Some(0), ..read("*") }),
            ("version_needs_stream", begin(v1::point::Is::Version(1))),
            ("ordinal_needs_index", begin(v1::point::Is::Ordinal(1))),
        ] {
            // The call is refused, or its first message.
            let answer = match store.read(request).await {
                Ok(parts) => parts.into_inner().message().await,
                Err(status) => Err(status),
            };
            table.refused(code, answer);
        }
        let define = |name: &str, query: &str| v1::DefineIndexRequest {
            name: name.to_owned(),
            query: text(query),
            partitioning: None,
        };
        table.refused("index_exists", store.define_index(define("puts", "type:Other")).await);
        table.refused("index_of_index", store.define_index(define("more", "index:puts")).await);
        let partitioned = v1::DefineIndexRequest {
            partitioning: Some(v1::Partitioning {
                count: 0,
                key: Some(v1::partitioning::Key::Stream(v1::Everything {})),
                partitioner: 0,
            }),
            ..define("split", "type:Put")
        };
        table.refused("index_partitions_invalid", store.define_index(partitioned.clone()).await);
        let count = 4;
        let without_key = v1::Partitioning { count, ..v1::Partitioning::default() };
        let unknown = partitioned.partitioning.map(|known| v1::Partitioning {
            count,
            partitioner: 9,
            ..known
        });
        for partitioning in [Some(without_key), unknown] {
            let request = v1::DefineIndexRequest { partitioning, ..define("split", "type:Put") };
            table.refused("request_invalid", store.define_index(request).await);
        }
        let ordinal = |query: &str| v1::OrdinalRequest { query: text(query), begin: None };
        table.refused("ordinal_needs_index", store.ordinal(ordinal("*")).await);
        table.refused("partition_unknown", store.ordinal(ordinal("partition:puts/0")).await);
        let nameless = v1::GetIndexRequest { name: String::new() };
        table.refused("name_invalid", store.get_index(nameless).await);
        let drop = v1::DropIndexRequest { name: "none".to_owned() };
        table.refused("index_unknown", store.drop_index(drop).await);
        let drop = v1::DropRuleRequest { name: "none".to_owned() };
        table.refused("rule_unknown", store.drop_rule(drop).await);
        let retention = Some(v1::Retention { max_count: Some(0), ..v1::Retention::default() });
        let set = v1::SetRetentionRequest { stream: "a-1".to_owned(), retention };
        table.refused("retention_invalid", store.set_retention(set).await);
        let backup = v1::BackupRequest { directory: "one".to_owned() };
        table.refused("backups_off", AdminClient::new(channel.clone()).backup(backup).await);
        let mut named = Request::new(v1::HeadRequest {});
        named.metadata_mut().insert("authorization", "Bearer none".parse().unwrap());
        table.refused("unauthenticated", store.head(named).await);

        // No refused request has changed anything.
        assert_eq!(store.head(v1::HeadRequest {}).await.unwrap().into_inner().cursor, head);
        assert_eq!(block_on(served.checkpoint("d")).unwrap(), None::<Cursor>);
        assert_eq!(table.provoked.len(), 40);
    });
}
