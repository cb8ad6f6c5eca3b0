use std::process::ExitCode;

use leftfold_connect::connectors::outbox_sql;

use crate::args::OutboxAction;

/// Prints the SQL of an outbox.
pub(crate) fn run(action: &OutboxAction) -> anyhow::Result<ExitCode> {
    let OutboxAction::Init { table } = action;
    say!("{}", outbox_sql(table)?.trim_end());
    Ok(ExitCode::SUCCESS)
}
