//! The SQL of `docs/views.md` does what the page says; its Rust is a documentation test.

use crate::support::definition;

const PAGE: &str = include_str!("../../../../docs/views.md");

/// Returns the blocks of the page with their languages.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts = PAGE.split("\n```").skip(1).step_by(2);
    parts.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Views pass their tests, and a question has the answer that stands behind it, on the events of the last test of the
/// view before it.
#[test]
fn the_sql_of_the_page_does_what_it_says() {
    let (mut view, mut views, mut questions) = ("", 0, 0);
    let blocks = blocks();
    for (at, (language, block)) in blocks.iter().enumerate() {
        let question = match *language {
            // The tests of PostgreSQL run them.
            "sql" if block.contains("@target postgres") => continue,
            "sql" if block.starts_with("-- @view") => {
                (view, views) = (block, views + 1);
                String::new()
            }
            "sql" => {
                let (is_text, rows) = blocks[at + 1];
                assert_eq!(is_text, "text", "{block} has no answer");
                questions += 1;
                let rows: String = rows.lines().map(|row| format!("-- {row}\n")).collect();
                format!("\n-- @expect {}\n{rows}", block.replace('\n', " "))
            }
            _ => continue,
        };
        let definition = definition(&format!("{view}{question}"));
        let reports = definition.check().unwrap();
        assert!(!reports.is_empty(), "{view}");
        for report in reports {
            assert!(report.passed(), "{}: {:#?}", report.title, report.differences);
        }
        assert!(definition.unused_paths().is_empty(), "{:?}", definition.unused_paths());
    }
    assert!(views >= 4 && questions >= 2, "{views} views, {questions} questions");
}

/// What the code knows, the page names.
#[test]
fn the_page_has_every_function_and_code() {
    let is_word = |text: &&str| {
        !text.is_empty() && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
    };
    let words = |source: &'static str| source.split('"').skip(1).step_by(2).filter(is_word);
    let decimal = include_str!("../../src/functions/decimal.rs");
    let windows = include_str!("../../src/functions/windows.rs");
    for name in words(decimal).chain(words(windows)) {
        let is_there =
            PAGE.contains(&format!("{name}(")) || PAGE.contains(&format!("collate {name}"));
        assert!(is_there, "{name}");
    }
    let sources = [
        include_str!("../../src/error.rs"),
        include_str!("../../src/ask.rs"),
        include_str!("../../src/host/requests.rs"),
    ];
    for source in sources {
        let is_code = |word: &&str| word.starts_with("view") && word.contains('_');
        for code in words(source).filter(is_code) {
            assert!(PAGE.contains(&format!("`{code}`")), "{code}");
        }
    }
}
