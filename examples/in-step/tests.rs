//! The output of the example on the real others matches its README.

use std::process::Command;

#[test]
fn the_output_is_the_one_of_the_readme() {
    let output = Command::new(env!("CARGO_BIN_EXE_in-step")).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let readme = include_str!("README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown, "{errors}");
}
