//! The directive `@window`: which windows of time the events of a view are put into, and when those are final.

use std::fmt;

use super::Handler;
use super::lexer::{Token, tokens};
use crate::error::DefinitionError;
use crate::functions::duration;
use crate::functions::windows::MAX_WINDOWS;
use crate::parameter::{Inputs, Parameter};

/// The windows of a view, as `@window` says it. Durations are in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) shape: Shape,
    /// What of an event is its key. Each key has windows and a clock of its own.
    pub(crate) by: Option<Parameter>,
    /// How far the clock goes beyond the end of a window before that is final; without it, none ever is.
    pub(crate) grace: Option<i64>,
    /// How far the clock of a key may stay behind that of the view.
    pub(crate) idle: Option<i64>,
    pub(crate) line: usize,
}

impl Window {
    /// Returns what the key is taken from; nothing if there are no keys.
    pub(crate) fn key(&self) -> Inputs {
        let mut key = Inputs::default();
        self.by.iter().for_each(|by| _ = key.add(by));
        key
    }
}

/// How windows follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One begins at each step. Tumbling windows are as wide as a step.
    Fixed { width: i64, step: i64 },
    /// Events of which none is further than the gap from the next.
    Session { gap: i64 },
}

/// The words that begin a clause.
const CLAUSES: [&str; 4] = ["every", "by", "final", "idle"];

/// What a window may look like, for messages.
const EXAMPLES: &str = "such as: @window 1 day; @window 1 hour every 5 minutes; @window session 30 minutes; \
                        each with: by :data.PATH, final after 2 hours, idle 1 day";

/// The parts of the directive, as texts.
#[derive(Default)]
struct Clauses<'t> {
    shape: &'t str,
    rest: Vec<(&'t str, &'t str)>,
}

impl<'t> Clauses<'t> {
    /// Splits the text in front of each word that begins a clause; the error is a sentence.
    fn split(text: &'t str) -> Result<Self, String> {
        let tokens =
            tokens(text).map_err(|unclosed| format!("a {} is not closed", unclosed.what))?;
        let word = |span: &std::ops::Range<usize>| text.get(span.clone()).unwrap_or_default();
        let is_start = |word: &str| CLAUSES.contains(&word);
        let starts = tokens.iter().filter(|one| one.token == Token::Word);
        let starts: Vec<_> =
            starts.map(|one| one.span.clone()).filter(|span| is_start(word(span))).collect();
        let ends = starts.iter().skip(1).map(|span| span.start).chain([text.len()]);
        let shape = text.get(..starts.first().map_or(text.len(), |span| span.start));
        let mut clauses = Clauses { shape: shape.unwrap_or_default().trim(), ..Clauses::default() };
        for (span, end) in starts.iter().zip(ends) {
            let name = word(span);
            if clauses.find(name).is_some() {
                return Err(format!("'{name}' stands there twice"));
            }
            clauses.rest.push((name, text.get(span.end..end).unwrap_or_default().trim()));
        }
        Ok(clauses)
    }

    fn find(&self, name: &str) -> Option<&'t str> {
        self.rest.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// Reads the directive.
pub(super) fn parse(text: &str, line: usize) -> Result<Window, DefinitionError> {
    let read = || {
        let clauses = Clauses::split(text)?;
        let shape = shape(clauses.shape, clauses.find("every"))?;
        let by = clauses.find("by").map(key).transpose()?;
        let grace = clauses.find("final").map(grace).transpose()?;
        let idle = clauses.find("idle").map(duration::parse).transpose()?;
        match idle {
            Some(_) if by.is_none() => {
                Err("'idle' is for keys; it needs 'by :data.PATH'".to_owned())
            }
            Some(_) if grace.is_none() => {
                Err("'idle' closes windows; it needs 'final after' with a duration".to_owned())
            }
            _ => Ok(Window { shape, by, grace, idle, line }),
        }
    };
    read().map_err(|problem| DefinitionError::new(line, format!("@window: {problem}")))
}

fn shape(text: &str, every: Option<&str>) -> Result<Shape, String> {
    let wrong = |problem: String| format!("{problem}; it begins with a length, {EXAMPLES}");
    let (session, gap) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match (session, every) {
        ("session", None) => Ok(Shape::Session { gap: duration::parse(gap).map_err(wrong)? }),
        ("session", Some(_)) => {
            Err("sessions begin with an event, not 'every' so often".to_owned())
        }
        (_, every) => {
            let width = duration::parse(text).map_err(wrong)?;
            let step = every.map_or(Ok(width), duration::parse)?;
            if step > width {
                return Err(
                    "between windows that begin so seldom there would be gaps; 'every' is at \
                            most the length"
                        .to_owned(),
                );
            }
            if width / step > MAX_WINDOWS {
                let most = format!("an event is in at most {MAX_WINDOWS} windows");
                return Err(format!("{most}; make 'every' longer"));
            }
            Ok(Shape::Fixed { width, step })
        }
    }
}

/// Reads what the key of an event is.
fn key(text: &str) -> Result<Parameter, String> {
    let tokens = tokens(text).unwrap_or_default();
    let path = match tokens.as_slice() {
        [one] => match &one.token {
            Token::Parameter(path) => path,
            _ => return Err(no_key(text)),
        },
        _ => return Err(no_key(text)),
    };
    match Parameter::of(path)? {
        parameter if parameter.is_of_windows() => Err(no_key(text)),
        parameter => Ok(parameter),
    }
}

fn no_key(text: &str) -> String {
    format!("'by' has one parameter of the event, such as :data.page or :stream_id, not '{text}'")
}

fn grace(text: &str) -> Result<i64, String> {
    let (after, grace) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    match after {
        "after" => duration::parse_or_zero(grace),
        _ => Err(format!("'final' goes on with 'after' and a duration, not with '{text}'")),
    }
}

/// Refuses parameters that the windows of a view do not have.
pub(super) fn check_parameters(
    window: Option<&Window>,
    handlers: &[Handler],
) -> Result<(), DefinitionError> {
    for handler in handlers {
        let parameters: Vec<_> = handler.inputs.parameters().collect();
        for statement in &handler.statements {
            let used = statement.inputs.iter().filter_map(|input| parameters.get(*input));
            for parameter in used.filter(|parameter| parameter.is_of_windows()) {
                if let Some(problem) = problem(window, parameter) {
                    return Err(DefinitionError::sql(statement.line, problem));
                }
            }
        }
    }
    Ok(())
}

/// Returns why a parameter of windows has no value, or `None` if it has.
fn problem(window: Option<&Window>, parameter: &Parameter) -> Option<String> {
    let Some(window) = window else {
        return Some(format!("{parameter} needs @window in the head of the file, {EXAMPLES}"));
    };
    match (parameter, window.shape) {
        (Parameter::WindowKey, _) if window.by.is_some() => None,
        (Parameter::WindowKey, _) => Some(format!("{parameter} needs 'by' in @window")),
        (_, Shape::Session { .. }) => Some(format!(
            "{parameter} is not there for sessions, which grow and merge; join _sessions by time in a create view"
        )),
        (Parameter::Window, Shape::Fixed { width, step }) if width > step => Some(format!(
            "{parameter} is one window, and an event is in several; take :windows, a JSON list, by json_each"
        )),
        _ => None,
    }
}

/// Writes what decides the rows, for the digest.
impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shape {
            Shape::Fixed { width, step } => write!(f, "{width} every {step}")?,
            Shape::Session { gap } => write!(f, "session {gap}")?,
        }
        if let Some(by) = &self.by {
            write!(f, " by {by}")?;
        }
        if let Some(grace) = self.grace {
            write!(f, " final after {grace}")?;
        }
        self.idle.map_or(Ok(()), |idle| write!(f, " idle {idle}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        parse(text, 1).map_or_else(|error| error.message, |window| window.to_string())
    }

    #[test]
    fn clauses_stand_in_any_order() {
        for (text, said_as) in [
            ("1 s", "1000000 every 1000000"),
            ("1s every 500 ms", "1000000 every 500000"),
            ("session 2s by :data.\"by final\"", "session 2000000 by :data.by final"),
            (
                "1s idle 3s final after 2s by :stream_id every 1s",
                "1000000 every 1000000 by :stream_id final after 2000000 idle 3000000",
            ),
            ("1s final after 0s", "1000000 every 1000000 final after 0"),
        ] {
            assert_eq!(said(text), said_as, "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, part) in [
            (
                "",
                "'' is no duration such as '10 minutes', '1 hour' or '1 day'; it begins with a length",
            ),
            ("1 month", "'1 month' is no duration"),
            ("0s", "no duration"),
            ("by :data.x", "it begins with a length"),
            ("session", "it begins with a length"),
            ("session 1 day every 1 hour", "not 'every' so often"),
            ("1 hour every 2 hours", "there would be gaps"),
            ("1 day every 1 second", "at most 1000 windows"),
            ("1 day every", "'' is no duration"),
            ("1 day by page", "such as :data.page or :stream_id, not 'page'"),
            ("1 day by :data.a :data.b", "not ':data.a :data.b'"),
            ("1 day by :window", "not ':window'"),
            ("1 day by :nothing", ":nothing is no parameter"),
            ("1 day by :data.\"a", "a quoted name is not closed"),
            ("1 day final 2 hours", "goes on with 'after' and a duration, not with '2 hours'"),
            ("1 day final after", "'' is no duration"),
            ("1 day final after 1h final after 2h", "'final' stands there twice"),
            ("1 day final after 1h idle 1 day", "it needs 'by :data.PATH'"),
            ("1 day by :type idle 1 day", "it needs 'final after'"),
            ("1 day by :type final after 1h idle", "'' is no duration"),
        ] {
            let error = said(text);
            assert!(error.starts_with("@window: ") && error.contains(part), "{text}: {error}");
        }
    }
}
