//! Every `curl` of `docs/server.md` is run, and says what the page says.

use std::process::Command;

use serde_json::Value;

use crate::support::{config, served_by};

/// A fenced block: its language and its text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// Whether a text is as shown, where `…` stands for anything.
fn fits(shown: &str, said: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut rest) = said.strip_prefix(parts.next().unwrap()) else { return false };
    let mut is_open = false;
    for part in parts {
        is_open = part.is_empty();
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    is_open || rest.is_empty()
}

fn same(shown: &Value, said: &Value) -> bool {
    match (shown, said) {
        (Value::String(shown), Value::String(said)) => fits(shown, said),
        (Value::Array(shown), Value::Array(said)) => {
            shown.len() == said.len() && shown.iter().zip(said).all(|(a, b)| same(a, b))
        }
        (Value::Object(shown), Value::Object(said)) => {
            let has = |(name, value)| said.get(name).is_some_and(|said| same(value, said));
            shown.len() == said.len() && shown.iter().all(has)
        }
        _ => shown == said,
    }
}

async fn run(script: String) -> String {
    let output =
        tokio::task::spawn_blocking(move || Command::new("sh").arg("-c").arg(script).output());
    String::from_utf8(output.await.unwrap().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_curl_of_the_documentation_answers_as_shown() {
    let mut config = config();
    config.heartbeat = std::time::Duration::from_millis(50);
    let dir = tempfile::tempdir().unwrap();
    config.views = Some(dir.path().to_owned());
    let served = served_by(config).await;
    let address = served.running.local_addr().to_string();
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/server.md");
    let blocks = blocks(&std::fs::read_to_string(page).unwrap());
    let (mut ran, mut compared) = (0, 0);
    for (n, (language, script)) in blocks.iter().enumerate() {
        if language != "sh" || script.starts_with("leftfold ") {
            continue;
        }
        assert!(script.starts_with("curl ") || script.starts_with("cursor=$(curl "), "{script}");
        let (shown_as, shown) = blocks.get(n + 1).map_or(("", ""), |(l, t)| (l, t));
        let script = script.trim_end().replace("127.0.0.1:2113", &address);
        // A subscription is endless; its first lines are enough.
        let lines = shown.lines().count();
        let is_endless = script.contains("/v1/subscribe") || script.contains("/query/live");
        let said =
            run(if is_endless { format!("{script} | head -n {lines}") } else { script.clone() });
        let said = said.await;
        ran += 1;
        match shown_as {
            "json" => {
                let [shown, said_json] = [shown, &said].map(|text| serde_json::from_str(text).ok());
                let (shown, said_json): (Value, Value) =
                    (shown.unwrap(), said_json.unwrap_or_default());
                assert!(same(&shown, &said_json), "{script}\nsays {said}\nand not {shown}");
                compared += 1;
            }
            "text" => {
                assert_eq!(said.lines().count(), lines, "{script}\nsays {said}");
                for (shown, said) in shown.lines().zip(said.lines()) {
                    assert!(fits(shown, said), "{script}\nsays {said}\nand not {shown}");
                }
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(ran >= 13 && compared >= 13, "{ran} ran, {compared} were compared");
}

#[test]
fn anything_stands_for_dots() {
    assert!(fits("01…", "0123") && fits("a…c", "abbc") && fits("…", "") && fits("a", "a"));
    assert!(!fits("a…c", "abb") && !fits("a", "ab") && !fits("b…", "ab"));
}
