//! The story, as the README tells it.

#[test]
fn the_story_ends_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::error_processor::story(dir.path(), &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    let readme = include_str!("README.md");
    let promised = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(told, promised.unwrap());
}
