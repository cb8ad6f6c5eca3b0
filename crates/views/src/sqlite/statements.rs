//! Runs the statements of a file for the events of a batch.

use leftfold_api::Recorded;
use rusqlite::{CachedStatement, Connection};

use super::rows::Failed;
use crate::definition::{Definition, Handler};
use crate::parameter::Value;
use crate::windows::{Admission, OpenWindows, WindowBatch, WindowError};

/// The statements of a view, each prepared once for all events of a transaction, and its windows.
pub(super) struct Statements<'c> {
    connection: &'c Connection,
    /// The statements of each handler; those are prepared that have been needed.
    handlers: Vec<(&'c Handler, Vec<Option<CachedStatement<'c>>>)>,
    windows: Option<WindowBatch<'c>>,
}

impl<'c> Statements<'c> {
    pub(super) fn begin(
        connection: &'c Connection,
        definition: &'c Definition,
    ) -> rusqlite::Result<Self> {
        let none = |handler: &Handler| handler.statements.iter().map(|_| None).collect();
        let handlers = definition.handlers.iter().map(|handler| (handler, none(handler))).collect();
        let windows = WindowBatch::begin(connection, definition)?;
        Ok(Statements { connection, handlers, windows })
    }

    /// Bounds the memory of the windows. What it writes must not be undone alone.
    pub(super) fn make_room(&mut self) -> rusqlite::Result<()> {
        match &mut self.windows {
            Some(windows) => windows.make_room(self.connection),
            None => Ok(()),
        }
    }

    /// Runs the statements for an event, unless all its windows are final.
    pub(super) fn apply(&mut self, event: &Recorded) -> Result<(), Failed> {
        let open = match self.admit(event)? {
            Some(Admission::Late) => return Ok(()),
            Some(Admission::Open(open)) => Some(open),
            None => None,
        };
        self.run(event, open.as_ref())?;
        if let (Some(windows), Some(open)) = (&mut self.windows, &open) {
            windows.advance(open);
        }
        Ok(())
    }

    fn admit(&mut self, event: &Recorded) -> Result<Option<Admission>, Failed> {
        let Some(windows) = &mut self.windows else { return Ok(None) };
        let line = windows.line();
        let admission = windows.admit(self.connection, event).map_err(|error| match error {
            WindowError::Event(reason) => Failed { line, reason, is_of_file: false },
            WindowError::Sql(error) => Failed::new(&error, line),
        });
        admission.map(Some)
    }

    fn run(&mut self, event: &Recorded, open: Option<&OpenWindows>) -> Result<(), Failed> {
        let mut content = None;
        for (handler, prepared) in &mut self.handlers {
            if !handler.handles(event.event_type()) {
                continue;
            }
            let (data, metadata) = content.get_or_insert_with(|| (event.data(), event.metadata()));
            let values = handler.inputs.values(event, data, metadata);
            let mut values = values.map_err(|reason| Failed {
                line: handler.line,
                reason,
                is_of_file: false,
            })?;
            if let Some(open) = open {
                open.set(&handler.inputs, &mut values);
            }
            execute(self.connection, handler, prepared, &values)?;
        }
        Ok(())
    }

    /// Writes what is left to write at the end of the batch.
    pub(super) fn end(self) -> rusqlite::Result<()> {
        match self.windows {
            Some(windows) => windows.end(self.connection),
            None => Ok(()),
        }
    }
}

fn execute<'c>(
    connection: &'c Connection,
    handler: &Handler,
    prepared: &mut [Option<CachedStatement<'c>>],
    values: &[Value<'_>],
) -> Result<(), Failed> {
    for (statement, prepared) in handler.statements.iter().zip(prepared) {
        let failed = |error: rusqlite::Error| Failed::new(&error, statement.line);
        let prepared = match prepared {
            Some(prepared) => prepared,
            None => prepared.insert(connection.prepare_cached(statement.sql()).map_err(failed)?),
        };
        for (number, input) in (1..).zip(&statement.inputs) {
            let value = values.get(*input).unwrap_or(&Value::Null);
            prepared.raw_bind_parameter(number, value).map_err(failed)?;
        }
        prepared.raw_execute().map_err(failed)?;
    }
    Ok(())
}
