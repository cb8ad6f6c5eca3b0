//! The cluster that a server is a node of, over HTTP.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use leftfold::{Failure, ReadError};
use reqwest::Method;
use serde_json::{Value, json};

use crate::args::{ClusterAction, Location};
use crate::http::{Request, ask, with_password};
use crate::output::{for_people, hint, print_table, table, thousands};

/// The time between two questions whether a node is drained.
const POLL: Duration = Duration::from_millis(200);

pub(crate) fn run(location: &Location, action: &ClusterAction) -> anyhow::Result<ExitCode> {
    // A wait asks many times, and for the password once.
    let location = &with_password(location)?;
    match action {
        ClusterAction::Status => print_status(&status(location)?)?,
        ClusterAction::Members => print_members(&status(location)?)?,
        ClusterAction::Drain { wait: true, timeout } => {
            change(location, "drain")?;
            print_change(&wait_until_drained(location, *timeout)?);
        }
        ClusterAction::Drain { wait: false, .. } => print_change(&change(location, "drain")?),
        ClusterAction::Undrain => print_change(&change(location, "undrain")?),
    }
    Ok(ExitCode::SUCCESS)
}

fn status(location: &Location) -> anyhow::Result<Value> {
    ask(location, Request::get(&["cluster"]))
}

fn change(location: &Location, action: &str) -> anyhow::Result<Value> {
    ask(location, Request::new(Method::POST, &["cluster", action]))
}

/// Asks until the node owns no partition, and returns its status then.
fn wait_until_drained(location: &Location, patience: Duration) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let mut before = usize::MAX;
    loop {
        let status = status(location)?;
        let owned = owned(&status);
        if owned.is_empty() {
            return Ok(status);
        }
        if begun.elapsed() >= patience {
            return Err(not_drained(&status, &owned, patience).into());
        }
        if owned.len() < before {
            before = owned.len();
            hint(format_args!("waiting: partitions that the node still owns: {before}"));
        }
        std::thread::sleep(POLL.min(patience.saturating_sub(begun.elapsed())));
    }
}

fn not_drained(status: &Value, owned: &[u64], patience: Duration) -> ReadError {
    /// The most partitions that the message names.
    const NAMED: usize = 10;
    let numbers: Vec<_> = owned.iter().take(NAMED).map(u64::to_string).collect();
    let more = if owned.len() > NAMED { ", ..." } else { "" };
    let message = format!(
        "node {} was expected to own no partition within {} s, but owns {}: {}{more}; it goes on giving them \
         away, if a node that takes them is in `leftfold cluster members`",
        text(&status["node"]),
        patience.as_secs(),
        owned.len(),
        numbers.join(", ")
    );
    Failure::Remote { code: "timed_out", message, can_retry: true }.into()
}

/// Returns the partitions that the node owns, or is about to own.
fn owned(status: &Value) -> Vec<u64> {
    let partitions = list(&status["partitions"]).iter();
    let owned = partitions.filter(|one| matches!(text(&one["role"]), "owner" | "claiming"));
    owned.filter_map(|one| one["number"].as_u64()).collect()
}

fn print_change(status: &Value) {
    if !for_people() {
        say!("{status}");
        return;
    }
    let (node, owned) = (text(&status["node"]), owned(status).len());
    match (status["is_draining"] == true, owned) {
        (true, 0) => say!("node {node} owns no partition, and takes none"),
        (true, _) => {
            say!("node {node} gives its partitions away, and takes none; it owns {owned} now")
        }
        (false, _) => say!("node {node} takes partitions"),
    }
}

fn print_status(status: &Value) -> std::io::Result<()> {
    if !for_people() {
        say!("{status}");
        return Ok(());
    }
    let mut facts = table(&["cluster", text(&status["cluster"])]);
    facts.add_row(["node", text(&status["node"])]);
    facts.add_row(["standing", text(&status["standing"])]);
    facts.add_row(["draining", yes_or_no(&status["is_draining"])]);
    facts.add_row(["members", &list(&status["members"]).len().to_string()]);
    if let Some(problem) = status["problem"].as_str() {
        facts.add_row(["problem", problem]);
    }
    print_table(&facts)?;
    say!("");
    print_partitions(list(&status["partitions"]))
}

fn print_partitions(partitions: &[Value]) -> std::io::Result<()> {
    let has_failures = partitions.iter().any(|one| !one["failure"].is_null());
    let mut columns =
        vec!["partition", "role", "owner", "standbys", "term", "applied", "end", "lag"];
    let has_restores = partitions.iter().any(|one| one["restoring_from"].is_string());
    columns.extend(has_restores.then_some("restoring from"));
    columns.extend(has_failures.then_some("failure"));
    let mut rows = table(&columns);
    for one in partitions {
        let number = |name: &str| thousands(one[name].as_u64().unwrap_or_default());
        let mut row = vec![
            number("number"),
            text(&one["role"]).to_owned(),
            text(&one["owner"]).to_owned(),
            list(&one["standbys"]).iter().map(text).collect::<Vec<_>>().join(" "),
        ];
        row.extend(["term", "applied", "end", "lag"].map(number));
        row.extend(has_restores.then(|| text(&one["restoring_from"]).to_owned()));
        row.extend(has_failures.then(|| text(&one["failure"]).to_owned()));
        rows.add_row(row);
    }
    print_table(&rows)
}

fn print_members(status: &Value) -> std::io::Result<()> {
    let partitions = list(&status["partitions"]);
    let mut rows = table(&["node", "url", "draining", "owns", "follows"]);
    for member in list(&status["members"]) {
        let name = text(&member["name"]);
        let owns = partitions.iter().filter(|one| text(&one["owner"]) == name).count();
        let is_standby = |one: &&Value| list(&one["standbys"]).iter().any(|at| text(at) == name);
        let follows = partitions.iter().filter(is_standby).count();
        if for_people() {
            let (url, draining) = (text(&member["url"]), yes_or_no(&member["is_draining"]));
            rows.add_row([name, url, draining, &owns.to_string(), &follows.to_string()]);
        } else {
            let (url, draining) = (&member["url"], &member["is_draining"]);
            let line = json!({"name": name, "url": url, "is_draining": draining,
                              "owns": owns, "follows": follows});
            say!("{line}");
        }
    }
    if for_people() {
        print_table(&rows)?;
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn yes_or_no(value: &Value) -> &'static str {
    if *value == true { "yes" } else { "no" }
}
