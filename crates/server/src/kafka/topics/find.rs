use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_api::{Engine, EventStore, Field, IndexInfo, Query, ReadError, Start, Streams, Value};
use leftfold_kafka::ResponseError;
use parking_lot::Mutex;
use thiserror::Error;

use super::catalogue::Catalogue;
use super::{Topic, default_query, is_legal, needs_store_key};
use crate::access::{Caller, Denial, ReadPermit, Refusal};

/// How long a topic that was found is taken to be as it was.
const FRESH: Duration = Duration::from_millis(500);
/// Topics that are remembered.
const REMEMBERED: usize = 2_000;

/// The topics of a store.
pub(in crate::kafka) struct Topics {
    pub(super) store: Arc<dyn Engine>,
    /// The number of the store's partitions.
    store_partitions: u32,
    found: Mutex<HashMap<String, (Instant, Arc<Topic>)>>,
    /// The names of topics that are being created.
    pub(super) creating: Mutex<HashSet<String>>,
    catalogue: tokio::sync::Mutex<Catalogue>,
}

/// Why there is no topic.
#[derive(Debug, Error)]
pub(in crate::kafka) enum TopicError {
    #[error(
        "the name is not that of a topic: it has 1 to 249 letters, digits, dots, underscores and dashes"
    )]
    Name,
    #[error("there is no such topic")]
    Unknown,
    #[error("the topic's index does not hold all past events yet; try again")]
    Building,
    #[error("{0}")]
    Unordered(String),
    #[error("{0}")]
    Denied(String),
    #[error("{0}")]
    Failed(#[from] ReadError),
}

impl TopicError {
    pub(in crate::kafka) fn code(&self) -> ResponseError {
        match self {
            TopicError::Name | TopicError::Unordered(_) => ResponseError::InvalidTopicException,
            TopicError::Unknown => ResponseError::UnknownTopicOrPartition,
            // Clients ask again after a moment.
            TopicError::Building => ResponseError::LeaderNotAvailable,
            TopicError::Denied(_) => ResponseError::TopicAuthorizationFailed,
            TopicError::Failed(_) => ResponseError::KafkaStorageError,
        }
    }
}

impl Topics {
    pub(in crate::kafka) fn new(store: Arc<dyn Engine>, store_partitions: u32) -> Self {
        Topics {
            store,
            store_partitions,
            found: Mutex::default(),
            creating: Mutex::default(),
            catalogue: tokio::sync::Mutex::default(),
        }
    }

    /// Returns a topic.
    pub(in crate::kafka) async fn find(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        if !is_legal(name) {
            return Err(TopicError::Name);
        }
        let remembered = self.found.lock().get(name).cloned();
        if let Some((_, topic)) = remembered.filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(topic);
        }
        match self.store.index(name).await? {
            Some(info) if !self.has_offsets(&info) => {
                Err(TopicError::Unordered(needs_store_key("the index", self.store_partitions)))
            }
            Some(info) if info.ready => Ok(self.remember(info)),
            Some(_) => Err(TopicError::Building),
            None => {
                self.found.lock().remove(name);
                let is_created = self.creating.lock().contains(name);
                Err(if is_created { TopicError::Building } else { TopicError::Unknown })
            }
        }
    }

    /// Whether the events of an index have offsets in this store.
    fn has_offsets(&self, info: &IndexInfo) -> bool {
        let by = info.partitioning.as_ref();
        by.map_or(self.store_partitions <= 1, |by| by.follows_store(self.store_partitions))
    }

    fn remember(&self, info: IndexInfo) -> Arc<Topic> {
        let topic = Arc::new(Topic::of(info));
        let mut found = self.found.lock();
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(topic.name.clone(), (Instant::now(), topic.clone()));
        topic
    }

    /// Returns the name of a topic that was found before, by its id.
    pub(in crate::kafka) fn name_of(&self, id: uuid::Uuid) -> Option<String> {
        let found = self.found.lock();
        found.values().find(|(_, topic)| topic.id == id).map(|(_, topic)| topic.name.clone())
    }

    /// Forgets what is remembered of a topic.
    pub(in crate::kafka) fn forget(&self, name: &str) {
        self.found.lock().remove(name);
    }

    /// Returns a topic that the caller may read, and the permit for it.
    pub(in crate::kafka) async fn find_for(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<(Arc<Topic>, ReadPermit), TopicError> {
        // Who may not read it is not told whether it exists.
        let topic = self.find(name).await;
        let permit = match &topic {
            // Of all partitions: the permit of one admits no event of another.
            Ok(topic) => permit_of(caller, &Query::index(topic.name.as_str()))?,
            Err(TopicError::Unknown) => {
                permit_of(caller, &default_query(name).0)?;
                return Err(TopicError::Unknown);
            }
            Err(_) => permit_of(caller, &Query::index(name))?,
        };
        Ok((topic?, permit))
    }

    /// Returns the topics that the caller may read or write: the named indexes, and the names of categories that become
    /// topics when they are first used.
    pub(in crate::kafka) async fn list(
        &self,
        caller: &Caller,
    ) -> Result<(Vec<Arc<Topic>>, Vec<String>), TopicError> {
        let infos = self.store.indexes().await?;
        let legal = infos.into_iter().filter(|info| is_legal(&info.name));
        let may_know = |query: &Query| caller.can_read_all(query) || caller.can_append_all(query);
        let mut names = HashSet::new();
        let mut topics = Vec::new();
        for info in legal {
            names.insert(info.name.clone());
            if info.ready && self.has_offsets(&info) && may_know(&info.query) {
                topics.push(self.remember(info));
            }
        }
        let mut catalogue = self.catalogue.lock().await;
        catalogue.refresh(&*self.store).await?;
        let categories = catalogue.names().filter(|name| is_legal(name) && !names.contains(*name));
        let categories = categories.filter(|name| may_know(&Query::category(*name)));
        Ok((topics, categories.map(str::to_owned).collect()))
    }

    /// Whether there are events of the query that a topic of this name would have.
    pub(in crate::kafka) async fn has_events(&self, name: &str) -> Result<bool, ReadError> {
        let (query, _) = default_query(name);
        match &query {
            Query::Is(Field::Category, values) => {
                let [Value::Exactly(category)] = values.as_slice() else { return Ok(false) };
                let streams =
                    Streams { category: Some(category.clone()), limit: 1, ..Streams::default() };
                Ok(!self.store.streams(streams).await?.streams.is_empty())
            }
            // A prefix of streams is filtered, which may take long: its topic is created by a producer, or explicitly.
            _ => Ok(false),
        }
    }

    /// Returns the number of records of a partition: the offset of the next one.
    pub(in crate::kafka) async fn end_of(
        &self,
        topic: &Topic,
        partition: u32,
    ) -> Result<u64, ReadError> {
        let end = Start::Including(leftfold_api::Point::Ordinal(u64::MAX));
        self.store.ordinal(topic.query_of(partition), end).await
    }
}

fn permit_of(caller: &Caller, query: &Query) -> Result<ReadPermit, TopicError> {
    caller.authorize_read(query).map_err(|refusal| match refusal {
        Refusal::Denial(denial) => TopicError::Denied(told(&denial)),
        Refusal::Invalid(invalid) if invalid.code == "index_building" => TopicError::Building,
        Refusal::Invalid(invalid) if invalid.code == "index_unknown" => TopicError::Unknown,
        Refusal::Invalid(invalid) => TopicError::Failed(invalid.into()),
    })
}

fn told(denial: &Denial) -> String {
    denial.to_string()
}
