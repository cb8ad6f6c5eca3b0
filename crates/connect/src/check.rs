//! Checks a field's value and writes its normal form.

use crate::plan::{Decimal, Equals, Field, Kind, Pattern};
use crate::reason::{Problem, Reason};
use crate::record::Values;
use crate::value::decimal::{canonical, negate};
use crate::value::format::TimeFormat;
use crate::value::json::compact;
use crate::value::time::{Moment, Shape};
use std::fmt::Display;

/// The most characters of a wrong value that a message shows.
const SHOWN_CHARS: usize = 80;

/// Checks `text` for `field` and writes its normal form into `clean`.
pub(crate) fn check(
    field: &Field,
    at: usize,
    text: &str,
    clean: &mut Values,
) -> Result<(), Problem> {
    let text = match &field.map {
        None => text,
        Some(map) => match map.get(text) {
            Some(meaning) => meaning,
            None => return Err(not_allowed(field, text, map.keys())),
        },
    };
    match &field.kind {
        Kind::Text => clean.put(at, text),
        Kind::Decimal(decimal) => check_decimal(field, decimal, at, text, clean)?,
        Kind::Integer => check_integer(field, at, text, clean)?,
        Kind::Boolean => check_boolean(field, at, text, clean)?,
        Kind::Json => check_json(field, at, text, clean)?,
        Kind::Time(shape, formats) => check_time(field, *shape, formats, at, text, clean)?,
    }
    check_form(field, clean.get(at).unwrap_or_default())
}

fn check_decimal(
    field: &Field,
    decimal: &Decimal,
    at: usize,
    text: &str,
    clean: &mut Values,
) -> Result<(), Problem> {
    let negative = match &decimal.negative_when {
        Some(Equals { field, is }) => clean.get(*field) == Some(is),
        None => false,
    };
    let plain = decimal.separators.map(|signs| with_points(text, signs));
    let mut scale = None;
    clean.write(at, |out| {
        let start = out.len();
        scale = canonical(plain.as_deref().unwrap_or(text), decimal.exponent, out);
        if negative {
            negate(start, out);
        }
    });
    let below_zero = || clean.get(at).is_some_and(|value| value.starts_with('-'));
    match scale {
        None => Err(expected(field, Reason::BadDecimal, "a decimal number such as 1234.50", text)),
        Some(scale) if scale > decimal.max_scale => {
            let allowed = format!("a decimal with at most {} places", decimal.max_scale);
            Err(expected(field, Reason::TooManyDecimals, &allowed, text))
        }
        Some(_) if decimal.not_negative && below_zero() => {
            Err(expected(field, Reason::Negative, "a decimal that is not below zero", text))
        }
        Some(_) => Ok(()),
    }
}

/// Rewrites a number with a decimal point and without grouping.
fn with_points(text: &str, (point, grouping): (char, Option<char>)) -> String {
    let plain = text.chars().filter(|sign| Some(*sign) != grouping);
    plain
        .map(|sign| match sign {
            sign if sign == point => '.',
            // With another decimal separator a point has no meaning and must be refused.
            '.' => '?',
            other => other,
        })
        .collect()
}

fn check_integer(field: &Field, at: usize, text: &str, clean: &mut Values) -> Result<(), Problem> {
    let number: i64 = text.parse().map_err(|_| {
        expected(field, Reason::BadInteger, "a whole number between -2^63 and 2^63-1", text)
    })?;
    clean.put(at, &number.to_string());
    Ok(())
}

fn check_boolean(field: &Field, at: usize, text: &str, clean: &mut Values) -> Result<(), Problem> {
    let value = match text {
        "true" | "1" => "true",
        "false" | "0" => "false",
        _ => return Err(expected(field, Reason::BadBoolean, "true, false, 1 or 0", text)),
    };
    clean.put(at, value);
    Ok(())
}

fn check_time(
    field: &Field,
    shape: Shape,
    formats: &[TimeFormat],
    at: usize,
    text: &str,
    clean: &mut Values,
) -> Result<(), Problem> {
    if formats.is_empty() {
        Moment::parse(text, shape).ok_or_else(|| wrong_time(field, shape, formats, text))?;
        clean.put(at, text);
        return Ok(());
    }
    for format in formats {
        let mut iso = String::new();
        if format.read(text, shape, &mut iso).is_some() {
            clean.put(at, &iso);
            return Ok(());
        }
    }
    Err(wrong_time(field, shape, formats, text))
}

/// Keeps JSON as written, without the white space between its signs.
fn check_json(field: &Field, at: usize, text: &str, clean: &mut Values) -> Result<(), Problem> {
    // The value itself is dropped: its numbers may be floats.
    let parsed = serde_json::from_str::<serde_json::Value>(text);
    parsed.map_err(|error| {
        let allowed = format!("JSON of at most 127 levels ({error})");
        expected(field, Reason::BadJson, &allowed, text)
    })?;
    clean.write(at, |out| compact(text, out));
    Ok(())
}

fn wrong_time(field: &Field, shape: Shape, formats: &[TimeFormat], text: &str) -> Problem {
    let allowed = match (formats, shape) {
        ([], Shape::Date) => "YYYY-MM-DD".to_owned(),
        ([], Shape::DateTime) => "YYYY-MM-DDThh:mm:ss, with or without an offset".to_owned(),
        ([], Shape::Either) => "YYYY-MM-DD or YYYY-MM-DDThh:mm:ss".to_owned(),
        (formats, _) => {
            let formats: Vec<&str> = formats.iter().map(TimeFormat::shown).collect();
            formats.join(" or ")
        }
    };
    let allowed = format!("a date that exists, written {allowed}");
    expected(field, Reason::BadDate, &allowed, text)
}

/// Checks the normal form.
fn check_form(field: &Field, text: &str) -> Result<(), Problem> {
    if let Some(Pattern { written, regex }) = &field.pattern
        && !regex.is_match(text)
    {
        let allowed = format!("text that matches {written}");
        return Err(expected(field, Reason::PatternMismatch, &allowed, text));
    }
    if let Some(allowed) = &field.one_of
        && !allowed.iter().any(|allowed| allowed == text)
    {
        return Err(not_allowed(field, text, allowed.iter()));
    }
    if let Some((min, max)) = field.lengths {
        let length = text.chars().count();
        if length < min || length > max {
            let most = if max == usize::MAX { "any number of".to_owned() } else { max.to_string() };
            let allowed = format!("text of {min} to {most} characters, not {length}");
            return Err(expected(field, Reason::BadLength, &allowed, text));
        }
    }
    Ok(())
}

fn not_allowed<'a, T: Display + 'a>(
    field: &Field,
    text: &str,
    allowed: impl Iterator<Item = &'a T>,
) -> Problem {
    let allowed: Vec<String> = allowed.map(|value| value.to_string()).collect();
    let allowed = format!("one of {}", allowed.join(", "));
    expected(field, Reason::NotAllowed, &allowed, text)
}

fn expected(field: &Field, reason: Reason, allowed: &str, found: &str) -> Problem {
    let mut shown: String = found.chars().take(SHOWN_CHARS).collect();
    if shown.len() < found.len() {
        shown.push_str("...");
    }
    let message = format!("Field '{}' must be {allowed}; it is '{shown}'.", field.name);
    Problem::new(reason, message)
}
