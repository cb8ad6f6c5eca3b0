//! Checks files of views and runs their tests. What is wrong goes to standard error, the result of each file to
//! standard output.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use leftfold_views::{Definition, DefinitionError, Target, TestReport, ViewsError};
use serde_json::{Value, json};

use crate::args::CheckDatabase;
use crate::output::{for_people, is_quiet};

/// Checks files.
pub(super) fn run(files: &[PathBuf], database: &CheckDatabase) -> anyhow::Result<ExitCode> {
    let mut is_right = true;
    for file in files {
        let result = FileResult::of(file, database);
        result.print();
        is_right &= result.is_right();
    }
    Ok(if is_right { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Checks all files of SQL in a directory and below, and prints a sum.
pub(super) fn run_all(dir: &Path, database: &CheckDatabase) -> anyhow::Result<ExitCode> {
    let mut files = Vec::new();
    find(dir, &mut files)?;
    files.sort();
    if files.is_empty() {
        bail!("no file in {} or below ends in .sql; name another directory", dir.display());
    }
    let (mut wrong, mut tests, mut failed) = (0, 0, 0);
    for file in &files {
        let result = FileResult::of(file, database);
        if !is_quiet() || !result.is_right() {
            result.print();
        }
        wrong += usize::from(!result.is_right());
        tests += result.tests.len();
        failed += result.tests.iter().filter(|test| !test.passed()).count();
    }
    match for_people() {
        true => say!(
            "{} files, {wrong} of them wrong; {tests} tests, {failed} of them failed",
            files.len()
        ),
        false => say!(
            "{}",
            json!({"files": files.len(), "wrong": wrong, "tests": tests, "failed": failed})
        ),
    }
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Finds the files of SQL. Links to directories are not followed: they may lead in a circle.
fn find(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    for entry in entries {
        let entry = entry.with_context(|| dir.display().to_string())?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        match kind.is_dir() {
            true => find(&path, files)?,
            false if path.extension().is_some_and(|end| end == "sql") => files.push(path),
            false => {}
        }
    }
    Ok(())
}

/// The result of a file.
#[derive(Default)]
struct FileResult {
    file: String,
    view: Option<String>,
    /// Why it can't be read.
    unreadable: Option<String>,
    error: Option<DefinitionError>,
    tests: Vec<TestReport>,
    unused: Vec<String>,
    /// Whether its database is not there, so that no statement was looked at.
    is_only_parsed: bool,
}

impl FileResult {
    fn of(path: &Path, database: &CheckDatabase) -> Self {
        let mut result = FileResult { file: path.display().to_string(), ..FileResult::default() };
        match std::fs::read_to_string(path) {
            Ok(text) => match result.check(&text, database) {
                Ok(()) => {}
                Err(ViewsError::Definition(error)) => result.error = Some(error),
                Err(error) => result.unreadable = Some(error.to_string()),
            },
            Err(error) => result.unreadable = Some(error.to_string()),
        }
        result
    }

    fn check(&mut self, text: &str, database: &CheckDatabase) -> Result<(), ViewsError> {
        let view = Definition::parse(text)?;
        self.view = Some(view.name().to_owned());
        self.tests = match (view.target(), &database.postgres) {
            (Target::Postgres(_), Some(url)) => view.check_in_postgres(url)?,
            (target, _) => {
                self.is_only_parsed = *target != Target::Sqlite;
                view.check()?
            }
        };
        self.unused = view.unused_paths();
        Ok(())
    }

    fn is_right(&self) -> bool {
        self.unreadable.is_none()
            && self.error.is_none()
            && self.tests.iter().all(TestReport::passed)
    }

    fn print(&self) {
        let file = &self.file;
        if let Some(why) = &self.unreadable {
            anstream::eprintln!("{file}: {why}");
        }
        if let Some(error) = &self.error {
            anstream::eprintln!("{file}:{}: {} [{}]", error.line, error.message, error.code);
        }
        for test in self.tests.iter().filter(|test| !test.passed()) {
            anstream::eprintln!("{file}:{}: the test \"{}\" failed", test.line, test.title);
            test.differences.iter().for_each(|line| print_difference(file, line));
        }
        for path in &self.unused {
            anstream::eprintln!(
                "{file}: warning: {path} is in no event of the tests: is it misspelt?"
            );
        }
        match for_people() {
            true if self.is_right() && self.is_only_parsed => {
                say!("{file}: parsed only; --postgres URL checks its statements and runs its tests")
            }
            true if self.is_right() => say!("{file}: right, {} tests passed", self.tests.len()),
            true => say!("{file}: wrong"),
            false => say!("{}", self.to_json()),
        }
    }

    fn to_json(&self) -> Value {
        let mut line = json!({
            "file": self.file, "view": self.view, "right": self.is_right(), "tests": self.tests,
            "unused": self.unused,
        });
        if self.is_only_parsed {
            line["parsed_only"] = true.into();
        }
        if let Some(DefinitionError { code, line: at, message, .. }) = &self.error {
            line["error"] = json!({"code": code, "line": at, "message": message});
        }
        if let Some(why) = &self.unreadable {
            line["error"] = json!({"message": why});
        }
        line
    }
}

/// Prints a line of a diff: what is missing in red, what is too much in green.
fn print_difference(file: &str, line: &str) {
    let question = line.strip_prefix("line ");
    match (question, line.as_bytes().first()) {
        (Some(question), _) => anstream::eprintln!("{file}:{question}"),
        (None, Some(b'-')) => anstream::eprintln!("\u{1b}[31m{line}\u{1b}[0m"),
        (None, Some(b'+')) => anstream::eprintln!("\u{1b}[32m{line}\u{1b}[0m"),
        (None, _) => anstream::eprintln!("{line}"),
    }
}
