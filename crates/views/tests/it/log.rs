//! The log as a table.

use leftfold::{
    Append, Coded, Embedded, EventStore, NewEvent, Options, Query, Read, Recorded, Timestamp,
};
use leftfold_views::{AskLimits, ViewsError, ask_log, log_query};
use proptest::prelude::*;

use crate::support::lines;

struct Log {
    _dir: tempfile::TempDir,
    store: Embedded,
}

impl Log {
    fn new(events: impl IntoIterator<Item = (String, NewEvent)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
        for (stream, event) in events {
            pollster::block_on(store.append(Append::new().event(&*stream, event))).unwrap();
        }
        Log { _dir: dir, store }
    }

    fn shop() -> Self {
        let event = |stream: &str, event| (stream.to_owned(), event);
        let at = |micros: i64| Timestamp(1_767_225_600_000_000 + micros);
        Log::new([
            event(
                "order-7",
                NewEvent::json("Placed", r#"{"total":9.90,"by":{"n":["Ann"]}}"#)
                    .tag("customer", "42")
                    .event_time(at(0)),
            ),
            event(
                "order-7",
                NewEvent::json("Paid", "{}").correlation("c1").event_time(at(500_000)),
            ),
            event(
                "cart-1",
                NewEvent::json("Placed", r#"{"total":1e2}"#)
                    .tag("customer", "42")
                    .tag("shop", "a=b")
                    .event_time(at(1_000_000)),
            ),
            event(
                "order-8",
                NewEvent::new("Scan", &b"\xff\x00"[..])
                    .metadata(&br#"{"u":1}"#[..])
                    .event_time(at(90_000_000_000)),
            ),
        ])
    }

    fn try_ask(&self, sql: &str, limits: AskLimits) -> Result<Vec<String>, ViewsError> {
        pollster::block_on(ask_log(&self.store, sql, limits)).map(|answer| lines(&answer))
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        self.try_ask(sql, AskLimits::default()).unwrap_or_else(|error| panic!("{error}: {sql}"))
    }

    fn plan(&self, sql: &str) -> String {
        self.ask(&format!("explain query plan {sql}")).join("\n")
    }

    fn all(&self) -> Vec<Recorded> {
        pollster::block_on(self.store.read(Read::forward(Query::All))).unwrap().events
    }
}

fn query(sql: &str) -> String {
    log_query(sql).map(|query| query.to_string()).unwrap_or_default()
}

#[test]
fn events_have_all_their_columns() {
    let log = Log::shop();
    assert_eq!(
        log.ask(
            "select type, count(*) from events where category = 'order' group by type order by 1"
        ),
        ["Paid | 1", "Placed | 1", "Scan | 1"]
    );
    assert_eq!(
        log.ask("select stream, category, stream_id, version, type, event_time, correlation, causation, meta, tags from events"),
        [
            r#"order-7 | order | 7 | 0 | Placed | 2026-01-01T00:00:00Z | null | null | null | ["customer=42"]"#,
            "order-7 | order | 7 | 1 | Paid | 2026-01-01T00:00:00.5Z | c1 | null | null | []",
            r#"cart-1 | cart | 1 | 0 | Placed | 2026-01-01T00:00:01Z | null | null | null | ["customer=42","shop=a=b"]"#,
            r#"order-8 | order | 8 | 0 | Scan | 2026-01-02T01:00:00Z | null | null | {"u":1} | []"#,
        ]
    );
    let first = &log.all()[0];
    assert_eq!(
        log.ask("select position, commit_time, id, data from events limit 1"),
        [format!(
            "{} | {} | {} | {}",
            first.position(),
            first.commit_time(),
            first.id(),
            r#"{"total":9.90,"by":{"n":["Ann"]}}"#
        )]
    );
    assert_eq!(
        log.ask("select count(*), typeof(data) from events where type = 'Scan'"),
        ["1 | blob"]
    );
    assert_eq!(
        log.ask("select stream from events where data ->> '$.by.n[0]' = 'Ann' and type = 'Placed'"),
        ["order-7"]
    );
}

#[test]
fn numbers_of_json_stay_as_they_are_written() {
    let log = Log::shop();
    let sql = "select json_text(data, '$.total'), json_text(data, '$.by.n[0]'), json_text(data, '$.by'), json_text(data, '$.\"total\"'), json_text(null, '$') from events where type = 'Placed'";
    assert_eq!(
        log.ask(sql),
        [r#"9.90 | Ann | {"n":["Ann"]} | 9.90 | null"#, "1e2 | null | null | 1e2 | null"]
    );
    for path in ["a", "$.", "$[x]", "$.a[", "$.\"a", "$x", &format!("${}", ".a".repeat(100_000))] {
        let error =
            log.try_ask(&format!("select json_text('{{}}', '{path}')"), AskLimits::default());
        assert_eq!(
            error.unwrap_err().code(),
            "view_query_invalid",
            "{}",
            &path[..path.len().min(9)]
        );
    }
}

/// What a condition says to the store: only what stands between `and`s, about the log itself.
#[test]
fn conditions_become_queries() {
    for (filter, expected) in [
        ("category = 'order'", "category:order"),
        ("EVENTS.\"type\" in ('a', 'it''s') AND stream == 'order-7'", "type:a,it's stream:order-7"),
        ("tag = 'customer=42' and correlation = 'c'", "tag:customer=42 correlation:c"),
        ("has_tag(tags, 'customer=42')", "tag:customer=42"),
        ("event_time >= '2026-01-01' and type = 'a'", "time:2026-01-01T00:00:00Z.. type:a"),
        ("type = 'a' -- or\n and /* or */ data = 'x or y'", "type:a"),
        ("position between 1 and 2 and type = 'a'", "type:a"),
        ("(category = 'order')", "*"),
        ("category = 'order' or type = 'a'", "*"),
        ("not category = 'order'", "*"),
        ("category = 'order' collate nocase", "*"),
        ("category = 'order' = 0", "*"),
        ("category = \"order\"", "*"),
        ("category = x'6f'", "*"),
        ("category = null", "*"),
        ("category = 5", "*"),
        ("category = ''", "*"),
        ("tag = 'customer'", "*"),
        ("version between 1 and type = 'a'", "*"),
        ("case when 1 and type = 'a' and 1 then 1 end", "*"),
        ("type in ('a', stream)", "*"),
        ("type in (select 'a')", "*"),
        ("type = 'a' group by type having type = 'b'", "type:a"),
        ("type = 'a' union select 1 where type = 'b'", "type:a"),
    ] {
        assert_eq!(query(&format!("select 1 from events where {filter}")), expected, "{filter}");
    }
    for (sql, expected) in [
        ("select 1 from orders", ""),
        ("select events from orders", ""),
        ("select count(events), a, events from orders", ""),
        ("select 1 from orders.events", ""),
        ("select 'events'", ""),
        ("select 1 from orders where type in ('events')", ""),
        ("select 1 from events e where e.type = 'a'", "type:a"),
        ("select 1 from orders o, events as e where e.type = 'a' and o.type = 'b'", "type:a"),
        (
            "select 1 from events a join events b on 1 where a.type = 'a' and b.type = 'b'",
            "type:a or type:b",
        ),
        ("select 1 from events a join events b on 1 where type = 'a'", "*"),
        ("select 1 from events where type = 'a' and stream in (select stream from events)", "*"),
        ("select 1 from main.events where type = 'a'", "type:a"),
        ("select 1 from [events] where type = 'a'", "type:a"),
        ("select 1 from 'events' where type = 'a'", "type:a"),
        ("select 1 from (select 2 from events where type = 'a') where type = 'b'", "type:a"),
        (
            "select (select 1 from events where type = 'a' limit 1) from orders where type = 'b'",
            "type:a",
        ),
        ("select 1 from (orders join events on 1) where type = 'a'", "*"),
        ("select 1 from orders where stream in events", "*"),
        ("select 1 from events window where events.type = 'a'", "*"),
    ] {
        assert_eq!(query(sql), expected, "{sql}");
    }
}

#[test]
fn plans_say_what_is_read_and_what_is_filtered() {
    let log = Log::shop();
    let plan =
        log.plan("select 1 from events where type = 'Paid' and version > 0 and length(data) > 1");
    let first = plan.lines().next().unwrap();
    assert_eq!(
        first,
        "0 | 0 | 0 | READ events WITH QUERY type:Paid; READ BY: type = 'Paid' and version > 0; FILTERED BY SQLITE: length(data) > 1"
    );
    assert!(plan.lines().nth(1).unwrap().ends_with("SCAN events"), "{plan}");
    let last = log.plan("select type from events order by position desc limit 2;");
    assert!(last.contains("READ events UNTIL THE LAST 2 ARE FOUND"), "{last}");
    for sql in [
        "select count(*) from events limit 2",
        "select distinct type from events limit 2",
        "select type from events order by type limit 2",
        "select version as position from events order by position desc limit 2",
        "select version 'position' from events order by position desc limit 2",
        "select type from events where length(data) = 1 limit 2",
        "select type from events limit 2 offset 1",
        "select b.type from events, events b limit 2",
        "select type from events group by type limit 2",
    ] {
        assert!(!log.plan(sql).contains("UNTIL"), "{sql}");
    }
}

#[test]
fn a_question_reads_no_more_than_it_may() {
    let log = Log::shop();
    let few = AskLimits { events: 2, ..AskLimits::default() };
    let error = log.try_ask("select count(*) from events", few).unwrap_err();
    assert_eq!(error.code(), "view_query_reads_too_much");
    assert!(error.to_string().contains("more than 2 events of the log; ask by stream"), "{error}");
    assert_eq!(
        log.try_ask("select count(*) from events where type = 'Placed'", few).unwrap(),
        ["2"]
    );
    assert_eq!(
        log.try_ask("select type from events order by position desc limit 1", few).unwrap(),
        ["Scan"]
    );
    assert_eq!(log.try_ask("select type from events limit 2", few).unwrap(), ["Placed", "Paid"]);
    let no_time = AskLimits { time: std::time::Duration::ZERO, ..few };
    assert_eq!(
        log.try_ask("select type from events", no_time).unwrap_err().code(),
        "view_query_timed_out"
    );
}

#[test]
fn the_log_is_only_read() {
    let log = Log::shop();
    for (sql, code) in [
        ("delete from events", "view_query_refused"),
        ("insert into events (type) values ('x')", "view_query_invalid"),
        ("select 1 from events; drop table events", "view_query_refused"),
        ("pragma table_info(events)", "view_query_refused"),
        ("attach database 'x' as events", "view_query_refused"),
        ("select nothing from events", "view_query_invalid"),
        ("select 1 from events where tag = 'a=b' or 1", "view_query_invalid"),
        ("select 1 from events where type = '", "view_query_invalid"),
        ("select load_extension(type) from events", "view_query_refused"),
    ] {
        let error = log.try_ask(sql, AskLimits::default()).unwrap_err();
        assert_eq!(error.code(), code, "{sql}: {error}");
    }
    for (sql, expected) in [
        ("select count(*) from events where type = 'x'' or 1=1 --'", "0"),
        ("select count(*) from events where position > 99999999999999999999", "0"),
        ("select count(*) from events where position >= 1000000", "0"),
        ("select count(*) from events where position < 0 or position is null", "0"),
        ("select count(*) from events where position = 1 and position = 2", "0"),
        ("select count(*) from events where stream = 'order-7' and version >= 5", "0"),
        ("select count(*) from events where commit_time > '9999-12-31'", "0"),
        ("select count(*) from events where commit_time > 'x'", "4"),
        ("select count(*) from events where correlation in (null, 'c1')", "1"),
        ("select count(*) from events where category = 'a\u{1}b'", "0"),
        (
            "select count(*) from events where event_time > '2026-01-01T00:00:00Z' and event_time <= '2026-01-01T01:00:01+01:00'",
            "2",
        ),
        ("select count(*) from events where tag in ('shop=a=b', 'x=it''s')", "1"),
        ("select count(*) from events where has_tag(tags, 'shop=a=b') or type = 'Paid'", "2"),
        (
            "select count(*) from events a join events b on a.stream = b.stream where a.type = 'Placed' and b.type = 'Paid'",
            "1",
        ),
    ] {
        assert_eq!(log.ask(sql), [expected], "{sql}");
    }
}

/// Other names for the log, and other tables of its name, are told apart by SQLite.
#[test]
fn names_of_the_log_may_be_hidden() {
    let log = Log::shop();
    for (sql, expected) in [
        ("with events as (select 'x' as type) select type from events", "x"),
        ("with e as (select * from events where type = 'Paid') select stream from e", "order-7"),
        (
            "select count(*) from events e where exists (select 1 from events where type = 'Paid' and stream = e.stream)",
            "2",
        ),
        (
            "select count(*) from (select 1 from events where type = 'Paid' union all select 1 from events where type = 'Scan')",
            "2",
        ),
        ("select count(*) from 'events' where events.type = 'Paid'", "1"),
        (
            "select count(*) from (select 1 as type) a left join events e on e.type = 'Paid' where e.type = 'Scan'",
            "0",
        ),
    ] {
        assert_eq!(log.ask(sql), [expected], "{sql}");
    }
}

/// A condition of a question.
#[derive(Debug, Clone)]
enum Test {
    /// A column has one of some values.
    Text(&'static str, Vec<String>),
    /// A column is compared with a number; times are in quarters of a second.
    Number(&'static str, &'static str, i64),
}

impl Test {
    fn sql(&self) -> String {
        match self {
            Test::Text(column, values) => {
                let quote = |value: &String| format!("'{}'", value.replace('\'', "''"));
                let quoted: Vec<_> = values.iter().map(quote).collect();
                match quoted.as_slice() {
                    [one] => format!("{column} = {one}"),
                    _ => format!("{column} in ({})", quoted.join(", ")),
                }
            }
            Test::Number("event_time", sign, number) => {
                format!("event_time {sign} '{}'", Timestamp(number * 250_000))
            }
            Test::Number(column, sign, number) => format!("{column} {sign} {number}"),
        }
    }

    fn holds(&self, event: &Recorded) -> bool {
        match self {
            Test::Text(column, values) => {
                let is = |text: &str| values.iter().any(|value| value == text);
                match *column {
                    "stream" => is(event.stream()),
                    "category" => is(event.stream().split('-').next().unwrap()),
                    "type" => is(event.event_type()),
                    "correlation" => event.correlation().is_some_and(is),
                    _ => event.tags().any(|(key, value)| is(&format!("{key}={value}"))),
                }
            }
            Test::Number(column, sign, number) => {
                let own = match *column {
                    "position" => i64::try_from(event.position()).unwrap(),
                    "version" => i64::try_from(event.version()).unwrap(),
                    _ => event.event_time().micros() / 250_000,
                };
                match *sign {
                    "=" => own == *number,
                    "<" => own < *number,
                    "<=" => own <= *number,
                    ">" => own > *number,
                    _ => own >= *number,
                }
            }
        }
    }
}

fn conditions() -> impl Strategy<Value = Test> {
    use proptest::sample::select;
    let names = ["a-1", "a-2", "b-1", "a", "b", "A", "B", "c1", "", "x'y"];
    let names = proptest::collection::vec(select(names.map(str::to_owned).to_vec()), 1..4);
    let column = select(vec!["stream", "category", "type", "correlation"]);
    let text = (column, names).prop_map(|(column, names)| Test::Text(column, names));
    let tags = select(["k=1", "k=2", "k=3"].map(str::to_owned).to_vec());
    let tags = proptest::collection::vec(tags, 1..3).prop_map(|tags| Test::Text("tag", tags));
    let sign = select(vec!["=", "<", "<=", ">", ">="]);
    let column = select(vec!["position", "version", "event_time"]);
    let number = (column, sign, 0_i64..14)
        .prop_map(|(column, sign, number)| Test::Number(column, sign, number));
    prop_oneof![3 => text, 1 => tags, 2 => number]
}

fn histories() -> impl Strategy<Value = Vec<(String, NewEvent)>> {
    use proptest::sample::select;
    let event = (
        select(vec!["a-1", "a-2", "b-1"]),
        select(vec!["A", "B"]),
        0_i64..14,
        any::<bool>(),
        0..3_u8,
    );
    let event = event.prop_map(|(stream, event_type, at, is_correlated, tag)| {
        let mut event = NewEvent::json(event_type, "{}").event_time(Timestamp(at * 250_000));
        if is_correlated {
            event = event.correlation("c1");
        }
        if tag > 0 {
            event = event.tag("k", tag.to_string());
        }
        (stream.to_owned(), event)
    });
    proptest::collection::vec(event, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever becomes a query, and however it is combined, the answer is that of a filter over a plain read.
    #[test]
    fn conditions_find_what_a_filter_finds(
        history in histories(),
        filters in proptest::collection::vec((proptest::collection::vec(conditions(), 0..4), 0..6_usize), 20),
    ) {
        let log = Log::new(history);
        let all = log.all();
        for event in &all {
            let time = event.commit_time();
            for (sign, test) in [("<=", Timestamp::le as fn(&_, &_) -> bool), (">", Timestamp::gt), ("=", Timestamp::eq)] {
                let found = all.iter().filter(|event| test(&event.commit_time(), &time)).count();
                let asked = log.ask(&format!("select count(*) from events where commit_time {sign} '{time}'"));
                prop_assert_eq!(asked, [found.to_string()]);
            }
        }
        for (tests, limit) in filters {
            let sql = tests.iter().map(|test| test.sql()).collect::<Vec<_>>().join(" and ");
            let filter = if sql.is_empty() { sql } else { format!("where {sql}") };
            let found = all.iter().filter(|event| tests.iter().all(|test| test.holds(event)));
            let found: Vec<_> = found.map(|event| event.position().to_string()).collect();
            let asked = log.ask(&format!("select position from events {filter}"));
            prop_assert_eq!(&asked, &found, "{}", filter);
            let last = log.ask(&format!("select position from events {filter} order by position desc limit {limit}"));
            let expected: Vec<_> = found.iter().rev().take(limit).cloned().collect();
            prop_assert_eq!(last, expected, "{}", filter);
            let first = log.ask(&format!("select e.position from events e {filter} limit {limit}"));
            prop_assert_eq!(&first[..], &found[..limit.min(found.len())], "{}", filter);
        }
    }

    /// A condition of any form finds the same in the log as in a table that holds all of it.
    #[test]
    fn no_form_of_a_condition_loses_events(history in histories(), filters in proptest::collection::vec(filters(), 60)) {
        let log = Log::new(history);
        for filter in filters {
            let ask = |from: &str| {
                log.try_ask(&format!("select e.position from {from} e where {filter}"), AskLimits::default())
                    .map_err(|error| error.code())
            };
            prop_assert_eq!(ask("events"), ask("(select * from events)"), "{}", filter);
        }
    }

    /// No question is a danger, whatever its words.
    #[test]
    fn no_words_are_a_danger(words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..25)) {
        let sql = words.join(" ");
        _ = log_query(&sql);
        _ = log_query(&format!("select 1 from events where {sql}"));
        _ = log_query(&format!("select 1 from events {sql} limit 1"));
    }
}

const WORDS: [&str; 40] = [
    "select",
    "from",
    "events",
    "where",
    "and",
    "or",
    "not",
    "(",
    ")",
    ",",
    ".",
    "=",
    "<",
    ">",
    "in",
    "between",
    "case",
    "end",
    "type",
    "'A'",
    "1",
    "position",
    "tag",
    "'k=1'",
    "has_tag",
    "limit",
    "order",
    "by",
    "as",
    "join",
    "on",
    ";",
    "\"",
    "'",
    "/*",
    "explain",
    "with",
    "99999999999999999999",
    "is",
    "main",
];

/// Conditions of every form, put together at random.
fn filters() -> impl Strategy<Value = String> {
    let leaf = proptest::sample::select(vec![
        "type = 'A'",
        "e.type in ('A', 'x')",
        "category = 'a'",
        "stream == 'a-1'",
        "position > 2",
        "version <= 1",
        "position between 1 and 3",
        "version not between 0 and 0",
        "event_time < '1970-01-01T00:00:01Z'",
        "type <> 'A'",
        "type = 'a' collate nocase",
        "correlation is null",
        "correlation = 'c1'",
        "has_tag(tags, 'k=1')",
        "has_tag(e.tags, 'k=1') = 0",
        "1",
        "0",
        "null",
        "stream",
        "commit_time > '2000'",
        "'A' = type",
        "type = 'A' = 0",
        "position = '1'",
        "position in (1, 2)",
        "-position = -1",
        "position = 1.0",
    ]);
    let leaf = leaf.prop_map(str::to_owned);
    leaf.prop_recursive(4, 16, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            4 => pair.clone().prop_map(|(one, two)| format!("{one} and {two}")),
            2 => pair.clone().prop_map(|(one, two)| format!("{one} or {two}")),
            1 => pair.clone().prop_map(|(one, two)| format!("{one} between 0 and {two}")),
            1 => pair.clone().prop_map(|(one, two)| format!("{one} = {two}")),
            1 => pair.prop_map(|(one, two)| format!("case when {one} then {two} else type end")),
            1 => inner.clone().prop_map(|one| format!("not {one}")),
            1 => inner.prop_map(|one| format!("({one})")),
        ]
    })
}
