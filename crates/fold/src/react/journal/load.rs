use leftfold_api::{EventStore, Query, Read, Recorded};

use super::{FACT_TYPE, JOURNAL, Journal, JournalFact, stream_of};
use crate::react::ReactorError;

/// The number of facts read at a time.
const PAGE: usize = 256;

/// Loads the journal of a reactor from its last full state.
pub(crate) async fn load(store: &impl EventStore, reactor: &str) -> Result<Journal, ReactorError> {
    let stream = stream_of(JOURNAL, reactor);
    let facts = read_facts(store, reactor, Read::backward(Query::stream(&stream))).await?;
    if !facts.is_empty() {
        return Ok(fold(facts));
    }
    // There is no journal yet, or it was deleted. The versions of a deleted one continue, and they are found by another
    // call than its facts: nothing may come in between, nor may this be the answer of an owner that was deposed.
    let head = store.head().await?;
    let again = Read::backward(Query::stream(&stream)).at_least(head.clone());
    let mut journal = fold(read_facts(store, reactor, again).await?);
    if journal.version.is_none() {
        journal.version = store.stream(&stream).await?.map(|info| info.version);
        journal.unread_after = journal.version.map(|_| head);
    }
    Ok(journal)
}

/// Reads the facts from the last full state on, newest first.
async fn read_facts(
    store: &impl EventStore,
    reactor: &str,
    first: Read,
) -> Result<Vec<(u64, JournalFact)>, ReactorError> {
    let mut facts: Vec<(u64, JournalFact)> = Vec::new();
    let mut read = first.clone().limit(PAGE);
    loop {
        let page = store.read(read).await?;
        for event in page.events.iter().filter(|event| event.event_type() == FACT_TYPE) {
            facts.push((event.version(), decode(reactor, event)?));
            if matches!(facts.last(), Some((_, JournalFact { whole: Some((0, _)), .. }))) {
                return Ok(facts);
            }
        }
        if !page.more {
            return Ok(facts);
        }
        read = first.clone().after(page.cursor).limit(PAGE);
    }
}

/// Folds facts that are listed newest first.
fn fold(facts: Vec<(u64, JournalFact)>) -> Journal {
    let mut journal = Journal::default();
    for (version, moved) in facts.iter().rev() {
        journal.version = version.checked_sub(1);
        journal.apply(moved);
    }
    journal
}

fn decode(reactor: &str, event: &Recorded) -> Result<JournalFact, ReactorError> {
    serde_json::from_slice(&event.data()).map_err(|error| ReactorError::Journal {
        reactor: reactor.to_owned(),
        position: event.position(),
        message: error.to_string(),
    })
}
