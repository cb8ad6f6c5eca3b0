//! Views with windows do what the model says, whatever the order of events and the batches are.

use std::path::{Path, PathBuf};

use leftfold::Recorded;
use leftfold_views::{ApplyError, Definition, Rows};
use proptest::prelude::*;

use super::model::{Event, Outcome, Rules, Shape};
use super::{BASE, TICK, at, text};
use crate::support::{ask, cursor, definition};

/// What happens between two batches.
#[derive(Debug, Clone, Copy)]
enum Between {
    /// The next event is in the same batch.
    Nothing,
    /// A batch ends.
    Commit,
    /// A batch ends, and the file is opened anew.
    Reopen,
    /// A batch fails at its end, and is applied again without its last event.
    Fail,
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (1..12i64).prop_map(|width| Shape::Fixed(width, width)),
        (1..5i64, 1..12i64).prop_map(|(step, more)| Shape::Fixed(step + more, step)),
        (1..8i64).prop_map(Shape::Session),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let grace = proptest::option::weighted(0.9, 0..10i64);
    let idle = proptest::option::of(1..20i64);
    (shapes(), any::<bool>(), grace, idle, any::<bool>()).prop_map(
        |(shape, has_keys, grace, idle, skips)| {
            let idle = idle.filter(|_| has_keys && grace.is_some());
            Rules { shape, has_keys, grace, idle, skips }
        },
    )
}

/// Events whose times go on with their numbers, more or less.
fn events() -> impl Strategy<Value = Vec<(Event, Between)>> {
    let between = prop_oneof![
        4 => Just(Between::Nothing),
        2 => Just(Between::Commit),
        1 => Just(Between::Reopen),
        1 => Just(Between::Fail),
    ];
    let late = prop_oneof![4 => 0..6i64, 1 => 6..40i64];
    let event = (0..3u8, late, 0..4i64, prop::bool::weighted(0.9), prop::bool::weighted(0.1));
    let event = (event, between);
    proptest::collection::vec(event, 1..40).prop_map(|events| {
        let mut now = BASE;
        let mut next = |(key, late, on, is_handled, fails)| {
            now += on;
            Event { key, time: now - late, is_handled, fails }
        };
        events.into_iter().map(|(event, between)| (next(event), between)).collect()
    })
}

fn view(rules: &Rules) -> Definition {
    let length = |ticks: i64| format!("{} ms", ticks * TICK / 1_000);
    let mut window = match rules.shape {
        Shape::Fixed(width, step) if width == step => length(width),
        Shape::Fixed(width, step) => format!("{} every {}", length(width), length(step)),
        Shape::Session(gap) => format!("session {}", length(gap)),
    };
    if rules.has_keys {
        window += " by :data.key";
    }
    if let Some(grace) = rules.grace {
        window += &format!(" final after {}", length(grace));
    }
    if let Some(idle) = rules.idle {
        window += &format!(" idle {}", length(idle));
    }
    let (key, hit) = if rules.has_keys { (":window_key", ":window_key") } else { ("0", "null") };
    let count = match rules.shape {
        Shape::Fixed(width, step) if width == step => {
            format!("select {key}, :window, 1 where true")
        }
        Shape::Fixed(..) => format!("select {key}, value, 1 from json_each(:windows) where true"),
        Shape::Session(_) => format!("select {key}, :event_time, 1 where true"),
    };
    let on_error = if rules.skips { "skip" } else { "stop" };
    definition(&format!(
        "-- @view v\n-- @query category:a\n-- @window {window}\n-- @on_error {on_error}
create table counts (key, start text, events integer, primary key (key, start));
create table checked (ok integer check (ok = 1));
create view counted as
select s.key, s.start, count(*) from _sessions s join hits h on h.key is s.key and h.at between s.start and s.end
group by 1, 2;
create table hits (key, at text collate time);
-- @on E
insert into counts {count} on conflict do update set events = events + 1;
insert into hits values ({hit}, :event_time);
insert into checked values (:data.ok);
"
    ))
}

fn recorded(position: u64, event: &Event) -> Recorded {
    let event_type = if event.is_handled { "E" } else { "Other" };
    let ok = u8::from(!event.fails);
    at(position, event_type, event.time, &format!(r#"{{"key":{},"ok":{ok}}}"#, event.key))
}

/// The tables of a view that gets events.
struct View {
    definition: Definition,
    path: PathBuf,
    rows: Rows,
}

impl View {
    fn new(dir: &Path, name: &str, rules: &Rules) -> Self {
        let (definition, path) = (view(rules), dir.join(name));
        let rows = Rows::open(&path, &definition).unwrap();
        View { definition, path, rows }
    }

    fn apply(&mut self, events: &[Recorded]) -> Result<(), ApplyError> {
        let Some(last) = events.last() else { return Ok(()) };
        let saved = self.rows.saved().unwrap();
        self.rows.apply(events, saved.as_ref(), &cursor(last.position()))
    }

    fn reopen(self) -> Self {
        let View { definition, path, rows } = self;
        drop(rows);
        let rows = Rows::open(&path, &definition).unwrap();
        View { definition, path, rows }
    }

    /// Returns all that questions can see.
    fn said(&self, shape: Shape) -> Vec<Vec<String>> {
        let mut questions = vec![
            "select position, stream, version, type, event_time, window, key from v._late order by position, window",
            "select key, clock, final_before from v._clock order by key",
            "select position, reason from v._errors order by position",
        ];
        questions.push(match shape {
            Shape::Fixed(..) => {
                "select key, start, events from counts order by key, start collate time"
            }
            Shape::Session(_) => {
                "select key, start, end, events, final from v._sessions order by key, start"
            }
        });
        questions.into_iter().map(|sql| ask(&self.path, sql)).collect()
    }
}

/// Returns the model's outcome as questions see it; errors aside.
fn expected(rules: &Rules, events: &[Event], outcome: &Outcome) -> Vec<Vec<String>> {
    let key = |key: u8| if rules.has_keys { key.to_string() } else { "null".to_owned() };
    let optional = |ticks: Option<i64>| ticks.map_or_else(|| "null".to_owned(), text);
    let late = outcome.late.iter().map(|(number, window, of)| {
        let time = text(events[*number].time);
        format!(
            "{} | a-1 | {number} | E | {time} | {} | {}",
            number + 1,
            optional(*window),
            key(*of)
        )
    });
    let clocks = outcome.clocks.iter().map(|(of, (clock, final_before))| {
        format!("{} | {} | {}", key(*of), text(*clock), optional(*final_before))
    });
    let rows = match rules.shape {
        Shape::Fixed(..) => {
            let line = |((key, start), count): (&(u8, i64), &usize)| {
                format!("{key} | {} | {count}", text(*start))
            };
            outcome.counts.iter().map(line).collect()
        }
        Shape::Session(_) => {
            let line = |(of, start, end, count, is_final): &(u8, i64, i64, usize, bool)| {
                let is_final = u8::from(*is_final);
                format!("{} | {} | {} | {count} | {is_final}", key(*of), text(*start), text(*end))
            };
            outcome.sessions.iter().map(line).collect()
        }
    };
    vec![late.collect(), clocks.collect(), rows]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn windows_do_what_the_model_says(rules in rules(), steps in events()) {
        let dir = tempfile::tempdir().unwrap();
        let steps: Vec<_> = steps.into_iter().filter(|(event, _)| rules.skips || !event.fails).collect();
        let events: Vec<_> = steps.iter().map(|(event, _)| *event).collect();
        let recorded: Vec<_> = (1..).zip(&events).map(|(at, event)| recorded(at, event)).collect();

        let mut whole = View::new(dir.path(), "whole.sqlite", &rules);
        whole.apply(&recorded).unwrap();
        let mut said = whole.said(rules.shape);

        let mut cut = View::new(dir.path(), "cut.sqlite", &rules);
        let mut batch = Vec::new();
        for (event, (_, between)) in recorded.into_iter().zip(&steps) {
            batch.push(event);
            match between {
                Between::Nothing => continue,
                Between::Reopen => cut = cut.reopen(),
                Between::Fail if !rules.skips => {
                    // It is not late, and would let the clock go far.
                    let far = Event { key: 0, time: BASE + 1_000, is_handled: true, fails: true };
                    let mut failing = batch.clone();
                    failing.push(self::recorded(batch[batch.len() - 1].position() + 1, &far));
                    let failed = cut.apply(&failing);
                    prop_assert!(matches!(failed, Err(ApplyError::Event { .. })), "{failed:?}");
                }
                Between::Commit | Between::Fail => {}
            }
            cut.apply(&std::mem::take(&mut batch)).unwrap();
        }
        cut.apply(&batch).unwrap();
        prop_assert_eq!(&cut.said(rules.shape), &said);

        if let Shape::Session(_) = rules.shape {
            // As the page shows it: an event is in the session of its key that is there at its time.
            let counted = "select * from counted order by 1, 2 collate time";
            let kept = "select key, start, events from v._sessions order by key, start";
            prop_assert_eq!(ask(&whole.path, counted), ask(&whole.path, kept));
        }
        said.remove(2);
        prop_assert_eq!(said, expected(&rules, &events, &rules.outcome(&events)));
    }
}
