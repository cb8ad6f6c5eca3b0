//! Which crates may depend on which: the arrows of ARCHITECTURE.md, as a test.

use std::process::Command;

/// A crate, and the crates that nothing it depends on may be.
const FORBIDDEN: [(&str, &[&str]); 8] = [
    ("leftfold-api", &["leftfold-io", "leftfold-log", "leftfold-index", "leftfold-store"]),
    ("leftfold-log", &["leftfold-index", "leftfold-store"]),
    ("leftfold-index", &["leftfold-log", "leftfold-store"]),
    ("leftfold-store", &["leftfold-fold", "leftfold-wire", "leftfold-server"]),
    ("leftfold-wire", &["leftfold-log", "leftfold-index", "leftfold-store", "zstd"]),
    ("leftfold-client", &["leftfold-log", "leftfold-index", "leftfold-store", "zstd"]),
    ("leftfold-fold", &["leftfold-log", "leftfold-index", "leftfold-store", "leftfold-client"]),
    ("leftfold-connect", &["leftfold-log", "leftfold-index", "leftfold-store"]),
];

/// Returns the names of the crates that a crate depends on, tests aside.
fn dependencies(of: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", of])
        .current_dir(crate::root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn arrows_point_down_only() {
    for (of, forbidden) in FORBIDDEN {
        let found = dependencies(of);
        assert!(found.iter().any(|name| name == of), "{of} is a crate of the workspace");
        let wrong: Vec<_> =
            found.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{of} depends on {wrong:?}");
    }
}
