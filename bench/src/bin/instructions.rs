//! Runs one of the small operations a number of times: `instructions NAME TIMES`. Without arguments
//! it lists their names. `cargo xtask bench instructions` counts with it.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        leftfold_bench::micro::all()?.iter().for_each(|micro| println!("{}", micro.name));
        return Ok(());
    };
    let times: u64 = arguments.next().context("say how many times")?.parse()?;
    let all = leftfold_bench::micro::all()?;
    let found = all.into_iter().find(|micro| micro.name == name);
    let mut micro = found.with_context(|| format!("nothing is called {name:?}"))?;
    (0..times).for_each(|_| (micro.run)());
    Ok(())
}
