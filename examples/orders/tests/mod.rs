//! The output matches the README.

mod survives;

use std::process::Command;

const README: &str = include_str!("../README.md");

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::orders::story);
    assert_eq!(output, crate::shown_in(README));
}

/// The same with a server and services in processes, which are killed rather than stopped.
#[test]
fn services_in_processes_give_the_same_output() {
    let output = Command::new(env!("CARGO_BIN_EXE_orders")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), crate::shown_in(README));
}
