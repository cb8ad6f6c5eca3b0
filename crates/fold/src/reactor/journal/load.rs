use leftfold_api::{EventStore, Query, Read, Recorded};

use super::{JOURNAL, Journal, MOVED, Moved, stream_of};
use crate::reactor::ReactorError;

/// Facts that are read at a time.
const PAGE: usize = 256;

/// Loads what a reactor has done: from its last full account on.
pub(crate) async fn load(store: &impl EventStore, reactor: &str) -> Result<Journal, ReactorError> {
    let stream = stream_of(JOURNAL, reactor);
    let mut read = Read::backward(Query::stream(&stream)).limit(PAGE);
    let mut facts: Vec<(u64, Moved)> = Vec::new();
    loop {
        let page = store.read(read).await?;
        for event in page.events.iter().filter(|event| event.event_type() == MOVED) {
            facts.push((event.version(), decode(reactor, event)?));
            if matches!(facts.last(), Some((_, Moved { whole: Some((0, _)), .. }))) {
                return Ok(fold(facts));
            }
        }
        if !page.more {
            let mut journal = fold(facts);
            // A journal that was deleted goes on counting.
            if journal.version.is_none() {
                journal.version = store.stream(&stream).await?.map(|info| info.version);
            }
            return Ok(journal);
        }
        read = Read::backward(Query::stream(&stream)).after(page.cursor).limit(PAGE);
    }
}

/// Newest first, as they were read.
fn fold(facts: Vec<(u64, Moved)>) -> Journal {
    let mut journal = Journal::default();
    for (version, moved) in facts.iter().rev() {
        journal.version = version.checked_sub(1);
        journal.apply(moved);
    }
    journal
}

fn decode(reactor: &str, event: &Recorded) -> Result<Moved, ReactorError> {
    serde_json::from_slice(&event.data()).map_err(|error| ReactorError::Journal {
        reactor: reactor.to_owned(),
        position: event.position(),
        message: error.to_string(),
    })
}
