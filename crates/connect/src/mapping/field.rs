//! Compiles the `[field.NAME]` sections of a mapping.

use super::error::MappingError;
use super::file;
use crate::plan::template::{Names, Template, resolve};
use crate::plan::{Decimal, Equals, Field, Kind, Pattern, Source};
use crate::value::decimal::Exponent;
use crate::value::format::TimeFormat;
use crate::value::time::Shape;
use regex::Regex;

/// Compiles one `[field.NAME]` section.
pub(super) fn compile_field(
    name: &str,
    mut file: file::Field,
    exponent: Exponent,
    names: &Names,
) -> Result<Field, MappingError> {
    let place = |key: &str| format!("field.{name}.{key}");
    check_name(name)?;
    check_keys(name, &file)?;
    let extract = extract(name, &file)?;
    let kind = kind(name, &file, exponent, names)?;
    let source = source(name, &mut file, names)?;
    let absent = file.absent.map(|written| pattern(written, place("absent"))).transpose()?;
    let pattern = file.pattern.map(|written| pattern(written, place("pattern"))).transpose()?;
    let lengths = match (file.min_length, file.max_length) {
        (None, None) => None,
        (min, max) => Some((min.unwrap_or(0), max.unwrap_or(usize::MAX))),
    };
    if lengths.is_some_and(|(min, max)| min > max) {
        let problem = "is greater than max_length, so no value could pass";
        return Err(MappingError::at(place("min_length"), problem));
    }
    Ok(Field {
        name: name.to_owned(),
        source,
        join: file.join,
        kind,
        absent: absent.map(|pattern| pattern.regex),
        extract,
        lenient: file.lenient,
        required: file.required,
        default: file.default,
        map: file.map,
        one_of: file.one_of,
        pattern,
        lengths,
    })
}

/// Compiles a condition on a field's value.
pub(super) fn compile_equals(
    file: &file::Equals,
    place: &str,
    names: &Names,
) -> Result<Equals, MappingError> {
    let field = resolve(&file.field, names)
        .map_err(|problem| MappingError::at(format!("{place}.field"), problem))?;
    Ok(Equals { field, is: file.is.clone() })
}

fn check_name(name: &str) -> Result<(), MappingError> {
    let good = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !good || name.is_empty() {
        let problem = "a field's name is made of a-z, 0-9 and _";
        return Err(MappingError::at(format!("field.{name}"), problem));
    }
    Ok(())
}

/// Keys that only make sense with a certain type.
fn check_keys(name: &str, file: &file::Field) -> Result<(), MappingError> {
    use file::KindName::{Date, DateOrDatetime, Datetime, Decimal};
    let decimal = file.kind == Decimal;
    let time = matches!(file.kind, Date | Datetime | DateOrDatetime);
    for (key, given, fits, types) in [
        ("max_scale", file.max_scale.is_some(), decimal, "decimal"),
        ("decimal_separator", file.decimal_separator.is_some(), decimal, "decimal"),
        ("group_separator", file.group_separator.is_some(), decimal, "decimal"),
        ("not_negative", file.not_negative, decimal, "decimal"),
        ("negative_when", file.negative_when.is_some(), decimal, "decimal"),
        ("format", file.format.is_some(), time, "date, datetime or date_or_datetime"),
    ] {
        if given && !fits {
            let problem = format!("needs type = {types}; remove it or give the type");
            return Err(MappingError::at(format!("field.{name}.{key}"), problem));
        }
    }
    Ok(())
}

fn kind(
    name: &str,
    file: &file::Field,
    exponent: Exponent,
    names: &Names,
) -> Result<Kind, MappingError> {
    let time = |shape| Ok(Kind::Time(shape, time_formats(name, file, shape)?));
    match file.kind {
        file::KindName::Text => Ok(Kind::Text),
        file::KindName::Integer => Ok(Kind::Integer),
        file::KindName::Boolean => Ok(Kind::Boolean),
        file::KindName::Json => Ok(Kind::Json),
        file::KindName::Date => time(Shape::Date),
        file::KindName::Datetime => time(Shape::DateTime),
        file::KindName::DateOrDatetime => time(Shape::Either),
        file::KindName::Decimal => {
            let place = format!("field.{name}.negative_when");
            let negative_when = file.negative_when.as_ref();
            let separators = file.decimal_separator.is_some() || file.group_separator.is_some();
            Ok(Kind::Decimal(Decimal {
                max_scale: file.max_scale.unwrap_or(usize::MAX),
                exponent,
                not_negative: file.not_negative,
                separators: separators
                    .then(|| (file.decimal_separator.unwrap_or('.'), file.group_separator)),
                negative_when: negative_when
                    .map(|when| compile_equals(when, &place, names))
                    .transpose()?,
            }))
        }
    }
}

/// Compiles the expression whose group is the value.
fn extract(name: &str, file: &file::Field) -> Result<Option<Regex>, MappingError> {
    let Some(written) = &file.extract else { return Ok(None) };
    let wrong = |problem: &str| MappingError::at(format!("field.{name}.extract"), problem);
    if file.path.is_none() {
        return Err(wrong("takes a part of the value at a path; it needs path"));
    }
    let regex = Regex::new(written)
        .map_err(|error| wrong(&format!("is not a regular expression: {error}")))?;
    match regex.captures_len() {
        2 => Ok(Some(regex)),
        _ => Err(wrong("needs one group, such as (.*), which is the value")),
    }
}

/// Compiles the formats of a time; none of them is ISO 8601 alone.
fn time_formats(
    name: &str,
    file: &file::Field,
    shape: Shape,
) -> Result<Vec<TimeFormat>, MappingError> {
    let Some(file::OneOrMany(written)) = &file.format else { return Ok(Vec::new()) };
    let place = || format!("field.{name}.format");
    if written.is_empty() {
        return Err(MappingError::at(place(), "needs at least one format"));
    }
    let parse = |text: &String| {
        TimeFormat::parse(text, shape).map_err(|problem| MappingError::at(place(), problem))
    };
    written.iter().map(parse).collect()
}

fn source(name: &str, file: &mut file::Field, names: &Names) -> Result<Source, MappingError> {
    let place = |key: &str| format!("field.{name}.{key}");
    let template = |key: &str, text: &String| {
        Template::parse(text, names).map_err(|problem| MappingError::at(place(key), problem))
    };
    match (file.path.take(), file.value.take(), file.by.take(), file.values.take()) {
        (Some(path), None, None, None) if !path.0.is_empty() => Ok(Source::Input(path.0)),
        (None, Some(value), None, None) if !value.0.is_empty() => {
            let templates: Result<_, _> =
                value.0.iter().map(|text| template("value", text)).collect();
            templates.map(Source::Value)
        }
        (None, None, Some(by), Some(values)) => {
            let by =
                resolve(&by, names).map_err(|problem| MappingError::at(place("by"), problem))?;
            let choose = |(value, text): (String, String)| {
                template("values", &text).map(|template| (value, template))
            };
            let templates: Result<_, _> = values.into_iter().map(choose).collect();
            templates.map(|templates| Source::By(by, templates))
        }
        _ => {
            let problem = "needs exactly one source: path (where it is in the input), value (a \
                           template of other fields), or by and values (templates by the value \
                           of a field)";
            Err(MappingError::at(format!("field.{name}"), problem))
        }
    }
}

fn pattern(written: String, place: String) -> Result<Pattern, MappingError> {
    match Regex::new(&format!(r"\A(?:{written})\z")) {
        Ok(regex) => Ok(Pattern { written, regex }),
        Err(error) => {
            let problem = format!("is not a regular expression: {error}");
            Err(MappingError::at(place, problem))
        }
    }
}
