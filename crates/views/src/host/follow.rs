//! The run of one view: brings events to its tables, and swaps new tables in when they have caught up.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, select};
use leftfold_api::{Coded, Cursor, EventStore, Point, Query, Read};
use leftfold_fold::time::{Time, later};
use leftfold_fold::view::{Saved, SinkRunner, ViewError};
use parking_lot::Mutex;

use super::backing::{self, Backing, BackingSink, Beginning, Connections, Dropping};
use super::facts::{Generation, ViewFact, ViewStart, stream_of, with_requests};
use super::pass::Passes;
use super::register::Registry;
use super::removal::{drop_schemas, origin_of};
use super::standby::Standby;
use super::{Entry, Inner};
use crate::check::{LOGIC, state_at};
use crate::definition::OnError;
use crate::logic::Logic;
use crate::sqlite::Requests;

/// The pauses before a view that failed for a reason that may pass is tried again.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How often new tables are compared with those before, which follow the store meanwhile.
const ROUNDS: usize = 10;
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a view is tried again that is ahead of the store, until that is believed: the former owner of a partition
/// may not know yet how far it is.
const AHEAD_ATTEMPTS: u32 = 10;
/// How many parked events of a stream are read again at a time.
const READ_AGAIN: usize = 256;

/// The tables that questions are answered from, and the runner that fills them.
pub(crate) struct Tables<S> {
    /// The version of the fact that made their definition.
    pub(crate) number: u64,
    pub(crate) logic: Logic,
    pub(crate) runner: Arc<SinkRunner<BackingSink, S, Passes<S>>>,
    pub(crate) backing: Backing,
}

impl<S> Clone for Tables<S> {
    fn clone(&self) -> Self {
        Tables {
            number: self.number,
            logic: self.logic.clone(),
            runner: self.runner.clone(),
            backing: self.backing.clone(),
        }
    }
}

/// What the run of a view has come to.
pub(crate) struct RunState<S> {
    /// What answers.
    pub(crate) serving: Option<Tables<S>>,
    pub(crate) failure: Option<ViewError>,
    /// What is seen of the tables while another process fills them.
    pub(super) standby: Option<Arc<Standby>>,
    /// The number of the tables that have once caught up.
    pub(super) caught_up: Option<u64>,
    /// Held by the run: a later one waits for the end of the one before.
    running: Arc<futures_util::lock::Mutex<()>>,
    stop: Option<oneshot::Sender<()>>,
    pub(super) connections: Connections,
}

impl<S> Default for RunState<S> {
    fn default() -> Self {
        RunState {
            serving: None,
            failure: None,
            standby: None,
            caught_up: None,
            running: Arc::default(),
            stop: None,
            connections: Connections::default(),
        }
    }
}

impl<S> RunState<S> {
    /// Stops the run before; returns when the new one is to stop.
    pub(super) fn begin(state: &Mutex<Self>) -> BoxFuture<'static, ()> {
        let (stop, stopped) = oneshot::channel();
        // Dropping the sender of the run before ends it.
        state.lock().stop = Some(stop);
        async move { _ = stopped.await }.boxed()
    }

    /// Returns the lock that a run holds.
    pub(super) fn running(&self) -> Arc<futures_util::lock::Mutex<()>> {
        self.running.clone()
    }
}

/// Runs one view as one state of its facts says.
pub(super) struct Follower<S> {
    store: Arc<S>,
    passes: Arc<Passes<S>>,
    dir: PathBuf,
    time: Arc<dyn Time>,
    registry: Arc<Registry>,
    /// Notified when what answers has changed, or the run has failed.
    changed: Arc<Event>,
    entry: Arc<Entry<S>>,
}

impl<S: EventStore + 'static> Follower<S> {
    pub(super) fn new(inner: &Inner<S>, entry: Arc<Entry<S>>) -> Self {
        Follower {
            store: inner.store.clone(),
            passes: inner.passes.clone(),
            dir: inner.dir.clone(),
            time: inner.time.clone(),
            registry: inner.registry.clone(),
            changed: inner.changed.clone(),
            entry,
        }
    }

    /// Changes what the run has come to, and wakes those who wait for that.
    fn set(&self, change: impl FnOnce(&mut RunState<S>)) {
        change(&mut self.entry.run.lock());
        self.changed.notify(usize::MAX);
    }

    /// Runs until it is dropped. It begins again when code of the view was registered.
    pub(super) async fn run(self) {
        let running = self.entry.run.lock().running();
        let _running = running.lock().await;
        let (mut pause, mut ahead) = (FIRST_PAUSE, 0);
        loop {
            let began = self.time.now();
            let registration = pin!(self.registry.registration(&self.entry.name));
            let attempt = async {
                match self.entry.state.is_paused {
                    true => self.stand_still().await,
                    false => self.attempt().await,
                }
            };
            let (ended, registration) = match select(pin!(attempt), registration).await {
                Either::Left(ended) => ended,
                Either::Right(_) => continue,
            };
            if later(began, LONGEST_PAUSE) <= self.time.now() {
                // It has gone well meanwhile.
                (pause, ahead) = (FIRST_PAUSE, 0);
            }
            ahead += u32::from(ended.as_ref().is_err_and(is_ahead));
            let can_retry = ended.as_ref().is_err_and(|error| match is_ahead(error) {
                true => ahead < AHEAD_ATTEMPTS,
                false => self.can_retry(error),
            });
            if let Err(error) = ended {
                self.set(|run| (run.failure, run.standby) = (Some(error), None));
            }
            if !can_retry {
                registration.await;
                continue;
            }
            self.time.after(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whether another attempt may go well.
    fn can_retry(&self, error: &ViewError) -> bool {
        let last = self.entry.state.last().map(|last| &last.content);
        let logic = last.and_then(|last| last.logic(&self.entry.name, None).ok());
        // Who has lost the lease stands by.
        let has_lease = logic.is_some_and(|logic| logic.in_postgres().is_some());
        error.can_retry() || (has_lease && matches!(error, ViewError::Overtaken { .. }))
    }

    /// Answers from what is there, and brings no events.
    async fn stand_still(&self) -> Result<(), ViewError> {
        let Some(last) = self.entry.state.last() else { return Ok(()) };
        let mut tables = self.open(last).await?;
        if !tables.backing.has_caught_up().await? {
            // A view that was replaced while it stands still answers as it did.
            tables = self.open_before(last).await?.unwrap_or(tables);
        }
        let failure = tables.logic.missing_code().map(ViewError::from);
        self.set(|run| {
            (run.serving, run.failure, run.standby) = (Some(tables), failure, None);
        });
        Ok(())
    }

    /// Brings events until an error. Where several processes could do so, the one with the lease does.
    async fn attempt(&self) -> Result<(), ViewError> {
        let Some(last) = self.entry.state.last() else { return Ok(()) };
        let logic = self.registry.logic_of(&self.entry.name, &last.content)?;
        if logic.in_postgres().is_none() {
            return self.bring(last).await;
        }
        let standby = Arc::<Standby>::default();
        let (origin, connections) = (origin_of(&*self.store).await?, self.connections());
        let holding =
            backing::hold_lease(&logic, last.number, origin, standby.clone(), connections);
        let bringing = async {
            let (granted, waiting) = (pin!(standby.granted()), pin!(self.stand_by(last, &standby)));
            if let Either::Right((Err(error), _)) = select(granted, waiting).await {
                return Err(error);
            }
            self.bring(last).await
        };
        match select(pin!(holding), pin!(bringing)).await {
            Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
        }
    }

    /// Waits for the lease while another process fills the tables. Those that this process has in a file, from before
    /// the view moved to the database, are followed until the new ones answer.
    async fn stand_by(&self, last: &Generation, standby: &Arc<Standby>) -> Result<(), ViewError> {
        standby.seen().await;
        let is_new = standby.published() != Some(last.number);
        let before = self.entry.state.generations.iter().rev();
        let in_files = before.filter(|one| one.number < last.number && self.path_of(one).exists());
        for generation in in_files.filter(|_| is_new) {
            // Tables that can't be opened answer nothing; the new ones are being filled.
            let Ok(before) = self.open(generation).await else { continue };
            let Some(path) = before.backing.path().map(Path::to_owned) else { continue };
            self.set(|run| {
                (run.failure, run.standby) = (None, Some(standby.clone()));
                run.serving = Some(before.clone());
            });
            self.remove_files(vec![path]).await;
            let answers = async {
                standby.answers(last.number).await;
                Ok(())
            };
            self.while_following(&before, answers).await?;
            break;
        }
        self.set(|run| {
            (run.failure, run.standby) = (None, Some(standby.clone()));
            run.serving = None;
        });
        self.remove_files(Vec::new()).await;
        std::future::pending().await
    }

    /// Brings events until an error.
    async fn bring(&self, last: &Generation) -> Result<(), ViewError> {
        let target = self.open(last).await?;
        let has_caught_up = target.backing.has_caught_up().await?;
        let before = if has_caught_up { None } else { self.open_before(last).await? };
        if let Some(before) = &before
            && before.backing.has_caught_up().await?
        {
            // What answers goes on; an event that fails here is a fault of the new definition.
            target.backing.stop_on_error().await?;
        }
        let kept = before.iter().chain([&target]).filter_map(|tables| tables.backing.path());
        self.remove_files(kept.map(Path::to_owned).collect()).await;
        self.set(|run| {
            run.failure = target.logic.missing_code().map(ViewError::from);
            run.standby = None;
            run.serving = Some(before.clone().unwrap_or_else(|| target.clone()));
            run.caught_up = has_caught_up.then_some(target.number);
        });
        let run = pin!(target.runner.run());
        let swap = Box::pin(self.swap(&target, before.clone()));
        match select(run, swap).await {
            Either::Left((Err(error), swap)) if !error.can_retry() => {
                // It holds the tables before.
                drop(swap);
                let Some(before) = before.filter(|before| before.logic.missing_code().is_none())
                else {
                    return Err(error);
                };
                // The new definition has failed; the tables before go on.
                self.set(|run| run.failure = Some(error));
                before.runner.run().await
            }
            Either::Left((ended, _)) => ended,
            Either::Right((swapped, run)) => {
                swapped?;
                run.await
            }
        }
    }

    /// Waits until new tables have caught up, and lets them answer. Until then, those before are followed.
    async fn swap(&self, target: &Tables<S>, before: Option<Tables<S>>) -> Result<(), ViewError> {
        match &before {
            None => {
                self.catch_up(target, None).await?;
                self.publish(target, None).await?;
            }
            Some(before) if before.backing.path().is_some() => {
                self.while_following(before, self.catch_up(target, Some(before))).await?;
                // They stand still now: what they have committed by then is not more than a batch ahead.
                target.runner.at_least(before.runner.cursor().await?).await?;
                self.publish(target, None).await?;
            }
            // Readers in PostgreSQL may hold the swap up; it compares the states itself.
            Some(before) => {
                let published = async {
                    let known = self.catch_up(target, Some(before)).await?;
                    self.publish(target, known).await
                };
                self.while_following(before, published).await?;
            }
        }
        self.set(|run| {
            (run.serving, run.caught_up) = (Some(target.clone()), Some(target.number));
        });
        let kept: Vec<_> = target.backing.path().map(Path::to_owned).into_iter().collect();
        self.remove_files(kept).await;
        // What stays costs space until the next time.
        _ = drop_schemas(&*self.store, &self.entry, target.number, Dropping::Replaced).await;
        Ok(())
    }

    /// Waits for something, and follows the tables before meanwhile. If they can't be followed any more, they answer
    /// as they are.
    async fn while_following<T>(
        &self,
        before: &Tables<S>,
        done: impl Future<Output = Result<T, ViewError>>,
    ) -> Result<T, ViewError> {
        let follow = async {
            while let Err(error) = before.runner.run().await
                && error.can_retry()
            {
                self.time.after(FIRST_PAUSE).await;
            }
        };
        match select(pin!(done), pin!(follow)).await {
            Either::Left((done, _)) => done,
            Either::Right(((), done)) => done.await,
        }
    }

    /// Lets new tables answer. `known` is the state of those that answer now, which the new ones cover.
    async fn publish(&self, target: &Tables<S>, mut known: Option<Saved>) -> Result<(), ViewError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match target.backing.publish(known.clone()).await {
                Ok(None) => return Ok(()),
                Ok(Some(ahead)) => {
                    target.runner.at_least(ahead.cursor()).await?;
                    known = Some(ahead);
                }
                Err(error) if error.can_retry() => {
                    self.time.after(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until new tables have all events that were in the store, and about all that those before have by then.
    /// Returns the state of those before.
    async fn catch_up(
        &self,
        target: &Tables<S>,
        before: Option<&Tables<S>>,
    ) -> Result<Option<Saved>, ViewError> {
        target.runner.at_least(self.store.head().await?).await?;
        let Some(before) = before else { return Ok(None) };
        for _ in 0..ROUNDS {
            let Some(goal) = before.backing.saved().await? else { return Ok(None) };
            target.runner.at_least(goal.cursor()).await?;
            if before.backing.saved().await?.as_ref() == Some(&goal) {
                return Ok(Some(goal));
            }
        }
        // Events come in faster than two commits can be compared; the new tables are near.
        before.backing.saved().await
    }

    async fn has_caught_up(&self, generation: &Generation) -> Result<bool, ViewError> {
        let logic = self.registry.logic_of(&self.entry.name, &generation.content)?;
        let (number, path) = (generation.number, self.path_of(generation));
        let (origin, connections) = (origin_of(&*self.store).await?, self.connections());
        Backing::has_caught_up_at(&logic, &path, number, origin, &connections).await
    }

    fn connections(&self) -> Connections {
        self.entry.run.lock().connections.clone()
    }

    /// Opens the tables before the last ones that answer until those have caught up: the newest that have once caught up;
    /// if there are none, the oldest that have any event, which have answered while they were filled.
    async fn open_before(&self, last: &Generation) -> Result<Option<Tables<S>>, ViewError> {
        for generation in self.entry.state.generations.iter().rev() {
            let is_before = generation.number < last.number;
            // Tables that can't be opened answer nothing; the new ones are being filled.
            if is_before && self.has_caught_up(generation).await.unwrap_or(false) {
                return self.open(generation).await.map(Some);
            }
        }
        for generation in &self.entry.state.generations {
            if generation.number < last.number
                && self.path_of(generation).exists()
                && let Ok(tables) = self.open(generation).await
                && tables.backing.path().is_some()
                && tables.backing.saved().await?.is_some()
            {
                return Ok(Some(tables));
            }
        }
        Ok(None)
    }

    /// Opens the tables of a definition, or makes them.
    async fn open(&self, generation: &Generation) -> Result<Tables<S>, ViewError> {
        let logic = self.registry.logic_of(&self.entry.name, &generation.content)?;
        if logic.name() != self.entry.name {
            let message = format!("its file is of another view, {}", logic.name());
            return Err(ViewError::event(message));
        }
        if let Some(missing) = logic.missing_code()
            && !self.has_caught_up(generation).await?
        {
            return Err(missing.into());
        }
        let mut dirs = std::fs::DirBuilder::new();
        dirs.recursive(true).mode(0o700).create(&self.dir).map_err(ViewError::rows)?;
        let start = match &generation.start {
            ViewStart::Beginning => None,
            ViewStart::After(cursor) => {
                let cursor: Cursor = cursor.parse().map_err(ViewError::rows)?;
                Some(state_at(logic.name(), &cursor)?)
            }
        };
        let beginning = Beginning { start, requests: self.requests(generation) };
        let (path, number) = (self.path_of(generation), generation.number);
        let (origin, connections) = (origin_of(&*self.store).await?, self.connections());
        let opened = Backing::open(&logic, path, number, origin, beginning, connections).await;
        let (backing, sink) = opened?;
        let can_wait = logic.on_error() == OnError::Park || backing.waiting() > 0;
        let query = match can_wait {
            true => with_requests(logic.query(), logic.name()),
            false => logic.query().clone(),
        };
        let runner = SinkRunner::new(logic.name().to_owned(), query, self.store.clone(), sink);
        let runner = Arc::new(runner.source(self.passes.clone()).logic(LOGIC));
        Ok(Tables { number, logic, runner, backing })
    }

    /// Returns where the tables of a definition find requests about parked events.
    fn requests(&self, generation: &Generation) -> Requests {
        let store = self.store.clone();
        let read = move |stream: &str, version: u64| {
            let from = Point::Version(version);
            let read = Read::forward(Query::stream(stream)).including(from).limit(READ_AGAIN);
            // The tables have a thread of their own.
            let page = pollster::block_on(store.read(read));
            page.map(|page| page.events).map_err(|error| error.to_string())
        };
        Requests {
            stream: stream_of(&self.entry.name),
            after: generation.number,
            decode: |event| ViewFact::of(event)?.request(),
            read: Box::new(read),
        }
    }

    /// Removes the files of the view but for some.
    async fn remove_files(&self, kept: Vec<PathBuf>) {
        remove_files(&self.connections(), &self.dir, &self.entry, kept).await;
    }

    fn path_of(&self, generation: &Generation) -> PathBuf {
        self.dir.join(format!("{}.{}.sqlite", self.entry.name, generation.number))
    }
}

/// Whether an error says that the rows are ahead of the store, or of another one.
fn is_ahead(error: &ViewError) -> bool {
    matches!(error, ViewError::OtherHistory { .. }) || error.code() == "cursor_ahead"
}

/// Removes the files that a view has had up to a state of its facts, but for some.
pub(super) async fn remove_files<S>(
    connections: &Connections,
    dir: &Path,
    entry: &Entry<S>,
    kept: Vec<PathBuf>,
) {
    let (dir, view, last) = (dir.to_owned(), entry.name.clone(), entry.state.version);
    let remove = move || {
        remove_all_but(&dir, &view, last, &kept);
        Ok(())
    };
    // What stays costs space until the next time.
    _ = connections.files.call(remove).await;
}

/// Files with a number above `last` are those of a later run, which may make them at this moment.
fn remove_all_but(dir: &Path, view: &str, last: u64, kept: &[PathBuf]) {
    let Ok(files) = dir.read_dir() else { return };
    for path in files.filter_map(|file| Some(file.ok()?.path())) {
        let name =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_of_view = name.split_once('.').is_some_and(|(of, rest)| {
            let number = rest.split('.').next().and_then(|number| number.parse::<u64>().ok());
            of == view && number.is_some_and(|number| number <= last) && rest.contains(".sqlite")
        });
        let is_kept = kept.iter().any(|kept| {
            kept.file_name().is_some_and(|kept| name.starts_with(&*kept.to_string_lossy()))
        });
        if is_of_view && !is_kept {
            // What stays costs space until the next time.
            _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::remove_all_but;

    #[test]
    fn the_files_of_later_tables_and_of_other_views_stay() {
        let dir = tempfile::tempdir().unwrap();
        let before = ["a.0.sqlite", "a.0.sqlite-wal", "a.3.sqlite", "a.7.sqlite"];
        let others = ["a.10.sqlite", "a.10.sqlite-shm", "ab.0.sqlite", "a.sqlite", "a.0.txt"];
        for name in before.iter().chain(&others) {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        remove_all_but(dir.path(), "a", 9, &[dir.path().join("a.3.sqlite")]);
        let left = dir.path().read_dir().unwrap();
        let mut left: Vec<_> =
            left.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut expected = vec!["a.3.sqlite"];
        expected.extend(others);
        expected.sort_unstable();
        assert_eq!(left, expected);
    }
}
