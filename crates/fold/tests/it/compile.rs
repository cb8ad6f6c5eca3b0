//! The compiler's messages for common mistakes: each program in `tests/compile` fails with the
//! message beside it.
//!
//! `LEFTFOLD_OVERWRITE=1` writes the messages again. The programs are compiled against the library
//! that this test was built with, so nothing is built for them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const PROGRAMS: &str = "tests/compile";

#[test]
fn compiler_messages_name_the_mistake() {
    let library = library();
    let entries = Path::new(env!("CARGO_MANIFEST_DIR")).join(PROGRAMS).read_dir().unwrap();
    let mut programs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    programs.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    programs.sort();
    assert!(programs.len() >= 32, "{programs:?}");
    let mut differences = String::new();
    for program in programs {
        let message = compile(&library, &program);
        let expected = program.with_extension("stderr");
        if env::var_os("LEFTFOLD_OVERWRITE").is_some() {
            fs::write(&expected, &message).unwrap();
        }
        if fs::read_to_string(&expected).unwrap_or_default() != message {
            differences +=
                &format!("{} differs from the message:\n{message}\n", expected.display());
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

/// Returns the library beside this test. Each set of features has its own; the newest is up to
/// date.
fn library() -> PathBuf {
    let deps = env::current_exe().unwrap().parent().unwrap().to_owned();
    let files = deps.read_dir().unwrap().map(|entry| entry.unwrap());
    let libraries = files.filter(|file| {
        let name = file.file_name().to_string_lossy().into_owned();
        name.starts_with("libleftfold-") && name.ends_with(".rlib")
    });
    libraries.max_by_key(|file| file.metadata().unwrap().modified().unwrap()).unwrap().path()
}

/// Compiles a program, which must fail; returns the message without parts that vary between builds.
fn compile(library: &Path, program: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or("rustc".into()));
    rustc.args(["--edition=2024", "--crate-type=bin", "--emit=metadata", "--color=never"]);
    rustc.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    rustc.arg("--extern").arg(format!("leftfold={}", library.display()));
    rustc.arg("-o").arg(dir.path().join("program")).arg(program.strip_prefix(root).unwrap());
    let output = rustc.current_dir(root).output().unwrap();
    assert!(!output.status.success(), "{} compiles", program.display());
    let message = String::from_utf8(output.stderr).unwrap();
    let diagnostics = message.split("\n\n").filter(|text| text.contains(PROGRAMS));
    let diagnostics: Vec<_> = diagnostics.map(without_foreign_numbers).collect();
    diagnostics.join("\n\n") + "\n"
}

/// Removes the line numbers in the library's own files, and the names of files that hold a long type.
fn without_foreign_numbers(diagnostic: &str) -> String {
    let lines = diagnostic.lines().filter(|line| {
        !line.contains("the full name for the type has been written") && !line.contains("--verbose")
    });
    let lines = lines.map(|line| match line.split_once("--> ") {
        Some((arrow, place)) if !place.starts_with(PROGRAMS) => {
            format!("{arrow}--> {}", place.split(':').next().unwrap_or(place))
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
