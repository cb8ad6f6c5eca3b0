//! What a file may say of windows, and who may read their tables.

use leftfold::{Coded, NewEvent, Timestamp};
use leftfold_views::{ApplyError, AsOf, AskLimits, Definition, Rows, ViewStart, ask_as_of};

use super::{BASE, at, text};
use crate::host::{ORDERS, World, ask as ask_views, parse};
use crate::support::{ask, cursor, definition, of};

const SALES: &str = "
-- @view v
-- @query category:a
-- @window 10 s by :data.shop final after 5 s idle 1 minute
create table sales (shop text, start text, sold integer, primary key (shop, start)) without rowid;
create view final_sales as
select s.* from sales s join _clock c on c.key is s.shop where s.start < c.final_before;
create view missed as select distinct position, type from _late;
-- @on E
insert into sales values (:window_key, :window, 1) on conflict do update set sold = sold + 1;
-- @test what comes for a window that is final is noted
-- @given a-1 E at 2024-01-31T10:00:09Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:14Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:08Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:15Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:07Z {\"shop\":\"x\"}
-- @expect select start, sold from final_sales
-- 2024-01-31T10:00:00Z | 2
-- @expect select position, stream, version, event_time, window, key from _late
-- 5 | a-1 | 4 | 2024-01-31T10:00:07Z | 2024-01-31T10:00:00Z | x
-- @test another shop has time until it is idle for a minute
-- @given a-1 E at 2024-01-31T10:01:00Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:01Z {\"shop\":\"y\"}
-- @given a-1 E at 2024-01-31T10:01:15Z {\"shop\":\"x\"}
-- @given a-1 E at 2024-01-31T10:00:02Z {\"shop\":\"y\"}
-- @expect select shop, start, sold from final_sales order by 1, 2
-- x | 2024-01-31T10:01:00Z | 1
-- y | 2024-01-31T10:00:00Z | 1
-- @expect select * from missed
-- 4 | E
";

/// Returns the error of a file in which a text is replaced.
fn error(from: &str, to: &str) -> (usize, &'static str, String) {
    let text = SALES.replacen(from, to, 1);
    let checked = Definition::parse(&text).and_then(|view| view.check().map(drop));
    let Err(error) = checked else { panic!("{text} is right") };
    (error.line, error.code, error.message)
}

#[test]
fn windows_are_tested_in_the_file() {
    for report in definition(SALES).check().unwrap() {
        assert!(report.passed(), "{}: {:#?}", report.title, report.differences);
    }
    let misspelt = definition(&SALES.replace("by :data.shop", "by :data.shopp"));
    assert_eq!(misspelt.unused_paths(), [":data.shopp in @window"]);
    assert!(definition(SALES).unused_paths().is_empty());
}

#[test]
fn each_part_of_the_directive_decides_the_rows() {
    let digest = definition(SALES).digest();
    let with = |from: &str, to: &str| definition(&SALES.replacen(from, to, 1)).digest();
    for (from, to) in [
        ("10 s by", "9 s by"),
        ("10 s by", "10 s every 10 s by"),
        (":data.shop ", ":data.shopp "),
        ("after 5 s", "after 6 s"),
        (" idle 1 minute", ""),
    ] {
        assert_eq!(with(from, to) == digest, from == "10 s by" && to.contains("every"), "{to}");
    }
}

#[test]
fn what_windows_do_not_have_is_refused() {
    for (from, to, line, code, says) in [
        ("-- @window 10 s by", "-- @window\n--", 4, "view_invalid", "it begins with a length"),
        ("-- @query", "-- @window 1 s\n-- @query", 5, "view_invalid", "@window stands there twice"),
        ("-- @test", "-- @window 1 s\n-- @test", 11, "view_invalid", "the head of the file"),
        (":window,", ":windoww,", 10, "view_sql_invalid", "with @window :window, :windows"),
        ("-- @window", "-- ", 10, "view_sql_invalid", ":window_key needs @window in the head"),
        ("by :data.shop final after 5 s idle 1 minute", "", 10, "view_sql_invalid", "needs 'by'"),
        ("10 s by", "10 s every 5 s by", 10, "view_sql_invalid", "take :windows"),
        ("10 s by", "session 10 s by", 10, "view_sql_invalid", "join _sessions"),
    ] {
        let found = error(from, to);
        assert_eq!((found.0, found.1), (line, code), "{to}: {}", found.2);
        assert!(found.2.contains(says), "{to}: {}", found.2);
    }
}

/// The clocks in the tables are behind those in memory while a batch is applied.
#[test]
fn statements_leave_the_tables_of_windows_alone() {
    for statement in [
        "delete from _late",
        "update _clocks set clock = ''",
        "insert into _session_rows values (1, '', '', 1)",
        "insert into sales select key, clock, 1 from _clock",
        "insert into sales select key, start, 1 from _sessions",
        "insert into sales select type, type, 1 from missed",
    ] {
        let text = SALES.replacen("10 s by", "session 10 s by", 1);
        let insert = text.lines().find(|line| line.starts_with("insert into sales")).unwrap();
        let text = text.replace(insert, &format!("{statement};"));
        let refused = definition(&text).check().unwrap_err();
        assert_eq!((refused.code, refused.line), ("view_sql_forbidden", 10), "{statement}");
    }
}

#[test]
fn an_event_without_a_usable_key_fails() {
    let mut rows = Rows::in_memory(&definition(SALES)).unwrap();
    let long = format!(r#"{{"shop":"{}"}}"#, "x".repeat(1_025));
    for (data, says) in [(long.as_str(), "its key has 1025 bytes"), ("no json", "is no JSON")] {
        let Err(ApplyError::Event { line: 4, reason, .. }) =
            rows.apply(&[at(1, "E", BASE, data)], None, &cursor(1))
        else {
            panic!("{says}")
        };
        assert!(reason.contains(says), "{reason}");
        // No statement is for it, so it has no windows.
        rows.apply(&[at(1, "Other", BASE, data)], None, &cursor(1)).unwrap();
        rows = Rows::in_memory(&definition(SALES)).unwrap();
    }
}

/// Many keys are more than a batch has in memory.
#[test]
fn keys_that_left_memory_keep_their_clocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let mut rows = Rows::open(&path, &definition(SALES)).unwrap();
    let shop = |position: u64, ticks: i64, shop: u64| {
        at(position, "E", ticks, &format!(r#"{{"shop":{shop}}}"#))
    };
    let mut events: Vec<_> = (1..=10_001).map(|at| shop(at, BASE, at)).collect();
    events.push(shop(10_002, BASE + 30, 1));
    events.push(shop(10_003, BASE, 1));
    events.push(shop(10_004, BASE, 10_001));
    rows.apply(&events, None, &cursor(10_004)).unwrap();
    assert_eq!(ask(&path, "select position, key from v._late"), ["10003 | 1"]);
    let clocks = "select count(*), max(clock collate time) from v._clock";
    assert_eq!(ask(&path, clocks), [format!("10001 | {}", text(BASE + 30))]);
}

/// The past of a view's own tables can be asked; that of windows is not kept.
#[test]
fn windows_and_history_go_together() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let view = SALES.replace("-- @query", "-- @history\n-- @query");
    let mut rows = Rows::open(&path, &definition(&view)).unwrap();
    let events = [at(1, "E", BASE, r#"{"shop":"x"}"#), at(2, "E", BASE + 1, r#"{"shop":"x"}"#)];
    rows.apply(&events, None, &cursor(2)).unwrap();
    let past = |sql: &str| {
        let views = [("v".to_owned(), path.clone())];
        ask_as_of(&views, sql, AsOf::Position(1), AskLimits::default())
    };
    let sold = past("select sold from sales").unwrap();
    assert_eq!(crate::support::lines(&sold), ["1"]);
    for sql in [
        "select * from _clock",
        "select * from _late",
        "select * from missed",
        "select * from final_sales",
        "select * from _v._late",
    ] {
        let refused = past(sql).unwrap_err();
        assert_eq!(refused.code(), "view_query_refused", "{sql}: {refused}");
        assert!(refused.to_string().contains("has no history"), "{sql}: {refused}");
    }
}

/// The longest durations and the first and last times make no clock unusable.
#[test]
fn windows_of_all_lengths_and_times_have_clocks() {
    let longest = "315360000000 s";
    for (window, last) in [
        (
            format!("{longest} by :data.shop final after {longest} idle {longest}"),
            "0000-01-01T00:00:00Z",
        ),
        ("1 week final after 0 s by :data.shop".to_owned(), "9999-12-27T00:00:00Z"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.sqlite");
        let view = SALES.replace("10 s by :data.shop final after 5 s idle 1 minute", &window);
        let mut rows = Rows::open(&path, &definition(&view)).unwrap();
        let time = |position, time: Timestamp| {
            let event = NewEvent::json("E", r#"{"shop":"x"}"#).event_time(time);
            of(position, "a-1", event)
        };
        let events = [time(1, Timestamp::MIN), time(2, Timestamp::MAX)];
        rows.apply(&events, None, &cursor(2)).unwrap();
        let clock = format!("{} | {last}", Timestamp::MAX);
        assert_eq!(ask(&path, "select clock, final_before from v._clock"), [clock], "{window}");
        assert_eq!(ask(&path, "select count(*) from v._late"), ["0"], "{window}");
    }
}

#[test]
fn tables_of_other_windows_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    drop(Rows::open(&path, &definition(SALES)).unwrap());
    let other = definition(&SALES.replace("after 5 s", "after 4 s"));
    assert_eq!(Rows::open(&path, &other).err(), Some(ApplyError::OtherDefinition));
}

/// Other views have no such number.
#[test]
fn the_status_has_the_number_of_windows_that_events_missed() {
    let world = World::new();
    let append = async |second: i64| {
        let mut event = NewEvent::json("E", r#"{"shop":"x"}"#);
        event.event_time = Some(Timestamp((BASE + second) * 1_000_000));
        world.append_event("a-1", event).await
    };
    for round in 0..2 {
        world.run(async |views| {
            if round == 0 {
                views.add(&definition(SALES), ViewStart::Beginning).await.unwrap();
                views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
                for second in [0, 100, 1] {
                    append(second).await;
                }
            }
            let last = append(2).await;
            let missed = ask_views(views, "select count(*) from v._late", &last).await;
            let status = views.status("v").await.unwrap();
            assert_eq!((missed, status.late), (vec![(2 + round).to_string()], Some(2 + round)));
            assert_eq!(views.status("orders").await.unwrap().late, None);
        });
    }
}
