//! What happens to records that are in the store when their mapping changes.

use leftfold_api::Recorded;
use leftfold_connect::{LedgerEntry, Mapping, Tally, ingest};
use leftfold_store::Embedded;
use serde_json::Value;

use crate::identity::{Heard, data, deliver, events, source};
use crate::store::store;

/// Records with keys of their own, and records of kinds.
const IDENTITIES: [&str; 2] = ["keys", "kinds"];

/// Makes a mapping of a version. Each has the version in its payloads.
fn mapping(identity: &str, version: u32, rest: &str) -> Mapping {
    Mapping::parse(&text(identity, version, rest)).unwrap()
}

fn text(identity: &str, version: u32, rest: &str) -> String {
    format!(
        r#"
name = "rows"
version = {version}
format = "csv"
stream = "s"
data = ["n", "what", "made"]
event = {{ type = "Row", time = "day" }}
id.{identity} = [["n"]]
{rest}
[field]
n = {{ path = "n", required = true }}
what = {{ path = "what" }}
day = {{ path = "day", type = "date" }}
made = {{ value = "by {version}" }}
"#
    )
}

const KEEP: &str = "changed.records = 'keep'";
const CORRECT: &str = "changed.records = 'correct'\nid.corrected = 'RowCorrected'";
const REFUSE: &str = "changed.records = 'refuse'";

fn rows(rows: &[&str]) -> String {
    let lines: String = rows.iter().map(|row| format!("{row},2026-01-31\n")).collect();
    format!("n,what,day\n{lines}")
}

fn bring(store: &Embedded, mapping: &Mapping, lines: &[&str]) -> (Tally, Heard) {
    deliver(store, mapping, "rows.csv", &rows(lines))
}

/// Counts of new, repeated, kept, corrected and refused records.
fn counts(tally: Tally) -> [u64; 5] {
    let Tally { ingested, repeated, kept, corrected, rejected, .. } = tally;
    [ingested, repeated, kept, corrected, rejected]
}

fn version_of(event: &Recorded) -> Value {
    let metadata = event.metadata();
    match metadata.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice::<Value>(&metadata).unwrap()["mapping_version"].clone(),
    }
}

#[test]
fn an_event_says_the_version_of_its_mapping_unless_it_is_the_first() {
    for identity in IDENTITIES {
        let store = store();
        for version in [1, 2] {
            let row = format!("{version},a");
            bring(&store, &mapping(identity, version, ""), &[&row]);
        }
        let found: Vec<_> = events(&store).iter().map(version_of).collect();
        assert_eq!(found, [Value::Null, 2.into()], "{identity}");
    }
}

#[test]
fn a_mapping_without_a_version_is_the_first() {
    let without = text("keys", 1, "").replace("version = 1\n", "");
    assert_eq!(Mapping::parse(&without).unwrap().version(), 1);
    let error = Mapping::parse(&text("keys", 0, "")).unwrap_err().to_string();
    assert_eq!(error, "version: must be at least 1");
}

#[test]
fn another_version_changes_no_id() {
    for identity in IDENTITIES {
        let ids = [1, 2].map(|version| {
            let store = store();
            bring(&store, &mapping(identity, version, KEEP), &["1,a", "2,b"]);
            events(&store).iter().map(Recorded::id).collect::<Vec<_>>()
        });
        assert_eq!(ids[0], ids[1], "{identity}");
    }
}

#[test]
fn records_of_an_older_version_are_kept_corrected_or_refused() {
    // 700 records are two batches.
    let lines: Vec<_> = (0..700).map(|n| format!("{n},x")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let with_new = [&lines[..], &["700,new"]].concat();
    for identity in IDENTITIES {
        for (rule, expected, again) in [
            (KEEP, [1, 700, 700, 0, 0], [0, 701, 700, 0, 0]),
            (CORRECT, [701, 0, 0, 700, 0], [0, 701, 0, 0, 0]),
            (REFUSE, [1, 0, 0, 0, 700], [0, 1, 0, 0, 700]),
            ("", [1, 0, 0, 0, 700], [0, 1, 0, 0, 700]),
        ] {
            let (store, second) = (store(), mapping(identity, 2, rule));
            let (tally, _) = bring(&store, &mapping(identity, 1, ""), &lines);
            assert_eq!(counts(tally), [700, 0, 0, 0, 0]);
            let (tally, heard) = bring(&store, &second, &with_new);
            assert_eq!(counts(tally), expected, "{identity} {rule}");
            for name in ["rows.csv", "renamed.csv"] {
                let (tally, _) = deliver(&store, &second, name, &rows(&with_new));
                assert_eq!(counts(tally), again, "{identity} {rule} again as {name}");
            }
            for reject in &heard.rejects {
                assert_eq!(reject.reason.code(), "id_reused");
                let names = ["version 1", "version 2", "changed.records"];
                assert!(names.iter().all(|name| reject.message.contains(name)), "{reject:?}");
            }
        }
    }
}

#[test]
fn a_correction_names_its_event_and_has_the_new_content() {
    for identity in IDENTITIES {
        let store = store();
        bring(&store, &mapping(identity, 1, ""), &["1,a"]);
        bring(&store, &mapping(identity, 2, CORRECT), &["1,a"]);
        let events = events(&store);
        let [first, correction] = &events[..] else { panic!("{identity}: {}", events.len()) };
        assert_eq!(correction.event_type(), "RowCorrected");
        assert_eq!(correction.causation(), Some(&*first.id().to_string()));
        assert_eq!(correction.stream(), first.stream());
        assert_eq!(
            (data(correction)["made"].as_str(), version_of(correction)),
            (Some("by 2"), 2.into())
        );
        // The first version knows the event as it made it.
        let (tally, _) = bring(&store, &mapping(identity, 1, ""), &["1,a"]);
        assert_eq!(counts(tally), [0, 1, 0, 0, 0]);
    }
}

#[test]
fn each_version_corrects_a_record_once() {
    for identity in IDENTITIES {
        let store = store();
        bring(&store, &mapping(identity, 1, ""), &["1,a"]);
        for version in [2, 3] {
            for corrected in [1, 0] {
                let (tally, _) = bring(&store, &mapping(identity, version, CORRECT), &["1,a"]);
                assert_eq!(counts(tally), [corrected, 1 - corrected, 0, corrected, 0]);
            }
        }
        let made: Vec<_> = events(&store).iter().map(|event| data(event)["made"].clone()).collect();
        assert_eq!(made, ["by 1", "by 2", "by 3"]);
    }
}

#[test]
fn under_one_version_other_content_is_what_it_was() {
    // Kinds have corrections of the bank; a key belongs to one content.
    for (identity, expected) in [("keys", [0, 0, 0, 0, 1]), ("kinds", [1, 0, 0, 1, 0])] {
        for first in [1, 2] {
            let (store, second) = (store(), mapping(identity, 2, CORRECT));
            bring(&store, &mapping(identity, first, CORRECT), &["1,a"]);
            bring(&store, &second, &["1,a"]);
            let (tally, heard) = bring(&store, &second, &["1,b"]);
            assert_eq!(counts(tally), expected, "{identity} {first}");
            for reject in heard.rejects {
                assert!(
                    reject.message.starts_with("the store has the record with other content: {")
                );
            }
        }
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    for identity in IDENTITIES {
        for rule in [KEEP, CORRECT, REFUSE] {
            let store = store();
            bring(&store, &mapping(identity, 3, CORRECT), &["1,a"]);
            let (tally, heard) = bring(&store, &mapping(identity, 2, rule), &["1,a"]);
            assert_eq!(counts(tally), [0, 0, 0, 0, 1], "{identity} {rule}");
            let message = &heard.rejects[0].message;
            assert!(message.contains("from version 3") && message.contains("this is version 2"));
            // Corrected by a newer version.
            bring(&store, &mapping(identity, 1, ""), &["2,b"]);
            bring(&store, &mapping(identity, 3, CORRECT), &["2,b"]);
            let (tally, _) = bring(&store, &mapping(identity, 2, rule), &["2,b"]);
            assert_eq!(counts(tally), [0, 0, 0, 0, 1], "{identity} {rule}");
        }
    }
}

#[test]
fn records_that_a_new_version_leaves_alone_are_repeats() {
    for identity in IDENTITIES {
        let store = store();
        // Of another version, but with the same payloads.
        let second = text(identity, 2, REFUSE).replace("by 2", "by 1");
        bring(&store, &mapping(identity, 1, ""), &["1,a", "2,b"]);
        let (tally, _) = bring(&store, &Mapping::parse(&second).unwrap(), &["1,a", "2,b", "3,c"]);
        assert_eq!(counts(tally), [1, 2, 0, 0, 0], "{identity}");
    }
}

#[test]
fn a_key_keeps_a_tag_and_a_correlation_of_its_own() {
    let with = |version, link: &str, rest: &str| {
        let text = text("keys", version, rest).replace("by 2", "by 1");
        let event = format!("time = \"day\", correlation = \"{link}\" }}");
        let text = text.replace("time = \"day\" }", &event);
        Mapping::parse(&text.replace("[field]", "tags.record = '{what}'\n[field]")).unwrap()
    };
    let store = store();
    bring(&store, &with(1, "{n}", ""), &["1,a"]);
    assert_eq!(counts(bring(&store, &with(2, "{n}", ""), &["1,a"]).0), [0, 1, 0, 0, 0]);
    let (tally, _) = bring(&store, &with(2, "{what}", KEEP), &["1,a"]);
    assert_eq!(counts(tally), [0, 1, 1, 0, 0], "the correlation is content of a key");
    assert_eq!(bring(&store, &with(2, "{n}", ""), &["1,b"]).0.rejected, 1);
}

#[test]
fn ingests_at_the_same_time_correct_each_record_once() {
    let lines: Vec<_> = (0..300).map(|n| format!("{n},x")).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    for identity in IDENTITIES {
        let store = store();
        bring(&store, &mapping(identity, 1, ""), &lines);
        std::thread::scope(|threads| {
            for name in ["a", "b", "c"] {
                let (store, text) = (&store, rows(&lines));
                threads.spawn(move || {
                    let (tally, _) = deliver(store, &mapping(identity, 2, CORRECT), name, &text);
                    assert_eq!((tally.ingested + tally.repeated, tally.rejected), (300, 0));
                });
            }
        });
        assert_eq!(events(&store).len(), 600, "{identity}");
    }
}

#[test]
fn the_rules_of_a_mapping_fit_together() {
    for (identity, rest, problem) in [
        ("keys", "changed.records = 'correct'", "changed.records: \"correct\" needs id.corrected"),
        ("kinds", "changed.records = 'correct'", "changed.records: \"correct\" needs id.corrected"),
        ("keys", "id.corrected = 'C'", "id.corrected: needs kinds, or changed.records"),
        ("keys", &format!("{CORRECT}\ntags.record = 'x'"), "tags.record: "),
        ("kinds", "metadata = ['mapping_version']", "metadata: 'mapping_version'"),
        ("keys", "changed.records = 'drop'", "unknown variant `drop`"),
    ] {
        let error = Mapping::parse(&text(identity, 1, rest)).unwrap_err().to_string();
        assert!(error.contains(problem), "{rest}: {error}");
    }
}

#[test]
fn the_ledger_knows_the_text_of_each_version() {
    let store = store();
    let run = |mapping: &Mapping| {
        let other = pollster::block_on(LedgerEntry::of_other_text(&store, mapping)).unwrap();
        let text = rows(&["1,a"]);
        let mut heard = Heard::default();
        let done = ingest(&store, mapping, source("x"), text.as_bytes(), &mut heard).unwrap();
        let entry = LedgerEntry::new("x", mapping, &done);
        pollster::block_on(entry.write(&store)).unwrap();
        (other.is_some(), entry)
    };
    let (other, entry) = run(&mapping("keys", 1, ""));
    assert_eq!((other, entry.mapping_version, entry.mapping_sha256.len()), (false, 1, 64));
    assert!(!run(&mapping("keys", 1, "")).0, "the same text");
    let (other, entry) = run(&mapping("keys", 2, KEEP));
    assert_eq!((other, entry.mapping_version, entry.kept), (false, 2, 1), "another version");
    assert!(run(&mapping("keys", 1, "# other")).0, "another text of version 1");
    assert!(!run(&mapping("keys", 1, "# other")).0, "it warns once");
    assert!(run(&mapping("keys", 2, "")).0, "another text of version 2");
}

#[test]
fn entries_of_earlier_releases_are_of_the_first_version() {
    let entry: LedgerEntry = serde_json::from_str(r#"{"file":"a","mapping":"rows"}"#).unwrap();
    assert_eq!((entry.mapping_version, &*entry.mapping_sha256), (1, ""));
}
