//! From one machine to a cluster of many partitions, to another cluster, and back to one machine.

use std::path::Path;
use std::process::Command;

use leftfold::{Append, CheckpointMove, Embedded, EventStore, Expected, NewEvent, Options};
use pollster::block_on;
use serde_json::{Value, json};

use crate::alone;
use crate::deployment::Deployment;
use crate::nodes::{Node, binary};

const STREAMS: u64 = 40;
const PARTITIONS: u32 = 8;

/// Makes a store with a reader that has seen a part, and a stream without its first events.
fn shop(data: &Path) {
    let store = Embedded::open(data, Options::default()).unwrap();
    let append_round = |round: u64| {
        for n in 0..STREAMS {
            let event =
                NewEvent::json("Counted", format!("{{\"round\":{round}}}")).tag("n", n.to_string());
            block_on(store.append(Append::new().event(format!("order-{n}"), event))).unwrap();
        }
    };
    append_round(0);
    let to = block_on(store.head()).unwrap();
    let to = CheckpointMove { name: "reader-1".to_owned(), expected: None, to };
    block_on(store.append(Append::new().checkpoint(to))).unwrap();
    append_round(1);
    block_on(store.delete_stream("order-3", Expected::Any)).unwrap();
    append_round(2);
}

fn leftfold(args: &[&str]) -> Vec<Value> {
    let output = Command::new(binary()).args(args).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn url(node: &Node) -> String {
    format!("http://{}", node.address())
}

#[test]
fn a_store_goes_into_a_cluster_of_many_partitions_to_another_cluster_and_back() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let [data, back] = ["data", "back"].map(|name| dir.path().join(name).display().to_string());
    shop(Path::new(&data));
    let file = dir.path().join("events.ndjson").display().to_string();
    let write = |lines: &[Value]| {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, text).unwrap();
        lines.last().unwrap()["digest"].clone()
    };
    let wanted = write(&leftfold(&["-d", &data, "export"]));

    let many = Deployment::start(1, 2, PARTITIONS);
    let [first, second] = [0, 1].map(|number| url(&many.nodes[number]));
    let report = leftfold(&["-s", &first, "import", &file]).remove(0);
    assert_eq!((&report["digest"], &report["complete"]), (&wanted, &json!(true)), "{report}");
    assert_eq!((&report["holes"], &report["checkpoints"]), (&json!(2), &json!(1)), "{report}");
    let again = leftfold(&["-s", &second, "import", &file]).remove(0);
    assert_eq!((&again["imported"], &again["repeated"]), (&json!(0), &report["imported"]));
    let exported = leftfold(&["-s", &second, "export"]);
    assert_eq!(exported.last().unwrap()["partitions"], json!(PARTITIONS));
    assert_eq!(write(&exported), wanted);
    drop(many);

    let one = Deployment::start(1, 1, 1);
    let target = url(&one.nodes[0]);
    let report = leftfold(&["-s", &target, "import", &file]).remove(0);
    assert_eq!((&report["digest"], &report["checkpoints"]), (&wanted, &json!(1)), "{report}");
    assert_eq!(write(&leftfold(&["-s", &target, "export"])), wanted);
    let report = leftfold(&["-d", &back, "import", &file]).remove(0);
    assert_eq!((&report["digest"], &report["commit_times"]), (&wanted, &json!("kept")), "{report}");
    let stream = leftfold(&["-d", &back, "read", "stream:order-3"]);
    assert_eq!(stream.iter().map(|event| &event["version"]).collect::<Vec<_>>(), [&json!(2)]);
    let checkpoints = leftfold(&["-d", &back, "checkpoints", "-o", "json"]);
    assert_eq!(checkpoints.len(), 1, "{checkpoints:?}");
}
