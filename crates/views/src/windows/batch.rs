//! The windows of a view while a batch of events is applied.

use leftfold_api::{Recorded, Timestamp};
use rusqlite::Connection;

use super::clocks::Clocks;
use super::{before, late, sessions};
use crate::definition::{Definition, Shape, Window};
use crate::functions::windows::{json_list, starts};
use crate::parameter::{Inputs, Parameter, Value};

/// The longest key, in bytes: keys are kept in memory.
const MAX_KEY: usize = 1_024;

/// Which windows events are in, and what the clocks show.
pub(crate) struct WindowBatch<'d> {
    definition: &'d Definition,
    window: &'d Window,
    /// What of an event is its key.
    key: Inputs,
    clocks: Clocks,
}

/// Whether an event is applied.
pub(crate) enum Admission {
    /// It is, in these windows.
    Open(OpenWindows),
    /// All its windows are final; it has been noted.
    Late,
}

/// An event that is applied.
pub(crate) struct OpenWindows {
    key: Value<'static>,
    time: Timestamp,
    /// The starts of its open windows, in order; none of sessions.
    starts: Vec<Timestamp>,
}

/// Why the windows of an event can't be found.
pub(crate) enum WindowError {
    /// The event has none.
    Event(String),
    /// The tables of the windows can't be read or written.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for WindowError {
    fn from(error: rusqlite::Error) -> Self {
        WindowError::Sql(error)
    }
}

impl<'d> WindowBatch<'d> {
    /// Reads the clock of a view with windows.
    pub(crate) fn begin(
        connection: &Connection,
        definition: &'d Definition,
    ) -> rusqlite::Result<Option<Self>> {
        let Some(window) = &definition.window else { return Ok(None) };
        let clocks = Clocks::read(connection, window.by.is_some(), window.idle)?;
        Ok(Some(WindowBatch { definition, window, key: window.key(), clocks }))
    }

    /// Returns the line of the directive.
    pub(crate) fn line(&self) -> usize {
        self.window.line
    }

    /// Bounds the memory of the batch. What it writes must not be undone alone.
    pub(crate) fn make_room(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.clocks.make_room(connection)
    }

    /// Decides whether an event is applied, before it is. Notes which final windows it missed, and adds it to the
    /// sessions of its key.
    pub(crate) fn admit(
        &mut self,
        connection: &Connection,
        event: &Recorded,
    ) -> Result<Admission, WindowError> {
        let time = event.event_time().clamp(Timestamp::MIN, Timestamp::MAX);
        let is_handled = self.definition.is_handled(event.event_type());
        let key = match self.key_of(event) {
            Err(reason) if is_handled => return Err(WindowError::Event(reason)),
            key => key.unwrap_or(Value::Null),
        };
        let clock = self.clocks.clock(connection, &key)?;
        if !is_handled {
            // It is in no window, and moves the clock.
            return Ok(Admission::Open(OpenWindows { key, time, starts: Vec::new() }));
        }
        let watermark = self.window.grace.zip(clock).map(|(grace, clock)| before(clock, grace));
        match self.window.shape {
            Shape::Session { gap } => {
                let final_before = watermark.map(|watermark| before(watermark, gap));
                if final_before.is_some_and(|moment| time < moment) {
                    late::note(connection, event, [None], &key)?;
                    self.clocks.advance(&key, time);
                    return Ok(Admission::Late);
                }
                sessions::add(connection, &key, time, gap, final_before)?;
                Ok(Admission::Open(OpenWindows { key, time, starts: Vec::new() }))
            }
            Shape::Fixed { width, step } => {
                let mut starts = starts(time, width, step);
                // All have the same width, so those that are final come first.
                let is_final = |start: &Timestamp| {
                    watermark.is_some_and(|moment| before(*start, -width) <= moment)
                };
                let open = starts.split_off(starts.partition_point(is_final));
                late::note(connection, event, starts.into_iter().map(Some), &key)?;
                if open.is_empty() {
                    self.clocks.advance(&key, time);
                    return Ok(Admission::Late);
                }
                Ok(Admission::Open(OpenWindows { key, time, starts: open }))
            }
        }
    }

    fn key_of(&self, event: &Recorded) -> Result<Value<'static>, String> {
        let (data, metadata) = (event.data(), event.metadata());
        let values = self.key.values(event, &data, &metadata)?;
        match values.into_iter().next() {
            Some(Value::Text(text)) if text.len() > MAX_KEY => {
                Err(format!("its key has {} bytes; at most {MAX_KEY} are allowed", text.len()))
            }
            key => Ok(key.map_or(Value::Null, Value::into_owned)),
        }
    }

    /// Moves the clocks for an event that has been applied.
    pub(crate) fn advance(&mut self, event: &OpenWindows) {
        self.clocks.advance(&event.key, event.time);
    }

    /// Writes the clocks. The batch ends with it.
    pub(crate) fn end(mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.clocks.write(connection)
    }
}

impl OpenWindows {
    /// Sets what the statements of a handler take of the windows.
    pub(crate) fn set(&self, inputs: &Inputs, values: &mut [Value<'_>]) {
        for (parameter, value) in inputs.parameters().zip(values) {
            match parameter {
                Parameter::WindowKey => *value = self.key.clone(),
                Parameter::Window => {
                    *value = self.starts.first().map_or(Value::Null, |at| at.to_string().into());
                }
                Parameter::Windows => *value = json_list(&self.starts).into(),
                _ => {}
            }
        }
    }
}
