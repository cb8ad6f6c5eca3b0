//! The command line as clap sees it: what the derived command lacks.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, ColorChoice, FromArgMatches};
use clap_complete::Shell;

use super::{Args, Command, Format, help};

/// Parses the command line. Help and errors of usage are printed, and end the process.
pub(crate) fn parse() -> Args {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let mut command = help::command().color(color(&arguments));
    let matches = command.try_get_matches_from_mut(arguments);
    let matches = matches.unwrap_or_else(|error| error.exit());
    if let Err(why) = check_options(&matches) {
        refuse(command, &matches, why);
    }
    let args = Args::from_arg_matches_mut(&mut matches.clone());
    let args = args.unwrap_or_else(|error| error.format(&mut command).exit());
    if let Err(why) = check(&args) {
        refuse(command, &matches, why);
    }
    args
}

/// Prints an error with the usage of the command, and ends the process.
fn refuse(mut command: clap::Command, matches: &ArgMatches, why: String) -> ! {
    let used = command.find_subcommand_mut(matches.subcommand_name().unwrap_or_default());
    match used {
        Some(used) => used.error(ErrorKind::ArgumentConflict, why).exit(),
        None => command.error(ErrorKind::ArgumentConflict, why).exit(),
    }
}

/// Refuses options of all commands that do not apply to this one, if they are on the command line: the
/// environment is common to all commands.
fn check_options(matches: &ArgMatches) -> Result<(), String> {
    let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let command = matches.subcommand_name().unwrap_or_default();
    // A command that works on files says why it has no --server.
    let is_unclear = |id: &str| is_given(id) && id != "server";
    let has_files = ["repair", "restore"].contains(&command);
    let found = match has_files {
        true => help::inapplicable(command, is_unclear),
        false => help::inapplicable(command, is_given),
    };
    if let Some(id) = found {
        let option = if id == "asking" { "as" } else { id };
        return Err(format!("--{option} does not apply to the command {command}"));
    }
    if is_given("packing") && is_given("server") {
        return Err(
            "--packing does not apply with --server: the server's own setting counts".to_owned()
        );
    }
    Ok(())
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
    if args.display.output == Some(Format::Csv) && !matches!(args.command, Command::Query(_)) {
        return Err("--output csv prints the rows of query: use json or table with other commands"
            .to_owned());
    }
    if args.display.output == Some(Format::Csv)
        && matches!(&args.command, Command::Query(query) if query.live)
    {
        return Err(
            "--output csv prints one answer: use ndjson, json or table with --live".to_owned()
        );
    }
    if let Command::Append(append) = &args.command {
        append.pairs()?;
        append.conditions()?;
    }
    Ok(())
}

/// Returns the script that completes the command line in a shell.
pub(crate) fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "leftfold", &mut script);
    script
}
