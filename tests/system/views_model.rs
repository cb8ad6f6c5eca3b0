//! What the tables of the views in `views_killed` must have, computed from acknowledged appends alone.

use std::collections::BTreeMap;

use leftfold::NewEvent;
use serde_json::{Value, json};

/// Adding twice or not at all changes the sum, and the history has each step.
pub(crate) const COUNTS: &str = "-- @view counts
-- @query category:count
-- @history
create table counts (stream text primary key, n integer, sum text, last integer);

-- @on Counted
insert into counts values (:stream, 1, dec(:data.n), :version)
  on conflict do update set n = n + 1, sum = dec_add(sum, excluded.sum), last = excluded.last;

-- @on Cleared
delete from counts where stream = :stream;
";

/// The view that is added and removed.
pub(crate) const TYPES: &str = "-- @view types
-- @query category:count
create table types (type text primary key, n integer, last integer) without rowid;

-- @on *
insert into types values (:type, 1, :position)
  on conflict do update set n = n + 1, last = excluded.last;
";

/// The view that is replaced: each of its definitions makes other rows.
pub(crate) fn entries(made: u64) -> String {
    format!(
        "-- @view entries
-- @query category:count
create table entries (position integer primary key, stream text, version integer, made integer);

-- @on *
insert into entries values (:position, :stream, :version, {made});
"
    )
}

/// An event that was appended. One in eight clears its stream.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    pub(crate) position: u64,
    pub(crate) stream: String,
    pub(crate) version: u64,
    /// Its number, from which all else of it is made.
    pub(crate) number: u64,
}

fn is_clearing(number: u64) -> bool {
    number % 8 == 7
}

/// Makes the event of a number. Its id is that of the stream and the number, so an append may be tried again.
pub(crate) fn event(stream: u64, number: u64) -> NewEvent {
    let event = match is_clearing(number) {
        true => NewEvent::json("Cleared", "{}"),
        false => NewEvent::json("Counted", format!("{{\"n\":{number}.01}}")),
    };
    event.id(uuid::Uuid::from_u128(u128::from(stream + 1) << 64 | u128::from(number)))
}

/// The rows of each table, by the question that asks for them.
pub(crate) type Tables = BTreeMap<&'static str, Vec<Value>>;

/// Returns the rows that the tables of a view have after some facts, which are in the order of their positions.
pub(crate) fn tables(definition: &str, facts: &[Fact]) -> Tables {
    match definition {
        COUNTS => counts(facts),
        TYPES => types(facts),
        other => {
            (0..).find(|made| entries(*made) == other).map(|made| listed(made, facts)).unwrap()
        }
    }
}

const OF_COUNTS: &str = "select stream, n, sum, last from counts order by stream";
const OF_HISTORY: &str = "select stream, n, sum, last, valid_from, valid_to from counts_history
    order by stream, valid_from";

fn counts(facts: &[Fact]) -> Tables {
    let mut open = BTreeMap::<&str, Vec<Value>>::new();
    let mut cents = BTreeMap::<&str, u64>::new();
    let mut history = Vec::new();
    for fact in facts {
        let stream = fact.stream.as_str();
        let before = open.remove(stream);
        let count = before.as_ref().map_or(0, |row| row[1].as_u64().unwrap());
        if let Some(mut row) = before {
            row.push(json!(fact.position));
            history.push(row);
        }
        if is_clearing(fact.number) {
            cents.remove(stream);
            continue;
        }
        let sum = cents.entry(stream).or_default();
        *sum += fact.number * 100 + 1;
        let sum = format!("{}.{:02}", *sum / 100, *sum % 100);
        let row = [json!(stream), json!(count + 1), json!(sum), json!(fact.version)];
        open.insert(stream, [&row[..], &[json!(fact.position)]].concat());
    }
    let now = open.values().map(|row| json!(row[..4])).collect();
    history.extend(open.into_values().map(|row| [row, vec![Value::Null]].concat()));
    history.sort_by_key(|row| (row[0].to_string(), row[4].as_u64()));
    let history = history.into_iter().map(Value::from).collect();
    BTreeMap::from([(OF_COUNTS, now), (OF_HISTORY, history)])
}

fn types(facts: &[Fact]) -> Tables {
    let mut types = BTreeMap::<&str, (u64, u64)>::new();
    for fact in facts {
        let name = if is_clearing(fact.number) { "Cleared" } else { "Counted" };
        let (n, last) = types.entry(name).or_default();
        (*n, *last) = (*n + 1, fact.position);
    }
    let rows = types.into_iter().map(|(name, (n, last))| json!([name, n, last])).collect();
    BTreeMap::from([("select type, n, last from types order by type", rows)])
}

fn listed(made: u64, facts: &[Fact]) -> Tables {
    let row = |fact: &Fact| json!([fact.position, fact.stream, fact.version, made]);
    let rows = facts.iter().map(row).collect();
    BTreeMap::from([(
        "select position, stream, version, made from entries order by position",
        rows,
    )])
}
