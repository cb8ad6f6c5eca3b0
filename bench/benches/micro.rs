//! Times the smallest operations: `cargo bench -p leftfold-bench`.

use criterion::Criterion;

fn main() -> anyhow::Result<()> {
    let mut criterion = Criterion::default().configure_from_args();
    for mut micro in leftfold_bench::micro::all()? {
        criterion.bench_function(micro.name, |bencher| bencher.iter(|| (micro.run)()));
    }
    criterion.final_summary();
    Ok(())
}
