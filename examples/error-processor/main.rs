//! Parents that arrive days later, and parked messages (S08).

use std::io::stdout;

use leftfold_examples::{error_processor, run};

fn main() -> anyhow::Result<()> {
    run("error-processor", "category:files", |dir| error_processor::story(dir, &mut stdout()))
}
