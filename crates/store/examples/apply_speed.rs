//! temp
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]
use leftfold_api::*;
use leftfold_store::*;
use std::sync::Arc;
use std::time::Instant;
struct Now;
impl Commit for Now {
    fn max_in_flight(&self) -> usize {
        8
    }
    fn syncs(&self) -> bool {
        false
    }
    fn positions_of_empty(&self) -> u64 {
        1
    }
    fn submit(
        &mut self,
        batch: &Batch<'_>,
        _: &mut Tail,
    ) -> Result<leftfold_store::Progress, WriteError> {
        Ok(leftfold_store::Progress::Confirmed(batch.confirmation()))
    }
}
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<_> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let per: usize = args[1].parse().unwrap();
    let call: usize = args[2].parse().unwrap();
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    let disk = leftfold_io::RealDisk::new(dir.path()).unwrap();
    let mut options = Options { replica: true, ..Options::default() };
    options.log.keep = Keep::Marked;
    let store = Embedded::open_with(
        Arc::new(disk),
        Arc::new(leftfold_io::SystemClock),
        Arc::new(leftfold_io::OsRandom),
        options,
        Box::new(Now),
    )
    .unwrap();
    let total = 1_000_000usize;
    let mut position = 1u64;
    let mut versions = std::collections::HashMap::<u64, u64>::new();
    let mut made = Vec::new();
    let mut rng = 1u64;
    for _ in 0..total / per {
        let events = (0..per)
            .map(|i| {
                rng = rng.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let s = (rng >> 33) % 100_000;
                let v = versions.entry(s).or_insert(0);
                let version = *v;
                *v += 1;
                let mut event = NewEvent::new("OrderPlaced", vec![b'x'; 100])
                    .tag("customer", format!("{}", s % 1000));
                event.id =
                    Some(uuid::Uuid::from_u128((position as u128 + i as u128) * 77777777777777777));
                CommittedEvent {
                    stream: format!("order-{s}"),
                    version,
                    event_time: Timestamp(position as i64),
                    event,
                }
            })
            .collect();
        made.push(CommittedAppend {
            first: position,
            append_id: position as u128,
            commit_time: Timestamp(position as i64),
            events,
            checkpoints: vec![],
        });
        position += per as u64;
    }
    let c0 = cpu();
    let t = Instant::now();
    let mut it = made.into_iter();
    loop {
        let chunk: Vec<_> = it.by_ref().take(call).collect();
        if chunk.is_empty() {
            break;
        }
        pollster::block_on(store.apply(chunk)).unwrap();
    }
    let (w, c) = (t.elapsed().as_secs_f64(), cpu() - c0);
    println!(
        "per {per} call {call}: {:.0}/s wall, {:.0}/s per cpu-second (all threads)",
        total as f64 / w,
        total as f64 / c
    );
    let t = Instant::now();
    store.settle().unwrap();
    println!("settle {:?}, head {:?}", t.elapsed(), store.stat().unwrap().last_position);
}
