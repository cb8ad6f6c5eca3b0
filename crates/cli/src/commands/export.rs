use std::io::{BufWriter, Write};
use std::process::ExitCode;

use leftfold::transfer::{ExportItem, export};
use pollster::block_on;

use crate::args::{self, Location};
use crate::output::{write_checkpoint, write_end, write_export, write_total};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: &args::Export) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    block_on(export(&store, args.query.clone(), |item| write(&mut out, &item)))?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, item: &ExportItem<'_>) -> anyhow::Result<()> {
    match item {
        ExportItem::Event { position, event } => write_export(out, *position, event)?,
        ExportItem::End { position, stream, last_version } => {
            write_end(out, *position, stream, *last_version)?;
        }
        ExportItem::Checkpoint { position, name, partition } => {
            write_checkpoint(out, *position, name, *partition)?;
        }
        ExportItem::Total(total) => write_total(out, total)?,
    }
    Ok(())
}
