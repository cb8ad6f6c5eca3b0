use std::collections::BTreeSet;
use std::process::ExitCode;

use leftfold::react::{HeldEvent, Parked, Why};
use leftfold::{EventStore, Invalid, Streams};
use pollster::block_on;
use serde_json::json;

use crate::args::{Location, ParkedAction, ParkedEvent};
use crate::output::{for_people, print_table, table};
use crate::store::Store;

/// The category of the journals of reactors.
const JOURNALS: &str = "leftfold.reactor";

pub(crate) fn run(location: &Location, action: &ParkedAction) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    match action {
        ParkedAction::List { reactor, all } => list(&store, reactor.as_deref(), *all)?,
        ParkedAction::Replay(event) => {
            block_on(Parked::of(&event.reactor, &store).replay(&find(&store, event)?))?;
        }
        ParkedAction::Skip(event) => {
            block_on(Parked::of(&event.reactor, &store).skip(&find(&store, event)?))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list(store: &Store, reactor: Option<&str>, all: bool) -> anyhow::Result<()> {
    let reactors = match reactor {
        Some(reactor) => vec![reactor.to_owned()],
        None => reactors(store)?,
    };
    let mut rows = table(&["reactor", "stream", "version", "type", "attempts", "since", "why"]);
    for reactor in reactors {
        let parked = Parked::of(&reactor, store);
        let held = if all { block_on(parked.list_held())? } else { block_on(parked.list())? };
        for event in held {
            match for_people() {
                true => _ = rows.add_row(row(&reactor, &event)),
                false => say!("{}", to_json(&reactor, &event)),
            }
        }
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(())
}

/// Lists the reactors that have ever run on the store.
fn reactors(store: &Store) -> anyhow::Result<Vec<String>> {
    let mut streams = Streams { category: Some(JOURNALS.to_owned()), ..Streams::default() };
    let mut reactors = BTreeSet::new();
    loop {
        let page = block_on(store.streams(streams.clone()))?;
        let names = page.streams.iter().filter_map(|stream| stream.name.split_once('-'));
        reactors.extend(names.map(|(_, journal)| Parked::<Store>::reactor_of(journal).to_owned()));
        if !page.more {
            return Ok(reactors.into_iter().collect());
        }
        streams.after = Some(page.cursor);
    }
}

fn find(store: &Store, wanted: &ParkedEvent) -> anyhow::Result<HeldEvent> {
    let ParkedEvent { reactor, stream, version } = wanted;
    let parked = block_on(Parked::of(reactor, store).list())?;
    let is_wanted = |event: &HeldEvent| event.stream == *stream && event.version == *version;
    let found = parked.into_iter().find(is_wanted);
    Ok(found.ok_or_else(|| {
        let message = format!(
            "reactor {reactor} has not parked the event of version {version} in stream {stream}; \
             see: leftfold parked list {reactor}"
        );
        Invalid::new("event_not_parked", message)
    })?)
}

fn why(event: &HeldEvent) -> String {
    match &event.why {
        Why::Retry(due) => format!("{}; again at {due}", event.reason),
        Why::Waiting(query, Some(until)) => format!("waits for {query} until {until}"),
        Why::Waiting(query, None) => format!("waits for {query}"),
        _ => event.reason.clone(),
    }
}

fn row(reactor: &str, event: &HeldEvent) -> Vec<String> {
    let HeldEvent { stream, version, event_type, attempts, since, .. } = event;
    vec![
        reactor.to_owned(),
        stream.clone(),
        version.to_string(),
        event_type.clone(),
        attempts.to_string(),
        since.to_string(),
        why(event),
    ]
}

fn to_json(reactor: &str, event: &HeldEvent) -> serde_json::Value {
    json!({
        "reactor": reactor,
        "stream": event.stream,
        "version": event.version,
        "position": event.position,
        "type": event.event_type,
        "attempts": event.attempts,
        "since": event.since.to_string(),
        "parked": event.why == Why::Parked,
        "why": why(event),
    })
}
