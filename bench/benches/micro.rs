//! Times the smallest things: `cargo bench -p leftfold-bench`.

use criterion::{Criterion, criterion_group, criterion_main};

fn micro(criterion: &mut Criterion) {
    match leftfold_bench::micro::all() {
        Ok(all) => all.into_iter().for_each(|mut micro| {
            criterion.bench_function(micro.name, |bencher| bencher.iter(|| (micro.run)()));
        }),
        Err(error) => eprintln!("nothing is timed: {error}"),
    }
}

criterion_group!(benches, micro);
criterion_main!(benches);
