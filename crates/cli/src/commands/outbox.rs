use std::process::ExitCode;

use leftfold_connect::connectors::{outbox_publication_sql, outbox_sql};

use crate::args::OutboxAction;

/// Prints the SQL of an outbox.
pub(crate) fn run(action: &OutboxAction) -> anyhow::Result<ExitCode> {
    let OutboxAction::Init { table, replication } = action;
    say!("{}", outbox_sql(table)?.trim_end());
    if *replication {
        say!("{}", outbox_publication_sql(table)?.trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
