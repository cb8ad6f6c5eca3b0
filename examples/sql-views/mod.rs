//! What the examples of SQL views share: a store, its views, and questions.

use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures_util::future::{Either, select};
use leftfold::time::{SystemTime, Time};
use leftfold::{Append, Embedded, EventStore, NewEvent, Options};
use leftfold_views::{
    Answer, AsOf, AskLimits, Definition, ViewPhase, ViewStart, ViewStatus, Views,
};
use pollster::block_on;

/// An example: runs on a store in a directory, and writes its output.
pub type Story = fn(&Path, &mut dyn Write) -> anyhow::Result<()>;

/// The examples, by name.
pub const STORIES: [(&str, Story); 5] = [
    ("customers", crate::customers::story),
    ("last-30-orders", crate::last_30_orders::story),
    ("top-words", crate::top_words::story),
    ("page-views", crate::page_views::story),
    ("composite", crate::composite::story),
];

/// The longest time that a question waits for the events that it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store and its views, which run.
pub(crate) struct World {
    pub(crate) store: Arc<Embedded>,
    pub(crate) views: Views<Embedded>,
}

impl World {
    /// Opens the store in a directory and runs its views while the story is told.
    pub(crate) fn run(
        dir: &Path,
        story: impl AsyncFnOnce(&World) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let views = Views::open(store.clone(), dir.join("views"))?;
        let world = World { store, views };
        block_on(async {
            match select(pin!(world.views.run()), pin!(story(&world))).await {
                Either::Left((ended, _)) => bail!("the views have ended: {ended:?}"),
                Either::Right((told, _)) => told,
            }
        })
    }

    /// Appends events, a thousand at a time.
    pub(crate) async fn append(
        &self,
        events: impl IntoIterator<Item = (String, NewEvent)>,
    ) -> anyhow::Result<()> {
        let events: Vec<_> = events.into_iter().collect();
        for part in events.chunks(1_000) {
            let part = part.iter().cloned();
            let append =
                part.fold(Append::new(), |append, (stream, event)| append.event(stream, event));
            self.store.append(append).await?;
        }
        Ok(())
    }

    /// Adds a view that begins with the first event, and waits until it can be asked.
    pub(crate) async fn add(&self, text: &str) -> anyhow::Result<()> {
        let definition = Definition::parse(text)?;
        self.views.add(&definition, ViewStart::Beginning).await?;
        self.wait(definition.name(), |view| view.phase == ViewPhase::Following).await
    }

    /// Waits until the status of a view is as wanted.
    pub(crate) async fn wait(
        &self,
        view: &str,
        wanted: impl Fn(&ViewStatus) -> bool,
    ) -> anyhow::Result<()> {
        loop {
            let status = self.views.status(view).await?;
            match status.failure {
                Some(failure) => bail!("the view {view} has failed: {failure}"),
                None if wanted(&status) => return Ok(()),
                None => SystemTime.after(Duration::from_millis(5)).await,
            }
        }
    }

    /// Asks, with all events that the store has now, and writes the answer.
    pub(crate) async fn tell(&self, sql: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let head = self.store.head().await?;
        let answer = self.views.ask(sql, Some((head, PATIENCE)), AskLimits::default()).await?;
        write_answer(&answer, out)
    }

    /// Asks as of a past moment, and writes the answer.
    pub(crate) async fn tell_as_of(
        &self,
        as_of: AsOf,
        sql: &str,
        out: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let answer = self.views.ask_as_of(sql, as_of, PATIENCE, AskLimits::default()).await?;
        write_answer(&answer, out)
    }
}

fn write_answer(answer: &Answer, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{}", answer.columns.join(" | "))?;
    for row in &answer.rows {
        let cells: Vec<_> = row.iter().map(ToString::to_string).collect();
        writeln!(out, "{}", cells.join(" | "))?;
    }
    Ok(())
}
