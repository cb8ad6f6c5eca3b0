//! What the documents say must be so.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if !path.ends_with("target") => files(&path, found),
            true => {}
            false => found.push(path),
        }
    }
}

/// Every code of `docs/errors.md` is provoked by some test, and every code in the source is there.
#[test]
fn every_error_code_is_documented_and_provoked() {
    let documented: Vec<String> = read("docs/errors.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
        .collect();
    assert!(documented.len() > 30, "{documented:?}");
    let mut paths = Vec::new();
    files(&root().join("crates"), &mut paths);
    files(&root().join("tests/system"), &mut paths);
    paths.retain(|path| !path.ends_with("documents.rs"));
    let mut tests = String::new();
    let mut sources = String::new();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = fs::read_to_string(path).unwrap();
        let is_test = ["tests", "conformance"]
            .iter()
            .any(|dir| path.components().any(|c| c.as_os_str() == *dir));
        if is_test {
            tests.push_str(&text);
        } else {
            let (source, unit) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
            sources.push_str(source);
            tests.push_str(unit);
        }
    }
    for code in &documented {
        assert!(tests.contains(&format!("\"{code}\"")), "no test provokes {code}");
        assert!(sources.contains(&format!("\"{code}\"")), "nothing answers {code}");
    }
    let codes = sources.split("Invalid::new(").skip(1).filter_map(|rest| {
        rest.trim_start().strip_prefix('"')?.split_once('"').map(|(code, _)| code)
    });
    for code in codes {
        assert!(documented.iter().any(|known| known == code), "{code} is not in docs/errors.md");
    }
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for document in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/format.md",
        "docs/cli.md",
        "docs/queries.md",
        "docs/errors.md",
        "docs/kafka.md",
        "docs/server.md",
        "docs/cluster.md",
        "docs/export.md",
        "docs/configuration.md",
        "docs/security.md",
        "docs/threat-model.md",
        "docs/grpc.md",
        "docs/tutorial.md",
        "docs/upgrading.md",
        "docs/measured.md",
        "docs/limits.md",
        "docs/views.md",
    ] {
        let text = read(document);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let path = target.0.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.starts_with("http") {
                let from = root().join(document).parent().unwrap().join(path);
                assert!(from.exists(), "{document} points to {path}");
            }
        }
    }
}

/// The README begins with what it is and the two commands.
#[test]
fn the_readme_has_the_two_commands() {
    let readme = read("README.md");
    let head: String = readme.lines().take(30).collect::<Vec<_>>().join("\n");
    assert!(head.contains("cargo run --release -- demo") && head.contains("cargo xtask test"));
}

/// Every experiment that the page on fencing names is there under that name, or begins with it.
#[test]
fn every_experiment_that_is_named_exists() {
    let named = named_tests("docs/cluster-fencing.md", &["tests/kafka", "crates/cluster/tests"]);
    assert!(named.len() > 30, "{named:?}");
}

/// Every promise of the threat model names the tests that keep it.
#[test]
fn every_test_that_the_threat_model_names_exists() {
    let named = named_tests("docs/threat-model.md", &["crates", "tests"]);
    assert!(named.len() > 30, "{named:?}");
    let page = read("docs/threat-model.md");
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        assert!(section.contains("\nNot promised: "), "{title}");
        let (promised, _) = section.split_once("\nNot promised: ").unwrap();
        for promise in promised.split("\n- ").skip(1) {
            assert!(promise.contains("(`"), "{title}: no test keeps: {promise}");
        }
    }
}

/// Returns the tests that a page names, each of which must be in one of these directories.
fn named_tests(page: &str, dirs: &[&str]) -> Vec<String> {
    let mut paths = Vec::new();
    dirs.iter().for_each(|dir| files(&root().join(dir), &mut paths));
    let sources = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "rs"));
    let sources: String = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    let text = read(page);
    let quoted = text.split('`').skip(1).step_by(2);
    let named = quoted.map(|quoted| quoted.rsplit("::").next().unwrap().trim_end_matches('…'));
    let is_name =
        |name: &&str| name.matches('_').count() > 3 && !name.contains(|c: char| !is_word(c));
    let named: Vec<String> = named.filter(is_name).map(str::to_owned).collect();
    for name in &named {
        assert!(sources.contains(&format!("fn {name}")), "{page}: there is no test {name}");
    }
    named
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_ascii_lowercase()
}
