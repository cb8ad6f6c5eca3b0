//! Caches in Redis: each event sets or deletes keys, or is published, as the rules of the connector say.

mod check;
mod failure;
mod fence;
mod link;
mod settings;

use std::pin::pin;

use futures_util::future::{Either, select};
use leftfold_api::{EventStore, Recorded};
use redis::Cmd;

use self::link::Link;
use self::settings::{Action, Rule};
use super::ConnectorError;
use super::kind::Run;
use super::outlet::{Attempt, Outlet, Pace, Undelivered, run_outlet};
use super::template::{EventFields, Template};

pub(crate) use self::check::check;
pub(crate) use self::settings::RedisSettings;

/// Events at a time, if the definition does not say. They share one connection.
const IN_FLIGHT: usize = 64;

/// Sends commands to Redis.
struct RedisOutlet {
    link: Link,
    rules: Vec<Rule>,
}

impl Outlet for RedisOutlet {
    async fn deliver(&self, event: &Recorded, _: Attempt) -> Result<(), Undelivered> {
        let commands = self.commands(event).map_err(Undelivered::Refused)?;
        for (at, command) in commands.iter().enumerate() {
            self.run(command).await.map_err(|undelivered| match undelivered {
                // Some of it has happened: the event must count as one that was tried.
                Undelivered::Stop(error) if at > 0 => Undelivered::Retry(error.to_string(), None),
                undelivered => undelivered,
            })?;
        }
        Ok(())
    }
}

impl RedisOutlet {
    /// Returns the commands for an event, in the order of the rules; the error says why there are none.
    fn commands(&self, event: &Recorded) -> Result<Vec<Cmd>, String> {
        let fields = EventFields::new(event);
        let rules = self.rules.iter().filter(|rule| rule.is_for(event));
        rules.map(|rule| command(&rule.action, &fields)).collect()
    }

    async fn run(&self, command: &Cmd) -> Result<(), Undelivered> {
        let mut connection = self.link.connection().await.map_err(Undelivered::Stop)?;
        match connection.run(command).await {
            Ok(_) => Ok(()),
            Err(error) => {
                if error.code().is_none() {
                    self.link.forget(&connection).await;
                }
                Err(failure::of_command(&error))
            }
        }
    }
}

fn command(action: &Action, fields: &EventFields<'_>) -> Result<Cmd, String> {
    let name = |template: &Template, what: &str| match template.render(fields)? {
        name if name.is_empty() => Err(format!("the {what} would be empty")),
        name => Ok(name),
    };
    Ok(match action {
        Action::Set { key, value, expire } => {
            fence::set(fields.event, &name(key, "key")?, &value.render(fields)?, *expire)
        }
        Action::Delete { key } => fence::delete(fields.event, &name(key, "key")?),
        Action::Publish { channel, message } => {
            let mut command = redis::cmd("PUBLISH");
            command.arg(name(channel, "channel")?).arg(message.render(fields)?);
            command
        }
    })
}

/// Runs a connector.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &RedisSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let partitions = run.store.head().await?.positions().len();
    if partitions > 1 && !settings.has_keys_of_streams() {
        return Err(ConnectorError::unusable(format!(
            "the store has {partitions} partitions, whose commit times can't be compared, so a key must be of one stream: \
             use {{stream}}, {{key}} or {{id}} in set and delete"
        )));
    }
    let outlet =
        RedisOutlet { link: Link::new(settings, &run.secrets)?, rules: settings.rules.clone() };
    // No event is tried before Redis can be reached.
    if let Either::Left((connected, _)) =
        select(pin!(outlet.link.connection()), pin!(run.stop.wait())).await
    {
        connected?;
    }
    run_outlet(run, outlet, Pace::by_stream(IN_FLIGHT)).await
}
