//! `like` and `trim` with bounds: those of SQLite compare each place of a text with the whole pattern, or each
//! character with a whole set, and nothing ends them meanwhile.
//!
//! `glob` stays that of SQLite, since it can use an index; the guard limits its pattern instead.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::functions::Context;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Result};

use super::search::text;
use super::{PURE, failure};

/// The most steps that one comparison may take: less than a second.
const MAX_STEPS: u64 = 1 << 26;

/// The longest pattern, in bytes: that of SQLite without limits of ours.
const LONGEST_PATTERN: usize = 50_000;

/// A part of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// `%`: any characters, or none.
    Any,
    /// `_`: one character.
    One,
    /// This character; letters of ASCII in either case.
    Exactly(char),
}

pub(super) fn add_to(connection: &Connection) -> Result<()> {
    for arguments in [2, 3] {
        connection.create_scalar_function("like", arguments, PURE, move |context| {
            if (0..context.len()).any(|at| context.get_raw(at) == ValueRef::Null) {
                return Ok(None);
            }
            // SQLite keeps what was made of a constant pattern; its escape may differ from row to row.
            let pattern = match arguments {
                2 => context.get_or_create_aux(0, |_| pattern(context))?,
                _ => Arc::new(pattern(context)?),
            };
            is_like(&pattern, &text(context, 1)).map(Some)
        })?;
    }
    trim_by(connection, "trim", |text, set| text.trim_matches(|one| set.contains(&one)))?;
    trim_by(connection, "ltrim", |text, set| text.trim_start_matches(|one| set.contains(&one)))?;
    trim_by(connection, "rtrim", |text, set| text.trim_end_matches(|one| set.contains(&one)))
}

/// Reads the pattern of a call, with its escape character.
fn pattern(context: &Context<'_>) -> Result<Vec<Part>> {
    let escape = match context.len() {
        3 => {
            let escape = text(context, 2);
            let mut characters = escape.chars();
            let (Some(escape), None) = (characters.next(), characters.next()) else {
                return Err(failure("the escape of like is one character"));
            };
            Some(escape)
        }
        _ => None,
    };
    let pattern = text(context, 0);
    if pattern.len() > LONGEST_PATTERN {
        return Err(failure(format!("a pattern of like has at most {LONGEST_PATTERN} bytes")));
    }
    let mut characters = pattern.chars();
    let mut parts = Vec::new();
    while let Some(character) = characters.next() {
        parts.push(match character {
            // As in SQLite, an escape at the end is a character that nothing is.
            escaping if Some(escaping) == escape => {
                Part::Exactly(characters.next().unwrap_or('\0'))
            }
            '%' => Part::Any,
            '_' => Part::One,
            other => Part::Exactly(other),
        });
    }
    Ok(parts)
}

/// Compares from left to right; where it fails, the last `%` takes one character more.
fn is_like(pattern: &[Part], text: &str) -> Result<bool> {
    let (mut rest, mut at) = (text.chars(), 0);
    let mut last_any = None;
    for _ in 0..MAX_STEPS {
        let mut ahead = rest.clone();
        match (pattern.get(at), ahead.next()) {
            (Some(Part::Any), _) => {
                at += 1;
                if at == pattern.len() {
                    return Ok(true);
                }
                last_any = Some((at, rest.clone()));
                continue;
            }
            (Some(Part::One), Some(_)) => {
                (at, rest) = (at + 1, ahead);
                continue;
            }
            (Some(Part::Exactly(one)), Some(other)) if one.eq_ignore_ascii_case(&other) => {
                (at, rest) = (at + 1, ahead);
                continue;
            }
            (None, None) => return Ok(true),
            // No `%` can make the text longer.
            (Some(_), None) => return Ok(false),
            _ => {}
        }
        let Some((behind, from)) = &mut last_any else { return Ok(false) };
        from.next();
        (at, rest) = (*behind, from.clone());
    }
    Err(failure("like takes too long; make the pattern or the text shorter"))
}

/// Replaces the function of two arguments: the text, and the characters that are taken from its ends.
fn trim_by(
    connection: &Connection,
    name: &str,
    trim: for<'a> fn(&'a str, &HashSet<char>) -> &'a str,
) -> Result<()> {
    connection.create_scalar_function(name, 2, PURE, move |context| {
        if (0..2).any(|at| context.get_raw(at) == ValueRef::Null) {
            return Ok(Value::Null);
        }
        let set: HashSet<char> = text(context, 1).chars().collect();
        Ok(Value::Text(trim(&text(context, 0), &set).to_owned()))
    })
}
