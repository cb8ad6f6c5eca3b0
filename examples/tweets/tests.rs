//! The example with fewer tweets.

#[test]
fn tweets_are_appended_without_loading_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut output = Vec::new();
    leftfold_examples::tweets::story(dir.path(), 4_000, &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    let last = output.lines().find(|line| line.starts_with("4000 tweets in one stream: "));
    assert!(last.is_some(), "{output}");
    let grown = output.lines().find_map(|line| line.strip_prefix("memory has grown by "));
    let grown: u64 = grown.unwrap().split_once(' ').unwrap().0.parse().unwrap();
    assert!(grown < 64, "{output}");
    assert!(output.ends_with("the last 3 of one author are found by tag\n"), "{output}");
}
