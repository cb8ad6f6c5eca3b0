use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError, LogFormat};

/// Sends log lines to standard error, as the settings say. For binaries, once in a process.
///
/// # Errors
/// `setting_invalid`: `log.level` can't be read.
pub fn init_logs(config: &Config) -> Result<(), ConfigError> {
    let level = &config.log_level;
    let filter = EnvFilter::try_new(level).map_err(|error| ConfigError {
        code: "setting_invalid",
        message: format!("log.level = {level:?}: {error}"),
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A subscriber that was set before stays.
    _ = match config.log_format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    Ok(())
}
