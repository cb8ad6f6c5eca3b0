//! The check of a connector to a search engine: it only reads.

use leftfold_api::Coded;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::SearchSettings;
use super::cluster::{CLUSTER, Cluster};
use super::pattern::{allows_creation, matches};
use super::settings::Deletes;
use crate::connectors::Secrets;
use crate::connectors::kind::Check;

/// What a template must say of itself.
const TEMPLATE_FILTER: &str = "index_templates.name,index_templates.index_template.index_patterns,\
     index_templates.index_template.priority,index_templates.index_template.data_stream";

/// Reaches the cluster, and looks at the index.
pub(crate) async fn check(settings: &SearchSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let cluster = match Cluster::new(settings, secrets) {
        Ok(cluster) => cluster,
        Err(error) => {
            let error = format!("{error} ({})", error.code());
            check.note("settings and secrets", Err::<String, _>(error));
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let found = find_engine(&cluster).await;
    let is_elastic = found.as_ref().is_ok_and(|name| name.starts_with(ELASTICSEARCH));
    let is_reached = found.is_ok();
    check.note(format!("{CLUSTER} {}", cluster.host()), found);
    if !is_reached {
        return check;
    }
    let Some(index) = settings.index.fixed() else {
        check.note("the index", Ok::<_, String>("depends on the event"));
        return check;
    };
    check.note(format!("the index {index}"), find_index(&cluster, index).await);
    if is_elastic && let Some(found) = find_rights(&cluster, index, settings.deletes).await {
        check.note("the rights to write", found);
    }
    check
}

const ELASTICSEARCH: &str = "Elasticsearch";

/// Returns the name and the version of the engine.
async fn find_engine(cluster: &Cluster) -> Result<String, String> {
    let (status, answer) = cluster.ask(cluster.request(Method::GET, &[])).await?;
    if !status.is_success() {
        return Err(format!("answers {status}; mend the url, the password or the rights"));
    }
    let version = answer.pointer("/version/number").and_then(Value::as_str);
    let version = version.ok_or("the url is not that of a search engine: it names no version")?;
    match answer.pointer("/version/distribution").and_then(Value::as_str) {
        Some("opensearch") => Ok(format!("OpenSearch {version}")),
        _ => Ok(format!("{ELASTICSEARCH} {version}")),
    }
}

async fn find_index(cluster: &Cluster, index: &str) -> Result<String, String> {
    let streams = cluster.request(Method::GET, &["_data_stream", index]);
    let (_, streams) = cluster.ask(streams).await?;
    let streams = streams.get("data_streams").and_then(Value::as_array);
    if streams.is_some_and(|found| !found.is_empty()) {
        return Err("is a data stream, which refuses documents with versions; name an index".into());
    }
    let (status, _) = cluster.ask(cluster.request(Method::HEAD, &[index])).await?;
    match status {
        status if status.is_success() => Ok("exists".to_owned()),
        StatusCode::NOT_FOUND => find_creation(cluster, index).await,
        status => Err(format!("{CLUSTER} answers {status}; the user needs rights for the index")),
    }
}

/// Returns how an index that is missing comes to be.
async fn find_creation(cluster: &Cluster, index: &str) -> Result<String, String> {
    let settings = cluster
        .request(Method::GET, &["_cluster", "settings"])
        .query(&[("include_defaults", "true"), ("filter_path", "*.action.auto_create_index")]);
    let (_, settings) = cluster.ask(settings).await?;
    let levels = ["transient", "persistent", "defaults"];
    let mut found = levels.iter().filter_map(|level| settings.get(level));
    let setting = found.find_map(|found| found.pointer("/action/auto_create_index")?.as_str());
    if let Some(setting) = setting.filter(|setting| !allows_creation(setting, index)) {
        return Err(format!(
            "does not exist, and action.auto_create_index ({setting}) does not let it be created by an event; create it"
        ));
    }
    let templates = cluster
        .request(Method::GET, &["_index_template"])
        .query(&[("filter_path", TEMPLATE_FILTER)]);
    let (_, templates) = cluster.ask(templates).await?;
    let templates = templates.get("index_templates").and_then(Value::as_array);
    let matching = templates.into_iter().flatten().filter(|template| has_pattern(template, index));
    let priority = |template: &&Value| {
        template.pointer("/index_template/priority").and_then(Value::as_u64).unwrap_or(0)
    };
    let Some(template) = matching.max_by_key(priority) else {
        return Ok("does not exist; the first event creates it, without a template".to_owned());
    };
    let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
    match template.pointer("/index_template/data_stream") {
        Some(_) => Err(format!(
            "would be a data stream by the template {name}, which refuses documents with versions; name another index"
        )),
        None => Ok(format!("does not exist; the first event creates it by the template {name}")),
    }
}

fn has_pattern(template: &Value, index: &str) -> bool {
    let patterns = template.pointer("/index_template/index_patterns");
    let is_match = |pattern: &Value| pattern.as_str().is_some_and(|it| matches(it, index));
    match patterns {
        Some(Value::Array(patterns)) => patterns.iter().any(is_match),
        // One alone may be no list.
        Some(pattern) => is_match(pattern),
        None => false,
    }
}

/// Asks Elasticsearch whether the user may write; `None` if it knows no users.
async fn find_rights(
    cluster: &Cluster,
    index: &str,
    deletes: Deletes,
) -> Option<Result<String, String>> {
    let needed: &[&str] = match deletes {
        Deletes::Tombstone => &["index"],
        Deletes::Delete => &["index", "delete"],
    };
    let request = cluster
        .request(Method::POST, &["_security", "user", "_has_privileges"])
        .header("content-type", "application/json")
        .body(json!({ "index": [{ "names": [index], "privileges": needed }] }).to_string());
    let (_, answer) = cluster.ask(request).await.ok()?;
    let all = needed.join(", ");
    match answer.get("has_all_requested")?.as_bool()? {
        true => Some(Ok(format!("{all}: granted"))),
        false => Some(Err(format!("the user needs {all} for the index {index}"))),
    }
}
