//! Definitions as facts: each view has a stream that says what it is.

use leftfold_api::{Field, NewEvent, Query, Recorded, Value, names};
use leftfold_fold::view::ViewError;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;
use crate::logic::{Code, CodeVersion, Logic, RustLogic};
use crate::sqlite::Request;

/// The category of the streams with the definitions of views.
pub(crate) const CATEGORY: &str = names::VIEWS;

/// How many definitions of a view are remembered: the tables of an earlier one answer until those of the last have
/// caught up.
const REMEMBERED: usize = 8;

/// Where a view begins.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ViewStart {
    /// With the first event of its query.
    #[default]
    Beginning,
    /// With the first event after this cursor.
    After(String),
}

/// What makes the rows of a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Content {
    /// The text of a file.
    File { text: String },
    /// Code of a program.
    Code(CodeVersion),
}

impl Content {
    /// Returns what makes the rows. `code` is that of a view in Rust, if it is there.
    pub(crate) fn logic(&self, name: &str, code: Option<Code>) -> Result<Logic, ViewError> {
        match self {
            // It was checked before it became a fact; a fact of another release may be unknown to this one.
            Content::File { text } => Definition::parse(text).map(Logic::Sql).map_err(|error| {
                ViewError::event(format!("this release can't read the view: {error}"))
            }),
            Content::Code(version) => RustLogic::new(name, version.clone(), code).map(Logic::Rust),
        }
    }

    /// Returns the file of a view; for a view in Rust, a comment that says what it is.
    pub(crate) fn text(&self, name: &str) -> String {
        match self {
            Content::File { text } => text.clone(),
            Content::Code(version) => version.text(name),
        }
    }
}

/// A fact about a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub(crate) enum ViewFact {
    /// It is there, or has another definition.
    Defined {
        #[serde(flatten)]
        content: Content,
        start: ViewStart,
    },
    Paused,
    Resumed,
    /// Its tables are made anew.
    Reset,
    Removed,
    /// Parked events are tried again: those of a stream, or all.
    Retried {
        stream: Option<String>,
    },
    /// A parked event is left out.
    Skipped {
        stream: String,
        version: u64,
    },
}

const RETRIED: &str = "leftfold.ViewParkedRetried";
const SKIPPED: &str = "leftfold.ViewParkedSkipped";

impl ViewFact {
    fn event_type(&self) -> &'static str {
        match self {
            ViewFact::Defined { .. } => "leftfold.ViewDefined",
            ViewFact::Paused => "leftfold.ViewPaused",
            ViewFact::Resumed => "leftfold.ViewResumed",
            ViewFact::Reset => "leftfold.ViewReset",
            ViewFact::Removed => "leftfold.ViewRemoved",
            ViewFact::Retried { .. } => RETRIED,
            ViewFact::Skipped { .. } => SKIPPED,
        }
    }

    pub(crate) fn event(&self) -> NewEvent {
        NewEvent::json(self.event_type(), serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn of(event: &Recorded) -> Option<Self> {
        serde_json::from_slice(&event.data()).ok()
    }

    /// Returns what it requests of the view's tables, or `None` if it is about the view itself.
    pub(crate) fn request(self) -> Option<Request> {
        match self {
            ViewFact::Retried { stream } => Some(Request::Retry(stream)),
            ViewFact::Skipped { stream, version } => Some(Request::Skip(stream, version)),
            _ => None,
        }
    }
}

/// Returns the stream of a view.
pub(crate) fn stream_of(view: &str) -> String {
    format!("{CATEGORY}-{view}")
}

/// Returns a view's query with the requests about its parked events. What the query hides stays hidden, although the
/// stream of the requests is bookkeeping.
pub(crate) fn with_requests(query: &Query, view: &str) -> Query {
    let types = [RETRIED, SKIPPED].map(|one| Value::Exactly(one.to_owned()));
    let requests = Query::stream(stream_of(view)).and(Query::Is(Field::Type, types.to_vec()));
    query.to_stored().or(requests)
}

/// A definition of a view, and the version of the fact that made it: its tables have it in their file's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) number: u64,
    pub(crate) content: Content,
    pub(crate) start: ViewStart,
}

/// What the facts of a view's stream say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ViewState {
    /// From the oldest to the newest; none if the view was removed.
    pub(crate) generations: Vec<Generation>,
    /// Those of the view that was removed last: their tables may have to be dropped yet.
    pub(crate) removed: Vec<Generation>,
    pub(crate) is_paused: bool,
    /// The version of the last fact.
    pub(crate) version: u64,
}

impl ViewState {
    /// Folds a fact in. A definition that makes the same rows keeps the tables: `is_same` compares two.
    pub(crate) fn apply(
        &mut self,
        version: u64,
        fact: ViewFact,
        is_same: impl Fn(&Content, &Content) -> bool,
    ) {
        self.version = version;
        match fact {
            ViewFact::Defined { content, start } => match self.generations.last_mut() {
                Some(last) if is_same(&last.content, &content) => last.content = content,
                _ => self.push(Generation { number: version, content, start }),
            },
            ViewFact::Reset => {
                if let Some(last) = self.generations.last().cloned() {
                    self.push(Generation { number: version, ..last });
                }
            }
            ViewFact::Paused => self.is_paused = true,
            ViewFact::Resumed => self.is_paused = false,
            // The tables take them from the log, each at its place.
            ViewFact::Retried { .. } | ViewFact::Skipped { .. } => {}
            ViewFact::Removed => {
                (self.removed, self.is_paused) = (std::mem::take(&mut self.generations), false);
            }
        }
    }

    fn push(&mut self, generation: Generation) {
        self.generations.push(generation);
        if self.generations.len() > REMEMBERED {
            self.generations.remove(0);
        }
    }

    /// Whether the view is there.
    pub(crate) fn exists(&self) -> bool {
        !self.generations.is_empty()
    }

    /// Returns the last definition.
    pub(crate) fn last(&self) -> Option<&Generation> {
        self.generations.last()
    }
}
