//! The command line as clap sees it: what the derived command lacks.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches};

use super::{Args, Command, Format};

/// Parses the command line. Help and errors of usage are printed, and end the process.
pub(crate) fn parse() -> Args {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = Args::command().color(color(&arguments));
    let parsed = command
        .try_get_matches_from_mut(arguments)
        .and_then(|mut matches| Args::from_arg_matches_mut(&mut matches));
    let checked = parsed.map_err(|error| error.format(&mut command)).and_then(|args| {
        check(&args).map_err(|why| command.error(ErrorKind::ArgumentConflict, why))?;
        Ok(args)
    });
    checked.unwrap_or_else(|error| error.exit())
}

/// Returns the value of `--color`: clap's own output comes before the parsed arguments.
fn color(arguments: &[OsString]) -> ColorChoice {
    let texts: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
    let mut texts = texts.iter().take_while(|text| **text != "--");
    while let Some(text) = texts.next() {
        let value = match text.strip_prefix("--color") {
            Some("") => texts.next().copied(),
            Some(value) => value.strip_prefix('='),
            None => None,
        };
        match value {
            Some("always") => return ColorChoice::Always,
            Some("never") => return ColorChoice::Never,
            _ => {}
        }
    }
    ColorChoice::Auto
}

fn check(args: &Args) -> Result<(), String> {
    let has_events = matches!(args.command, Command::Read(_) | Command::Subscribe(_));
    if args.display.output == Some(Format::Raw) && !has_events {
        return Err("--output raw prints the data of events: use it with read or subscribe, and \
                    json or table with other commands"
            .to_owned());
    }
    if let Command::Append(append) = &args.command {
        append.pairs()?;
        append.conditions()?;
    }
    Ok(())
}
