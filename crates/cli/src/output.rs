//! Standard output: tables for people, one JSON object a line for programs, or data alone.
//!
//! The command line decides once, before a command runs; see [`init`].

mod answer;
mod event;
mod live;
mod table;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::Context;
use clap::ColorChoice;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use leftfold::escape_unprintable;

use crate::args::{Display as Shown, Format};

pub(crate) use answer::print_answer;
pub(crate) use event::{
    event_text, print_events, printable, write_checkpoint, write_end, write_export, write_json,
    write_raw, write_total,
};
pub(crate) use live::LiveRows;
pub(crate) use table::{print_table, table, thousands};

/// The choices of this process.
static CHOSEN: OnceLock<Chosen> = OnceLock::new();

#[derive(Debug, Clone, Copy)]
struct Chosen {
    format: Format,
    quiet: bool,
}

/// Sets the format, the verbosity and the colours of this process.
pub(crate) fn init(shown: &Shown) {
    let choice = match shown.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    let format = shown.output.unwrap_or_else(usual_format);
    _ = CHOSEN.set(Chosen { format, quiet: shown.quiet });
}

fn usual_format() -> Format {
    if std::io::stdout().is_terminal() { Format::Table } else { Format::Ndjson }
}

fn chosen() -> Chosen {
    *CHOSEN.get_or_init(|| Chosen { format: usual_format(), quiet: false })
}

/// Returns the format of the output.
pub(crate) fn format() -> Format {
    chosen().format
}

/// Whether standard output is for people: tables and sentences.
pub(crate) fn for_people() -> bool {
    format() == Format::Table
}

/// Whether only results and errors are printed.
pub(crate) fn is_quiet() -> bool {
    chosen().quiet
}

/// The first error of standard output, except that its reader closed the pipe.
static FAILED: Mutex<Option<std::io::Error>> = Mutex::new(None);

/// Prints a line to standard output. An error ends the process only when the command is done, with
/// [`finish`]: what it changes does not depend on its reader.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::print_line(format_args!($($text)*)) };
}

pub(crate) fn print_line(text: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout();
    let printed = match out.is_terminal() {
        true => writeln!(out, "{}", safe_lines(&text.to_string())),
        false => writeln!(out, "{text}"),
    };
    if let Err(error) = printed
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        FAILED.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }
}

/// Returns text for a terminal, which obeys nothing in it but its ends of lines.
pub(crate) fn safe_lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape_unprintable).collect();
    lines.join("\n")
}

/// Returns the error of a line that could not be printed.
pub(crate) fn finish() -> anyhow::Result<()> {
    match FAILED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        Some(error) => Err(error).context("writing to standard output"),
        None => Ok(()),
    }
}

/// Prints to standard error what a person may do next, unless the command is quiet.
pub(crate) fn hint(text: impl Display) {
    if !is_quiet() {
        anstream::eprintln!("{text}");
    }
}

/// Makes a progress bar on standard error, hidden if that is no terminal or the command is quiet.
pub(crate) fn progress(template: &str) -> anyhow::Result<ProgressBar> {
    let target =
        if is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(None, target);
    bar.set_style(ProgressStyle::with_template(template)?);
    Ok(bar)
}
