//! Files of views: what they mean, and what is wrong with them.

use leftfold_views::Definition;

use crate::support::definition;

const ORDERS: &str = r#"
-- @view orders
-- @query category:order
create table orders (id text primary key, customer text, placed_at text, total text, state text);
create index orders_by_customer on orders (customer, placed_at desc);

-- @on OrderPlaced
insert into orders values (:stream_id, :data.customer, :event_time, :data.total, 'placed');

-- @on OrderPaid
update orders set state = 'paid' where id = :stream_id;

-- @test a paid order
-- @given order-7 OrderPlaced at 2024-01-31T10:00:00Z {"customer":"42","total":9.90}
-- @given order-7 OrderPaid {}
-- @given other-7 OrderPlaced {"customer":"43"}
-- @expect select id, state, total, placed_at from orders
-- 7 | paid | 9.90 | 2024-01-31T10:00:00Z

-- @test two orders
-- @given order-1 OrderPlaced {}
-- @given order-2 OrderPlaced {}
-- @expect select id, customer from orders order by id
-- 1 | null
-- 3 | null
"#;

#[test]
fn a_view_tests_itself() {
    let reports = definition(ORDERS).check().unwrap();
    assert!(reports[0].passed(), "{:?}", reports[0]);
    assert_eq!(
        reports[1].differences,
        [
            "line 23: select id, customer from orders order by id",
            "  1 | null",
            "- 3 | null",
            "+ 2 | null"
        ]
    );
}

#[test]
fn the_digest_is_of_what_decides_the_rows() {
    let digest = definition(ORDERS).digest();
    let with = |from: &str, to: &str| definition(&ORDERS.replace(from, to)).digest();
    assert_eq!(with("-- @test two orders", "-- @test others"), digest);
    assert_eq!(with("\n\n-- @on OrderPaid", "\n\n\n-- a remark\n-- @on OrderPaid"), digest);
    for (from, to) in [
        ("category:order", "category:orders"),
        ("'placed'", "'new'"),
        (":data.total", ":data.sum"),
        ("@on OrderPaid", "@on OrderPayed"),
        (", state text)", ", state)"),
    ] {
        assert_ne!(with(from, to), digest, "{to}");
    }
}

/// Each mistake has a line, a code and a sentence.
#[test]
fn mistakes_are_named_with_their_line() {
    for (from, to, line, code, words) in [
        ("-- @view orders", "-- @view Orders", 2, "view_invalid", "can't be the name"),
        ("-- @view orders", "", 1, "view_invalid", "no -- @view NAME"),
        (
            "-- @query category:order",
            "-- @query nonsense:x",
            3,
            "view_invalid",
            "the query is wrong",
        ),
        ("-- @query category:order", "", 1, "view_invalid", "no -- @query"),
        ("-- @query category:order", "-- @querry x", 3, "view_invalid", "@querry is unknown"),
        ("update orders", "updat orders", 11, "view_sql_forbidden", "not updat"),
        ("set state", "set stat", 11, "view_sql_invalid", "no such column: stat"),
        (":data.total", ":datum.total", 8, "view_sql_invalid", ":datum.total is no parameter"),
        (":data.total", "?", 8, "view_sql_invalid", "the form :data.PATH"),
        ("text primary key", "text primary", 4, "view_sql_invalid", "syntax error"),
        (
            "(customer, placed_at desc)",
            "(:data.x)",
            5,
            "view_sql_invalid",
            "only statements behind @on",
        ),
        (
            "update orders set state = 'paid' where id = :stream_id;",
            "",
            10,
            "view_invalid",
            "no statement stands behind @on",
        ),
        ("@on OrderPaid", "@on OrderPlaced", 10, "view_invalid", "has statements already"),
        ("'paid'", "'paid", 11, "view_sql_invalid", "a text is not closed"),
        ("{\"customer\":\"42\"", "{customer", 14, "view_invalid", "the payload is no JSON"),
        ("at 2024-01-31T10:00:00Z", "at noon", 14, "view_invalid", "the time is not one"),
        ("-- @expect select id, state", "-- @expect update orders set", 17, "view_sql_invalid", ""),
    ] {
        let text = ORDERS.replacen(from, to, 1);
        let error = match Definition::parse(&text) {
            Err(error) => error,
            Ok(view) => view.check().unwrap_err(),
        };
        assert_eq!((error.line, error.code), (line, code), "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[test]
fn a_path_that_no_event_has_is_reported() {
    let view = definition(&ORDERS.replace(":data.customer", ":data.custommer"));
    assert_eq!(view.unused_paths(), [":data.custommer in @on OrderPlaced"]);
    assert!(definition(ORDERS).unused_paths().is_empty());
}
