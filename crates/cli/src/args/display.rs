use clap::{ColorChoice, ValueEnum};

/// Their heading in the help.
const HEADING: &str = "Output";

/// How results are printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Display {
    /// json (an object a line), table, raw (the data of events alone), or csv and ndjson (the rows of
    /// `query`); if not given, table on a terminal and ndjson, the same as json but for `query`, elsewhere.
    #[arg(short, long, global = true, help_heading = HEADING, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) output: Option<Format>,
    /// Print only results and errors: no progress, hints or confirmations.
    #[arg(short, long, global = true, help_heading = HEADING)]
    pub(crate) quiet: bool,
    /// When the output has colours; auto: on a terminal, unless NO_COLOR is set.
    #[arg(
        long,
        global = true,
        help_heading = HEADING,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true
    )]
    pub(crate) color: ColorChoice,
}

/// A format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Json,
    /// JSON; only `query` tells the two apart.
    Ndjson,
    Table,
    Raw,
    Csv,
}
