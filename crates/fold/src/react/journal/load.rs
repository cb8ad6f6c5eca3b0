use leftfold_api::{EventStore, Query, Read, Recorded};

use super::{FACT_TYPE, JOURNAL, Journal, JournalFact, stream_of};
use crate::react::ReactorError;

/// The number of facts read at a time.
const PAGE: usize = 256;

/// Loads the journal of a reactor from its last full state.
pub(crate) async fn load(store: &impl EventStore, reactor: &str) -> Result<Journal, ReactorError> {
    let stream = stream_of(JOURNAL, reactor);
    let mut read = Read::backward(Query::stream(&stream)).limit(PAGE);
    let mut facts: Vec<(u64, JournalFact)> = Vec::new();
    loop {
        let page = store.read(read).await?;
        for event in page.events.iter().filter(|event| event.event_type() == FACT_TYPE) {
            facts.push((event.version(), decode(reactor, event)?));
            if matches!(facts.last(), Some((_, JournalFact { whole: Some((0, _)), .. }))) {
                return Ok(fold(facts));
            }
        }
        if !page.more {
            let mut journal = fold(facts);
            // The versions of a deleted journal continue.
            if journal.version.is_none() {
                journal.version = store.stream(&stream).await?.map(|info| info.version);
            }
            return Ok(journal);
        }
        read = Read::backward(Query::stream(&stream)).after(page.cursor).limit(PAGE);
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
