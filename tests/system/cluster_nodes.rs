//! A node that can't join a cluster says why.

use std::fs;

use crate::binary::{command, stderr};

#[test]
fn what_keeps_a_node_from_its_cluster_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let port = leftfold_ports::reserve().unwrap();
    let nowhere = format!("127.0.0.1:{}", port.number);
    let node = |args: &[&str]| {
        let serve = ["serve", "--engine", "kafka", "--listen", "127.0.0.1:0"];
        stderr(&dir.path().join("node"), &[&serve, args].concat())
    };
    let said = node(&["--bootstrap", &nowhere]);
    assert!(said.contains("error[kafka_unavailable]") && said.contains(&nowhere), "{said}");
    for (args, wrong) in [
        (&["--bootstrap", "nonsense"][..], "bootstrap: "),
        (&["--kafka-user", "ann"], "kafka.password is missing"),
        (&["--kafka-replication", "70000"], "kafka.replication: 70000"),
        (&["--kafka-ca", "/no/such/file"], "kafka.ca: /no/such/file can't be used"),
        (&["--node-token", "/no/such/file"], "node.token: /no/such/file can't be read"),
    ] {
        let said = node(args);
        assert!(said.contains("error[setting_invalid]") && said.contains(wrong), "{said}");
    }
    let password = dir.path().join("password");
    fs::write(&password, "secret\n").unwrap();
    let login = ["--kafka-user", "ann", "--kafka-password", &password.display().to_string()];
    let said = node(&[&login[..], &["--kafka-mechanism", "GSSAPI"]].concat());
    assert!(said.contains("expected one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"), "{said}");
}

#[test]
fn a_node_does_not_touch_an_embedded_store() {
    let dir = tempfile::tempdir().unwrap();
    let append = command(dir.path(), &["append", "order-1", "Placed", "{}"]).output().unwrap();
    assert!(append.status.success());
    let said = stderr(dir.path(), &["serve", "--engine", "kafka", "--listen", "127.0.0.1:0"]);
    assert!(said.contains("holds the store of an embedded engine"), "{said}");
}
