use std::io::{self, Write};

use leftfold_api::escape_unprintable;
use tracing::Dispatch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{Config, ConfigError, LogFormat};

/// Sends log lines to standard error, as the settings say. For binaries, once in a process.
///
/// # Errors
/// `setting_invalid`: `log.level` can't be read.
pub fn init_logs(config: &Config) -> Result<(), ConfigError> {
    // A subscriber that was set before stays.
    _ = subscriber(config, io::stderr)?.try_init();
    Ok(())
}

/// Returns what writes log lines, each event as one line whatever its fields hold.
fn subscriber<W>(
    config: &Config,
    to: impl Fn() -> W + Send + Sync + 'static,
) -> Result<Dispatch, ConfigError>
where
    W: Write + 'static,
{
    let level = &config.log_level;
    let filter = EnvFilter::try_new(level).map_err(|error| ConfigError {
        code: "setting_invalid",
        message: format!("log.level = {level:?}: {error}"),
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Lines(to));
    Ok(match config.log_format {
        LogFormat::Text => lines.with_ansi(false).into(),
        LogFormat::Json => lines.json().into(),
    })
}

/// Makes a writer for each line.
struct Lines<F>(F);

impl<'a, W: Write, F: Fn() -> W> MakeWriter<'a> for Lines<F> {
    type Writer = Line<W>;

    fn make_writer(&'a self) -> Line<W> {
        Line((self.0)())
    }
}

/// Writes one line. Names, paths and messages come from clients, so what would end the line earlier or change
/// a terminal is escaped here, in whatever field it is.
struct Line<W>(W);

impl<W: Write> Write for Line<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let (content, end) = match text.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (&*text, ""),
        };
        self.0.write_all(format!("{}{end}", escape_unprintable(content)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leftfold_api::is_unprintable;
    use parking_lot::Mutex;

    use super::*;
    use crate::access::{Denial, record_for_test};
    use crate::http::Problem;

    #[derive(Clone, Default)]
    struct Logged(Arc<Mutex<Vec<u8>>>);

    impl Write for Logged {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a client would send to forge a line of its own.
    const HOSTILE: &str = "a\n2026-01-01T00:00:00Z  INFO audit: managed who=\"admin\"\r\u{1b}[2J\u{7f}\u{9b}31m\
                           \u{85}\u{2028}\u{2029}\u{202e} outcome=\"done\" \"}\0";

    fn lines_of(format: LogFormat, log: impl FnOnce()) -> Vec<String> {
        let logged = Logged::default();
        let to = logged.clone();
        let config =
            Config { log_format: format, log_level: "trace".to_owned(), ..Config::default() };
        let subscriber = subscriber(&config, move || to.clone()).unwrap();
        tracing::dispatcher::with_default(&subscriber, log);
        let text = String::from_utf8(logged.0.lock().clone()).unwrap();
        let text = text.strip_suffix('\n').unwrap();
        assert!(!text.replace('\n', "").contains(is_unprintable), "{text:?}");
        text.split('\n').map(str::to_owned).collect()
    }

    /// Every kind of event that has a client's text in it.
    fn log_everything() {
        let denied = Denial::Forbidden(HOSTILE.to_owned());
        let span = tracing::info_span!("request", id = HOSTILE, peer = %HOSTILE, path = HOSTILE);
        span.in_scope(|| record_for_test(HOSTILE, &denied));
        _ = axum::response::IntoResponse::into_response(Problem::new("internal_error", HOSTILE));
        tracing::error!(error = %HOSTILE, "{HOSTILE}");
    }

    #[test]
    fn each_event_is_one_line_without_control_characters_whatever_a_client_sent() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = lines_of(format, log_everything);
            assert_eq!(lines.len(), 4, "{format:?}: {lines:#?}");
        }
        let lines = lines_of(LogFormat::Json, log_everything);
        let parsed: Vec<serde_json::Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let denied = &parsed[0];
        for field in ["who", "from", "request", "action", "what", "why"] {
            assert_eq!(denied["fields"][field], HOSTILE, "{field} can be read back");
        }
        assert_eq!(denied["fields"]["outcome"], "forbidden");
        assert_eq!(parsed[1]["fields"]["message"], "managed");
    }

    /// A reader who looks for fields in a line of text finds those of the server alone: what a client sent
    /// stands in quotes.
    #[test]
    fn no_text_of_a_client_looks_like_a_field_of_its_own() {
        let lines = lines_of(LogFormat::Text, || {
            let denied = Denial::Forbidden(" outcome=\"done\"".to_owned());
            record_for_test(" outcome=\"done\"", &denied);
        });
        for (line, outcome) in lines.iter().zip(["outcome=\"forbidden\"", "outcome=\" outcome"]) {
            assert!(!line.contains(" outcome=\"done\""), "{line}");
            assert!(line.contains(outcome), "{line}");
        }
    }
}
