//! The output matches the README.

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::notify::story);
    assert_eq!(output, crate::shown_in(include_str!("README.md")));
}
