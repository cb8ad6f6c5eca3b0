//! Views in Rust: the code that this process has, and the facts that say that there are such views.

use std::collections::BTreeMap;
use std::sync::Arc;

use event_listener::Event;
use leftfold_api::{Coded, EventStore, Query, Read};
use leftfold_fold::view::{ViewError, catch_panic};
use parking_lot::Mutex;

use super::facts::{Content, ViewFact, ViewState, stream_of};
use super::{Views, ViewsError, backing, has_same_rows};
#[cfg(feature = "postgres")]
use crate::definition::CodeTables;
use crate::definition::check_name;
#[cfg(feature = "postgres")]
use crate::logic::InPostgres;
use crate::logic::{Code, CodeVersion, Logic};
#[cfg(feature = "postgres")]
use crate::postgres_view::PostgresView;
use crate::sqlite::tables_of_code;
use crate::table_view::TableView;

/// How many versions of a view's code are kept: the tables of an earlier one are followed until those of the last have
/// caught up.
const VERSIONS: usize = 8;
/// How often a definition is compared anew because another request came first.
const ATTEMPTS: usize = 4;

/// The code of views in Rust that this process has.
#[derive(Default)]
pub(super) struct Registry {
    views: Mutex<BTreeMap<String, Registered>>,
    /// Notified when code was registered.
    added: Event,
}

/// The code of one view.
#[derive(Default)]
struct Registered {
    /// From the first to the last registered one.
    versions: Vec<(CodeVersion, Code)>,
    /// How often code was registered.
    count: u64,
}

impl Registry {
    /// Adds the code of a view; returns its name and version.
    fn add(&self, view: Arc<dyn TableView>) -> Result<(String, CodeVersion), ViewsError> {
        let invalid = |message| ViewsError::Name { code: "view_invalid", message };
        let described = catch_panic(|| (view.name().to_owned(), view.logic(), view.query()));
        let (name, logic, query) = described.map_err(|panic| invalid(panic.to_string()))?;
        check_name(&name).map_err(invalid)?;
        let tables = tables_of_code(view.clone());
        let tables = tables.map_err(|reason| {
            invalid(format!("the tables of the view {name} can't be made: {reason}"))
        })?;
        let version = CodeVersion { logic, query: query.to_string(), tables, postgres: None };
        self.insert(&name, &version, Code::Sqlite(view));
        Ok((name, version))
    }

    /// Adds the code of a view in PostgreSQL; returns its name and version. PostgreSQL is not asked.
    #[cfg(feature = "postgres")]
    fn add_in_postgres<V: PostgresView>(
        &self,
        view: V,
    ) -> Result<(String, CodeVersion), ViewsError> {
        let invalid = |message| ViewsError::Name { code: "view_invalid", message };
        let described = catch_panic(|| {
            let in_postgres = InPostgres { source: view.url().to_string(), sql: view.create() };
            (view.name().to_owned(), view.logic(), view.query(), view.on_error(), in_postgres)
        });
        let described = described.map_err(|panic| invalid(panic.to_string()))?;
        let (name, logic, query, on_error, in_postgres) = described;
        check_name(&name).map_err(invalid)?;
        let InPostgres { source, sql } = &in_postgres;
        let tables = CodeTables { name: &name, query: &query, source, sql, logic, on_error };
        let tables = tables.definition()?;
        let tables = tables.table_names().into_iter().map(str::to_owned).collect();
        let (query, postgres) = (query.to_string(), Some(in_postgres));
        let version = CodeVersion { logic, query, tables, postgres };
        self.insert(&name, &version, Code::Postgres(Arc::new(view)));
        Ok((name, version))
    }

    fn insert(&self, name: &str, version: &CodeVersion, code: Code) {
        let mut views = self.views.lock();
        let registered = views.entry(name.to_owned()).or_default();
        registered.versions.retain(|(known, _)| known != version);
        registered.versions.push((version.clone(), code));
        if registered.versions.len() > VERSIONS {
            registered.versions.remove(0);
        }
        registered.count += 1;
        drop(views);
        self.added.notify(usize::MAX);
    }

    /// Returns what makes the rows of a definition, with its code if that is there.
    pub(super) fn logic_of(&self, name: &str, content: &Content) -> Result<Logic, ViewError> {
        let code = match content {
            Content::File { .. } => None,
            Content::Code(version) => {
                let views = self.views.lock();
                let versions = views.get(name).map(|view| &*view.versions).unwrap_or_default();
                let found = versions.iter().find(|(known, _)| known == version);
                found.map(|(_, code)| code.clone())
            }
        };
        content.logic(name, code)
    }

    fn count(&self, name: &str) -> u64 {
        self.views.lock().get(name).map_or(0, |view| view.count)
    }

    /// Returns a future that is ready when code of a view was registered after this call.
    pub(super) fn registration(
        self: &Arc<Self>,
        name: &str,
    ) -> impl Future<Output = ()> + Send + use<> {
        let (registry, name, before) = (self.clone(), name.to_owned(), self.count(name));
        async move {
            loop {
                let added = registry.added.listen();
                if registry.count(&name) != before {
                    return;
                }
                added.await;
            }
        }
    }
}

impl<S: EventStore + 'static> Views<S> {
    /// Registers a view in Rust. The store then has it like a view by SQL: it is listed, paused, reset, removed and
    /// asked like those. If its logic or query has changed, new tables are built beside the old ones, which answer until
    /// the new ones have caught up; so they do if the view of this name was one by SQL.
    ///
    /// The code is there when this returns, so that a program can register its views before it runs them. The future
    /// waits for [`Views::run`], and until the view can be asked or has failed. A view that was removed is added again.
    ///
    /// # Errors
    /// Its name or its tables are wrong, there are too many views, or the store can't be written.
    pub fn register<V: TableView>(
        &self,
        view: V,
    ) -> impl Future<Output = Result<(), ViewsError>> + Send + use<S, V> {
        self.define_code(self.inner.registry.add(Arc::new(view)))
    }

    /// Registers a view in Rust whose tables are in PostgreSQL, as [`Views::register`] does one in SQLite. PostgreSQL is
    /// asked whether the tables can be made if the store does not have the view yet.
    ///
    /// # Errors
    /// As there; or PostgreSQL can't be asked.
    #[cfg(feature = "postgres")]
    pub fn register_in_postgres<V: PostgresView>(
        &self,
        view: V,
    ) -> impl Future<Output = Result<(), ViewsError>> + Send + use<S, V> {
        self.define_code(self.inner.registry.add_in_postgres(view))
    }

    /// Defines a view whose code was added.
    fn define_code(
        &self,
        added: Result<(String, CodeVersion), ViewsError>,
    ) -> impl Future<Output = Result<(), ViewsError>> + Send + use<S> {
        let views = self.clone();
        async move {
            let (name, version) = added?;
            let content = Content::Code(version);
            views.ready().await;
            views.define(&name, &content).await?;
            views.wait_for_code(&name, &content).await;
            Ok(())
        }
    }

    /// Makes a definition the last one of a view, unless it is.
    async fn define(&self, name: &str, content: &Content) -> Result<(), ViewsError> {
        let mut attempts = ATTEMPTS;
        loop {
            let (state, version) = self.stored_state(name).await?;
            if state.last().is_some_and(|last| last.content == *content) {
                return Ok(());
            }
            if !state.exists() {
                self.check_room()?;
            }
            if let Some((definition, _)) = content.logic(name, None)?.in_postgres() {
                backing::check(definition, self.inner.store.head().await?.origin()).await?;
            }
            let start = state.last().map(|last| last.start.clone()).unwrap_or_default();
            let fact = ViewFact::Defined { content: content.clone(), start };
            attempts -= 1;
            match self.append_fact(name, fact, version).await {
                Err(error) if error.code() == "view_changed" && attempts > 0 => {}
                appended => return appended.map(drop),
            }
        }
    }

    /// Reads what the facts of a view say, and the version of the last of them.
    async fn stored_state(&self, name: &str) -> Result<(ViewState, Option<u64>), ViewsError> {
        let (mut state, mut version) = (ViewState::default(), None);
        let mut read = Read::forward(Query::stream(stream_of(name)));
        loop {
            let page = self.inner.store.read(read).await?;
            for event in &page.events {
                version = Some(event.version());
                if let Some(fact) = ViewFact::of(event) {
                    state.apply(event.version(), fact, has_same_rows);
                }
            }
            if !page.more {
                return Ok((state, version));
            }
            read = Read::forward(Query::stream(stream_of(name))).after(page.cursor);
        }
    }

    /// Waits until the tables of a view that was registered are open, or it has failed, or is defined otherwise.
    async fn wait_for_code(&self, name: &str, content: &Content) {
        loop {
            let changed = self.inner.changed.listen();
            let Ok(entry) = self.entry(name) else { return };
            let is_last = entry.state.last().is_some_and(|last| last.content == *content);
            // The run begins again a moment after the code is there.
            let is_behind = matches!(entry.run.lock().failure, Some(ViewError::CodeMissing { .. }));
            if !is_last || (entry.is_known() && !is_behind) {
                return;
            }
            changed.await;
        }
    }
}
