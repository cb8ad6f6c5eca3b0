//! Names of streams, types, tags and indexes, and the rules for them.

use crate::error::Invalid;
use crate::limits::MAX_NAME;

/// The first character of names that are reserved for the store.
pub const SYSTEM: char = '$';
/// The category of the streams that define named indexes.
pub const INDEXES: &str = "$index";
/// The category of the streams that define retention rules.
pub const RETENTION_RULES: &str = "$retention";
/// The category of the streams with the retention of a stream.
pub const STREAM_SETTINGS: &str = "$stream";
/// The category of the streams that delete checkpoints.
pub const CHECKPOINTS: &str = "$checkpoint";
/// The stream of placeholders of lost events whose stream is not known.
pub const LOST: &str = "$lost";
/// The category of the streams with a server's users and grants.
pub const ACCESS: &str = "$access";
/// The category of audit streams. Unlike other system streams, they fall under retention rules.
pub const AUDIT: &str = "$audit";
/// The category of the streams with the committed offsets of Kafka's consumer groups. Each event holds the
/// whole group, so only the last of a stream is visible and kept. Retention rules don't apply.
pub const KAFKA: &str = "$kafka";

/// The category of the streams in which reactors keep their progress.
pub const REACTORS: &str = "leftfold.reactor";
/// The category of the streams in which operators ask reactors for something.
pub const CONTROL: &str = "leftfold.control";
/// The category of the streams with parked events.
pub const PARKED: &str = "leftfold.parked";
/// The category of the streams that say which files were ingested.
pub const INGESTED: &str = "leftfold.ingest";
/// The category of the streams that remember commands without events.
pub const HANDLED: &str = "leftfold.handled";
/// The category of the streams that say which process runs a runtime's parts.
pub const LEASES: &str = "leftfold.lease";
/// The category of the streams with the definitions of SQL views.
pub const VIEWS: &str = "leftfold.view";
/// The category of the streams with the definitions of connectors.
pub const CONNECTORS: &str = "leftfold.connector";
/// The categories of bookkeeping that is not the store's own.
pub const OF_LEFTFOLD: [&str; 8] =
    [REACTORS, CONTROL, PARKED, INGESTED, HANDLED, LEASES, VIEWS, CONNECTORS];
/// Those of them that say nothing in another store: progress counts its positions, and a connector would send all events
/// again from there.
pub const OF_ONE_STORE: [&str; 3] = [REACTORS, CONTROL, CONNECTORS];
/// The categories of the store's and the server's own streams.
pub const OF_SYSTEM: [&str; 8] =
    [INDEXES, RETENTION_RULES, STREAM_SETTINGS, CHECKPOINTS, LOST, ACCESS, AUDIT, KAFKA];

/// Whether a stream is bookkeeping: one of the store's own, of reactors, of commands, or of ingests. Queries hide its events unless
/// they ask for them: see [`Query::shows`](crate::Query::shows).
pub fn is_bookkeeping(stream: &str) -> bool {
    match stream.as_bytes().first() {
        Some(b'$') => true,
        Some(b'l') => OF_LEFTFOLD.contains(&category_of(stream)),
        _ => false,
    }
}

/// Checks a name: 1 to 1024 bytes of UTF-8 without control characters.
pub fn check(what: &str, name: &str) -> Result<(), Invalid> {
    // Most names are plain ASCII, which is checked faster than characters.
    let plain = name.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if plain && (1..=MAX_NAME).contains(&name.len()) {
        return Ok(());
    }
    let wrong = match name {
        "" => "it is empty".to_owned(),
        _ if name.len() > MAX_NAME => format!("it has {} bytes", name.len()),
        _ => match name.chars().find(|c| c.is_control()) {
            Some(c) => format!("it holds the control character {c:?}"),
            None => return Ok(()),
        },
    };
    let start: String = name.chars().take(40).collect();
    Err(Invalid::new(
        "name_invalid",
        format!(
            "{what} {start:?} is not a name: {wrong}; a name has 1 to {MAX_NAME} bytes of UTF-8 \
             without control characters"
        ),
    ))
}

/// Checks a name that may be a system name: a user's name behind a prefix, which does not count.
pub fn check_system(what: &str, name: &str) -> Result<(), Invalid> {
    match name.split_once('-') {
        Some((prefix, rest)) if prefix.starts_with(SYSTEM) => check(what, rest),
        _ => check(what, name),
    }
}

/// Checks a tag as a name, `key=value`.
pub fn check_tag(key: &str, value: &str) -> Result<(), Invalid> {
    let plain = |text: &str| text.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    if plain(key) && plain(value) && key.len() + value.len() < MAX_NAME {
        return Ok(());
    }
    check("tag", &format!("{key}={value}"))
}

/// Checks a new name of a user, which must not be reserved.
pub fn check_new(what: &str, name: &str) -> Result<(), Invalid> {
    check(what, name)?;
    if name.starts_with(SYSTEM) {
        let message = format!("{what} {name:?} begins with $, which belongs to the store itself");
        return Err(Invalid::new("name_reserved", message));
    }
    Ok(())
}

/// Returns the category of a stream: its name up to the first `-`, or the whole name. The rule is frozen in
/// the store's header.
pub fn category_of(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(category, _)| category)
}

/// Returns the part of a stream's name after the category, or the whole name if it has no category.
pub fn id_of(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_category_ends_at_the_first_dash() {
        for (stream, category) in
            [("order-1", "order"), ("order-a-b", "order"), ("order", "order"), ("-x", "")]
        {
            assert_eq!(category_of(stream), category);
        }
    }
}
