//! The code of the tutorial works.

use std::sync::Arc;

use leftfold::{Embedded, Options};

#[test]
fn every_block_of_the_tutorial_compiles_and_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(dir.path(), Options::default()).unwrap());
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let steps = tokio.block_on(leftfold_examples::tutorial::run(store)).unwrap();
    let page = include_str!("../../docs/tutorial.md");
    assert_eq!(steps as usize, page.matches("```rust run").count());
}
