//! The definitions in the documentation.

use std::fs;
use std::path::{Path, PathBuf};

use leftfold_connect::connectors::ConnectorDefinition;

#[test]
fn each_definition_in_the_documentation_is_valid() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages = fs::read_dir(docs.join("connectors")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = pages.chain([docs.join("connectors.md")]).collect();
    let mut count = 0;
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            // The others are parts of one.
            if block.starts_with("name = ") {
                ConnectorDefinition::parse(block)
                    .unwrap_or_else(|error| panic!("{}: {error}", page.display()));
                count += 1;
            }
        }
    }
    assert!(count >= pages.len(), "{count}");
}
