//! The tests in the file of a view.

use leftfold_api::{NewEvent, Timestamp};

use crate::error::DefinitionError;

/// A test: events, questions and their answers.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) title: String,
    pub(crate) line: usize,
    pub(crate) given: Vec<Given>,
    pub(crate) expected: Vec<Expected>,
}

/// An event of a test.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    pub(crate) stream: String,
    pub(crate) event: NewEvent,
}

/// A question and the rows that it is to have, each as `a | b`.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) sql: String,
    pub(crate) rows: Vec<String>,
    pub(crate) line: usize,
}

impl Case {
    /// Reads an event: `STREAM TYPE [at TIME] [tag KEY=VALUE] [correlation ID] [meta JSON;] JSON`.
    pub(crate) fn add_given(&mut self, text: &str, line: usize) -> Result<(), DefinitionError> {
        let wrong = |message: &str| {
            let message = format!(
                "{message}; a given event is STREAM TYPE [at TIME] [tag KEY=VALUE] [correlation ID] JSON"
            );
            DefinitionError::new(line, message)
        };
        let (stream, rest) = word(text).ok_or_else(|| wrong("the stream is missing"))?;
        let (event_type, mut rest) = word(rest).ok_or_else(|| wrong("the type is missing"))?;
        let mut event = NewEvent::json(event_type, "{}");
        loop {
            let (next, behind) = match word(rest) {
                Some(next) if matches!(next.0, "at" | "tag" | "correlation") => next,
                _ => break,
            };
            let (value, behind) = word(behind).ok_or_else(|| wrong("a value is missing"))?;
            rest = behind;
            match next {
                "at" => {
                    let time: Result<Timestamp, _> = value.parse();
                    event.event_time =
                        Some(time.map_err(|_| {
                            wrong("the time is not one such as 2024-01-31T10:00:00Z")
                        })?);
                }
                "tag" => {
                    let (key, value) =
                        value.split_once('=').ok_or_else(|| wrong("a tag is KEY=VALUE"))?;
                    event.tags.push((key.to_owned(), value.to_owned()));
                }
                _ => event.correlation = Some(value.to_owned()),
            }
        }
        let json = rest.trim();
        if !json.is_empty() {
            if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(json) {
                return Err(wrong(&format!("the payload is no JSON ({error})")));
            }
            event.data = json.to_owned().into();
        }
        self.given.push(Given { stream: stream.to_owned(), event });
        Ok(())
    }
}

/// Splits off the first word.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}
