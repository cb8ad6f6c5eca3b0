//! Views by SQL from the command line: checked without a store, added, asked, replaced and removed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use leftfold::{Embedded, EventStore, Options};
use leftfold_views::rusqlite::{Connection, Transaction};
use leftfold_views::{AskLimits, TableResult, Views};
use pollster::block_on;
use serde_json::{Value, json};

use crate::binary::{command, run, stderr, stdout, usage_error};

pub(crate) const ORDERS: &str = r#"-- @view orders
-- @query category:order
create table orders (id text primary key, customer text, total text, state text);

-- @on OrderPlaced
insert into orders values (:stream_id, :data.customer, :data.total, 'placed');

-- @on OrderPaid
update orders set state = 'paid' where id = :stream_id;

-- @test a paid order
-- @given order-7 OrderPlaced {"customer":"42","total":9.90}
-- @given order-7 OrderPaid {}
-- @expect select id, state, total from orders
-- 7 | paid | 9.90
"#;

/// A store with two orders, and a file of a view beside it.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { dir: tempfile::tempdir().unwrap() };
        for (stream, event_type, data) in [
            ("order-1", "OrderPlaced", r#"{"customer":"ann, \"b\"","total":9.90}"#),
            ("order-2", "OrderPlaced", r#"{"customer":"bob","total":120.00}"#),
            ("order-2", "OrderPaid", "{}"),
        ] {
            world.ok(&["append", stream, event_type, data]);
        }
        world
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn ok(&self, args: &[&str]) -> String {
        stdout(&self.data(), args)
    }

    fn fails(&self, args: &[&str]) -> String {
        stderr(&self.data(), args)
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.ok(&["query", sql, "-o", "json"])).unwrap();
        answer["rows"].as_array().unwrap().clone()
    }
}

/// Gives the exit code, the standard output and the standard error of a check.
fn check(args: &[&str]) -> (Option<i32>, String, String) {
    let output = run(Path::new("no-store"), args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_file_is_checked_without_a_store() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    let right = world.file("right.sql", ORDERS);
    let (code, out, err) = check(&["view", "check", &right]);
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &*err), (Some(0), ""));
    assert_eq!((&line["view"], &line["right"]), (&json!("orders"), &json!(true)));
    assert!(!Path::new("no-store").exists());

    let failing =
        ORDERS.replace("-- 7 | paid", "-- 7 | placed").replace(":data.customer", ":data.custommer");
    let failing = world.file("failing.sql", &failing);
    let (code, out, err) = check(&["view", "check", &right, &failing, "-o", "table"]);
    assert_eq!(code, Some(1));
    assert_eq!(out, format!("{right}: right, 1 tests passed\n{failing}: wrong\n"));
    let wanted = [
        format!("{failing}:11: the test \"a paid order\" failed"),
        format!("{failing}:14: select id, state, total from orders"),
        "- 7 | placed | 9.90".to_owned(),
        "+ 7 | paid | 9.90".to_owned(),
        format!(
            "{failing}: warning: :data.custommer in @on OrderPlaced is in no event of the tests: is it misspelt?"
        ),
    ];
    assert_eq!(err.lines().collect::<Vec<_>>(), wanted);

    let wrong = world.file("wrong.sql", &ORDERS.replace("set state", "set stat"));
    let (code, out, err) = check(&["view", "check", &wrong]);
    assert_eq!(code, Some(1));
    assert_eq!(err, format!("{wrong}:9: no such column: stat [view_sql_invalid]\n"));
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["error"]["line"], 9);
    let (code, _, err) = check(&["view", "check", "none.sql"]);
    assert!(code == Some(1) && err.starts_with("none.sql: "), "{err}");
}

/// Without a database nothing of its SQL can be looked at, and the command says so; a database that is not there is an
/// error, without its URL.
#[test]
fn a_file_for_postgresql_is_only_parsed_without_one() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    let target = ORDERS.replace("-- @query", "-- @target postgres env:NOT_SET\n-- @query");
    let file = world.file("orders.sql", &target);
    let (code, out, _) = check(&["view", "check", &file, "-o", "table"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("parsed only; --postgres URL"), "{out}");
    let (_, out, _) = check(&["view", "check", &file]);
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&line["parsed_only"], &line["right"]), (&json!(true), &json!(true)));
    let url = "postgres://me:hunter2@127.0.0.1:1/x";
    let (code, out, err) = check(&["view", "check", &file, "--postgres", url]);
    assert!(code == Some(1) && err.contains("can't be reached"), "{err}");
    assert!(!format!("{out}{err}").contains("hunter2"), "{out}{err}");
    let wrong = world.file("wrong.sql", &target.replace("insert into", "copy"));
    let (code, _, err) = check(&["view", "check", &wrong]);
    assert!(code == Some(1) && err.contains("view_sql_forbidden"), "{err}");
    let added = world.fails(&["view", "add", &file]);
    assert!(added.contains("view_target_unusable") && added.contains("NOT_SET"), "{added}");
}

#[test]
fn a_command_waits_until_a_view_has_the_events() {
    let world = World::new();
    let file = world.file("orders.sql", ORDERS);
    world.ok(&["view", "add", &file]);
    world.ok(&["append", "order-3", "OrderPlaced", "{}"]);
    let answer: Value = serde_json::from_str(&world.ok(&["view", "wait", "orders"])).unwrap();
    assert_eq!((&answer["name"], &answer["lag_micros"]), (&json!("orders"), &json!(0)));
    assert!(world.fails(&["view", "wait", "others"]).contains("view_unknown"));
}

#[test]
fn the_files_of_a_directory_are_tested() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    world.file("views/b.sql", ORDERS);
    world.file("views/below/a.sql", &ORDERS.replace("-- 7 | paid", "-- 7 | placed"));
    world.file("views/notes.txt", "no view");
    let dir = world.dir.path().join("views").display().to_string();
    let (code, out, _) = check(&["view", "test", &dir]);
    assert_eq!(code, Some(1));
    assert_eq!(out.lines().last(), Some(r#"{"files":2,"wrong":1,"tests":2,"failed":1}"#));
    std::fs::remove_dir_all(world.dir.path().join("views/below")).unwrap();
    let (code, out, err) = check(&["view", "test", &dir, "-o", "table"]);
    assert_eq!((code, &*err), (Some(0), ""));
    assert!(out.ends_with("1 files, 0 of them wrong; 1 tests, 0 of them failed\n"), "{out}");
    std::fs::remove_file(world.dir.path().join("views/b.sql")).unwrap();
    let (code, _, err) = check(&["view", "test", &dir]);
    assert!(code == Some(1) && err.contains("ends in .sql"), "{err}");
}

#[test]
fn a_view_is_added_asked_replaced_and_removed() {
    let world = World::new();
    let file = world.file("orders.sql", ORDERS);
    assert!(
        world
            .ok(&["view", "plan", &file, "-o", "table"])
            .contains("is new: its tables are filled from 3 events")
    );
    let added: Value = serde_json::from_str(&world.ok(&["view", "add", &file])).unwrap();
    assert_eq!(added["view"], "orders");
    assert!(world.fails(&["view", "add", &file]).starts_with("error[view_exists]"));
    let sql = "select id, state from orders order by id";
    assert_eq!(world.rows(sql), [json!(["1", "placed"]), json!(["2", "paid"])]);
    // What comes later is there when the query answers.
    world.ok(&["append", "order-1", "OrderPaid", "{}"]);
    assert_eq!(world.rows(sql), [json!(["1", "paid"]), json!(["2", "paid"])]);

    let listed: Value = serde_json::from_str(&world.ok(&["view", "list"])).unwrap();
    assert_eq!((&listed["name"], &listed["query"]), (&json!("orders"), &json!("category:order")));
    let shown: Value = serde_json::from_str(&world.ok(&["view", "show", "orders"])).unwrap();
    assert_eq!(shown["text"], ORDERS);
    assert!(world.ok(&["view", "show", "orders", "-o", "table"]).contains("\n-- @on OrderPaid\n"));

    world.ok(&["view", "pause", "orders"]);
    world.ok(&["append", "order-3", "OrderPlaced", r#"{"total":1.00}"#]);
    assert_eq!(world.rows("select count(*) from orders"), [json!([2])]);
    let late = head(&world);
    let late = world.fails(&["query", sql, "--at-least", &late, "--timeout", "1s"]);
    assert!(late.starts_with("error[view_late]"), "{late}");
    world.ok(&["view", "resume", "orders"]);
    assert_eq!(world.rows("select count(*) from orders"), [json!([4])]);
    world.ok(&["view", "reset", "orders"]);
    assert_eq!(world.rows("select count(*) from orders"), [json!([4])]);

    let other = world.file("other.sql", &ORDERS.replace("'placed'", "'new'"));
    assert!(
        world.ok(&["view", "plan", &other, "-o", "table"]).contains("is rebuilt from 6 events")
    );
    world.ok(&["view", "replace", &other]);
    assert!(world.ok(&["view", "plan", &other, "-o", "table"]).contains("keeps its tables"));
    world.ok(&["view", "remove", "orders"]);
    let unknown = world.fails(&["query", sql]);
    assert!(unknown.starts_with("error[view_unknown]"), "{unknown}");
    assert!(unknown.contains("leftfold view list"), "{unknown}");
    assert_eq!(world.ok(&["view", "list"]), "");
    assert!(world.ok(&["verify"]).contains("\"wrong\":0"));
}

/// Appends an order, and returns the cursor behind it.
fn head(world: &World) -> String {
    let printed = world.ok(&["append", "order-9", "OrderPlaced", "{}"]);
    let line: Value = serde_json::from_str(printed.trim()).unwrap();
    line["cursor"].as_str().unwrap().to_owned()
}

#[test]
fn a_view_begins_where_it_is_told() {
    let world = World::new();
    let file = world.file("orders.sql", ORDERS);
    world.ok(&["view", "add", &file, "--from", "now"]);
    world.ok(&["append", "order-3", "OrderPlaced", "{}"]);
    assert_eq!(world.rows("select id from orders"), [json!(["3"])]);
    let wrong = usage_error(&world.data(), &["view", "add", &file, "--from", "then"]);
    assert!(wrong.contains("expected start, now or a cursor"), "{wrong}");
}

#[test]
fn answers_are_printed_in_each_format() {
    let world = World::new();
    world.ok(&["view", "add", &world.file("orders.sql", ORDERS)]);
    let sql = "select id, customer, total, null as none, '' as empty from orders order by id";
    assert_eq!(
        world.ok(&["query", sql, "-o", "csv"]),
        "id,customer,total,none,empty\n1,\"ann, \"\"b\"\"\",9.90,,\"\"\n2,bob,120.00,,\"\"\n"
    );
    let objects = concat!(
        r#"{"id":"1","customer":"ann, \"b\"","total":"9.90","none":null,"empty":""}"#,
        "\n",
        r#"{"id":"2","customer":"bob","total":"120.00","none":null,"empty":""}"#,
        "\n"
    );
    assert_eq!(world.ok(&["query", sql, "-o", "ndjson"]), objects);
    assert_eq!(world.ok(&["query", sql]), objects);
    let twice = world.ok(&["query", "select id, id from orders limit 1"]);
    assert_eq!(twice, "{\"id\":\"1\",\"id:1\":\"1\"}\n");
    // Decimals are aligned to the right, and what could change the terminal is not printed.
    let sql = "select customer, total, char(27) || 'x' as t from orders where id = '2' union all select 'x', null, '' from orders where id = '1' union all select 'y', '-1.5', '' from orders where id = '1'";
    let table = world.ok(&["query", sql, "-o", "table"]);
    let lines: Vec<&str> = table.lines().map(str::trim_end).collect();
    assert_eq!(
        lines,
        [
            " customer   total  t",
            " bob       120.00   x",
            " x           null",
            " y           -1.5",
            "3 rows"
        ],
        "{table}"
    );
    let refused = usage_error(&world.data(), &["read", "-o", "csv"]);
    assert!(refused.contains("--output csv prints the rows of query"), "{refused}");
}

/// Each command is a process of its own, so all of it is in the store and in the tables.
#[test]
fn parked_events_are_listed_retried_and_skipped() {
    let world = World { dir: tempfile::tempdir().unwrap() };
    let text = "-- @view names\n-- @query category:user\n-- @on_error park\ncreate table names (name text unique);\n\
                -- @on Named\ninsert into names values (:data.name);\n-- @on Gone\ndelete from names;\n";
    world.ok(&["view", "add", &world.file("names.sql", text)]);
    for (stream, name) in
        [("user-1", "ann"), ("user-2", "ann"), ("user-2", "bob"), ("user-3", "ann")]
    {
        world.ok(&["append", stream, "Named", &format!(r#"{{"name":"{name}"}}"#)]);
    }
    let parked = |args: &[&str]| -> Vec<Value> {
        let listed = world.ok(&[&["view", "parked", "names"], args].concat());
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let heads = parked(&[]);
    let streams: Vec<_> = heads.iter().map(|event| &event["stream"]).collect();
    assert_eq!(streams, ["user-2", "user-3"]);
    assert_eq!(parked(&["--all"]).len(), 3);
    let table = world.ok(&["view", "parked", "names", "--all", "-o", "table"]);
    assert!(table.contains("user-2") && table.contains("waits behind position"), "{table}");
    let listed: Value = serde_json::from_str(&world.ok(&["view", "list"])).unwrap();
    assert_eq!(listed["waiting"], 3);
    assert!(world.ok(&["view", "list", "-o", "table"]).contains("waiting"));

    let position = heads[0]["position"].to_string();
    let skipped = world.ok(&["view", "skip", "names", "--position", &position]);
    assert_eq!(serde_json::from_str::<Value>(&skipped).unwrap()["view"], "names");
    assert_eq!(world.rows("select name from names order by 1"), [json!(["ann"]), json!(["bob"])]);
    let again = world.fails(&["view", "skip", "names", "--position", &position]);
    assert!(again.starts_with("error[event_not_parked]"), "{again}");
    world.ok(&["append", "user-1", "Gone", "{}"]);
    world.ok(&["view", "retry", "names", "--stream", "user-3"]);
    assert_eq!(world.rows("select name from names"), [json!(["ann"])]);
    assert!(parked(&["--all"]).is_empty());
    assert_eq!(
        world.rows("select stream, state from names._errors"),
        [json!(["user-2", "skipped"])]
    );
}

/// Each error has a code, the place, and what to do.
#[test]
fn what_is_wrong_is_said() {
    let world = World::new();
    let wrong = world.file("wrong.sql", &ORDERS.replace("set state", "set stat"));
    let said = world.fails(&["view", "add", &wrong]);
    assert_eq!(said, format!("error[view_sql_invalid]: {wrong}:9: no such column: stat\n"));
    assert!(world.fails(&["view", "show", "orders"]).starts_with("error[view_unknown]"));
    world.ok(&["view", "add", &world.file("orders.sql", ORDERS)]);
    for (sql, code) in [
        ("delete from orders", "view_query_refused"),
        ("select nothing from orders", "view_query_invalid"),
        ("select id from others", "view_unknown"),
    ] {
        let said = world.fails(&["query", sql]);
        assert!(said.starts_with(&format!("error[{code}]")), "{said}");
    }
    // A view that fails says why, and where.
    let failing = ORDERS.replace("'placed'", "dec_add('x', '1')").replace("orders", "failing");
    world.ok(&["view", "add", &world.file("failing.sql", &failing)]);
    let said = world.fails(&["query", "select * from failing"]);
    assert!(said.starts_with("error[view_event_unusable]") && said.contains("line 6"), "{said}");
}

#[test]
fn a_directory_without_a_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(&dir.path().join("none"), &["query", "select 1"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error[store_missing]"), "{said}");
}

/// The states of orders.
struct States;

impl leftfold_views::TableView for States {
    fn name(&self) -> &str {
        "states"
    }

    fn query(&self) -> leftfold::Query {
        leftfold::Query::category("order")
    }

    fn create(&self, tables: &Connection) -> TableResult {
        Ok(tables.execute_batch("create table states (stream text primary key, type text)")?)
    }

    fn apply(&self, tables: &Transaction<'_>, event: &leftfold::Recorded) -> TableResult {
        let set = "insert or replace into states values (?1, ?2)";
        tables.execute(set, (event.stream(), event.event_type()))?;
        Ok(())
    }
}

/// The tables of a program's view are asked beside those of views by SQL, by a process without its code.
#[test]
fn a_view_in_rust_is_asked_until_it_needs_its_code() {
    let world = World::new();
    let store = Arc::new(Embedded::open(world.data(), Options::default()).unwrap());
    let views = Views::open(store.clone(), world.data().join("views")).unwrap();
    block_on(views.run_until(async {
        views.register(States).await.unwrap();
        let end = store.head().await.unwrap();
        let at_least = Some((end, Duration::from_secs(20)));
        views.ask("select * from states", at_least, AskLimits::default()).await.unwrap();
        // Only tables that are known to have caught up answer without the code.
        let is_following = async || {
            let status = views.status("states").await.unwrap();
            status.phase == leftfold_views::ViewPhase::Following
        };
        while !is_following().await {
            tokio::task::yield_now().await;
        }
    }))
    .unwrap();
    drop((views, store));

    world.ok(&["view", "add", &world.file("orders.sql", ORDERS)]);
    let sql = "select id, type from states join orders on stream = 'order-' || id order by id";
    assert_eq!(world.rows(sql), [json!(["1", "OrderPlaced"]), json!(["2", "OrderPaid"])]);
    let shown: Value = serde_json::from_str(&world.ok(&["view", "show", "states"])).unwrap();
    assert_eq!((&shown["phase"], &shown["code"]), (&json!("failed"), &json!("view_code_missing")));
    assert!(shown["text"].as_str().unwrap().contains("In Rust, logic 1"), "{shown}");
    world.ok(&["append", "order-1", "OrderPaid", "{}"]);
    assert!(world.fails(&["query", sql]).starts_with("error[view_code_missing]"));
    world.ok(&["view", "remove", "states"]);
    assert!(world.fails(&["query", sql]).starts_with("error[view_query_invalid]"));
}
