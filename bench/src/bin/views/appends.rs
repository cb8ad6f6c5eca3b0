//! Appends at a rate: alone, beside views that catch up, beside views that are added, replaced and removed, and how
//! late a view is meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use leftfold::{Append, Coded, Cursor, Embedded};
use leftfold_views::{AskLimits, Definition, ViewStart, Views};

use crate::rows::{Latencies, print_control};
use crate::{Bench, ORDERS, Store, definition, event, view_file, with_views};

/// The appends of one event in a second.
const RATE: u64 = 5_000;
/// The views that catch up at the same time.
const BUILDING: usize = 10;
/// How often a view is added, one replaced and one removed.
const CHANGES: Duration = Duration::from_millis(100);

pub(crate) fn measure(bench: &Bench, store: &Store) -> anyhow::Result<()> {
    let appends = bench.size.appends;
    println!("\n{RATE} appends of one event a second, {appends} of them: p50 and p99");
    let mut alone = Latencies::new("an append without views");
    let mut building = Latencies::new("an append beside ten views that catch up");
    let mut changing = Latencies::new("an append while views come, change and go");
    let mut following = Latencies::new("an append with a view that follows");
    let mut lag = Latencies::new("until a question sees an append");
    let (mut controls, mut left, mut changes) = (Vec::new(), BUILDING, 0);
    for round in 0..bench.size.rounds {
        controls.push(bench.control()?);
        alone.push(paced(store, appends, |_| Ok(()))?.appends);
        bench.settle();
        let dir = bench.dir.join(format!("beside-{round}"));
        let (times, still) = with_views(&dir, store, |views| beside_building(bench, store, views))?;
        building.push(times);
        left = left.min(still);
        bench.settle();
        let dir = bench.dir.join(format!("changing-{round}"));
        let (times, made) = with_views(&dir, store, |views| beside_changes(bench, store, views))?;
        changing.push(times);
        changes += made;
        bench.settle();
        let dir = bench.dir.join(format!("live-{round}"));
        let times = with_views(&dir, store, |views| with_follower(bench, store, views))?;
        following.push(times.appends);
        lag.push(times.waits);
    }
    let alone = alone.print();
    let (building, changing) = (building.print(), changing.print());
    following.print();
    lag.print();
    println!(
        "p99 of an append beside views that catch up is {:.2} times that without, beside changes {:.2} times",
        building / alone,
        changing / alone
    );
    // The rows mean something only if there was that much to do meanwhile.
    println!(
        "at least {left} of {BUILDING} views still caught up at the end; {changes} changes of views in all"
    );
    print_control(controls);
    Ok(())
}

/// Returns the times of appends, and how many views did not have the events from before the first one at their end.
fn beside_building(
    bench: &Bench,
    store: &Store,
    views: &Views<Embedded>,
) -> anyhow::Result<(Vec<f64>, usize)> {
    for n in 0..BUILDING {
        pollster::block_on(views.add(&definition(&format!("v{n}"))?, ViewStart::Beginning))?;
    }
    let history = store.blocking().head();
    let times = paced(store, bench.size.appends, |_| Ok(()))?;
    let mut behind = 0;
    for n in 0..BUILDING {
        let name = format!("v{n}");
        let has_history = views.wait_for_cursor(&name, &history, Duration::ZERO);
        match pollster::block_on(has_history) {
            Ok(()) => {}
            Err(error) if error.code() == "view_late" => behind += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok((times.appends, behind))
}

/// Returns the times of appends, and how often a view was added, replaced or removed meanwhile.
fn beside_changes(
    bench: &Bench,
    store: &Store,
    views: &Views<Embedded>,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changing = scope.spawn(|| change_views(views, &stop));
        let times = paced(store, bench.size.appends, |_| Ok(()));
        stop.store(true, Ordering::Relaxed);
        let changes =
            changing.join().map_err(|_| anyhow::anyhow!("the changes have panicked"))??;
        Ok((times?.appends, changes))
    })
}

/// Adds a view, replaces the one before it and removes the one before that, again and again. All build their tables.
fn change_views(views: &Views<Embedded>, stop: &AtomicBool) -> anyhow::Result<usize> {
    let (started, mut changes) = (Instant::now(), 0);
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        pollster::block_on(views.add(&definition(&format!("c{n}"))?, ViewStart::Beginning))?;
        changes += 1;
        if n >= 1 {
            let other = Definition::parse(&view_file(&format!("c{}", n - 1), 2))?;
            pollster::block_on(views.replace(&other))?;
            changes += 1;
        }
        if n >= 2 {
            pollster::block_on(views.remove(&format!("c{}", n - 2)))?;
            changes += 1;
        }
        std::thread::sleep((CHANGES * (n + 1)).saturating_sub(started.elapsed()));
    }
    Ok(changes)
}

/// Returns the times of appends beside a view that follows, and how long a question waited that needs the append.
fn with_follower(
    bench: &Bench,
    store: &Store,
    views: &Views<Embedded>,
) -> anyhow::Result<PacedTimes> {
    pollster::block_on(async {
        let now = ViewStart::now(store).await?;
        views.add(&definition("orders")?, now).await?;
        let head = store.blocking().head();
        views.wait_for_cursor("orders", &head, Duration::from_secs(60)).await?;
        anyhow::Ok(())
    })?;
    paced(store, bench.size.appends, |cursor| {
        let at_least = Some((cursor, Duration::from_secs(60)));
        let ask = views.ask("select 1 from orders limit 1", at_least, AskLimits::default());
        pollster::block_on(ask)?;
        Ok(())
    })
}

/// Microseconds of appends, and of what was waited for.
struct PacedTimes {
    appends: Vec<f64>,
    waits: Vec<f64>,
}

/// Appends at the rate; every hundredth append is waited for.
fn paced(
    store: &Store,
    appends: u64,
    mut wait: impl FnMut(Cursor) -> anyhow::Result<()>,
) -> anyhow::Result<PacedTimes> {
    let mut times = PacedTimes { appends: Vec::new(), waits: Vec::new() };
    let started = Instant::now();
    for n in 0..appends {
        let due = Duration::from_micros(n * 1_000_000 / RATE);
        while started.elapsed() < due {
            std::hint::spin_loop();
        }
        let append = Append::new().event(format!("order-{}", n % ORDERS), event(n));
        let before = Instant::now();
        let appended = store.blocking().append(append)?;
        times.appends.push(before.elapsed().as_secs_f64() * 1e6);
        if n % 100 == 99 {
            let before = Instant::now();
            wait(appended.cursor)?;
            times.waits.push(before.elapsed().as_secs_f64() * 1e6);
        }
    }
    Ok(times)
}
