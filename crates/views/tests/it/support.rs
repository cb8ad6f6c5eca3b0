use leftfold::view::Saved;
use leftfold::{Cursor, NewEvent, Origin, Recorded, Timestamp};
use leftfold_views::{Definition, Rows};

/// A view with one table of texts, and statements for events of type `E`.
pub(crate) fn view(statements: &str) -> String {
    format!(
        "-- @view v\n-- @query category:a\ncreate table t (a, b, c);\ncreate table u (id text primary key, n integer);\n-- @on E\n{statements}\n"
    )
}

pub(crate) fn definition(text: &str) -> Definition {
    Definition::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns an event of type `E` in stream `a-1`.
pub(crate) fn event(position: u64, data: &str) -> Recorded {
    of(position, "a-1", NewEvent::json("E", data.to_owned()))
}

pub(crate) fn of(position: u64, stream: &str, event: NewEvent) -> Recorded {
    let time = Timestamp(1_700_000_000_000_000 + i64::try_from(position).unwrap());
    Recorded::from_parts(stream, position - 1, position, time, &event).unwrap()
}

/// Returns the state of tables up to a position.
pub(crate) fn cursor(position: u64) -> Saved {
    let cursor = Cursor::at(Origin { store: [1; 4], incarnation: [1; 4] }, position);
    format!(r#"{{"made_by":"v 1","cursor":"{cursor}","anchor":null}}"#).parse().unwrap()
}

/// Returns the rows of a view of these statements after some events, each row as a line.
pub(crate) fn rows_after(statements: &str, events: &[Recorded], select: &str) -> Vec<String> {
    let definition = definition(&view(statements));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let mut rows = Rows::open(&path, &definition).unwrap();
    rows.apply(events, None, &cursor(events.last().map_or(0, Recorded::position))).unwrap();
    ask(&path, select)
}

pub(crate) fn ask(path: &std::path::Path, select: &str) -> Vec<String> {
    let answer =
        leftfold_views::ask(&[("v".to_owned(), path.to_owned())], select, Default::default());
    lines(&answer.unwrap_or_else(|error| panic!("{error}: {select}")))
}

pub(crate) fn lines(answer: &leftfold_views::Answer) -> Vec<String> {
    let line = |row: &Vec<leftfold_views::Cell>| {
        row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
    };
    answer.rows.iter().map(line).collect()
}
