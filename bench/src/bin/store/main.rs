//! The embedded store beside the bare loop: `cargo xtask bench store [appends|reads|indexes [NAME]]`.
//! `LEFTFOLD_BENCH_ROUNDS` sets the number of rounds.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod appends;
mod indexes;
mod reads;

use leftfold::NewEvent;
use leftfold_bench::machine;

const PAYLOAD: usize = 256;

fn main() -> anyhow::Result<()> {
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only == name);
    let dir = tempfile::Builder::new().prefix("leftfold-bench").tempdir_in(".")?;
    println!("{}; fdatasync before every acknowledgement; {PAYLOAD}-byte events", machine());
    println!(
        "{} rounds interleaved, each after idle processors: median (least to greatest)\n",
        rounds()
    );
    if wanted("appends") {
        appends::run(dir.path())?;
    }
    if wanted("indexes") {
        indexes::run(dir.path())?;
    }
    if wanted("reads") {
        reads::run(dir.path())?;
    }
    Ok(())
}

fn rounds() -> usize {
    let set = std::env::var("LEFTFOLD_BENCH_ROUNDS").ok();
    set.and_then(|text| text.parse().ok()).unwrap_or(5)
}

fn event() -> NewEvent {
    NewEvent::new("Measured", vec![b'x'; PAYLOAD])
}
