//! What a view is doing.

use leftfold_api::{EventStore, Query};
use leftfold_fold::view::Lag;
use serde::Serialize;

use super::Entry;
use leftfold_api::Coded;

/// What a view is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ViewPhase {
    /// Its tables are filled, and have not caught up yet.
    Building,
    /// It follows the store.
    Following,
    /// Another process fills its tables; this one takes over when that one stops or dies.
    Standby,
    /// It stands still until it is resumed.
    Paused,
    /// It has stopped; the failure says why.
    Failed,
}

/// A view and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ViewStatus {
    /// Its name.
    pub name: String,
    /// What it is doing.
    pub phase: ViewPhase,
    /// The query of its events.
    pub query: String,
    /// The age of the oldest event that is not in the tables that answer, in microseconds; 0 if there is none.
    pub lag_micros: Option<u64>,
    /// Whether new tables are filled beside those that answer.
    pub replacing: bool,
    /// How many of its events are parked, or wait behind parked ones.
    pub waiting: u64,
    /// How many final windows its events have missed: the rows of `_late`. `None` without `@window`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<u64>,
    /// The code of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// The view's file.
    #[serde(skip)]
    pub text: String,
    /// The query of that file. It differs from that of the tables that answer while those are replaced; who may see
    /// only one of the two may see neither the file nor its failure.
    #[serde(skip)]
    pub wanted_query: Query,
}

impl<S: EventStore + 'static> Entry<S> {
    /// Whether its run has opened tables that answer, or has failed.
    pub(super) fn is_known(&self) -> bool {
        let run = self.run.lock();
        run.serving.is_some() || run.failure.is_some() || run.standby.is_some()
    }

    pub(super) async fn status(&self) -> ViewStatus {
        let (serving, failure, caught_up, standby) = {
            let run = self.run.lock();
            (run.serving.clone(), run.failure.clone(), run.caught_up, run.standby.clone())
        };
        // From the definition and not from the run: the run takes up a new definition a moment later.
        let last = self.state.last().map(|last| last.number);
        let answering = match &serving {
            Some(tables) => Some(tables.number),
            None => standby.as_ref().and_then(|standby| standby.published()),
        };
        let replacing = answering.is_some() && answering != last;
        let lag = match &serving {
            Some(tables) if tables.backing.is_reached() => tables.runner.lag().await.ok(),
            _ => None,
        };
        let phase = match (&failure, self.state.is_paused) {
            (Some(_), _) => ViewPhase::Failed,
            (None, true) => ViewPhase::Paused,
            (None, false) if standby.is_some() => ViewPhase::Standby,
            (None, false) if serving.is_none() || caught_up != last => ViewPhase::Building,
            (None, false) => ViewPhase::Following,
        };
        let micros = |lag: Lag| match lag {
            Lag::None => 0,
            Lag::Since(since) => u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
        };
        let query = serving.as_ref().map(|tables| tables.logic.query().to_string());
        let wanted = self.state.last().map(|last| &last.content);
        let text = wanted.map(|content| content.text(&self.name)).unwrap_or_default();
        let wanted = wanted.and_then(|content| content.logic(&self.name, None).ok());
        let query = match &wanted {
            Some(wanted) if standby.is_some() => query.or(Some(wanted.query().to_string())),
            _ => query,
        };
        ViewStatus {
            name: self.name.clone(),
            phase,
            query: query.unwrap_or_default(),
            lag_micros: lag.map(micros),
            replacing,
            late: serving.as_ref().and_then(|tables| tables.backing.late()),
            waiting: serving.map_or(0, |tables| tables.backing.waiting()),
            code: failure.as_ref().map(|failure| failure.code().to_owned()),
            failure: failure.map(|failure| failure.to_string()),
            text,
            wanted_query: wanted.map_or(Query::System, |wanted| wanted.query().clone()),
        }
    }
}
