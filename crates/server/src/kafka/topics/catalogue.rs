use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use leftfold_api::{Cursor, Engine, EventStore, ReadError, Streams, names};

/// How long one list of topics looks for further categories. A large store is looked through over several.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most categories that are listed.
const MOST: usize = 10_000;

/// The categories of a store's streams, found by listing the streams that began since the last time.
#[derive(Debug, Default)]
pub(super) struct Catalogue {
    categories: BTreeSet<String>,
    seen: Option<Cursor>,
}

impl Catalogue {
    /// Looks at streams that began since, for a bounded time.
    pub(super) async fn refresh(&mut self, store: &dyn Engine) -> Result<(), ReadError> {
        let began = Instant::now();
        loop {
            let page =
                store.streams(Streams { after: self.seen.clone(), ..Streams::default() }).await?;
            for stream in &page.streams {
                let category = names::category_of(&stream.name);
                if self.categories.len() < MOST && !self.categories.contains(category) {
                    self.categories.insert(category.to_owned());
                }
            }
            self.seen = Some(page.cursor);
            if !page.more || began.elapsed() > PATIENCE {
                return Ok(());
            }
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().map(String::as_str)
    }
}
