//! Definitions: checked in PostgreSQL before they become facts, and refused if they reach too far.

use leftfold::Coded;
use leftfold_views::{Definition, ViewPhase, ViewStart, ViewStatus};

use crate::support::{Database, World, until};

const PAGE: &str = include_str!("../../../../docs/views.md");

const VIEW: &str = "
-- @view v
-- @query category:a
-- HEAD
create table t (id bigint primary key, at timestamptz, n integer);
-- @on E
insert into t values (:position, :event_time, :data.n);
";

fn with_statement(world: &World, statement: &str) -> Result<Definition, String> {
    let target = format!("-- @target postgres file:{}", world.url_file().display());
    let text = format!("{VIEW}{statement};\n").replace("-- HEAD", &target);
    Definition::parse(&text).map_err(|error| error.code.to_owned())
}

/// What a statement behind @on may not do; the database is asked only where tokens do not tell it.
#[test]
fn statements_change_the_rows_of_their_view_alone() {
    let database = Database::new();
    database.reader.query("create schema other; create table other.t (a bigint)");
    let world = World::new(&database.url);
    for statement in [
        "select * from t",
        "drop table t",
        "truncate t",
        "copy t from program 'id'",
        "do $$ begin end $$",
        "set search_path to public",
        "merge into t using t s on t.id = s.id when matched then delete",
        "replace into t values (1)",
        "insert into t (id) values (1) returning id",
        "insert into t (at) values (now())",
        "insert into t (at) values (current_timestamp)",
        "insert into t (at) values (\"clock_timestamp\"())",
        "insert into t (n) values (random() * 10)",
        "insert into t (id) values (nextval('s'))",
        "insert into t (n) select 1 from pg_sleep(1)",
        "insert into t (n) select count(*) from pg_catalog.pg_class",
        "insert into t (n) select length(pg_read_file('/etc/passwd'))",
        "insert into t (n) select length(U&\"p\\0067_read_file\"('/etc/passwd'))",
        "insert into public.t values (1)",
        "insert into other.t values (1)",
        "insert into t (id) select a from t, other.t",
        "update _view set state = ''",
        "delete from \"_errors\"",
        "insert into t (n) select length(set_config('search_path', 'public', false))",
        "insert into t (n) values (lo_creat(1))",
        "insert into t (n) select 1 where current_user = 'x'",
        "with gone as (delete from other.t returning a) insert into t (id) select a from gone",
    ] {
        let refused = with_statement(&world, statement).and_then(|view| {
            view.check_in_postgres(&database.url).map_err(|error| error.code().to_owned())
        });
        let Err(code) = refused else { panic!("{statement} is allowed") };
        assert_eq!(code, "view_sql_forbidden", "{statement}");
    }
    for statement in [
        "update t set n = n + 1, at = t.at + interval '1 day' where t.id = :position",
        "with more as (select id from t) delete from t using more where t.id = more.id and false",
        "insert into t as x (id, n) values (1, 2) on conflict (id) do update set n = x.n + excluded.n",
        "insert into t (id) select length($q$now() pg_sleep public.x$q$) on conflict do nothing",
    ] {
        let view =
            with_statement(&world, statement).unwrap_or_else(|code| panic!("{code}: {statement}"));
        view.check_in_postgres(&database.url)
            .unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
    assert_eq!(database.reader.query("select count(*) from other.t"), ["0"]);
}

#[test]
fn heads_make_tables_alone() {
    let database = Database::new();
    let world = World::new(&database.url);
    for statement in [
        "insert into t values (1)",
        "create temp table x (a int)",
        "create unlogged table x (a int)",
        "create table x as select 1",
        "create table x (a) as select 1",
        "create table public.x (a int)",
        "create table _x (a int)",
        "create table x (a serial)",
        "create table x (a \"serial\")",
        "create table x (a int generated always as identity)",
        "create table x (a timestamptz default now())",
        "create table x () inherits (t)",
        "create materialized view x as select 1",
        "create view x as select * from pg_shadow",
        "create function f() returns int language sql as 'select 1'",
        "create trigger x after insert on t execute function f()",
        "create schema x",
        "create extension dblink",
        "create role x superuser",
        "grant all on t to public",
    ] {
        let target =
            format!("-- @target postgres file:{}\n{statement};", world.url_file().display());
        let error = Definition::parse(&VIEW.replace("-- HEAD", &target)).err();
        assert_eq!(error.map(|error| error.code), Some("view_sql_forbidden"), "{statement}");
    }
    assert!(database.reader.schemas().is_empty());
}

#[test]
fn a_wrong_statement_is_found_before_the_view_is_a_fact() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        for (statement, message) in [
            ("update t set missing = 1", "column \"missing\" of relation \"t\" does not exist"),
            ("insert into t values (1, 2, 3, 4)", "INSERT has more expressions"),
            ("insert into t (n) select :data.a || :data.b", "integer"),
        ] {
            let view = with_statement(&world, statement).unwrap();
            let error = views.add(&view, ViewStart::Beginning).await.unwrap_err();
            assert_eq!(error.code(), "view_sql_invalid", "{error}");
            assert!(error.to_string().contains("line 8"), "{error}");
            assert!(error.to_string().contains(message), "{error}");
        }
        assert!(views.list().await.is_empty());
    });
    assert_eq!(world.facts("v"), "");
    assert!(database.reader.schemas().is_empty());
}

#[test]
fn tests_run_in_a_schema_of_which_nothing_stays() {
    let database = Database::new();
    let world = World::new(&database.url);
    let text = "
-- @test a sum
-- @given a-1 E at 2024-01-31T10:00:00Z {\"n\":1}
-- @given b-1 E {\"n\":10}
-- @given a-1 E {\"n\":2}
-- @expect select sum(n), min(at) from t
-- 3 | 2024-01-31 10:00:00+00
-- @expect select n, null from t order by id
-- 1 | null
-- 3 | null
-- @test a failure
-- @given a-1 E {\"n\":\"x\"}
-- @expect select 1
-- 1
";
    let view = world.definition(&format!("{VIEW}{text}"));
    let reports = view.check_in_postgres(&database.url).unwrap();
    let differences: Vec<_> = reports.iter().map(|report| report.differences.join("\n")).collect();
    assert!(differences[0].ends_with("  1 | null\n- 3 | null\n+ 2 | null"), "{differences:?}");
    assert!(differences[1].contains("invalid input syntax for type integer"), "{differences:?}");
    assert!(database.reader.schemas().is_empty());
    assert_eq!(view.check().unwrap(), []);
    let several = format!("{VIEW}-- @test x\n-- @expect select 1; drop schema public\n-- 1\n");
    let error = world.definition(&several).check_in_postgres(&database.url).unwrap_err();
    assert_eq!(error.code(), "view_sql_invalid");
}

#[test]
fn a_schema_of_somebody_else_is_not_touched() {
    let database = Database::new();
    database.reader.query(
        "create schema v; create table v.t (a bigint); insert into v.t values (7);
         create schema w; create table w._view (a bigint)",
    );
    let world = World::new(&database.url);
    world.run(async |views| {
        for name in ["v", "w"] {
            let view = world.definition(&VIEW.replace("@view v", &format!("@view {name}")));
            let error = views.add(&view, ViewStart::Beginning).await.unwrap_err();
            assert_eq!(error.code(), "view_schema_taken");
            assert!(error.to_string().contains(&format!("the schema {name} is there")), "{error}");
        }
    });
    assert_eq!(database.reader.query("select a from v.t"), ["7"]);
    assert_eq!(database.reader.schemas(), ["v", "w"]);
}

/// The URL is in the process alone: not in facts, lists or errors.
#[test]
fn the_url_is_told_to_nobody() {
    let database = Database::new();
    let world = World::new(&database.url);
    let is_secret =
        |text: &str| ["hunter2", "127.0.0.1", "nosuch"].iter().any(|secret| text.contains(secret));
    world.run(async |views| {
        views.add(&world.definition(VIEW), ViewStart::Beginning).await.unwrap();
        let server =
            database.url.rsplit_once('/').unwrap().0.replace("postgres@", "nosuch:hunter2@");
        for (url, code) in [
            (format!("{server}/postgres"), "view_rows_failed"),
            ("postgres://nosuch:hunter2@127.0.0.1:1/x".to_owned(), "view_rows_failed"),
            (
                "postgres://nosuch:hunter2@127.0.0.1/x?sslmode=require".to_owned(),
                "view_target_unusable",
            ),
            ("postgres://nosuch:hunter2@127.0.0.1/x?hunter2=1".to_owned(), "view_target_unusable"),
            ("hunter2".to_owned(), "view_target_unusable"),
        ] {
            std::fs::write(world.url_file(), &url).unwrap();
            let other = world.definition(&VIEW.replace("@view v", "@view other"));
            let error = views.add(&other, ViewStart::Beginning).await.unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(!is_secret(&format!("{error} {error:?}")), "{error:?}");
        }
        std::fs::remove_file(world.url_file()).unwrap();
        views.reset("v").await.unwrap();
        // It may have met one of the wrong URLs above before.
        let is_missing = |it: &ViewStatus| {
            it.failure
                .as_deref()
                .is_some_and(|failure| failure.contains("can't be read by the process"))
        };
        let status = until(views, "v", is_missing).await;
        assert_eq!(
            (status.phase, status.code.as_deref()),
            (ViewPhase::Failed, Some("view_target_unusable"))
        );
        assert!(!is_secret(&format!("{status:?}")), "{status:?}");
        // A file that comes back is enough.
        std::fs::write(world.url_file(), &database.url).unwrap();
        until(views, "v", |it| it.phase == ViewPhase::Following).await;
    });
    assert!(!is_secret(&world.facts("v")), "{}", world.facts("v"));
}

#[test]
fn targets_and_names_are_checked() {
    for (from, to, message) in [
        ("-- HEAD", "-- @target mysql env:X", "@target is postgres env:NAME"),
        (
            "-- HEAD",
            "-- @target postgres postgres://user:hunter2@host/db",
            "@target is postgres env:NAME",
        ),
        ("-- HEAD", "-- @target postgres env:postgres://x", "@target is postgres env:NAME"),
        ("-- HEAD", "-- @target postgres env:X\n-- @target sqlite", "stands there twice"),
        ("-- HEAD", "-- @target postgres env:X\n-- @history", "@history needs SQLite"),
        ("@view v\n", "@view public\n-- @target postgres env:X\n", "for itself"),
        (
            "@view v\n",
            "@view v23456789012345678901234567890123456789012\n-- @target postgres env:X\n",
            "at most 40 bytes",
        ),
    ] {
        let error = Definition::parse(&VIEW.replace(from, to)).unwrap_err();
        assert_eq!(error.code, "view_invalid");
        assert!(error.message.contains(message), "{error}");
        assert!(!error.message.contains("hunter2"), "{error}");
    }
}

/// The views in PostgreSQL of `docs/views.md` pass their tests.
#[test]
fn the_sql_of_the_page_does_what_it_says() {
    let database = Database::new();
    let blocks = PAGE.split("\n```").skip(1).step_by(2);
    let views = blocks
        .filter(|block| block.starts_with("sql\n-- @view") && block.contains("@target postgres"));
    let mut tests = 0;
    for view in views {
        let definition = Definition::parse(view.trim_start_matches("sql\n")).unwrap();
        for report in definition.check_in_postgres(&database.url).unwrap() {
            assert!(report.passed(), "{}: {:#?}", report.title, report.differences);
            tests += 1;
        }
        assert!(definition.unused_paths().is_empty(), "{:?}", definition.unused_paths());
    }
    assert!(tests > 0);
}
