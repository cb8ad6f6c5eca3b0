//! Changes of connectors: each is a fact that is appended, on condition that no other came in between.

use leftfold_api::{Append, AppendError, Appended, EventStore, Expected};
use leftfold_fold::react::{HeldEvent, Parked};

use super::facts::{ConnectorFact, ConnectorStart, stream_of};
use super::follow::progress_name;
use super::host::MAX_CONNECTORS;
use super::kind::Check;
use super::{ConnectorDefinition, ConnectorError, Connectors};

impl<S: EventStore + 'static> Connectors<S> {
    /// Adds a connector. It is not tried first: see [`Connectors::test`].
    ///
    /// # Errors
    /// The name is taken, or there are too many connectors.
    pub async fn add(
        &self,
        definition: &ConnectorDefinition,
        start: ConnectorStart,
    ) -> Result<Appended, ConnectorError> {
        let name = definition.name();
        if self.entry(name).is_ok() {
            let message =
                format!("there is a connector {name} already; replace it, or choose another name");
            return Err(ConnectorError::Name { code: "connector_exists", message });
        }
        if self.inner.connectors.read().len() >= MAX_CONNECTORS {
            let message = format!("there are {MAX_CONNECTORS} connectors already; remove one");
            return Err(ConnectorError::Name { code: "connectors_too_many", message });
        }
        self.define(definition, start).await
    }

    /// Gives a connector another definition. It goes on where it is, unless it connects with something else.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn replace(
        &self,
        definition: &ConnectorDefinition,
    ) -> Result<Appended, ConnectorError> {
        let entry = self.entry(definition.name())?;
        let start = entry.state.defined.as_ref().map(|defined| defined.start.clone());
        self.define(definition, start.unwrap_or_default()).await
    }

    async fn define(
        &self,
        definition: &ConnectorDefinition,
        start: ConnectorStart,
    ) -> Result<Appended, ConnectorError> {
        let (text, kind) = (definition.text().to_owned(), definition.kind().to_owned());
        self.write(definition.name(), ConnectorFact::Defined { text, kind, start }).await
    }

    /// Connects with the other side of a definition, and says what is missing. Nothing is delivered.
    pub async fn test(&self, definition: &ConnectorDefinition) -> Check {
        definition.kind.check(&self.inner.secrets).await
    }

    /// Lets a connector stand still.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn pause(&self, name: &str) -> Result<Appended, ConnectorError> {
        self.change(name, ConnectorFact::Paused).await
    }

    /// Lets a connector go on, also one that has failed.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn resume(&self, name: &str) -> Result<Appended, ConnectorError> {
        self.change(name, ConnectorFact::Resumed).await
    }

    /// Lets a connector begin anew, as if it had been added now.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn reset(&self, name: &str) -> Result<Appended, ConnectorError> {
        self.change(name, ConnectorFact::Reset).await
    }

    /// Removes a connector. What it has delivered stays.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn remove(&self, name: &str) -> Result<Appended, ConnectorError> {
        self.change(name, ConnectorFact::Removed).await
    }

    /// Lists the events that hold up their stream, parked ones or those that are tried again too.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn parked(&self, name: &str, all: bool) -> Result<Vec<HeldEvent>, ConnectorError> {
        let parked = self.parked_of(name)?;
        Ok(match all {
            true => parked.list_held().await?,
            false => parked.list().await?,
        })
    }

    /// Lets the parked events of a connector be tried again: those of a stream, or all. Returns their number.
    ///
    /// # Errors
    /// There is no such connector.
    pub async fn retry(&self, name: &str, stream: Option<&str>) -> Result<usize, ConnectorError> {
        let is_wanted = |event: &HeldEvent| stream.is_none_or(|stream| event.stream == stream);
        Ok(self.parked_of(name)?.replay_where(is_wanted).await?)
    }

    /// Leaves a parked event out, so that those of its stream behind it follow.
    ///
    /// # Errors
    /// There is no such connector, or the event is not parked.
    pub async fn skip(
        &self,
        name: &str,
        stream: &str,
        version: u64,
    ) -> Result<Appended, ConnectorError> {
        let parked = self.parked_of(name)?;
        let all = parked.list().await?;
        let found = all.iter().find(|event| event.stream == stream && event.version == version);
        let missing = || ConnectorError::Name {
            code: "event_not_parked",
            message: format!("the event {stream}@{version} is not parked at the connector {name}"),
        };
        Ok(parked.skip(found.ok_or_else(missing)?).await?)
    }

    fn parked_of(&self, name: &str) -> Result<Parked<'_, S>, ConnectorError> {
        let entry = self.entry(name)?;
        let generation = entry.state.defined.as_ref().map_or(0, |defined| defined.generation);
        Ok(Parked::of(progress_name(name, generation), &*self.inner.store))
    }

    async fn change(&self, name: &str, fact: ConnectorFact) -> Result<Appended, ConnectorError> {
        self.entry(name)?;
        self.write(name, fact).await
    }

    /// Appends a fact behind those that are there, and waits until this process has taken it over.
    async fn write(&self, name: &str, fact: ConnectorFact) -> Result<Appended, ConnectorError> {
        let stream = stream_of(name);
        let version = self.inner.store.stream(&stream).await?.map(|info| info.version);
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        let append = Append::new().event(&stream, fact.event()).expect(&stream, expected);
        let appended = match self.inner.store.append(append).await {
            Err(AppendError::Conflict(_)) => {
                let message = format!(
                    "the connector {name} was changed by another request; look at it and try again"
                );
                return Err(ConnectorError::Name { code: "connector_changed", message });
            }
            answer => answer?,
        };
        self.wait_for_definitions(&appended.cursor).await;
        Ok(appended)
    }
}
