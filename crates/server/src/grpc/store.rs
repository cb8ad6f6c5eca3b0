use leftfold_api::{CheckpointInfo, EventStore, IndexDefinition, Query, Read, Streams, Subscribe};
use leftfold_wire::v1::store_server::Store;
use leftfold_wire::v1::{self, Done};
use leftfold_wire::{EventForm, ReceivedAppend, ReceivedNumberedAppend};
use tonic::{Request, Response, Status, Streaming, async_trait};

use super::appends::Appends;
use super::reading::PageMessages;
use super::subscription::SubscriptionMessages;
use super::{Messages, Service, holding, lasting, prepare, status};
use crate::access::Scope;

type Answer<T> = Result<Response<T>, Status>;

fn done(_: ()) -> Response<Done> {
    Response::new(Done {})
}

#[async_trait]
impl Store for Service {
    type AppendManyStream = Messages<v1::NumberedAnswer>;
    type ReadStream = Messages<v1::ReadResponse>;
    type SubscribeStream = Messages<v1::SubscribeResponse>;

    async fn append(&self, request: Request<ReceivedAppend>) -> Answer<v1::AppendResponse> {
        let (caller, request) = self.ask(request)?;
        let (permit, memory) = prepare(&self.state, &caller, request)?;
        let appended =
            super::append(self.state.clone(), permit, false).await.map_err(status::append)?;
        // The answer names the streams of the request.
        Ok(holding(appended.into(), memory.into_lease()))
    }

    async fn append_many(
        &self,
        request: Request<Streaming<ReceivedNumberedAppend>>,
    ) -> Answer<Self::AppendManyStream> {
        let (caller, requests) = self.ask(request)?;
        Ok(lasting(Appends::start(self.state.clone(), caller, requests)?.answers()))
    }

    async fn read(&self, request: Request<v1::ReadRequest>) -> Answer<Self::ReadStream> {
        let (caller, request) = self.ask(request)?;
        let (all_pages, form) = (request.all_pages, EventForm::of_read(&request));
        let read = Read::try_from(request).map_err(status::invalid)?;
        let permit = caller.authorize_read(&read.query).map_err(status::refused)?;
        let reading = PageMessages::new(self.state.clone(), caller, permit, read, form, all_pages);
        let memory = reading.memory();
        let mut response = Response::new(Box::pin(reading.parts()) as Self::ReadStream);
        response.extensions_mut().insert(memory);
        Ok(response)
    }

    async fn subscribe(
        &self,
        request: Request<v1::SubscribeRequest>,
    ) -> Answer<Self::SubscribeStream> {
        let (caller, request) = self.ask(request)?;
        let form = EventForm::of_subscription(&request);
        let subscribe = Subscribe::try_from(request).map_err(status::invalid)?;
        let messages =
            SubscriptionMessages::start(self.state.clone(), caller, subscribe, form).await?;
        let memory = messages.memory();
        let mut response = lasting(messages.stream());
        response.extensions_mut().insert(memory);
        Ok(response)
    }

    async fn head(&self, request: Request<v1::HeadRequest>) -> Answer<v1::HeadResponse> {
        self.ask(request)?;
        let head = self.state.store.head().await.map_err(status::read)?;
        Ok(Response::new(v1::HeadResponse { cursor: head.to_bytes().to_vec().into() }))
    }

    async fn get_stream(
        &self,
        request: Request<v1::GetStreamRequest>,
    ) -> Answer<v1::GetStreamResponse> {
        let (caller, request) = self.ask(request)?;
        caller.may_read_stream(&request.name).map_err(status::denied)?;
        let stream = self.state.store.stream(&request.name).await.map_err(status::read)?;
        Ok(Response::new(v1::GetStreamResponse { stream: stream.map(v1::StreamInfo::from) }))
    }

    async fn list_streams(
        &self,
        request: Request<v1::ListStreamsRequest>,
    ) -> Answer<v1::ListStreamsResponse> {
        let (caller, request) = self.ask(request)?;
        let streams = Streams::try_from(request).map_err(status::invalid)?;
        caller.may_list(streams.category.as_deref()).map_err(status::denied)?;
        let page = self.state.store.streams(streams).await.map_err(status::read)?;
        self.answer(&caller, page.into())
    }

    async fn get_checkpoint(
        &self,
        request: Request<v1::GetCheckpointRequest>,
    ) -> Answer<v1::GetCheckpointResponse> {
        let (caller, request) = self.ask(request)?;
        caller.may_see_checkpoint(&request.name).map_err(status::denied)?;
        let cursor = self.state.store.checkpoint(&request.name).await.map_err(status::read)?;
        let cursor = cursor.map(|cursor| cursor.to_bytes().to_vec().into());
        Ok(Response::new(v1::GetCheckpointResponse { cursor }))
    }

    async fn list_checkpoints(
        &self,
        request: Request<v1::ListCheckpointsRequest>,
    ) -> Answer<v1::ListCheckpointsResponse> {
        let (caller, request) = self.ask(request)?;
        caller.may_list(None).map_err(status::denied)?;
        let after = Some(request.after).filter(|after| !after.is_empty());
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let limit = if limit == 0 { usize::MAX } else { limit };
        let found = self.state.store.checkpoints(after, limit).await.map_err(status::read)?;
        let checkpoint = |found: CheckpointInfo| v1::Checkpoint {
            cursor: found.cursor.to_bytes().into(),
            name: found.name,
        };
        let checkpoints = found.into_iter().map(checkpoint).collect();
        self.answer(&caller, v1::ListCheckpointsResponse { checkpoints })
    }

    async fn delete_checkpoint(
        &self,
        request: Request<v1::DeleteCheckpointRequest>,
    ) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let change = caller.may_manage(Scope::Checkpoint(&request.name), "delete");
        let delete = self.state.store.delete_checkpoint(&request.name);
        let deleted = change.map_err(status::denied)?.make(delete).await;
        deleted.map(done).map_err(status::append)
    }

    async fn set_retention(&self, request: Request<v1::SetRetentionRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let (stream, retention) = request.into_parts();
        let change = caller.may_manage(Scope::Stream(&stream), "set retention");
        let set = self.state.store.set_retention(&stream, retention);
        let set = change.map_err(status::denied)?.make(set).await;
        set.map(done).map_err(status::append)
    }

    async fn delete_stream(&self, request: Request<v1::DeleteStreamRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let (stream, expected) = (&request.stream, request.expectation());
        let does = if request.tombstone { "tombstone" } else { "delete" };
        let change = caller.may_manage(Scope::Stream(stream), does).map_err(status::denied)?;
        let delete = async {
            match request.tombstone {
                true => self.state.store.tombstone_stream(stream, expected).await,
                false => self.state.store.delete_stream(stream, expected).await,
            }
        };
        let deleted = change.make(delete).await;
        deleted.map(done).map_err(status::append)
    }

    async fn set_rule(&self, request: Request<v1::SetRuleRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let change = caller.may_manage(Scope::Rules, "set a rule").map_err(status::denied)?;
        let set = async {
            let rule = request.into_rule().map_err(status::invalid)?;
            self.state.store.set_retention_rule(rule).await.map_err(status::append)
        };
        change.make(set).await.map(done)
    }

    async fn drop_rule(&self, request: Request<v1::DropRuleRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let change = caller.may_manage(Scope::Rules, "drop a rule").map_err(status::denied)?;
        let dropped = change.make(self.state.store.drop_retention_rule(&request.name)).await;
        dropped.map(done).map_err(status::append)
    }

    async fn list_rules(
        &self,
        request: Request<v1::ListRulesRequest>,
    ) -> Answer<v1::ListRulesResponse> {
        let (caller, _) = self.ask(request)?;
        caller.may_look_after(Scope::Rules).map_err(status::denied)?;
        let rules = self.state.store.retention_rules().await.map_err(status::read)?;
        let rules = rules.iter().map(v1::Rule::from).collect();
        self.answer(&caller, v1::ListRulesResponse { rules })
    }

    async fn define_index(&self, request: Request<v1::DefineIndexRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let change =
            caller.may_manage(Scope::Indexes, "define an index").map_err(status::denied)?;
        let define = async {
            let definition = IndexDefinition::try_from(request).map_err(status::invalid)?;
            self.state.store.define_index(definition).await.map_err(status::append)
        };
        change.make(define).await.map(done)
    }

    async fn drop_index(&self, request: Request<v1::DropIndexRequest>) -> Answer<Done> {
        let (caller, request) = self.ask(request)?;
        let change = caller.may_manage(Scope::Indexes, "drop an index").map_err(status::denied)?;
        let dropped = change.make(self.state.store.drop_index(&request.name)).await;
        dropped.map(done).map_err(status::append)
    }

    async fn list_indexes(
        &self,
        request: Request<v1::ListIndexesRequest>,
    ) -> Answer<v1::ListIndexesResponse> {
        let (caller, _) = self.ask(request)?;
        caller.may_look_after(Scope::Indexes).map_err(status::denied)?;
        let indexes = self.state.store.indexes().await.map_err(status::read)?;
        let indexes = indexes.into_iter().map(v1::IndexInfo::from).collect();
        self.answer(&caller, v1::ListIndexesResponse { indexes })
    }

    async fn get_index(
        &self,
        request: Request<v1::GetIndexRequest>,
    ) -> Answer<v1::GetIndexResponse> {
        let (caller, request) = self.ask(request)?;
        let permit = caller.authorize_read(&Query::index(&request.name));
        let permit = permit.map_err(status::refused)?;
        let index = self.state.store.index(&request.name).await.map_err(status::read)?;
        permit.check_index().map_err(status::denied)?;
        Ok(Response::new(v1::GetIndexResponse { index: index.map(v1::IndexInfo::from) }))
    }

    async fn ordinal(&self, request: Request<v1::OrdinalRequest>) -> Answer<v1::OrdinalResponse> {
        let (caller, request) = self.ask(request)?;
        let (query, from) = request.into_parts().map_err(status::invalid)?;
        let permit = caller.authorize_read(&query).map_err(status::refused)?;
        let query = permit.query().clone();
        let ordinal = self.state.store.ordinal(query, from).await.map_err(status::read)?;
        permit.check_index().map_err(status::denied)?;
        Ok(Response::new(v1::OrdinalResponse { ordinal }))
    }
}
