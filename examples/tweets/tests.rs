//! The example with fewer tweets.

use std::process::Command;

#[test]
fn tweets_are_appended_without_loading_state() {
    // A process of its own, because the memory of all other tests would be counted too.
    let output = Command::new(env!("CARGO_BIN_EXE_tweets")).arg("4000").output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let last = output.lines().find(|line| line.starts_with("4000 tweets in one stream: "));
    assert!(last.is_some(), "{output}");
    let grown = output.lines().find_map(|line| line.strip_prefix("memory has grown by "));
    let grown: u64 = grown.unwrap().split_once(' ').unwrap().0.parse().unwrap();
    assert!(grown < 64, "{output}");
    assert!(output.ends_with("the last 3 of one author are found by tag\n"), "{output}");
}
