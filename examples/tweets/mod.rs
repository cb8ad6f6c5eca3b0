#![doc = include_str!("README.md")]

use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use leftfold::{Command, Embedded, Emit, Event, Execute, Options, Read, State};
use pollster::block_on;

use crate::running::heading;

/// The events of a feed.
#[derive(Debug, Clone, PartialEq, Event)]
pub enum Feed {
    /// An author has tweeted.
    Tweeted {
        /// The author.
        #[event(tag)]
        author: String,
        /// The text.
        text: String,
    },
}

/// Tweets a text. The command depends on nothing, so nothing is read.
#[derive(Debug, Clone)]
pub struct Tweet {
    /// The author.
    pub author: String,
    /// The text.
    pub text: String,
}

impl Command for Tweet {
    type Event = Feed;
    type Error = Infallible;
    type Reads = ();

    fn reads(&self) {}

    fn decide(&self, (): &()) -> Result<Vec<Emit<Feed>>, Infallible> {
        let Tweet { author, text } = self.clone();
        Ok(vec![Feed::Tweeted { author, text }.to("tweets")])
    }
}

/// The number of tweets, for readers that need it.
#[derive(Debug, Default, PartialEq)]
pub struct Count(u64);

impl State for Count {
    type Event = Feed;

    fn apply(&mut self, _: &Feed) {
        self.0 += 1;
    }
}

/// The number of concurrent callers.
const CALLERS: u64 = 16;

/// Appends tweets to one stream of a store in a directory, and writes the output that the README
/// shows.
pub fn story(dir: &Path, tweets: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    heading(out, "tweets are appended by sixteen callers")?;
    let parts = 4;
    let mut first = None;
    for part in 1..=parts {
        let started = Instant::now();
        say(&store, tweets / parts)?;
        let rate = (tweets / parts) as f64 / started.elapsed().as_secs_f64();
        let memory = resident_megabytes();
        first.get_or_insert(memory);
        let count = part * (tweets / parts);
        writeln!(out, "{count} tweets in one stream: {rate:.0} a second, {memory} MB of memory")?;
    }
    heading(out, "what they cost")?;
    let grown = resident_megabytes().saturating_sub(first.unwrap_or(0));
    writeln!(out, "memory has grown by {grown} MB since the first quarter")?;
    let last = store.blocking().read(Read::backward(Feed::by_author("7").into()).limit(3))?;
    writeln!(out, "the last {} of one author are found by tag", last.events.len())?;
    Ok(())
}

fn say(store: &Arc<Embedded>, tweets: u64) -> anyhow::Result<()> {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let nth = next.fetch_add(1, Ordering::Relaxed);
                        if nth >= tweets {
                            return Ok(());
                        }
                        let text = format!("This is the {nth}th thing that comes to my mind.");
                        block_on(store.execute(Tweet { author: (nth % 100).to_string(), text }))?;
                    }
                })
            })
            .collect();
        for caller in callers {
            let done: anyhow::Result<()> =
                caller.join().map_err(|_| anyhow::anyhow!("a caller has panicked"))?;
            done?;
        }
        Ok(())
    })
}

/// Returns the resident memory of this process; 0 if the system does not report it.
fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}
