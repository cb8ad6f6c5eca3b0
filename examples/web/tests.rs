//! The output matches the README.

use leftfold::web::status_of;

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::web::story);
    assert_eq!(output, crate::shown_in(include_str!("README.md")));
}

#[test]
fn statuses_of_the_store_are_those_of_the_server() {
    let page = include_str!("../../docs/errors.md");
    let (_, page) = page.split_once("## Invalid input").unwrap();
    let (page, _) = page.split_once("## Backup and restore").unwrap();
    let codes = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let codes: Vec<_> = codes.collect();
    assert!(codes.len() > 40, "{codes:?}");
    for code in codes {
        let of_server = leftfold_server::codes::find(code);
        assert_eq!(status_of(code, false).as_u16(), of_server.http, "{code}");
    }
}
