//! Windows of event time.
//!
//! Windows are aligned to 1970-01-01T00:00:00Z, those of weeks to Monday, 1970-01-05.

use std::cmp::Ordering;

use leftfold_api::Timestamp;
use rusqlite::functions::Context;
use rusqlite::{Connection, Result};

use super::{PURE, duration, failure, text};

/// The most windows that one time lies in.
pub(crate) const MAX_WINDOWS: i64 = 1_000;
const WEEK: i64 = 604_800_000_000;
/// The first Monday after 1970-01-01.
const MONDAY: i64 = 4 * 86_400_000_000;

pub(super) fn add_to(connection: &Connection) -> Result<()> {
    connection.create_scalar_function("tumble", 2, PURE, |context| {
        let Some((time, width)) = arguments(context, "tumble")? else { return Ok(None) };
        Ok(Some(start(time, width).to_string()))
    })?;
    connection.create_scalar_function("hop", 3, PURE, |context| {
        let Some((time, width)) = arguments(context, "hop")? else { return Ok(None) };
        let Some(step) = span(context, 2, "hop")? else { return Ok(None) };
        hop(time, width, step).map(Some)
    })?;
    connection.create_scalar_function("time_add", 2, PURE, |context| {
        let Some((time, by)) = arguments(context, "time_add")? else { return Ok(None) };
        moved(time, by).map(|time| Some(time.to_string()))
    })?;
    connection.create_scalar_function("time_sub", 2, PURE, |context| {
        let Some((time, by)) = arguments(context, "time_sub")? else { return Ok(None) };
        moved(time, -by).map(|time| Some(time.to_string()))
    })?;
    connection.create_scalar_function("micros_between", 2, PURE, |context| {
        let between = time(context, 0, "micros_between")?.zip(time(context, 1, "micros_between")?);
        Ok(between.map(|(from, to)| to.micros().saturating_sub(from.micros())))
    })?;
    // As texts, 10:00:00.5Z comes before 10:00:00Z.
    connection.create_collation("time", |one: &str, two: &str| {
        let times = (one.parse::<Timestamp>().ok(), two.parse::<Timestamp>().ok());
        match times {
            (Some(one), Some(two)) => one.cmp(&two),
            // What is no time comes first, in the order of its bytes.
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (None, None) => one.cmp(two),
        }
    })
}

/// Returns the starts of the windows of a width that a time lies in, one at each step, as a JSON list.
fn hop(time: Timestamp, width: i64, step: i64) -> Result<String> {
    if width.div_euclid(step) > MAX_WINDOWS {
        return Err(failure(format!(
            "hop gives at most {MAX_WINDOWS} windows; make the step larger"
        )));
    }
    Ok(json_list(&starts(time, width, step)))
}

/// Returns times as a JSON list.
pub(crate) fn json_list(times: &[Timestamp]) -> String {
    let texts: Vec<_> = times.iter().map(|time| format!("\"{time}\"")).collect();
    format!("[{}]", texts.join(","))
}

/// Returns the starts of the windows of a width that a time lies in, one at each step, in order. The caller bounds how
/// many steps a width has.
pub(crate) fn starts(time: Timestamp, width: i64, step: i64) -> Vec<Timestamp> {
    let last = start(time, step);
    let before = |at: &Timestamp| Some(Timestamp(at.micros().saturating_sub(step)));
    let all = std::iter::successors(Some(last), before);
    let is_in = |at: &Timestamp| at.micros().saturating_add(width) > time.micros();
    let mut starts: Vec<_> = all.take_while(is_in).collect();
    starts.reverse();
    starts
}

/// Returns the start of the window of a width that a time lies in.
pub(crate) fn start(time: Timestamp, width: i64) -> Timestamp {
    let offset = if width % WEEK == 0 { MONDAY } else { 0 };
    let micros = time.micros().saturating_sub(offset);
    Timestamp(micros.saturating_sub(micros.rem_euclid(width)).saturating_add(offset))
}

fn moved(time: Timestamp, by: i64) -> Result<Timestamp> {
    let micros = time.micros().checked_add(by);
    micros.map(Timestamp).ok_or_else(|| failure("a time beyond what times can be"))
}

fn arguments(context: &Context<'_>, function: &str) -> Result<Option<(Timestamp, i64)>> {
    Ok(time(context, 0, function)?.zip(span(context, 1, function)?))
}

/// Returns an argument as a time, or `None` for NULL.
pub(crate) fn time(context: &Context<'_>, at: usize, function: &str) -> Result<Option<Timestamp>> {
    let Some(text) = text(context, at, function)? else { return Ok(None) };
    let wrong = |_| {
        failure(format!("{function} got '{text}', which is no time such as 2024-01-31T10:00:00Z"))
    };
    text.parse().map(Some).map_err(wrong)
}

fn span(context: &Context<'_>, at: usize, function: &str) -> Result<Option<i64>> {
    let Some(text) = text(context, at, function)? else { return Ok(None) };
    duration::parse(&text).map(Some).map_err(|problem| failure(format!("{function}: {problem}")))
}
