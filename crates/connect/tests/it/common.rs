//! Shared by the tests: reads a text to its end and collects the results.

use leftfold_connect::{Draft, Item, Mapping, ReadSummary, Reject, read};
use std::convert::Infallible;

pub(crate) struct Outcome {
    pub(crate) drafts: Vec<Draft>,
    pub(crate) rejects: Vec<Reject>,
    pub(crate) summary: ReadSummary,
}

impl Outcome {
    /// The codes of the rejects, in order.
    pub(crate) fn codes(&self) -> Vec<&'static str> {
        self.rejects.iter().map(|reject| reject.reason.code()).collect()
    }

    /// The payload of a draft.
    pub(crate) fn data(&self, draft: usize) -> &str {
        std::str::from_utf8(&self.drafts[draft].data).unwrap()
    }
}

pub(crate) fn ingest(mapping: &Mapping, input: &[u8]) -> Outcome {
    let (mut drafts, mut rejects) = (Vec::new(), Vec::new());
    let summary = read(mapping, input, &mut |item| {
        match item {
            Item::Record(draft) => drafts.push(draft),
            Item::Reject(reject) => rejects.push(reject),
            Item::GroupEnd(_) => {}
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(summary.records, drafts.len() as u64);
    assert_eq!(summary.rejects, rejects.len() as u64);
    Outcome { drafts, rejects, summary }
}
