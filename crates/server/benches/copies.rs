//! A copy from another node beside a plain copy of the same files, each synced: `cargo bench -p leftfold-server --bench
//! copies [MiB]`. Both read what is in the page cache, and go to directories of the same disk.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use leftfold_api::{Append, EventStore, NewEvent};
use leftfold_client::Client;
use leftfold_io::RealDisk;
use leftfold_server::{Config, Server};
use leftfold_store::{BackupReceiver, Embedded, Options, StoreIdentity};

type Outcome<T> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 5;
const PAYLOAD: usize = 1_000;
const EVENTS: usize = 1_000;
const IDENTITY: StoreIdentity =
    StoreIdentity { store_id: [1; 16], incarnation: [2; 16], hash_key: [3; 16] };

fn main() -> Outcome<()> {
    let size = std::env::args().find_map(|text| text.parse().ok()).unwrap_or(512_usize) << 20;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(size))
}

async fn measure(size: usize) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let options = Options { identity: Some(IDENTITY), ..Options::default() };
    let store = Arc::new(Embedded::open(&source, options)?);
    fill(&store, size).await?;
    let address = ([127, 0, 0, 1], 0).into();
    let served = Server::start_for_peers(Config::default(), vec![store.clone()], address, None);
    let running = served.await?;
    let client = Client::connect(format!("http://{}", running.local_addr())).await?;
    let (mut plain, mut sent) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(timed(&target, copy_files(&source, &target))?);
        let started = Instant::now();
        let bytes = receive(&client, &target).await?;
        sent.push(bytes as f64 / started.elapsed().as_secs_f64());
        std::fs::remove_dir_all(&target)?;
    }
    let [plain, sent] = [plain, sent].map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates.get(ROUNDS / 2).copied().unwrap_or_default() / 1e6
    });
    println!(
        "copy of a store: {sent:.0} MB/s from another node, {plain:.0} MB/s of plain files, each synced: {:.2}",
        sent / plain
    );
    running.shutdown().await;
    Ok(())
}

/// Appends events that can't be compressed, and waits for maintenance.
async fn fill(store: &Arc<Embedded>, size: usize) -> Outcome<()> {
    let mut state = 1_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    for number in 0..size / (PAYLOAD * EVENTS) {
        let append = (0..EVENTS).fold(Append::with_capacity(EVENTS), |append, _| {
            let payload: Vec<u8> = std::iter::repeat_with(&mut random).take(PAYLOAD).collect();
            append.event(format!("order-{number}"), NewEvent::new("Placed", payload))
        });
        store.append(append).await?;
    }
    let sealed = store.clone();
    tokio::task::spawn_blocking(move || leftfold_api::Administration::seal(&*sealed)).await??;
    Ok(())
}

/// Takes the copy as a node does. Returns its bytes.
async fn receive(client: &Client, target: &Path) -> Outcome<u64> {
    let mut pieces = client.fetch_copy().await?;
    let mut receiver = BackupReceiver::new(Arc::new(RealDisk::new(target)?), IDENTITY);
    while let Some(piece) = pieces.next().await? {
        receiver.take(&piece)?;
    }
    Ok(receiver.finish()?.bytes)
}

/// Copies the files of a store and syncs them. Returns their bytes, and the time.
fn copy_files(source: &Path, target: &Path) -> Outcome<(u64, Duration)> {
    let (started, mut bytes) = (Instant::now(), 0);
    for part in ["log", "index"] {
        std::fs::create_dir_all(target.join(part))?;
        for entry in std::fs::read_dir(source.join(part))? {
            let entry = entry?;
            let to = target.join(part).join(entry.file_name());
            bytes += std::fs::copy(entry.path(), &to)?;
            File::open(&to)?.sync_all()?;
        }
    }
    Ok((bytes, started.elapsed()))
}

/// Returns the bytes of a second, and removes what was copied.
fn timed(target: &Path, copied: Outcome<(u64, Duration)>) -> Outcome<f64> {
    let (bytes, took) = copied?;
    std::fs::remove_dir_all(target)?;
    Ok(bytes as f64 / took.as_secs_f64())
}
