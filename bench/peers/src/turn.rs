//! One system's turn in a round, in a process of its own. So its memory and processor time are
//! measured alone, and its failures do not affect other systems. It prints a line of JSON for each
//! result.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::process::{self, Usage};
use crate::syncs::SyncCounts;
use crate::system::{Directories, Disk, Event, Mark, Purpose, Session, System};
use crate::systems::bare::{Bare, FRAME};
use crate::work::{self, CATEGORY_STREAMS, HUNDRED, STREAMS, Scale, Work};

/// A line that a turn prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Line {
    /// The data set is loaded, with its size on disk.
    Loaded { events: u64, seconds: f64, disk: Disk },
    /// The syncs per second of the bare loop, right before or after the appends.
    Control { rate: f64 },
    /// A workload is done.
    Done { work: Work, figure: Figure },
    /// A workload failed.
    Failed { work: Work, why: String },
    /// The peak of resident memory so far.
    Memory { bytes: u64 },
    /// The syncs of one appender's appends.
    Syncs(SyncCounts),
}

/// The result of a workload.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Events a second for appends and the replay, reads a second for all others.
    pub(crate) rate: f64,
    /// Processor seconds of client and server per thousand events that were written or read.
    pub(crate) cpu: f64,
}

/// The parameters of a turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    pub(crate) place: Directories,
    /// The directory of the control's file.
    pub(crate) beside: PathBuf,
    pub(crate) scale: Scale,
    pub(crate) round: u64,
}

const CONTROL: Duration = Duration::from_millis(250);
/// The number of streams that hot reads cycle through.
const HOT: usize = 10;
/// The number of chunks that are written concurrently while loading.
const LOADERS: usize = 4;

pub(crate) fn print(line: &Line) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}

/// Writes the data set.
pub(crate) async fn load<S: System>(turn: &Turn) -> anyhow::Result<()> {
    let place = Directories { purpose: Purpose::Load, ..turn.place.clone() };
    let system = S::open(&place).await?;
    let started = Instant::now();
    // The next events of a stream come as many chunks later as there are groups. With at most that
    // concurrency, each stream's events stay in order.
    let mut sessions = Vec::new();
    for _ in 0..turn.scale.groups().clamp(1, LOADERS) {
        sessions.push(system.session().await?);
    }
    let mut chunks = turn.scale.chunks().peekable();
    while chunks.peek().is_some() {
        let turns = sessions.iter_mut().zip(&mut chunks);
        futures::future::try_join_all(turns.map(|(session, chunk)| session.load(chunk))).await?;
    }
    drop(sessions);
    system.close().await?;
    let seconds = started.elapsed().as_secs_f64();
    print(&Line::Loaded { events: turn.scale.events(), seconds, disk: S::disk_bytes(&place)? })
}

/// Runs the workloads of a single caller: on the thread of the caller, the network of all clients too. Reads are on the
/// loaded data set, appends on an empty store.
pub(crate) async fn run_alone<S: System>(turn: &Turn) -> anyhow::Result<()> {
    let can = work::ALL.into_iter().filter(|work| S::cannot(*work).is_none());
    let alone = can.filter(|work| work.callers() == 1);
    let (appends, reads): (Vec<Work>, Vec<Work>) = alone.partition(|work| work.appends());
    if !reads.is_empty() {
        let system = open_cold::<S>(&turn.place).await?;
        for work in reads {
            show(work, read(&system, work, turn).await)?;
        }
        print(&Line::Memory { bytes: system.peak_memory()? })?;
        system.close().await?;
    }
    append_all::<S>(turn, appends).await
}

/// Runs the workloads of several callers.
pub(crate) async fn run_together<S: System>(turn: &Turn) -> anyhow::Result<()> {
    let can = work::ALL.into_iter().filter(|work| S::cannot(*work).is_none());
    append_all::<S>(turn, can.filter(|work| work.callers() > 1).collect()).await
}

/// Appends to an empty store: otherwise the fastest system would append to the largest one.
async fn append_all<S: System>(turn: &Turn, appends: Vec<Work>) -> anyhow::Result<()> {
    let empty = Directories { data: turn.place.data.with_extension("empty"), ..turn.place.clone() };
    clear(&empty)?;
    let system = S::open(&empty).await?;
    control(turn)?;
    for work in appends {
        show(work, append(&system, work, turn).await)?;
    }
    control(turn)?;
    print(&Line::Memory { bytes: system.peak_memory()? })?;
    system.close().await?;
    clear(&empty)
}

async fn open_cold<S: System>(place: &Directories) -> anyhow::Result<S> {
    process::evict(&place.data)?;
    let system = S::open(place).await?;
    // Evict again, because opening reads files; mapped pages stay.
    process::evict(&place.data)?;
    Ok(system)
}

fn clear(place: &Directories) -> anyhow::Result<()> {
    if place.data.exists() {
        std::fs::remove_dir_all(&place.data)?;
    }
    Ok(())
}

fn show(work: Work, done: anyhow::Result<Figure>) -> anyhow::Result<()> {
    print(&match done {
        Ok(figure) => Line::Done { work, figure },
        Err(error) => Line::Failed { work, why: format!("{error:#}") },
    })
}

/// Runs the bare loop for a moment.
fn control(turn: &Turn) -> anyhow::Result<()> {
    let bare = Bare::create(&turn.beside)?.handle();
    let (started, mut times) = (Instant::now(), 0_u32);
    while started.elapsed() < CONTROL {
        bare.write(FRAME)?;
        times += 1;
    }
    print(&Line::Control { rate: f64::from(times) / started.elapsed().as_secs_f64() })
}

/// Measures repeated operations of one caller.
struct Meter<'a, S> {
    system: &'a S,
    before: Usage,
    started: Instant,
}

impl<'a, S: System> Meter<'a, S> {
    fn start(system: &'a S) -> anyhow::Result<Self> {
        Ok(Meter { system, before: system.cpu()?, started: Instant::now() })
    }

    fn stop(self, times: u64, events: u64) -> anyhow::Result<Figure> {
        let seconds = self.started.elapsed().as_secs_f64();
        let cpu = self.system.cpu()?.since(self.before);
        ensure!(events > 0, "nothing was done");
        Ok(Figure { rate: times as f64 / seconds, cpu: cpu * 1_000.0 / events as f64 })
    }
}

async fn read<S: System>(system: &S, work: Work, turn: &Turn) -> anyhow::Result<Figure> {
    let mut session = system.session().await?;
    match work {
        Work::ColdContiguous => cold(system, &mut session, turn, Scale::contiguous).await,
        Work::ColdInterleaved => cold(system, &mut session, turn, Scale::interleaved).await,
        Work::HotContiguous => hot(system, &mut session, turn, Scale::contiguous).await,
        Work::HotInterleaved => hot(system, &mut session, turn, Scale::interleaved).await,
        Work::Category => categories(system, &mut session, turn).await,
        Work::Tag => tags(system, &mut session, turn).await,
        _ => replay(system, &mut session, turn).await,
    }
}

/// Reads streams that were not read since the page cache was emptied, far from each other.
async fn cold<S: System>(
    system: &S,
    session: &mut S::Session,
    turn: &Turn,
    name: fn(usize) -> String,
) -> anyhow::Result<Figure> {
    let scale = turn.scale;
    let apart = scale.streams / scale.cold_reads;
    let meter = Meter::start(system)?;
    for n in 0..scale.cold_reads {
        stream(session, &name((n * apart + turn.round as usize) % scale.streams)).await?;
    }
    let times = scale.cold_reads as u64;
    meter.stop(times, times * HUNDRED as u64)
}

async fn stream<T: Session>(session: &mut T, name: &str) -> anyhow::Result<()> {
    let seen = session.read_stream(name).await?;
    ensure!(seen.events == HUNDRED as u64, "stream {name} has {} events", seen.events);
    Ok(())
}

async fn hot<S: System>(
    system: &S,
    session: &mut S::Session,
    turn: &Turn,
    name: fn(usize) -> String,
) -> anyhow::Result<Figure> {
    let names: Vec<String> = (0..HOT).map(|n| name(n * turn.scale.streams / HOT)).collect();
    for name in &names {
        stream(session, name).await?;
    }
    let (meter, mut times) = (Meter::start(system)?, 0);
    while meter.started.elapsed().as_secs_f64() < turn.scale.read_seconds {
        for name in &names {
            stream(session, name).await?;
            times += 1;
        }
    }
    meter.stop(times, times * HUNDRED as u64)
}

async fn categories<S: System>(
    system: &S,
    session: &mut S::Session,
    turn: &Turn,
) -> anyhow::Result<Figure> {
    const EVENTS: u64 = (CATEGORY_STREAMS * HUNDRED) as u64;
    let (meter, mut times) = (Meter::start(system)?, 0);
    while meter.started.elapsed().as_secs_f64() < turn.scale.read_seconds {
        let name = format!("c{}", times as usize % HOT.min(turn.scale.streams / CATEGORY_STREAMS));
        let seen = session.query_category(&name).await?;
        ensure!(seen.events == EVENTS, "category {name} has {} events", seen.events);
        times += 1;
    }
    meter.stop(times, times * EVENTS)
}

async fn tags<S: System>(
    system: &S,
    session: &mut S::Session,
    turn: &Turn,
) -> anyhow::Result<Figure> {
    let (meter, mut times) = (Meter::start(system)?, 0);
    while meter.started.elapsed().as_secs_f64() < turn.scale.read_seconds {
        let owner = turn.scale.owner(times as usize % HOT);
        let seen = session.query_tags(&owner).await?;
        ensure!(seen.events == HUNDRED as u64, "owner {owner} has {} events", seen.events);
        times += 1;
    }
    meter.stop(times, times * HUNDRED as u64)
}

async fn replay<S: System>(
    system: &S,
    session: &mut S::Session,
    turn: &Turn,
) -> anyhow::Result<Figure> {
    let limit = turn.scale.events();
    let (meter, mut events) = (Meter::start(system)?, 0);
    while meter.started.elapsed().as_secs_f64() < turn.scale.read_seconds || events == 0 {
        let seen = session.replay(limit).await?;
        ensure!(seen.events >= limit, "of {limit} events {} were replayed", seen.events);
        events += seen.events;
    }
    meter.stop(events, events)
}

async fn append<S: System>(system: &S, work: Work, turn: &Turn) -> anyhow::Result<Figure> {
    let each = if work.in_batches() { HUNDRED as u64 } else { 1 };
    let in_flight = work.callers();
    let mut appenders = Vec::new();
    for number in 0..in_flight {
        appenders.push(Appender::new(system.session().await?, work, turn, number, in_flight));
    }
    // One unmeasured append each, because a connection's first append looks up what later ones
    // reuse.
    appenders = together(appenders, |mut appender| async {
        appender.append().await?;
        Ok(appender)
    })
    .await?;
    let meter = Meter::start(system)?;
    let end = meter.started + Duration::from_secs_f64(turn.scale.append_seconds);
    let counts = together(appenders, move |appender| appender.until(end)).await?;
    let events = counts.iter().sum::<u64>() * each;
    meter.stop(events, events)
}

/// Runs something for each appender concurrently. A single one stays on this thread.
async fn together<A, T, F>(all: Vec<A>, act: impl Fn(A) -> F) -> anyhow::Result<Vec<T>>
where
    F: Future<Output = anyhow::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut futures: Vec<F> = all.into_iter().map(act).collect();
    if futures.len() == 1 {
        let only = futures.pop().context("one is one")?;
        return Ok(vec![only.await?]);
    }
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok(done)
}

/// Appends to its own streams, one append after the other, and waits for each answer.
pub(crate) struct Appender<T> {
    session: T,
    work: Work,
    round: u64,
    number: u64,
    /// The name of each stream or pair of tags, and its last mark.
    marks: Vec<(String, Mark)>,
    done: u64,
}

impl<T: Session> Appender<T> {
    pub(crate) fn new(
        session: T,
        work: Work,
        turn: &Turn,
        number: usize,
        in_flight: usize,
    ) -> Self {
        let round = turn.round;
        let of_work = index(work);
        // Use 64 categories, because some systems lock by category.
        let name = |n| (format!("r{round}w{of_work}k{}-{number}-{n}", number % 64), None);
        let marks = (0..(STREAMS / in_flight).max(1)).map(name).collect();
        Appender { session, work, round, number: number as u64, marks, done: 0 }
    }

    pub(crate) async fn append(&mut self) -> anyhow::Result<()> {
        let work = index(self.work);
        let (round, number, streams) = (self.round, self.number, self.marks.len() as u64);
        let count = if self.work.in_batches() { HUNDRED as u64 } else { 1 };
        let first = self.done * count;
        let event = |n| -> Event { work::appended(round, work, number, first + n) };
        let at = (self.done % streams) as usize;
        let (name, mark) = self.marks.get_mut(at).context("an appender has streams")?;
        *mark = match self.work {
            Work::Batch(_) => {
                let events = (0..count).map(event).collect();
                self.session.append_batch(name, *mark, events).await?
            }
            Work::OnTags(_) => {
                let other = format!("s{name}");
                self.session.append_on_tags([name, &other], *mark, event(0)).await?
            }
            _ => self.session.append_single(name, *mark, event(0)).await?,
        };
        self.done += 1;
        Ok(())
    }

    async fn until(mut self, end: Instant) -> anyhow::Result<u64> {
        let before = self.done;
        while Instant::now() < end {
            self.append().await?;
        }
        Ok(self.done - before)
    }
}

fn index(work: Work) -> u64 {
    work::ALL.iter().position(|one| *one == work).unwrap_or(0) as u64
}
