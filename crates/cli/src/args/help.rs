//! The groups of the commands in the help, and the options that do not apply to a command.

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::Args;

/// The commands by what they are for. Each command is in exactly one group.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Events", &["append", "read", "subscribe", "streams", "ingest", "mapping"]),
    ("Views by SQL", &["view", "query"]),
    ("Connectors", &["connector", "outbox"]),
    ("Folds and indexes", &["checkpoints", "parked", "index"]),
    (
        "Administration of a store",
        &[
            "stat",
            "retention",
            "delete",
            "scavenge",
            "pack",
            "verify",
            "repair",
            "backup",
            "restore",
            "export",
            "import",
        ],
    ),
    ("Server", &["serve", "config", "cert", "user", "group", "token", "grant", "cluster"]),
    ("Learning", &["demo", "completions", "help"]),
];

/// Options of all commands that do not apply to a command: they are not in its help.
const INAPPLICABLE: [(&[&str], &[&str]); 5] = [
    (
        &["demo", "cert", "completions", "mapping", "outbox"],
        &["data", "packing", "server", "ca", "asking"],
    ),
    (&["repair", "restore"], &["packing", "server", "ca", "asking"]),
    (&["serve", "config"], &["server", "ca", "asking"]),
    (&["user", "group", "token", "grant"], &["packing"]),
    (&["cluster", "connector"], &["data", "packing"]),
];

/// Returns the command line with grouped help.
pub(super) fn command() -> Command {
    let mut command = Args::command();
    let options: Vec<_> =
        command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    for (names, left_out) in INAPPLICABLE {
        for name in names {
            let hidden =
                options.iter().filter(|option| left_out.contains(&option.get_id().as_str()));
            let hidden = hidden.cloned().map(|option| option.hide(true));
            command = command.mut_subcommand(name, |subcommand| subcommand.args(hidden));
        }
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}\n{{options}}{{after-help}}",
        groups(&command)
    );
    command.help_template(template)
}

fn groups(command: &Command) -> String {
    let style = command.get_styles();
    let (heading, literal) = (style.get_header(), style.get_literal());
    let width = GROUPS
        .iter()
        .flat_map(|(_, names)| *names)
        .map(|name| name.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for (title, names) in GROUPS {
        _ = writeln!(text, "{heading}{title}:{heading:#}");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about =
                about.map_or_else(|| "Print help of a command".to_owned(), ToString::to_string);
            _ = writeln!(text, "  {literal}{name:width$}{literal:#}  {about}");
        }
        text.push('\n');
    }
    _ = write!(text, "{heading}Options:{heading:#}");
    text
}

/// Returns the long names of options that were given and do not apply to the command.
pub(super) fn inapplicable(command: &str, is_given: impl Fn(&str) -> bool) -> Option<&'static str> {
    let sets = INAPPLICABLE.iter().filter(|(names, _)| names.contains(&command));
    sets.flat_map(|(_, left_out)| *left_out).copied().find(|id| is_given(id))
}
