//! Runs a target on a file: `play TARGET FILE`.
#![expect(clippy::unwrap_used, reason = "it is run by hand")]

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [target, file] = args.as_slice() else { return println!("play TARGET FILE") };
    leftfold_fuzzed::run(target, &std::fs::read(file).unwrap());
}
