//! The output matches the README, but for the consumers that are not installed.

/// Returns the lines of all consumers that are everywhere, and of those that `output` has.
fn without_missing<'a>(shown: &'a str, output: &str) -> Vec<&'a str> {
    let is_missing = |who: &str| {
        output.lines().any(|line| line.starts_with(who) && line.contains("is not there"))
    };
    let missing: Vec<&str> =
        ["kcat:", "Python:"].into_iter().filter(|who| is_missing(who)).collect();
    shown.lines().filter(|line| !missing.iter().any(|who| line.starts_with(who))).collect()
}

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::kafka_consumers::story);
    let shown = crate::shown_in(include_str!("README.md"));
    assert_eq!(without_missing(&output, &output), without_missing(shown, &output));
}
