//! Golden samples notice changes that would make stored events unreadable.

use std::path::Path;

use leftfold::Event;
use leftfold::golden::{Missing, check};

#[derive(Event)]
enum Then {
    Opened { owner: String, limit: u64 },
    Closed,
}

fn then() -> [Then; 2] {
    [Then::Opened { owner: "Ann".into(), limit: 5 }, Then::Closed]
}

fn golden() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    check(dir.path(), &then(), Missing::Write).unwrap();
    dir
}

fn problem<E: Event>(dir: &Path, samples: &[E]) -> String {
    check(dir, samples, Missing::Fail).unwrap_err()
}

#[test]
fn a_new_sample_must_be_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let sentence = problem(dir.path(), &then());
    assert!(sentence.contains("LEFTFOLD_GOLDEN=write"), "{sentence}");
    check(dir.path(), &then(), Missing::Write).unwrap();
    check(dir.path(), &then(), Missing::Fail).unwrap();
    let sentence = problem(dir.path(), &then()[..1]);
    assert!(sentence.contains("Closed has no sample in the list"), "{sentence}");
}

#[test]
fn a_changed_shape_without_a_new_version_always_fails() {
    #[derive(Event)]
    enum Now {
        Opened { owner: String, limit: String },
        Closed,
    }
    let now = [Now::Opened { owner: "Ann".into(), limit: "5".into() }, Now::Closed];
    let dir = golden();
    for missing in [Missing::Fail, Missing::Write] {
        let sentence = check(dir.path(), &now, missing).unwrap_err();
        for part in ["`limit` (number) is gone", "`limit` (text) is new", "version = 2"] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}

#[test]
fn a_new_version_with_an_upcast_passes_and_a_wrong_one_does_not() {
    #[derive(Event)]
    enum Now {
        #[event(version = 2, upcast(named))]
        Opened {
            name: String,
        },
        Closed,
    }
    fn named(old: serde_json::Value) -> serde_json::Value {
        serde_json::json!({ "name": old["owner"] })
    }
    #[derive(Event)]
    enum Wrong {
        #[event(version = 2, upcast(same))]
        Opened {
            name: String,
        },
        Closed,
    }
    fn same(old: serde_json::Value) -> serde_json::Value {
        old
    }
    let dir = golden();
    let now = [Now::Opened { name: "Ann".into() }, Now::Closed];
    assert!(problem(dir.path(), &now).contains("no golden sample of version 2"));
    check(dir.path(), &now, Missing::Write).unwrap();
    check(dir.path(), &now, Missing::Fail).unwrap();
    let wrong = [Wrong::Opened { name: "Ann".into() }, Wrong::Closed];
    assert!(problem(dir.path(), &wrong).contains("version 1 can't be read any more"));
    std::fs::remove_file(dir.path().join("Opened.v1.json")).unwrap();
    assert!(problem(dir.path(), &now).contains("version 1 is gone"));
}

#[test]
fn a_removed_event_type_is_noticed() {
    #[derive(Event)]
    enum Now {
        Closed,
    }
    let sentence = problem(golden().path(), &[Now::Closed]);
    assert!(sentence.contains("Opened has golden samples"), "{sentence}");
}

#[test]
fn the_banks_events_match_their_golden_samples() {
    use crate::bank::Bank;
    leftfold::golden!(
        "tests/golden",
        [
            Bank::Opened { owner: "Ann".into() },
            Bank::Deposited { cents: 5 },
            Bank::Withdrawn { cents: 5 },
        ]
    );
}
