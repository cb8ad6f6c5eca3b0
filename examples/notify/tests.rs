//! The output matches the README.

#[test]
fn the_output_matches_the_readme() {
    let dir = tempfile::tempdir().unwrap();
    let mut output = Vec::new();
    leftfold_examples::notify::story(dir.path(), &mut output).unwrap();
    let output = String::from_utf8(output).unwrap();
    let readme = include_str!("README.md");
    let expected_output =
        readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(output, expected_output.unwrap());
}
