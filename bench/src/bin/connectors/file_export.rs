//! `file-export` to NDJSON, beside a loop that writes lines.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use leftfold::Recorded;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::row::{Bench, Measured, Plan, Row, Way};
use crate::world::{HISTORY, World, check_all};

/// A store, and a directory for files.
struct FileExport {
    world: World,
    directory: PathBuf,
    events: u64,
    rounds: u32,
}

/// The fields of an event, as the connector writes them.
#[derive(Serialize)]
struct Line<'a> {
    position: u64,
    stream: &'a str,
    version: u64,
    id: String,
    r#type: &'a str,
    event_time: String,
    commit_time: String,
    correlation: Option<&'a str>,
    causation: Option<&'a str>,
    tags: Vec<&'a str>,
    metadata: Option<&'a RawValue>,
    data: &'a RawValue,
}

/// Files of NDJSON.
pub(crate) const ROW: Plan = Plan {
    name: "file-export",
    about: "one file of NDJSON, which is synced at the end; by hand the same",
    prepare: |bench| Box::pin(prepare(bench)),
};

/// Fills a store.
async fn prepare(bench: &Bench) -> anyhow::Result<Box<dyn Row>> {
    let events = bench.size.events;
    let world = World::filled(&bench.home.join("file-export"), events)?;
    Ok(Box::new(FileExport { world, directory: bench.home.join("files"), events, rounds: 0 }))
}

impl Row for FileExport {
    fn rate(&mut self, way: Way) -> Measured<'_, f64> {
        Box::pin(async move {
            self.rounds += 1;
            let directory = self.directory.join(self.rounds.to_string());
            fs::create_dir_all(&directory)?;
            let rate = match way {
                Way::ByHand => self.write_history(&directory.join("all.ndjson")).await?,
                _ => self.world.rate(&definition(&directory, self.events), self.events).await?,
            };
            fs::remove_dir_all(&directory)?;
            Ok(rate)
        })
    }
}

/// Returns a definition whose only file is full with the last event: otherwise it would wait for its time.
fn definition(directory: &Path, events: u64) -> String {
    let directory = directory.display();
    format!(
        "kind = \"file-export\"\nquery = \"{HISTORY}\"\n\
         [file-export]\ndirectory = \"{directory}\"\nformat = \"ndjson\"\npartition = \"none\"\n\
         rows = {events}\nevery = \"15m\"\n"
    )
}

impl FileExport {
    /// Reads pages and writes them into one file, which is synced at the end; returns the rate.
    async fn write_history(&self, path: &Path) -> anyhow::Result<f64> {
        let (started, mut pages, mut written) = (Instant::now(), self.world.pages()?, 0);
        let mut file = BufWriter::new(File::create_new(path)?);
        while let Some(page) = pages.next().await? {
            for event in &page {
                write_line(event, &mut file)?;
            }
            written += page.len() as u64;
        }
        file.into_inner()?.sync_all()?;
        check_all(written, self.events)?;
        Ok(written as f64 / started.elapsed().as_secs_f64())
    }
}

fn write_line(event: &Recorded, file: &mut impl Write) -> anyhow::Result<()> {
    let (data, metadata) = (event.data(), event.metadata());
    let line = Line {
        position: event.position(),
        stream: event.stream(),
        version: event.version(),
        id: event.id().to_string(),
        r#type: event.event_type(),
        event_time: event.event_time().to_string(),
        commit_time: event.commit_time().to_string(),
        correlation: event.correlation(),
        causation: event.causation(),
        tags: event.tag_texts().collect(),
        metadata: serde_json::from_slice(&metadata).ok(),
        data: serde_json::from_slice(&data)?,
    };
    serde_json::to_writer(&mut *file, &line)?;
    file.write_all(b"\n")?;
    Ok(())
}
