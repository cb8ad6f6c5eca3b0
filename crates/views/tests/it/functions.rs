//! The functions of views.

use crate::support::{event, rows_after};

fn value(expression: &str) -> String {
    let rows = rows_after(
        "insert into t (a) values (1);",
        &[event(1, "{}")],
        &format!("select {expression}"),
    );
    rows[0].clone()
}

fn failure(expression: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.sqlite");
    let view = crate::support::definition(&crate::support::view("insert into t (a) values (1);"));
    leftfold_views::Rows::open(&path, &view).unwrap();
    let select = format!("select {expression}");
    leftfold_views::ask(&[("v".into(), path)], &select, Default::default()).unwrap_err().to_string()
}

#[test]
fn decimals_are_exact() {
    for (expression, expected) in [
        ("dec_add('0.1', '0.2')", "0.3"),
        ("dec_add('9.90', 0.10 || '')", "10.00"),
        ("dec_add(1, 2, '0.50')", "3.50"),
        ("dec_sub('1', '0.9')", "0.1"),
        ("dec_mul('1.1', '1.1')", "1.21"),
        ("dec_neg('5.00')", "-5.00"),
        ("dec_abs('-5.00')", "5.00"),
        ("dec_cmp('10', '9')", "1"),
        ("dec_cmp('1.0', '1.00')", "0"),
        ("dec_round('2.345', 2)", "2.35"),
        ("dec_round('-2.345', 2)", "-2.35"),
        ("dec_round('2', 2)", "2.00"),
        ("dec('1e3')", "1000"),
        ("dec('-1.5E-3')", "-0.0015"),
        ("dec_mul('2.50', '4.00')", "10.0000"),
        ("dec_add('1', null)", "null"),
        ("(select dec_sum(column1) from (values ('0.1'), ('0.2'), (null)))", "0.3"),
        ("(select dec_sum(column1) from (values (null)))", "null"),
        ("(select dec_max(column1) from (values ('9'), ('10')))", "10"),
        ("(select dec_min(column1) from (values ('9'), ('10')))", "9"),
        (
            "(select group_concat(column1) from (select column1 from (values ('10'), ('9'), ('9.5')) order by column1 collate decimal))",
            "9,9.5,10",
        ),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for (expression, words) in [
        ("dec_add(0.1, 0.2)", "got a float"),
        ("dec_add('x', '1')", "no decimal"),
        ("dec_mul('99999999999999999999', '99999999999999999999')", "more than 28 digits"),
        ("dec_mul('0.000000000000001', '0.00000000000001')", "more than 28 digits"),
        ("dec_add('1000000000000000000000000000', '0.001')", "more than 28 digits"),
        ("dec('1.2345678901234567890123456789012345e0')", "no decimal"),
        ("dec_add('1')", "two or more"),
        ("dec_round('1', 99)", "0 to 28 places"),
    ] {
        assert!(failure(expression).contains(words), "{expression}: {}", failure(expression));
    }
}

/// As those of SQLite, and with an end: these two can be asked for endless work and memory.
#[test]
fn texts_are_searched_and_replaced() {
    for (expression, expected) in [
        ("instr('größe', 'ß')", "4"),
        ("instr('abc', 'x')", "0"),
        ("instr('abc', '')", "1"),
        ("instr(x'0102ff', x'ff')", "3"),
        ("instr(123, 3)", "3"),
        ("instr(null, 'a')", "null"),
        ("replace('a-b-c', '-', '+')", "a+b+c"),
        ("replace('abc', '', 'x')", "abc"),
        ("replace('abc', 'b', null)", "null"),
        ("replace(1.5, '.', ',')", "1,5"),
        ("instr(hex(zeroblob(400000)), hex(zeroblob(200000)) || '1')", "0"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    let huge = failure("replace(hex(zeroblob(500000)), '0', hex(zeroblob(500000)))");
    assert!(huge.contains("more than 16777216 bytes"), "{huge}");
}

/// The aggregates of JSON are Leftfold's, since those of SQLite have no bound; they answer the same.
#[test]
fn groups_of_json_are_those_of_sqlite() {
    let sqlite = rusqlite::Connection::open_in_memory().unwrap();
    let rows = "from (select column1 as k, column2 as v from (values
        ('a', 1), ('b', null), (null, 3), ('c\"ü', 1.5), (2.5, 1e300), ('d', 'x\ny\\\"ß'), ('e', -0.0),
        ('f', json('{\"n\":[1,2]}')), ('g', '[3]'), (7, 9223372036854775807)))";
    for expression in [
        "json_group_array(v)",
        "json_group_array(json_array(k, v))",
        "json_group_array(distinct typeof(v))",
        "json_group_array(v order by k desc)",
        "json_group_array(v) filter (where v > 1)",
        "json_group_array(v) filter (where 0)",
        "json_group_object(k, v)",
        "json_group_object(k, json_object('v', v))",
        "json_group_object(k, v) filter (where 0)",
        "json_array(json_group_array(v), json_group_object(k, v))",
        "hex(jsonb_group_array(v))",
        "hex(jsonb_group_object(k, v))",
        "hex(jsonb_group_array(v) filter (where 0))",
        "json_group_array(jsonb_array(k))",
    ] {
        let sql = format!("select {expression} {rows}");
        let expected: String = sqlite.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(value(&format!("({sql})")), expected, "{expression}");
    }
    for expression in ["json_group_array(v)", "json_group_object(coalesce(k, 'n'), v)"] {
        let sql = format!(
            "select group_concat(x, ';') from (select {expression} over
             (order by rowid rows between 2 preceding and 1 preceding) as x {rows})"
        )
        .replace("select column1 as k", "select row_number() over () as rowid, column1 as k");
        let expected: String = sqlite.query_row(&sql, [], |row| row.get(0)).unwrap();
        assert_eq!(value(&format!("({sql})")), expected, "{expression}");
    }
    assert!(failure("(select json_group_array(x'01ff') from (select 1))").contains("BLOB"));
}

#[test]
fn times_lie_in_windows() {
    for (expression, expected) in [
        ("tumble('2024-01-31T10:07:30Z', '5 minutes')", "2024-01-31T10:05:00Z"),
        ("tumble('2024-01-31T10:07:30Z', '1 day')", "2024-01-31T00:00:00Z"),
        // A Wednesday; weeks begin on Mondays.
        ("tumble('2024-01-31T10:07:30Z', '1 week')", "2024-01-29T00:00:00Z"),
        ("tumble('1969-12-31T23:59:59Z', '1 hour')", "1969-12-31T23:00:00Z"),
        (
            "hop('2024-01-31T10:07:30Z', '10 minutes', '5 minutes')",
            r#"["2024-01-31T10:00:00Z","2024-01-31T10:05:00Z"]"#,
        ),
        ("hop('2024-01-31T10:07:30Z', '5 minutes', '10 minutes')", "[]"),
        ("time_add('2024-01-31T10:00:00Z', '30 minutes')", "2024-01-31T10:30:00Z"),
        ("time_sub('2024-01-31T10:00:00Z', '1 day')", "2024-01-30T10:00:00Z"),
        ("micros_between('2024-01-31T10:00:00Z', '2024-01-31T10:00:01Z')", "1000000"),
        ("tumble(null, '1 day')", "null"),
        (
            "(select group_concat(column1) from (select column1 from (values ('2024-01-31T10:00:00Z'), ('2024-01-31T10:00:00.5Z'), ('2024-01-31T09:59:59.9Z'), ('x')) order by column1 collate time))",
            "x,2024-01-31T09:59:59.9Z,2024-01-31T10:00:00Z,2024-01-31T10:00:00.5Z",
        ),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for (expression, words) in [
        ("tumble('noon', '1 day')", "no time"),
        ("tumble('2024-01-31T10:07:30Z', '1 month')", "no duration"),
        ("hop('2024-01-31T10:07:30Z', '1 day', '1 s')", "at most 1000 windows"),
    ] {
        assert!(failure(expression).contains(words), "{expression}: {}", failure(expression));
    }
}

/// The functions of SQLite that know the time do not know it in a view.
#[test]
fn time_functions_have_no_clock() {
    let apply = |expression: &str, data: &str| {
        let view = crate::support::view(&format!("insert into t (a) values ({expression});"));
        let view = crate::support::definition(&view);
        let mut rows = leftfold_views::Rows::in_memory(&view).unwrap();
        rows.apply(&[event(1, data)], None, &crate::support::cursor(1)).map_err(|e| e.to_string())
    };
    let day = r#"{"day":"2024-01-31","now":"now"}"#;
    for fine in ["date(:data.day, '+1 day')", "strftime('%Y', :data.day)", "unixepoch(:event_time)"]
    {
        apply(fine, day).unwrap();
    }
    for wrong in
        ["date()", "date('now')", "date(:data.now)", "strftime('%Y')", "datetime('Now', 'utc')"]
    {
        let error = apply(wrong, day).unwrap_err();
        assert!(error.contains("time of day"), "{wrong}: {error}");
    }
}

proptest::proptest! {
    /// Those of ours that stand in the place of SQLite's give the same.
    #[test]
    fn patterns_are_those_of_sqlite(text in "[aAbßé ]{0,8}", pattern in "[aAbß%_!é]{0,6}", set in "[ab ß]{0,3}") {
        let sql = format!(
            "'{text}' like '{pattern}', '{text}' like '{pattern}' escape '!', '{text}' like '{pattern}' escape '_',
             trim('{text}', '{set}'), ltrim('{text}', '{set}'), rtrim('{text}', '{set}')"
        );
        let sql = format!("select concat_ws('|', {sql})");
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let expected: String = sqlite.query_row(&sql, [], |row| row.get(0)).unwrap();
        let found = leftfold_views::ask(&[], &sql, Default::default()).unwrap();
        proptest::prop_assert_eq!(crate::support::lines(&found), [expected]);
    }
}

#[test]
fn patterns_take_values_of_all_kinds() {
    for (expression, expected) in [
        ("123 like '1%'", "1"),
        ("null like 'a'", "null"),
        ("'a' like null", "null"),
        ("'a' like 'a' escape null", "null"),
        ("x'6162' like 'AB'", "1"),
        ("trim(1230, '0')", "123"),
        ("trim(null, '0')", "null"),
        ("trim('  a ')", "a"),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
    for (expression, words) in [
        ("'a' like 'a' escape 'ab'", "one character"),
        ("'a' like printf('%.*c', 50001, 'a')", "at most 50000 bytes"),
    ] {
        assert!(failure(expression).contains(words), "{expression}: {}", failure(expression));
    }
}
