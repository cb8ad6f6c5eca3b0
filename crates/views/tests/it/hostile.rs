//! Definitions and questions that ask for more than they may.

use leftfold_api::Coded;
use leftfold_views::{AskLimits, Definition, Rows, ask};
use std::time::Duration;

use crate::support::{cursor, definition, event, view};

/// What a statement behind @on may not do.
#[test]
fn statements_of_views_change_their_rows_alone() {
    for statement in [
        "attach database '/etc/passwd' as x",
        "pragma writable_schema = on",
        "drop table t",
        "create table x (a)",
        "insert into t (a) values (random())",
        "insert into t (a) values (current_timestamp)",
        "insert into t (a) values (hex(randomblob(9)))",
        "insert into t (a) select last_insert_rowid()",
        "insert into sqlite_schema values ('table', 'x', 'x', 0, 'x')",
        "delete from _view",
        "insert into t (a) select value from _view",
        "update _errors set reason = ''",
        "insert into t (a) select load_extension('x')",
        "select * from t",
        "insert into t (a) values (1) returning a",
        "begin",
        "commit",
        "vacuum",
        "insert or rollback into t (a) values (1)",
        "reindex",
        "analyze",
        "create temp table x (a)",
        "alter table t add column d",
    ] {
        let checked =
            Definition::parse(&view(&format!("{statement};"))).and_then(|view| view.check());
        let Err(error) = checked else { panic!("{statement} is allowed") };
        assert_eq!((error.code, error.line), ("view_sql_forbidden", 6), "{statement}: {error}");
    }
}

/// What the head of a file may not do.
#[test]
fn heads_make_tables_alone() {
    for statement in [
        "attach database '/tmp/x' as x",
        "pragma journal_mode = off",
        "insert into t values (1, 2, 3)",
        "create trigger x after insert on t begin delete from t; end",
        "create virtual table x using fts5(a)",
        "create temp table x (a)",
        "create table _x (a)",
        "create table sqlite_x (a)",
        "create table x as select 1",
        "create table if not exists \"x\" as select 1",
        "create table main.x (a)",
        "create table x (a default (random()))",
        "create table x (a default current_timestamp)",
        "select 1",
        "drop table t",
    ] {
        let text = view("insert into t (a) values (1);")
            .replace("create table u", &format!("{statement};\ncreate table u"));
        let error = Definition::parse(&text).and_then(|view| view.check().map(drop));
        let Err(error) = error else { panic!("{statement} is allowed") };
        assert!(
            error.code == "view_sql_forbidden" || error.code == "view_sql_invalid",
            "{statement}: {error}"
        );
    }
}

#[test]
fn a_statement_without_an_end_is_ended() {
    let text = view(
        "insert into t (a) with recursive n(i) as (values(1) union all select i + 1 from n) select count(*) from n;",
    );
    let mut rows = Rows::in_memory(&definition(&text)).unwrap();
    let error = rows.apply(&[event(1, "{}")], None, &cursor(1)).unwrap_err();
    assert!(error.to_string().contains("does not come to an end"), "{error}");
}

#[test]
fn questions_only_read_and_within_limits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v'1 %.sqlite");
    let mut rows =
        Rows::open(&path, &definition(&view("insert into t (a) values (:data.a);"))).unwrap();
    rows.apply(&[event(1, r#"{"a":"x"}"#)], None, &cursor(1)).unwrap();
    let limits = AskLimits {
        rows: 100,
        bytes: 1 << 20,
        time: Duration::from_millis(300),
        ..AskLimits::default()
    };
    let code = |sql: &str| {
        ask(&[("v".to_owned(), path.clone())], sql, limits).map_err(|error| error.code())
    };
    let endless = "with recursive n(i) as (values(1) union all select i + 1 from n) ";
    for (sql, expected) in [
        ("delete from t".to_owned(), "view_query_refused"),
        ("attach database 'x' as x".to_owned(), "view_query_refused"),
        ("pragma table_info(t)".to_owned(), "view_query_refused"),
        ("create temp table x (a)".to_owned(), "view_query_refused"),
        ("select load_extension('x')".to_owned(), "view_query_refused"),
        ("begin".to_owned(), "view_query_refused"),
        ("select * from nothing".to_owned(), "view_query_invalid"),
        ("select a from t; delete from t".to_owned(), "view_query_refused"),
        ("".to_owned(), "view_query_invalid"),
        (format!("{endless} select count(*) from n"), "view_query_timed_out"),
        (format!("{endless} select i from n"), "view_answer_too_large"),
        ("select zeroblob(100000000)".to_owned(), "view_answer_too_large"),
        ("select hex(zeroblob(1000000))".to_owned(), "view_answer_too_large"),
        (format!("select 1{}", " + 1".repeat(10_000)), "view_query_invalid"),
        (format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000)), "view_query_invalid"),
        (format!("select '{}'", "x".repeat(10 << 20)), "view_answer_too_large"),
    ] {
        assert_eq!(code(&sql).unwrap_err(), expected, "{}", &sql[..sql.len().min(80)]);
    }
    assert_eq!(crate::support::ask(&path, "select a, v.t.a from t"), ["x | x"]);
}

/// Deep JSON in an event is refused as an event, not by a panic or an endless stack.
#[test]
fn deep_payloads_are_no_danger() {
    let mut rows =
        Rows::in_memory(&definition(&view("insert into t (a) values (:data.a.b);"))).unwrap();
    let deep = format!("{}{}", r#"{"a":"#.repeat(100_000), "1".to_owned() + &"}".repeat(100_000));
    _ = rows.apply(&[event(1, &deep)], None, &cursor(1));
}

/// Nothing ends a function of SQLite that runs: each must end by itself, soon.
#[test]
fn no_function_runs_long_within_the_limits() {
    const TEXT: &str = "printf('%.*c', 2000000, 'a')";
    let code = |sql: &str| ask(&[], sql, AskLimits::default()).map_err(|error| error.code());
    for (sql, expected) in [
        // A text that has each beginning of the pattern.
        (
            format!("{TEXT} like '%' || printf('%.*c', 20000, 'a') || 'b%'"),
            Err("view_query_invalid"),
        ),
        (format!("{TEXT} glob '*' || printf('%.*c', 70, 'a') || 'b*'"), Err("view_query_invalid")),
        (format!("length(trim({TEXT}, printf('%.*c', 200000, 'b') || 'a'))"), Ok("0")),
        (format!("length(replace({TEXT}, 'a', 'bbbbbbbbb'))"), Err("view_answer_too_large")),
        (format!("instr({TEXT}, printf('%.*c', 1000000, 'a') || 'b')"), Ok("0")),
    ] {
        let found = code(&format!("select {sql}")).map(|answer| crate::support::lines(&answer));
        let found = found.as_ref().map(|rows| rows[0].as_str()).map_err(|code| *code);
        assert_eq!(found, expected, "{sql}");
    }
}

/// Values of a question are bounded, whatever makes them.
#[test]
fn no_value_is_larger_than_the_limit() {
    let rows = "with recursive n(i) as (values (1) union all select i + 1 from n limit 40)";
    for sql in [
        "select hex(randomblob(9000000))".to_owned(),
        "select length(randomblob(17000000))".to_owned(),
        "select length(zeroblob(17000000))".to_owned(),
        "select length(printf('%.*c', 2000000000, 'x'))".to_owned(),
        "select length(printf('%2000000000d', 1))".to_owned(),
        "select length(printf('%.100000000f', 1))".to_owned(),
        format!("{rows} select length(group_concat(zeroblob(1000000))) from n"),
        format!("{rows} select length(json_group_array(hex(zeroblob(500000)))) from n"),
        format!("{rows} select length(json_group_object(i, hex(zeroblob(500000)))) from n"),
        format!("{rows} select i, zeroblob(1000000) from n"),
    ] {
        let answer = ask(&[], &sql, AskLimits::default());
        assert_eq!(answer.map_err(|error| error.code()), Err("view_answer_too_large"), "{sql}");
    }
}
