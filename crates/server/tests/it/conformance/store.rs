//! An `EventStore` at the other end of HTTP: for tests, and as a reading of the API's document.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Coded, Cursor, Delivery, Direction, Engine,
    EventStore, Expected, IndexDefinition, IndexInfo, Invalid, Page, Point, Query, Read, ReadError,
    Retention, RetentionRule, Start, StreamInfo, Streams, StreamsPage, Subscribe, Subscription,
};
use leftfold_server::{RunningServer, Server};
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::convert;
use crate::support::{self, Messages};

/// Serves a store of its own, and asks it.
pub(crate) struct HttpStore {
    runtime: Runtime,
    client: Client,
    base: String,
    _running: RunningServer,
}

/// A status and a body.
type Answer = (u16, Box<RawValue>);

fn value(raw: &RawValue) -> Value {
    serde_json::from_str(raw.get()).unwrap()
}

/// A name in a path.
fn segment(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl HttpStore {
    pub(crate) fn fresh() -> Self {
        HttpStore::of(support::store())
    }

    /// Serves an engine.
    pub(crate) fn of(engine: Arc<dyn Engine>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
        let start = Server::start(support::config(), engine);
        let running = runtime.block_on(start).unwrap();
        let base = format!("http://{}", running.local_addr());
        HttpStore { runtime, client: crate::support::client(), base, _running: running }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// Sends on the runtime that the client needs, and waits on whatever the caller runs on.
    async fn send(&self, request: RequestBuilder) -> Answer {
        let sent = self.runtime.spawn(async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            let text = response.text().await.unwrap();
            let text = if text.is_empty() { "null".to_owned() } else { text };
            (status, RawValue::from_string(text.trim_end().to_owned()).unwrap())
        });
        sent.await.unwrap()
    }

    async fn get(&self, path: &str, params: &[(&str, String)]) -> Result<Box<RawValue>, ReadError> {
        let (status, body) = self.send(self.request(Method::GET, path).query(params)).await;
        if status < 300 { Ok(body) } else { Err(convert::read_error(status, &value(&body))) }
    }

    async fn change(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, AppendError> {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        };
        let (status, body) = self.send(request).await;
        let body = value(&body);
        if status < 300 { Ok(body) } else { Err(convert::append_error(status, &body)) }
    }

    async fn remove(&self, stream: &str, expected: Expected, how: &str) -> Result<(), AppendError> {
        let expected = convert::expected(expected);
        let expected = expected.as_str().map_or(expected.to_string(), str::to_owned);
        let path = format!("/v1/streams/{}?expected={expected}{how}", segment(stream));
        self.change(Method::DELETE, &path, None).await.map(drop)
    }
}

fn begin(query: &Query, from: Start) -> Vec<(&'static str, String)> {
    let mut params = vec![("query", query.to_string())];
    params.extend(convert::place(from));
    params
}

#[derive(Deserialize)]
struct PageJson {
    cursor: String,
    more: bool,
    events: Vec<Box<RawValue>>,
}

impl EventStore for HttpStore {
    type Subscription = HttpSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let body = convert::append(&append);
        let answer = self.change(Method::POST, "/v1/events", Some(body)).await?;
        Ok(convert::appended(&answer))
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        let mut params = begin(&read.query, read.from);
        params.push(("limit", read.limit.to_string()));
        if read.direction == Direction::Backward {
            params.push(("direction", "backward".to_owned()));
        }
        if read.with_ordinals {
            params.push(("ordinals", "true".to_owned()));
        }
        params.extend(read.at_least.map(|cursor| ("at_least", cursor.to_string())));
        let page = self.get("/v1/events", &params).await?;
        let page: PageJson = serde_json::from_str(page.get()).unwrap();
        let events = page.events.iter().map(|event| convert::recorded(event)).collect();
        Ok(Page { events, cursor: page.cursor.parse().unwrap(), more: page.more })
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<HttpSubscription, ReadError> {
        let mut params = begin(&subscribe.query, subscribe.from.clone());
        if subscribe.with_ordinals {
            params.push(("ordinals", "true".to_owned()));
        }
        let request = self.request(Method::GET, "/v1/subscribe").query(&params);
        let (send, messages) = mpsc::channel(1);
        let started = self.runtime.spawn(async move {
            let response = request.send().await.unwrap();
            let status = response.status().as_u16();
            if status != 200 {
                return Err(convert::read_error(status, &support::json(response).await));
            }
            let mut response = Messages::of(response);
            tokio::spawn(async move {
                while let Some(message) = response.next_raw().await {
                    if send.send(message).await.is_err() {
                        return;
                    }
                }
            });
            Ok(())
        });
        started.await.unwrap()?;
        let cursor = match subscribe.from {
            Start::Excluding(Point::Cursor(cursor)) => cursor,
            _ => Cursor::START,
        };
        Ok(HttpSubscription { messages, cursor })
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        Ok(convert::cursor(&value(&self.get("/v1/head", &[]).await?)["cursor"]))
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        match self.get(&format!("/v1/streams/{}", segment(name)), &[]).await {
            Ok(info) => Ok(Some(convert::stream(&value(&info)))),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        let mut params = Vec::new();
        params.extend(streams.category.map(|category| ("category", category)));
        params.extend(streams.system.then(|| ("system", "true".to_owned())));
        params.extend(streams.after.map(|cursor| ("after", cursor.to_string())));
        let limit = if streams.limit == 0 { 10_000 } else { streams.limit };
        params.push(("limit", limit.to_string()));
        let page = value(&self.get("/v1/streams", &params).await?);
        Ok(StreamsPage {
            streams: page["streams"].as_array().unwrap().iter().map(convert::stream).collect(),
            cursor: convert::cursor(&page["cursor"]),
            more: page["more"].as_bool().unwrap(),
        })
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        match self.get(&format!("/v1/checkpoints/{}", segment(name)), &[]).await {
            Ok(found) => Ok(Some(convert::cursor(&value(&found)["cursor"]))),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        let path = format!("/v1/streams/{}/retention", segment(stream));
        let body = convert::retention_json(&retention);
        self.change(Method::PUT, &path, Some(body)).await.map(drop)
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.remove(stream, expected, "").await
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        self.remove(stream, expected, "&tombstone=true").await
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        let path = format!("/v1/retention-rules/{}", segment(&rule.name));
        let mut body = convert::retention_json(&rule.retention);
        body["query"] = rule.query.to_string().into();
        self.change(Method::PUT, &path, Some(body)).await.map(drop)
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        let path = format!("/v1/retention-rules/{}", segment(name));
        self.change(Method::DELETE, &path, None).await.map(drop)
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        let limit = limit.min(10_000).to_string();
        let mut parameters = vec![("limit", limit)];
        parameters.extend(after.map(|after| ("after", after)));
        let answer = value(&self.get("/v1/checkpoints", &parameters).await?);
        let info = |found: &serde_json::Value| {
            let cursor = found["cursor"].as_str().unwrap().parse().unwrap();
            CheckpointInfo::new(found["checkpoint"].as_str().unwrap(), cursor)
        };
        Ok(answer["checkpoints"].as_array().unwrap().iter().map(info).collect())
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        let path = format!("/v1/checkpoints/{}", segment(name));
        self.change(Method::DELETE, &path, None).await.map(drop)
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        let rules = value(&self.get("/v1/retention-rules", &[]).await?);
        Ok(rules["rules"].as_array().unwrap().iter().map(convert::rule).collect())
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        let answer = self.get("/v1/ordinal", &begin(&query, from)).await?;
        Ok(value(&answer)["ordinal"].as_u64().unwrap())
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        match self.get(&format!("/v1/indexes/{}", segment(name)), &[]).await {
            Ok(info) => Ok(Some(convert::index(&value(&info)))),
            Err(error) if is_unknown(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        let (name, query) = (&definition.name, &definition.query);
        // Such a query can only be built, not written; so no request can bring it.
        if query.to_string().parse::<Query>().as_ref() != Ok(query) {
            let message = "a query that has no text form";
            return Err(Invalid::new("index_query_invalid", message).into());
        }
        let path = format!("/v1/indexes/{}", segment(name));
        let mut body = json!({"query": query.to_string()});
        if let Some(partitioning) = &definition.partitioning {
            let by = partitioning.key.to_string();
            let partitioner = partitioning.partitioner.to_string();
            body["partitions"] =
                json!({"count": partitioning.count, "by": by, "partitioner": partitioner});
        }
        self.change(Method::PUT, &path, Some(body)).await.map(drop)
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        let path = format!("/v1/indexes/{}", segment(name));
        self.change(Method::DELETE, &path, None).await.map(drop)
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        let indexes = value(&self.get("/v1/indexes", &[]).await?);
        Ok(indexes["indexes"].as_array().unwrap().iter().map(convert::index).collect())
    }
}

fn is_unknown(error: &ReadError) -> bool {
    let text = error.to_string();
    error.code() == "index_unknown"
        || text.ends_with("has no events")
        || text.ends_with("is not set")
}

pub(crate) struct HttpSubscription {
    messages: mpsc::Receiver<(Option<String>, String, String)>,
    cursor: Cursor,
}

impl Subscription for HttpSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            let (kind, id, data) = self.messages.recv().await.unwrap();
            self.cursor = id.parse().unwrap();
            match kind.as_deref() {
                Some("comment") => {}
                Some("caught_up") => return Ok(Delivery::CaughtUp(self.cursor.clone())),
                _ => {
                    let event = RawValue::from_string(data).unwrap();
                    return Ok(Delivery::Event(convert::recorded(&event), self.cursor.clone()));
                }
            }
        }
    }

    fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }
}
