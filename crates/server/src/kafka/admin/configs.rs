use std::collections::HashSet;

use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use leftfold_kafka::ResponseError;

use super::topics::Refusal;
use crate::kafka::dispatch::Call;
use crate::kafka::metadata::text;
use crate::kafka::topics::Topic;

/// The kinds of resources that have settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Where a setting comes from: it is the topic's own, or the default.
const OF_TOPIC: i8 = 1;
const DEFAULT: i8 = 5;
/// The types of settings.
const BOOLEAN: i8 = 1;
const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
/// The operation that sets a setting.
const SET: i8 = 0;

/// A setting that clients are told.
struct Config {
    name: &'static str,
    value: String,
    kind: i8,
    source: i8,
}

fn config(name: &'static str, kind: i8, value: impl Into<String>) -> Config {
    Config { name, value: value.into(), kind, source: DEFAULT }
}

impl Call {
    /// Returns the settings that all topics have.
    fn configs_of_topics(&self) -> Vec<Config> {
        let most = self.broker.state.config.append_bytes.get().min(i32::MAX as usize);
        vec![
            config("cleanup.policy", STRING, "delete"),
            config("compression.type", STRING, "uncompressed"),
            config("delete.retention.ms", LONG, "86400000"),
            config("max.message.bytes", INT, most.to_string()),
            config("message.timestamp.type", STRING, "CreateTime"),
            config("min.insync.replicas", INT, "1"),
            config("retention.bytes", LONG, "-1"),
            config("retention.ms", LONG, "-1"),
            config("unclean.leader.election.enable", BOOLEAN, "false"),
        ]
    }

    fn configs_of_topic(&self, topic: &Topic) -> Vec<Config> {
        let own = |name, value| Config { source: OF_TOPIC, ..config(name, STRING, value) };
        let mut configs = self.configs_of_topics();
        configs.push(own("leftfold.query", topic.query.to_string()));
        if let Some(partitioning) = &topic.partitioning {
            configs.push(own("leftfold.key", partitioning.key.to_string()));
            configs.push(own("leftfold.partitioner", partitioning.partitioner.to_string()));
        }
        configs
    }

    fn configs_of_broker(&self) -> Vec<Config> {
        let settings = &self.broker.topic_settings;
        let most = self.broker.state.config.append_bytes.get().min(i32::MAX as usize);
        vec![
            config("auto.create.topics.enable", BOOLEAN, settings.on_first_use.to_string()),
            config("default.replication.factor", INT, "1"),
            config("log.retention.ms", LONG, "-1"),
            config("message.max.bytes", INT, most.to_string()),
            config("num.partitions", INT, settings.partitions.to_string()),
            config("offsets.retention.minutes", INT, i32::MAX.to_string()),
        ]
    }

    /// Checks that a setting of a topic is what it always is: nothing is promised that is not kept.
    pub(super) fn check_config(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let refused = |why: String| Err(Refusal::new(ResponseError::InvalidConfig, why));
        let known = self.configs_of_topics().into_iter().find(|config| config.name == name);
        match known {
            Some(known) if known.value == value => Ok(()),
            // The records come as they were sent, which consumers can't tell from this.
            Some(_) if (name, value) == ("compression.type", "producer") => Ok(()),
            Some(known) => refused(format!("{name} is {} here, and can't be {value}", known.value)),
            None => refused(format!(
                "{name} is not a setting of a topic here; there are leftfold.query, leftfold.key and \
                 leftfold.partitioner"
            )),
        }
    }

    pub(in crate::kafka) async fn describe_configs(
        self,
        request: DescribeConfigsRequest,
    ) -> DescribeConfigsResponse {
        let mut results = Vec::new();
        // Each is described once: its settings take a lot more than its name.
        let mut seen = HashSet::new();
        for resource in request.resources {
            if !seen.insert((resource.resource_type, resource.resource_name.clone())) {
                continue;
            }
            let answer = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            results.push(match self.configs_of(&resource).await {
                Ok(configs) => answer.with_configs(self.described_configs(&resource, configs)),
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(text(refusal.message))),
            });
        }
        DescribeConfigsResponse::default().with_results(results)
    }

    async fn configs_of(&self, resource: &DescribeConfigsResource) -> Result<Vec<Config>, Refusal> {
        match resource.resource_type {
            TOPIC => match self.described_topic(&resource.resource_name).await {
                Ok(topic) => Ok(self.configs_of_topic(&topic)),
                Err(error) => Err(Refusal::new(error.code(), error.to_string())),
            },
            BROKER => Ok(self.configs_of_broker()),
            _ => Err(Refusal::new(
                ResponseError::InvalidRequest,
                "only topics and the broker have settings",
            )),
        }
    }

    fn described_configs(
        &self,
        resource: &DescribeConfigsResource,
        configs: Vec<Config>,
    ) -> Vec<DescribeConfigsResourceResult> {
        let wanted = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
        let is_wanted =
            |name: &str| wanted.is_none_or(|keys| keys.iter().any(|key| &**key == name));
        let configs = configs.into_iter().filter(|config| is_wanted(config.name));
        let described = configs.map(|config| {
            let described = DescribeConfigsResourceResult::default()
                .with_name(text(config.name))
                .with_value(Some(text(config.value)))
                .with_read_only(true)
                .with_config_source(config.source);
            if self.version >= 3 { described.with_config_type(config.kind) } else { described }
        });
        described.collect()
    }

    /// Checks that settings stay what they are.
    async fn keep_configs<'a>(
        &self,
        kind: i8,
        name: &str,
        wanted: impl Iterator<Item = (&'a str, i8, Option<&'a str>)>,
    ) -> Result<(), Refusal> {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name));
        let configs = self.configs_of(&resource).await?;
        for (name, operation, value) in wanted {
            let is_so = configs.iter().any(|config| {
                config.name == name && operation == SET && Some(config.value.as_str()) == value
            });
            if !is_so {
                let why = format!(
                    "{name} can't be changed: what a topic is, is fixed when it is created, and retention is set by \
                     rules of the store"
                );
                return Err(Refusal::new(ResponseError::InvalidConfig, why));
            }
        }
        Ok(())
    }

    pub(in crate::kafka) async fn alter_configs(
        self,
        request: AlterConfigsRequest,
    ) -> AlterConfigsResponse {
        let mut responses = Vec::new();
        for resource in request.resources {
            let configs =
                resource.configs.iter().map(|config| (&*config.name, SET, config.value.as_deref()));
            let kept =
                self.keep_configs(resource.resource_type, &resource.resource_name, configs).await;
            let answer = AlterConfigsResourceResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            responses.push(match kept {
                Ok(()) => answer,
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(text(refusal.message))),
            });
        }
        AlterConfigsResponse::default().with_responses(responses)
    }

    pub(in crate::kafka) async fn alter_configs_incrementally(
        self,
        request: IncrementalAlterConfigsRequest,
    ) -> IncrementalAlterConfigsResponse {
        let mut responses = Vec::new();
        for resource in request.resources {
            let configs = resource.configs.iter();
            let configs = configs
                .map(|config| (&*config.name, config.config_operation, config.value.as_deref()));
            let kept =
                self.keep_configs(resource.resource_type, &resource.resource_name, configs).await;
            let answer = IncrementalResponse::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            responses.push(match kept {
                Ok(()) => answer,
                Err(refusal) => answer
                    .with_error_code(refusal.code.code())
                    .with_error_message(Some(text(refusal.message))),
            });
        }
        IncrementalAlterConfigsResponse::default().with_responses(responses)
    }
}
