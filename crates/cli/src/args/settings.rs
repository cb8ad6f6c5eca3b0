//! The server's flags: one for each of its settings, made from their table.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use leftfold_server::{Config, ConfigError, Effective, Given, Sources};

const CONFIG: &str = "config";

/// The server's settings that flags give.
#[derive(Debug)]
pub(crate) struct Settings {
    file: Option<PathBuf>,
    flags: Vec<Given>,
}

impl Settings {
    pub(crate) fn load(&self) -> Result<Effective, ConfigError> {
        Sources::of_process(self.file.clone(), self.flags.clone()).load()
    }
}

/// Whether every command has the flag: it is defined elsewhere and only read here.
fn is_global(name: &str) -> bool {
    ["data", "packing"].contains(&name)
}

impl clap::Args for Settings {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(clap::value_parser!(PathBuf))
            .help("A TOML file with settings [env: LEFTFOLD_CONFIG]");
        let settings = Config::SETTINGS.iter().filter(|setting| !is_global(setting.name));
        settings.fold(command.arg(file), |command, setting| {
            let help = format!(
                "{} [default: {}] [env: {}]",
                setting.doc.trim(),
                setting.default(),
                setting.env()
            );
            let arg = Arg::new(setting.name).long(setting.flag()).help(help).value_name("VALUE");
            let arg = if setting.name == "kafka.listen" { arg.visible_alias("kafka") } else { arg };
            let arg = if setting.is_switch {
                arg.num_args(0..=1).default_missing_value("true").require_equals(true)
            } else {
                arg.action(ArgAction::Set)
            };
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = |name: &str| {
            let by_flag = matches.value_source(name) == Some(ValueSource::CommandLine);
            matches.get_raw(name).filter(|_| by_flag)?.next()
        };
        let flags = Config::SETTINGS.iter().filter_map(|setting| {
            let value = given(setting.name)?.to_string_lossy().into_owned();
            Some(Given { name: setting.name.to_owned(), value })
        });
        Ok(Settings { file: matches.get_one::<PathBuf>(CONFIG).cloned(), flags: flags.collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
