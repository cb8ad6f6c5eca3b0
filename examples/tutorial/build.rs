//! Makes a program of `docs/tutorial.md`: blocks marked `rust` are its items, and blocks marked
//! `rust run` are its steps, in order.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tutorial.md");
    println!("cargo::rerun-if-changed={}", page.display());
    let program = program(&fs::read_to_string(page)?);
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("there is no OUT_DIR"))?;
    fs::write(Path::new(&out).join("tutorial.rs"), program)
}

fn program(page: &str) -> String {
    let (mut items, mut calls, mut steps) = (String::new(), String::new(), 0);
    let mut parts = page.split("\n```rust");
    let mut next = parts.next().and_then(last_heading);
    let mut printed = None;
    for block in parts {
        let Some((code, text)) = block.split_once("\n```") else { continue };
        let heading = next;
        next = last_heading(text).or(heading);
        let Some((mark, code)) = code.split_once('\n') else { continue };
        if mark.trim() != "run" {
            items.push_str(code);
            items.push('\n');
            continue;
        }
        steps += 1;
        items.push_str(&format!(
            "async fn step_{steps}(store: Arc<Embedded>) -> anyhow::Result<()> {{\n{code}\n\
             drop(store);\nOk(())\n}}\n"
        ));
        if let Some(heading) = heading.filter(|heading| printed != Some(*heading)) {
            printed = Some(heading);
            let line = format!("-- {heading} --").replace('{', "{{").replace('}', "}}");
            calls.push_str(&format!("println!({line:?});\n"));
        }
        calls.push_str(&format!("step_{steps}(store.clone()).await?;\n"));
    }
    format!(
        "{items}\n/// Runs all steps and prints their headings; gives their number.\n\
         pub async fn run(store: Arc<Embedded>) -> anyhow::Result<u32> {{\n{calls}Ok({steps})\n}}\n"
    )
}

fn last_heading(text: &str) -> Option<&str> {
    text.lines().rev().find_map(|line| line.strip_prefix("## "))
}
