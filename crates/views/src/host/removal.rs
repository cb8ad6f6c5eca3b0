//! Drops the tables in PostgreSQL that no definition has any more.

use leftfold_api::{Cursor, EventStore, Origin};
use leftfold_fold::view::ViewError;

use super::backing::{self, Dropping};
use super::follow::{FIRST_PAUSE, LONGEST_PAUSE};
use super::{Entry, Inner};
use crate::definition::Target;

/// Returns the origin of a store, which says whose the schemas are.
///
/// # Errors
/// `view_rows_failed`, which may be retried: see [`origin_at`].
pub(super) async fn origin_of<S: EventStore>(store: &S) -> Result<Origin, ViewError> {
    origin_at(&store.head().await?)
}

/// Returns the origin of the cursor at a store's head. That of a store of many partitions has none before the first
/// event; the definition of the view is an event, so a head without it is an old one.
fn origin_at(head: &Cursor) -> Result<Origin, ViewError> {
    match head.is_start() {
        true => Err(ViewError::rows("the store does not tell yet which one it is")),
        false => Ok(head.origin()),
    }
}

/// Drops the tables in PostgreSQL that were made for definitions of a view before `number`, wherever those are.
///
/// # Errors
/// One of the databases can't be reached; what is in the others is dropped.
pub(super) async fn drop_schemas<S: EventStore>(
    store: &S,
    entry: &Entry<S>,
    number: u64,
    dropping: Dropping,
) -> Result<(), ViewError> {
    let (mut targets, mut failed) = (Vec::new(), None);
    for generation in entry.state.generations.iter().chain(&entry.state.removed) {
        let Ok(logic) = generation.content.logic(&entry.name, None) else { continue };
        let target = logic.target();
        if *target != Target::Sqlite && !targets.contains(target) {
            targets.push(target.clone());
        }
    }
    if targets.is_empty() {
        return Ok(());
    }
    let origin = origin_of(store).await?;
    let connections = entry.run.lock().connections.clone();
    for target in &targets {
        let name = &entry.name;
        let dropped =
            backing::drop_before(name, target, number, origin, dropping, &connections).await;
        failed = dropped.err().or(failed);
    }
    failed.map_or(Ok(()), Err)
}

/// Drops the tables in PostgreSQL of a view that was removed; tries it until the database is there, and no other process
/// fills them.
pub(super) async fn drop_removed<S: EventStore>(inner: &Inner<S>, entry: &Entry<S>) {
    let mut pause = FIRST_PAUSE;
    loop {
        match drop_schemas(&*inner.store, entry, entry.state.version, Dropping::Removed).await {
            // The reference to the URL is gone, as the view is.
            Ok(()) | Err(ViewError::Target { .. }) => return,
            Err(_) => inner.time.after(pause).await,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::{Coded, Cursor, Origin};

    use super::origin_at;

    #[test]
    fn no_tables_get_the_origin_of_a_head_without_events() {
        let origin = Origin { store: [9; 4], incarnation: [8; 4] };
        let head = |positions: &[u64]| Cursor::at_all(origin, positions).unwrap();
        let error = origin_at(&head(&[0, 0])).unwrap_err();
        assert_eq!((error.code(), error.can_retry()), ("view_rows_failed", true));
        assert_eq!(origin_at(&head(&[0, 7])).unwrap(), origin);
    }
}
