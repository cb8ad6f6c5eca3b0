//! What a client may not do.

use std::time::Duration;

use anyhow::ensure;

use super::PATIENCE;
use crate::broker::{Broker, Endpoint};
use crate::client::Client;
use crate::command::{Command, Produce};
use crate::event::Event;

/// Checks that a client may not write to a topic.
///
/// # Errors
/// Something was written.
pub fn is_refused(client: Client, broker: &dyn Broker, topic: &str) -> anyhow::Result<()> {
    let limit = Duration::from_secs(8);
    let command = Command::Produce(Produce::new(topic, 0, 1));
    ensure_refused(&client.start(broker, &command, limit)?.outcome(PATIENCE)?)
}

fn ensure_refused(events: &[Event]) -> anyhow::Result<()> {
    let is_success = |event: &Event| matches!(event, Event::Delivered { .. } | Event::Done);
    ensure!(!events.iter().any(is_success), "it was not refused: {events:?}");
    Ok(())
}

/// Checks that a client with a wrong password writes nothing.
///
/// # Errors
/// Something was written.
pub fn is_refused_with_a_wrong_password(
    client: Client,
    endpoint: &Endpoint,
    topic: &str,
) -> anyhow::Result<()> {
    let mut wrong = endpoint.clone();
    if let Some(login) = &mut wrong.login {
        login.password.push('x');
    }
    let limit = Duration::from_secs(8);
    let command = Command::Produce(Produce::new(topic, 0, 1));
    ensure_refused(&client.start(&wrong, &command, limit)?.outcome(PATIENCE)?)
}
