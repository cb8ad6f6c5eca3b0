use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use leftfold_index::{IndexCache, IndexSet, Key};
use leftfold_io::Random;
use leftfold_log::format::FEATURE_CURSORS;
use leftfold_log::{Log, Packing};
use parking_lot::{Mutex, RwLock};
use quick_cache::sync::Cache;

use super::events::EventCache;
use super::indexes::Indexes;
use super::retention::{Kept, Rule};
use super::upkeep::Upkeep;
use super::wakes::Wakes;
use crate::keys::Keys;
use leftfold_api::names;
use leftfold_api::{Cursor, Failure, Invalid, Limits, Origin, ReadError};

/// What all parts of an embedded store share.
pub(crate) struct Core {
    pub(crate) log: Log,
    /// The store and incarnation that its cursors belong to.
    pub(crate) origin: Origin,
    pub(crate) keys: Keys,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) clock: Arc<dyn leftfold_io::Clock>,
    pub(crate) limits: Limits,
    /// Replaced as a whole when a part is added or sealed.
    pub(crate) index: ArcSwap<IndexSet>,
    pub(crate) index_cache: Arc<IndexCache>,
    /// Events that were read one by one.
    pub(crate) events: EventCache,
    /// Last versions of streams, and the last position that they take into account.
    pub(crate) heads: Cache<Key, (u64, u64)>,
    /// Durable checkpoints.
    pub(crate) checkpoints: RwLock<BTreeMap<String, Cursor>>,
    pub(crate) indexes: Indexes,
    /// Durable rules of retention, by name.
    pub(crate) rules: ArcSwap<Vec<Arc<Rule>>>,
    /// Whether anything was ever said of what is kept of a stream.
    pub(crate) streams_limited: AtomicBool,
    /// What is kept of streams, with the version of what says so.
    pub(crate) kept: Cache<Key, (u64, Kept)>,
    /// The last position that any caller may know of.
    pub(crate) known: Arc<AtomicU64>,
    /// The ticket of the last frame that was admitted.
    pub(crate) admitted: AtomicU64,
    /// Subscriptions that wait for more.
    pub(crate) wakes: Wakes,
    pub(crate) upkeep: Arc<Upkeep>,
    pub(crate) packing: Packing,
    /// Held while a segment is written again: one at a time.
    pub(crate) rewriting: Mutex<()>,
}

impl Core {
    /// Notes on disk, before the first of them is written, that the store holds cursors with
    /// incarnations or partitioned indexes: an older release refuses it then.
    pub(crate) fn use_current_form(&self) -> Result<(), Failure> {
        self.log.use_feature(FEATURE_CURSORS).map_err(|error| Failure::Disk {
            what: "writing STORE".to_owned(),
            message: error.to_string(),
        })
    }

    pub(crate) fn cursor(&self, position: u64) -> Cursor {
        Cursor::at(self.origin, position)
    }

    pub(crate) fn head_cursor(&self) -> Cursor {
        self.cursor(self.log.head().position)
    }

    /// The position that a cursor stands for, if this store gave it and still knows it.
    pub(crate) fn position_of(&self, cursor: &Cursor) -> Result<u64, Invalid> {
        if cursor.is_start() {
            return Ok(0);
        }
        let ours = self.origin.store == cursor.origin().store;
        let (true, Some(position)) = (ours, cursor.position()) else {
            let message = format!("cursor {cursor} was given by another store");
            return Err(Invalid::new("cursor_foreign", message));
        };
        let known = self.known.load(Ordering::Acquire);
        if position > known {
            let message = format!(
                "cursor {cursor} lies ahead of the store: was the store restored from an older \
                 backup? Whatever keeps this cursor must be rebuilt"
            );
            return Err(Invalid::new("cursor_ahead", message));
        }
        Ok(position)
    }

    /// Waits until the store is durable up to a cursor.
    pub(crate) async fn durable_cursor(&self, cursor: &Cursor) -> Result<(), ReadError> {
        let position = self.position_of(cursor)?;
        Ok(self.wait(|head| head.position >= position).await?)
    }

    /// Waits until so many frames are durable.
    pub(crate) async fn durable_frames(&self, ticket: u64) -> Result<(), Failure> {
        self.wait(|head| head.ticket >= ticket).await
    }

    pub(crate) async fn wait(
        &self,
        until: impl Fn(leftfold_log::Head) -> bool,
    ) -> Result<(), Failure> {
        loop {
            let moved = self.log.listen();
            if until(self.log.head()) {
                return Ok(());
            }
            if self.log.is_closed() {
                return Err(self.log.failure().map_or(Failure::Closed, Failure::from));
            }
            moved.await;
        }
    }

    /// In a relaxed store: whether there were frames that are not durable; they are now.
    pub(crate) async fn something_to_wait_for(&self) -> Result<bool, Failure> {
        let admitted = self.admitted.load(Ordering::Acquire);
        let behind = self.log.is_relaxed() && admitted > self.log.head().ticket;
        if behind {
            self.durable_frames(admitted).await?;
        }
        Ok(behind)
    }

    /// A stream's last version at or before a position.
    pub(crate) fn version(&self, stream: &Key, upto: u64) -> Result<Option<u64>, Failure> {
        let index = self.index.load();
        let filed = index.sealed_upto();
        // Cached versions are of files: they are right for any position behind those.
        let cached = self.heads.get(stream).filter(|(_, covered)| *covered <= upto);
        let since = cached.map_or(0, |(_, covered)| covered);
        if let Some(last) = index.last_since(stream, upto, since)? {
            if upto >= filed && last.position <= filed {
                self.heads.insert(*stream, (last.ordinal, filed));
            }
            return Ok(Some(last.ordinal));
        }
        Ok(cached.map(|(version, _)| version))
    }

    pub(crate) fn checkpoint(&self, name: &str) -> Result<Option<Cursor>, ReadError> {
        names::check("checkpoint", name)?;
        Ok(self.checkpoints.read().get(name).cloned())
    }
}
