use leftfold_api::{
    Append, AppendError, Appended, CheckpointInfo, Cursor, EventStore, Expected, IndexDefinition,
    IndexInfo, Page, Query, Read, ReadError, Retention, RetentionRule, Start, StreamInfo, Streams,
    StreamsPage, Subscribe,
};
use leftfold_wire::{append_page, cursor, optional_cursor, v1};
use tonic::Status;

use crate::calls::{Retry, TimeLimit};
use crate::client::Client;
use crate::subscription::RemoteSubscription;

/// Sends a request that only reads, until it is answered.
macro_rules! ask {
    ($client:ident, $method:ident, $request:expr) => {
        $client
            .calls
            .send(Retry::Always, TimeLimit::Usual, $request, |calls, request| async move {
                calls.store().$method(request).await
            })
            .await
    };
}

/// Sends a request that changes the store; it is sent again only if it never arrived.
macro_rules! change {
    ($client:ident, $method:ident, $limit:ident, $request:expr) => {{
        let done = $client
            .calls
            .send(Retry::IfNotSent, TimeLimit::$limit, $request, |calls, request| async move {
                calls.store().$method(request).await
            })
            .await;
        Ok(done.map(|v1::Done {}| ())?)
    }};
}

impl EventStore for Client {
    type Subscription = RemoteSubscription;

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.append_until_answered(append).await
    }

    async fn read(&self, read: Read) -> Result<Page, ReadError> {
        let request = v1::ReadRequest::from(&read);
        let page = self.calls.attempt(Retry::Always, TimeLimit::Usual, move |calls| {
            let request = request.clone();
            async move {
                let mut parts = calls.store().read(request).await?.into_inner();
                let mut events = Vec::new();
                while let Some(part) = parts.message().await? {
                    if let Some(page) = append_page(&mut events, part).transpose() {
                        return Ok(page);
                    }
                }
                Err(Status::unavailable("the answer ended before its last message"))
            }
        });
        page.await?
    }

    async fn subscribe(&self, subscribe: Subscribe) -> Result<RemoteSubscription, ReadError> {
        RemoteSubscription::start(self.calls.clone(), subscribe).await
    }

    async fn head(&self) -> Result<Cursor, ReadError> {
        let head = ask!(self, head, v1::HeadRequest {})?;
        Ok(cursor(&head.cursor)?)
    }

    async fn stream(&self, name: &str) -> Result<Option<StreamInfo>, ReadError> {
        let found = ask!(self, get_stream, v1::GetStreamRequest { name: name.to_owned() })?;
        Ok(found.stream.map(StreamInfo::from))
    }

    async fn streams(&self, streams: Streams) -> Result<StreamsPage, ReadError> {
        let page = ask!(self, list_streams, v1::ListStreamsRequest::from(&streams))?;
        Ok(page.try_into()?)
    }

    async fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        let request = v1::GetCheckpointRequest { name: name.to_owned() };
        Ok(optional_cursor(ask!(self, get_checkpoint, request)?.cursor)?)
    }

    async fn set_retention(&self, stream: &str, retention: Retention) -> Result<(), AppendError> {
        let retention = Some(retention.into());
        let request = v1::SetRetentionRequest { stream: stream.to_owned(), retention };
        change!(self, set_retention, Usual, request)
    }

    async fn delete_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        let request = v1::DeleteStreamRequest::new(stream, expected, false);
        change!(self, delete_stream, Usual, request)
    }

    async fn tombstone_stream(&self, stream: &str, expected: Expected) -> Result<(), AppendError> {
        let request = v1::DeleteStreamRequest::new(stream, expected, true);
        change!(self, delete_stream, Usual, request)
    }

    async fn set_retention_rule(&self, rule: RetentionRule) -> Result<(), AppendError> {
        let request = v1::SetRuleRequest { rule: Some(v1::Rule::from(&rule)) };
        change!(self, set_rule, Usual, request)
    }

    async fn drop_retention_rule(&self, name: &str) -> Result<(), AppendError> {
        change!(self, drop_rule, Usual, v1::DropRuleRequest { name: name.to_owned() })
    }

    async fn checkpoints(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<CheckpointInfo>, ReadError> {
        let request =
            v1::ListCheckpointsRequest { after: after.unwrap_or_default(), limit: limit as u64 };
        let found = ask!(self, list_checkpoints, request)?.checkpoints;
        let info =
            |found: v1::Checkpoint| Ok(CheckpointInfo::new(found.name, cursor(&found.cursor)?));
        found.into_iter().map(info).collect()
    }

    async fn delete_checkpoint(&self, name: &str) -> Result<(), AppendError> {
        let request = v1::DeleteCheckpointRequest { name: name.to_owned() };
        change!(self, delete_checkpoint, Usual, request)
    }

    async fn retention_rules(&self) -> Result<Vec<RetentionRule>, ReadError> {
        let rules = ask!(self, list_rules, v1::ListRulesRequest {})?.rules;
        Ok(rules.into_iter().map(RetentionRule::try_from).collect::<Result<_, _>>()?)
    }

    async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        Ok(ask!(self, ordinal, v1::OrdinalRequest::new(&query, from))?.ordinal)
    }

    async fn define_index(&self, definition: IndexDefinition) -> Result<(), AppendError> {
        change!(self, define_index, None, v1::DefineIndexRequest::from(&definition))
    }

    async fn drop_index(&self, name: &str) -> Result<(), AppendError> {
        change!(self, drop_index, Usual, v1::DropIndexRequest { name: name.to_owned() })
    }

    async fn index(&self, name: &str) -> Result<Option<IndexInfo>, ReadError> {
        let found = ask!(self, get_index, v1::GetIndexRequest { name: name.to_owned() })?;
        Ok(found.index.map(IndexInfo::try_from).transpose()?)
    }

    async fn indexes(&self) -> Result<Vec<IndexInfo>, ReadError> {
        let indexes = ask!(self, list_indexes, v1::ListIndexesRequest {})?.indexes;
        Ok(indexes.into_iter().map(IndexInfo::try_from).collect::<Result<_, _>>()?)
    }
}
