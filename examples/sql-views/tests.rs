//! The output of each example matches its README, and the tests in its view pass.

use leftfold_examples::sql_views::STORIES;
use leftfold_examples::{composite, customers, last_30_orders, page_views, top_words};
use leftfold_views::Definition;

const READMES: [&str; 5] = [
    include_str!("../customers/README.md"),
    include_str!("../last-30-orders/README.md"),
    include_str!("../top-words/README.md"),
    include_str!("../page-views/README.md"),
    include_str!("../composite/README.md"),
];

#[test]
fn the_output_matches_the_readme() {
    for ((name, story), readme) in STORIES.iter().zip(READMES) {
        let dir = tempfile::tempdir().unwrap();
        let mut output = Vec::new();
        story(dir.path(), &mut output).unwrap();
        let output = String::from_utf8(output).unwrap();
        let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
        assert_eq!(output, shown.unwrap(), "{name}");
        let line = format!("cargo run -p leftfold-examples --bin sql-views {name}\n");
        assert!(readme.contains(&line), "{name}");
    }
}

#[test]
fn the_views_test_themselves() {
    let views = [
        customers::VIEW,
        last_30_orders::VIEW,
        top_words::VIEW,
        top_words::LONG_WORDS,
        composite::VIEW,
    ];
    for view in views.into_iter().chain(page_views::VIEWS) {
        let definition = Definition::parse(view).unwrap();
        let reports = definition.check().unwrap();
        assert!(!reports.is_empty(), "{}", definition.name());
        for report in reports {
            assert!(report.passed(), "{}: {:#?}", report.title, report.differences);
        }
        assert!(definition.unused_paths().is_empty(), "{:?}", definition.unused_paths());
    }
}
