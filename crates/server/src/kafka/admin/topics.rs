use std::time::Duration;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use leftfold_api::{AppendError, Coded, EventStore, IndexDefinition};
use leftfold_kafka::ResponseError;
use uuid::Uuid;

use crate::access::Scope;
use crate::kafka::dispatch::Call;
use crate::kafka::errors::of_definition;
use crate::kafka::metadata::{text, topic_name};
use crate::kafka::topics::{NewTopic, Topic, TopicError, default_query, is_legal};

/// The longest that a creation is waited for, whatever its client asks for. It goes on afterwards.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a topic is not created or deleted.
pub(super) struct Refusal {
    pub(super) code: ResponseError,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: ResponseError, message: impl Into<String>) -> Self {
        Refusal { code, message: message.into() }
    }
}

impl From<AppendError> for Refusal {
    fn from(error: AppendError) -> Self {
        Refusal::new(of_definition(&error), format!("{}: {error}", error.code()))
    }
}

impl Call {
    pub(in crate::kafka) async fn create_topics(
        self,
        request: CreateTopicsRequest,
    ) -> CreateTopicsResponse {
        let wait =
            Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)).min(LONGEST_WAIT);
        let mut topics: Vec<CreatableTopicResult> = Vec::new();
        for wanted in request.topics {
            let name = wanted.name.clone();
            let answer = CreatableTopicResult::default().with_name(name.clone());
            let is_twice = topics.iter().any(|other| other.name == name);
            let created = match is_twice {
                true => {
                    Err(Refusal::new(ResponseError::InvalidRequest, "the topic is named twice"))
                }
                false => self.create_topic(wanted, request.validate_only, wait).await,
            };
            topics.push(match created {
                Ok(topic) if self.version >= 5 => answer
                    .with_topic_id(if self.version >= 7 { topic.id } else { Uuid::nil() })
                    .with_num_partitions(topic.partitions().cast_signed())
                    .with_replication_factor(1)
                    .with_configs(Some(Vec::new())),
                Ok(_) => answer,
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(text(refusal.message))),
            });
        }
        CreateTopicsResponse::default().with_topics(topics)
    }

    async fn create_topic(
        &self,
        wanted: CreatableTopic,
        validate_only: bool,
        wait: Duration,
    ) -> Result<Topic, Refusal> {
        let definition = self.definition(&wanted)?;
        let name = definition.name.clone();
        match self.broker.topics.find(&name).await {
            Err(TopicError::Unknown) => {}
            Ok(_) | Err(TopicError::Building | TopicError::Unordered(_)) => {
                let why = "a topic of this name exists, or an index";
                return Err(Refusal::new(ResponseError::TopicAlreadyExists, why));
            }
            Err(error) => return Err(Refusal::new(error.code(), error.to_string())),
        }
        // What it would be when it is first used may be created by who may use it.
        let is_default = definition.query == default_query(&name).0;
        let is_of_writer = is_default && self.caller.can_append_all(&definition.query);
        let change = match is_of_writer {
            true => None,
            false => {
                let change =
                    self.caller.may_manage(Scope::Indexes, &format!("define an index: {name}"));
                let denied = |denial: crate::access::Denial| {
                    Refusal::new(ResponseError::TopicAuthorizationFailed, denial.to_string())
                };
                Some(change.map_err(denied)?)
            }
        };
        let topic = Topic::of(leftfold_api::IndexInfo {
            name: definition.name.clone(),
            query: definition.query.clone(),
            partitioning: definition.partitioning.clone(),
            ready: true,
            events: 0,
        });
        if validate_only {
            return Ok(topic);
        }
        let topics = self.broker.topics.clone();
        let defined = tokio::spawn(async move {
            let create = topics.create(definition);
            match change {
                Some(change) => change.make(create).await,
                None => create.await,
            }
        });
        match tokio::time::timeout(wait, defined).await {
            Ok(Ok(created)) => Ok(created.map(|()| topic)?),
            Ok(Err(_)) => Err(Refusal::new(
                ResponseError::UnknownServerError,
                "the server failed; its log tells more",
            )),
            Err(_) => {
                let why = "the topic's index does not list all past events yet; it goes on";
                Err(Refusal::new(ResponseError::RequestTimedOut, why))
            }
        }
    }

    fn definition(&self, wanted: &CreatableTopic) -> Result<IndexDefinition, Refusal> {
        let invalid = |code, why: &str| Err(Refusal::new(code, why));
        if !is_legal(&wanted.name) {
            return Err(Refusal::new(
                ResponseError::InvalidTopicException,
                TopicError::Name.to_string(),
            ));
        }
        if wanted.replication_factor != -1 && wanted.replication_factor != 1 {
            let why = "there is one broker: the replication factor is 1";
            return invalid(ResponseError::InvalidReplicationFactor, why);
        }
        let assigned = u32::try_from(wanted.assignments.len()).unwrap_or(u32::MAX);
        let partitions = match (wanted.num_partitions, assigned) {
            (-1, 0) => None,
            (-1, assigned) => Some(assigned),
            (count, 0) if count > 0 => Some(count.unsigned_abs()),
            (_, 0) => {
                return invalid(
                    ResponseError::InvalidPartitions,
                    "a topic has 1 to 1024 partitions",
                );
            }
            _ => {
                let why = "either the number of partitions is given, or their brokers";
                return invalid(ResponseError::InvalidRequest, why);
            }
        };
        let mut topic =
            NewTopic { name: wanted.name.to_string(), partitions, ..NewTopic::default() };
        for config in &wanted.configs {
            let value = config.value.as_deref().unwrap_or_default();
            match &*config.name {
                "leftfold.query" => topic.query = Some(value.to_owned()),
                "leftfold.key" => topic.key = Some(value.to_owned()),
                "leftfold.partitioner" => topic.partitioner = Some(value.to_owned()),
                name => self.check_config(name, value)?,
            }
        }
        let settings = &self.broker.topic_settings;
        topic.definition(settings).map_err(|invalid| AppendError::from(invalid).into())
    }

    pub(in crate::kafka) async fn delete_topics(
        self,
        request: DeleteTopicsRequest,
    ) -> DeleteTopicsResponse {
        let mut responses = Vec::new();
        let by_name = request.topic_names.iter().map(|name| (Some(name.to_string()), Uuid::nil()));
        let by_state = request.topics.iter();
        let by_state = by_state
            .map(|topic| (topic.name.as_ref().map(|name| name.to_string()), topic.topic_id));
        for (name, id) in by_name.chain(by_state) {
            let name = match name {
                Some(name) => Some(name),
                None => self.name_of(id).await,
            };
            let answer = DeletableTopicResult::default().with_topic_id(id);
            let answer = answer.with_name(name.as_deref().map(topic_name));
            let deleted = match &name {
                Some(name) => self.delete_topic(name).await,
                None => Err(Refusal::new(
                    ResponseError::UnknownTopicId,
                    "there is no topic with this id",
                )),
            };
            responses.push(match deleted {
                Ok(()) => answer,
                Err(refusal) => {
                    let message = (self.version >= 5).then(|| text(refusal.message));
                    answer.with_error_code(refusal.code.code()).with_error_message(message)
                }
            });
        }
        DeleteTopicsResponse::default().with_responses(responses)
    }

    /// Drops the index of a topic. Its events stay.
    async fn delete_topic(&self, name: &str) -> Result<(), Refusal> {
        let told = |error: TopicError| Refusal::new(error.code(), error.to_string());
        self.topic(name, false).await.map_err(told)?;
        let change = self.caller.may_manage(Scope::Indexes, &format!("drop an index: {name}"));
        let change = change.map_err(|denial| {
            Refusal::new(ResponseError::TopicAuthorizationFailed, denial.to_string())
        })?;
        let dropped = change.make(self.broker.state.store.drop_index(name)).await;
        self.broker.topics.forget(name);
        Ok(dropped?)
    }
}
