//! The check of a connector: nothing is written.

use std::collections::BTreeMap;

use leftfold_api::Coded;
use redis::{Cmd, FromRedisValue, RedisError};

use super::super::kind::Check;
use super::super::template::Template;
use super::super::{ConnectorError, Secrets};
use super::fence::{SCRIPT, fence_key};
use super::link::{Connection, Link};
use super::settings::{Action, RedisSettings};

/// Connects, and looks at the rights of the account and at what the server does when its memory is full.
pub(crate) async fn check(settings: &RedisSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let link = Link::new(settings, secrets);
    let found = link.as_ref().map(|_| "are as they must be").map_err(with_code);
    check.note("settings and secrets", found);
    let Ok(link) = link else { return check };
    let connected = link.connection().await;
    let found = connected.as_ref().map(|_| "lets the connection in");
    check.note("Redis", found.map_err(with_code));
    let Ok(mut connection) = connected else { return check };
    check_state(&mut connection, &mut check).await;
    check_rights(settings, &mut connection, &mut check).await;
    check
}

fn with_code(error: &ConnectorError) -> String {
    format!("{error} ({})", error.code())
}

async fn ask<T: FromRedisValue>(
    connection: &mut Connection,
    command: &Cmd,
) -> Result<T, RedisError> {
    Ok(redis::from_redis_value(connection.run(command).await?)?)
}

/// Looks at the server by `INFO`, if the account may.
async fn check_state(connection: &mut Connection, check: &mut Check) {
    let text: String = match ask(connection, &redis::cmd("INFO")).await {
        Ok(text) => text,
        Err(error) => {
            let text = format!("not looked at, as Redis answers: {error}");
            check.note("the server's state", Ok::<_, String>(text));
            return;
        }
    };
    let state: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once(':')).collect();
    let get = |name: &str| state.get(name).copied().unwrap_or_default();
    let found = match (get("role"), get("cluster_enabled")) {
        (_, "1") => Err("is a node of a Redis Cluster: name a server or a proxy that has all keys"),
        ("slave", _) => Err("is a replica, which can't be written: name the primary"),
        _ => Ok(format!("has version {}", get("redis_version"))),
    };
    check.note("the server", found);
    check.note("its memory", Ok::<_, String>(memory(get("maxmemory"), get("maxmemory_policy"))));
    let kept = match get("aof_enabled") {
        "1" => "are kept in a log (appendonly)",
        _ => {
            "are not kept in a log (appendonly no): what a crash loses comes back by `connector reset`"
        }
    };
    check.note("its writes", Ok::<_, String>(kept));
}

fn memory(most: &str, policy: &str) -> String {
    match policy {
        _ if most == "0" => "has no limit (maxmemory 0)".to_owned(),
        "noeviction" => {
            "is limited: if it is full, Redis refuses writes and the connector waits (noeviction)"
                .to_owned()
        }
        policy => format!(
            "is limited: if it is full, Redis drops values or their fences ({policy}), and an event that comes late could bring an old value back"
        ),
    }
}

/// Asks Redis whether the account may run the commands of each rule.
async fn check_rights(settings: &RedisSettings, connection: &mut Connection, check: &mut Check) {
    let user: Result<String, _> = ask(connection, redis::cmd("ACL").arg("WHOAMI")).await;
    let user = match user {
        Ok(user) => user,
        Err(error) => return not_asked(check, &error),
    };
    for rule in &settings.rules {
        for (what, command) in trials(&rule.action) {
            let mut trial = redis::cmd("ACL");
            trial.arg("DRYRUN").arg(&user);
            command.iter().for_each(|part| _ = trial.arg(part));
            match ask::<String>(connection, &trial).await {
                Ok(answer) if answer == "OK" => check.note(what, Ok::<_, String>("may be run")),
                Ok(answer) => check.note(what, Err::<String, _>(answer)),
                Err(error) => return not_asked(check, &error),
            }
        }
    }
}

/// A server before 7.0 can't be asked, and not every account may ask.
fn not_asked(check: &mut Check, error: &RedisError) {
    let text = format!("not looked at, as Redis answers: {error}");
    check.note("the account's rights", Ok::<_, String>(text));
}

/// Returns the commands that an action runs, with names of fields in place of their values.
fn trials(action: &Action) -> Vec<(String, Vec<String>)> {
    let trial = |command: &str, parts: &[&str]| {
        let shown = parts.iter().find(|part| **part != SCRIPT && **part != "2");
        let what = format!("{command} {}", shown.unwrap_or(&""));
        let whole = [&[command], parts].concat().into_iter().map(str::to_owned).collect();
        (what, whole)
    };
    let of_key = |key: &Template, write: (&str, &[&str])| {
        let key = key.sample();
        let fence = fence_key(&key);
        let write_key = [&[key.as_str()], write.1].concat();
        vec![
            trial("EVAL", &[SCRIPT, "2", &key, &fence]),
            trial("TYPE", &[&key]),
            trial("GET", &[&fence]),
            trial("SET", &[&fence, "0"]),
            trial(write.0, &write_key),
        ]
    };
    match action {
        Action::Set { key, .. } => of_key(key, ("SET", &["0"])),
        Action::Delete { key } => of_key(key, ("DEL", &[])),
        Action::Publish { channel, .. } => vec![trial("PUBLISH", &[&channel.sample(), "0"])],
    }
}
