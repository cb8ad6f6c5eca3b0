//! Runs that end anywhere.

use std::time::Duration;

use leftfold_api::Query;
use proptest::prelude::*;

use super::lake::*;
use crate::support::World;

/// What happens while an export runs.
#[derive(Debug, Clone)]
enum Step {
    Append { stream: u8, day: i64, count: usize },
    Wait(u64),
    Interrupt,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..4_u8, 0..4_i64, 1..60_usize)
            .prop_map(|(stream, day, count)| Step::Append { stream, day, count }),
        2 => (0..25_u64).prop_map(Step::Wait),
        2 => Just(Step::Interrupt),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 4..24)
}

async fn run_steps(steps: Vec<Step>, rows: u64, format: &str) {
    let (mut world, lake) = (World::new().await, Lake::new());
    world.add(&lake.export(&format!("{format}\nrows = {rows}"))).await;
    for step in steps {
        match step {
            Step::Append { stream, day, count } => {
                append(&world.store, &format!("order-{stream}"), day, count).await;
            }
            Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Step::Interrupt => {
                world.interrupt().await;
                world.start().await;
            }
            Step::Restart => {
                world.stop().await;
                world.start().await;
            }
        }
    }
    append(&world.store, "order-9", 0, 1).await;
    let all = read_all(&world.store, Query::category("order")).await;
    let last = all.last().unwrap().position();
    until(async || lines(lake.path()).iter().any(|(_, line)| line["position"] == last)).await;
    world.stop().await;
    check_equal(lake.path(), &all);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn the_files_equal_a_read_wherever_runs_end(
        steps in steps(),
        rows in 1..50_u64,
        format in prop_oneof![
            Just("format = \"ndjson\""),
            Just("format = \"ndjson\"\ncompress = \"gzip\""),
            Just("format = \"ndjson\"\ncompress = \"zstd\""),
            Just("format = \"parquet\""),
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(run_steps(steps, rows, format));
    }
}
