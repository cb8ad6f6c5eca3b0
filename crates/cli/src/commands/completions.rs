use std::io::Write;
use std::process::ExitCode;

use clap_complete::Shell;

use crate::args;

pub(crate) fn run(shell: Shell) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(&args::completions(shell))?;
    Ok(ExitCode::SUCCESS)
}
