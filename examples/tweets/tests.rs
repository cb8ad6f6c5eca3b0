//! The story, smaller.

#[test]
fn a_flow_is_appended_without_being_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::tweets::story(dir.path(), 4_000, &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    let last = told.lines().find(|line| line.starts_with("4000 tweets in one stream: "));
    assert!(last.is_some(), "{told}");
    let grown = told.lines().find_map(|line| line.strip_prefix("memory has grown by "));
    let grown: u64 = grown.unwrap().split_once(' ').unwrap().0.parse().unwrap();
    assert!(grown < 64, "{told}");
    assert!(told.ends_with("the last 3 of one author are found by tag\n"), "{told}");
}
