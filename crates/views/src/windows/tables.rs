//! The tables that windows need, and the views by which questions see what is final.

use rusqlite::{Connection, Result};

use super::before;
use crate::definition::{Shape, Window};
use crate::functions;
use crate::functions::windows::start;

/// Returns the SQL that makes the tables.
pub(crate) fn tables(window: &Window) -> String {
    let late = "create table _late (
        position integer not null, stream text not null, version integer not null, type text not null,
        event_time text not null collate time, window text collate time, key
    );";
    let keys = match window.by {
        Some(_) => {
            "create table _clocks (key, clock text not null collate time);
                    create unique index _clocks_by_key on _clocks (key);"
        }
        None => "",
    };
    let sessions = match window.shape {
        Shape::Session { .. } => SESSIONS,
        Shape::Fixed { .. } => "",
    };
    [late, keys, &clock(window), sessions].join("\n")
}

/// The sessions, and which of them are final.
const SESSIONS: &str = "
    create table _session_rows (
        key, start text not null collate time, end text not null collate time, events integer not null
    );
    create index _session_rows_by_end on _session_rows (key, end);
    create view _sessions as
    select s.key, s.start, s.end, s.events, coalesce(s.end < c.final_before, 0) as final
    from _session_rows s left join _clock c on c.key is s.key;";

/// Returns the view that has the clock of each key, and the time before which windows are final.
fn clock(window: &Window) -> String {
    let of_view = "select value from _view where name = 'window_clock'";
    let clocks = match (&window.by, window.idle) {
        (None, _) => format!("select null as key, value as clock from ({of_view})"),
        (Some(_), None) => "select key, clock from _clocks".to_owned(),
        // The collation of the column decides which is greater.
        (Some(_), Some(idle)) => format!(
            "select key, max(clock, time_sub(value, '{} ms')) as clock from _clocks, ({of_view})",
            // Each unit that a user can write is whole milliseconds.
            idle / 1_000
        ),
    };
    let final_before = window.grace.map(|grace| match window.shape {
        Shape::Session { gap } => format!("{FINAL_BEFORE}(clock, {}, null)", grace + gap),
        Shape::Fixed { width, step } => format!("{FINAL_BEFORE}(clock, {}, {step})", grace + width),
    });
    format!(
        "create view _clock as select key, clock, {} as final_before from ({clocks});",
        final_before.as_deref().unwrap_or("null")
    )
}

/// The function of a clock, of how long before it windows begin that are final, and of their step.
const FINAL_BEFORE: &str = "_final_before";

/// Adds the function that the views call.
pub(crate) fn add_to(connection: &Connection) -> Result<()> {
    connection.create_scalar_function(FINAL_BEFORE, 3, functions::PURE, |context| {
        let Some(clock) = functions::windows::time(context, 0, FINAL_BEFORE)? else {
            return Ok(None);
        };
        let last = before(clock, context.get(1)?);
        let step: Option<i64> = context.get(2)?;
        // The first window that is not final is the one behind the last that is.
        let moment = step.map_or(last, |step| before(start(last, step), -step));
        Ok(Some(moment.to_string()))
    })
}
