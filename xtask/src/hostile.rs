//! `cargo xtask hostile`: floods of hostile clients, and a healthy one beside them.

use anyhow::bail;

/// The program with the floods; it starts the binary that was built with it.
const ARGS: [&str; 6] = ["test", "--package", "leftfold-cli", "--test", "hostile", "--"];

/// Runs the floods. Words are `--minutes N` and `--only FLOOD`.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    for pair in words.chunks(2) {
        if !matches!(pair, ["--minutes" | "--only", _]) {
            bail!("--minutes N or --only FLOOD is expected, found {}", pair.join(" "));
        }
    }
    crate::cargo(&[&ARGS[..], words].concat(), &[])
}
