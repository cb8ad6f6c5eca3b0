//! Mails by SMTP: each event is one.

mod failure;
mod message;
mod session;
mod settings;

use std::time::Duration;

use leftfold_api::{Coded, EventStore, Recorded};

use self::session::Pool;
use super::kind::{Check, Run};
use super::outlet::{Attempt, Outlet, Pace, Undelivered, run_outlet};
use super::template::EventFields;
use super::{ConnectorError, Secrets};

pub(crate) use self::settings::MailSettings;

/// Mails at a time, if the definition does not say: servers take few connections of one client.
const IN_FLIGHT: usize = 4;

/// Returns the usual pauses: a server that knows no sender of that name yet says "later" for some minutes to an hour, and
/// RFC 5321 wants days before a mail is given up.
pub(crate) fn usual_schedule() -> Vec<Duration> {
    const HOUR: u64 = 60;
    let minutes =
        [1, 5, 15, 30, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR];
    minutes.map(|minutes| Duration::from_secs(60 * minutes)).to_vec()
}

/// Sends mails.
struct MailOutlet {
    settings: MailSettings,
    pool: Pool,
}

impl Outlet for MailOutlet {
    async fn deliver(&self, event: &Recorded, attempt: Attempt) -> Result<(), Undelivered> {
        let mail = message::compose(&self.settings, &EventFields::new(event), attempt.key)
            .map_err(Undelivered::Refused)?;
        // Nothing was sent if there is no connection, so no attempt is counted.
        let mut session = self.pool.session().await.map_err(Undelivered::Stop)?;
        let sent = session.send(&mail).await;
        match &sent {
            Ok(()) => self.pool.keep(session),
            Err(Undelivered::Retry(..)) => drop(session),
            Err(_) => session.end().await,
        }
        sent
    }
}

/// Runs a connector.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &MailSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let pool = Pool::new(settings, &run.secrets)?;
    run_outlet(run, MailOutlet { settings: settings.clone(), pool }, Pace::by_stream(IN_FLIGHT))
        .await
}

/// Connects and signs in. Nothing is sent.
pub(crate) async fn check(settings: &MailSettings, secrets: &Secrets) -> Check {
    let mut check = Check::default();
    let with_code = |error: ConnectorError| format!("{error} ({})", error.code());
    let pool = match Pool::new(settings, secrets) {
        Ok(pool) => pool,
        Err(error) => {
            check.note("settings and secrets", Err::<String, _>(with_code(error)));
            return check;
        }
    };
    check.note("settings and secrets", Ok::<_, String>("are as they must be"));
    let found = match pool.session().await {
        Ok(mut session) => match session.is_alive().await {
            true => {
                session.end().await;
                Ok("lets the account in, and answers")
            }
            false => Err("does not answer to NOOP".to_owned()),
        },
        Err(error) => Err(with_code(error)),
    };
    check.note("the mail server", found);
    check
}
