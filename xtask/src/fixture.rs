//! Writes the store that must open for ever. Written once for each version of the format.

use std::path::Path;

use anyhow::bail;
use leftfold::{Append, CheckpointMove, Cursor, Embedded, NewEvent, Options, Query, Timestamp};

pub(crate) fn write(dir: &Path) -> anyhow::Result<()> {
    if dir.exists() {
        bail!("{} is there: a released format never changes", dir.display());
    }
    let mut options = Options::default();
    options.log.segment_bytes = 4_000;
    options.log.preallocate = 512;
    let store = Embedded::open(dir, options)?;
    for n in 0..60u32 {
        let event = NewEvent::json("Counted", format!(r#"{{"n":{n}}}"#))
            .id(uuid::Uuid::from_u128(u128::from(n) + 1))
            .tag("third", (n % 3).to_string())
            .event_time(Timestamp(1_000_000 * i64::from(n)));
        let mut append = Append::new().event(format!("order-{}", n % 7), event);
        if n == 5 {
            let to =
                CheckpointMove { name: "reader".to_owned(), expected: None, to: Cursor::START };
            append = append.checkpoint(to);
        }
        store.blocking().append(append)?;
        if n == 30 {
            store.blocking().define_index("thirds", Query::tag("third", "1"))?;
        }
        if n == 40 {
            store.blocking().define_index("gone", Query::All)?;
            store.blocking().drop_index("gone")?;
        }
    }
    // Everything that is done in the background has been done.
    while store.stat()?.sealed + 1 < store.stat()?.segments {
        std::thread::yield_now();
    }
    store.close();
    Ok(())
}
