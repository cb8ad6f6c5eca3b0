//! Decimals as text: no value passes through a float.

use std::cmp::Ordering;

use rusqlite::functions::{Aggregate, Context};
use rusqlite::{Connection, Result};
use rust_decimal::Decimal;

use super::{PURE, failure, text};

/// The most decimal places that a result is rounded to.
const MAX_PLACES: i64 = 28;

pub(super) fn add_to(connection: &Connection) -> Result<()> {
    fold(connection, "dec_add", add)?;
    fold(connection, "dec_sub", |one, two| add(one, -two))?;
    fold(connection, "dec_mul", multiply)?;
    connection.create_scalar_function("dec", 1, PURE, |context| {
        Ok(decimal(context, 0, "dec")?.map(|value| value.to_string()))
    })?;
    connection.create_scalar_function("dec_neg", 1, PURE, |context| {
        Ok(decimal(context, 0, "dec_neg")?.map(|value| (-value).to_string()))
    })?;
    connection.create_scalar_function("dec_abs", 1, PURE, |context| {
        Ok(decimal(context, 0, "dec_abs")?.map(|value| value.abs().to_string()))
    })?;
    connection.create_scalar_function("dec_cmp", 2, PURE, |context| {
        let pair = decimal(context, 0, "dec_cmp")?.zip(decimal(context, 1, "dec_cmp")?);
        Ok(pair.map(|(one, two)| one.cmp(&two) as i64))
    })?;
    connection.create_scalar_function("dec_round", 2, PURE, |context| {
        let Some(value) = decimal(context, 0, "dec_round")? else { return Ok(None) };
        let places: i64 = context.get(1)?;
        if !(0..=MAX_PLACES).contains(&places) {
            return Err(failure(format!(
                "dec_round rounds to 0 to {MAX_PLACES} places, not {places}"
            )));
        }
        // Half away from zero, as tax offices and banks do.
        let strategy = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
        let mut rounded = value.round_dp_with_strategy(places as u32, strategy);
        rounded.rescale(places as u32);
        Ok(Some(rounded.to_string()))
    })?;
    connection.create_aggregate_function("dec_sum", 1, PURE, Sum)?;
    connection.create_aggregate_function("dec_min", 1, PURE, Extreme(Ordering::Less))?;
    connection.create_aggregate_function("dec_max", 1, PURE, Extreme(Ordering::Greater))?;
    connection.create_collation("decimal", |one: &str, two: &str| match (parse(one), parse(two)) {
        (Some(one), Some(two)) => one.cmp(&two),
        // What is no decimal comes first, in the order of its bytes.
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (None, None) => one.cmp(two),
    })
}

/// Adds a function of two or more decimals.
fn fold(
    connection: &Connection,
    name: &'static str,
    operation: fn(Decimal, Decimal) -> Option<Decimal>,
) -> Result<()> {
    connection.create_scalar_function(name, -1, PURE, move |context| {
        if context.len() < 2 {
            return Err(failure(format!("{name} takes two or more decimals")));
        }
        let Some(mut result) = decimal(context, 0, name)? else { return Ok(None) };
        for at in 1..context.len() {
            let Some(next) = decimal(context, at, name)? else { return Ok(None) };
            result = operation(result, next).ok_or_else(|| too_large(name))?;
        }
        Ok(Some(result.to_string()))
    })
}

fn too_large(function: &str) -> rusqlite::Error {
    failure(format!("the result of {function} has more than 28 digits"))
}

fn parse(text: &str) -> Option<Decimal> {
    let text = text.trim();
    if let Ok(exact) = Decimal::from_str_exact(text) {
        return Some(exact);
    }
    // The base must be exact; the exponent rounds nothing if the result has as many digits.
    let (base, exponent) = text.split_once(['e', 'E'])?;
    let base = Decimal::from_str_exact(base).ok()?;
    let exponent: i32 = exponent.parse().ok()?;
    let scale = i64::from(base.scale()) - i64::from(exponent);
    match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(base.mantissa(), scale).ok(),
        Err(_) => {
            let factor = 10i128.checked_pow(u32::try_from(-scale).ok()?)?;
            Decimal::try_from_i128_with_scale(base.mantissa().checked_mul(factor)?, 0).ok()
        }
    }
}

/// Returns the sum, or `None` if it has too many digits: the library would round it.
fn add(one: Decimal, two: Decimal) -> Option<Decimal> {
    let sum = one.checked_add(two)?;
    let needed = one.normalize().scale().max(two.normalize().scale());
    (sum.scale() >= needed).then_some(sum)
}

/// Returns the product, or `None` if it has too many digits: the library would round it.
fn multiply(one: Decimal, two: Decimal) -> Option<Decimal> {
    let exact = |one: Decimal, two: Decimal| {
        let mantissa = one.mantissa().checked_mul(two.mantissa())?;
        Decimal::try_from_i128_with_scale(mantissa, one.scale() + two.scale()).ok()
    };
    exact(one, two).or_else(|| exact(one.normalize(), two.normalize()))
}

fn decimal(context: &Context<'_>, at: usize, function: &str) -> Result<Option<Decimal>> {
    let Some(text) = text(context, at, function)? else { return Ok(None) };
    let wrong =
        || failure(format!("{function} got '{text}', which is no decimal of at most 28 digits"));
    parse(&text).map(Some).ok_or_else(wrong)
}

/// The sum of a column; NULL if it has no values, as that of `sum`.
struct Sum;

impl Aggregate<Option<Decimal>, Option<String>> for Sum {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<Decimal>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut Option<Decimal>) -> Result<()> {
        if let Some(value) = decimal(context, 0, "dec_sum")? {
            let added = add(sum.unwrap_or_default(), value);
            *sum = Some(added.ok_or_else(|| too_large("dec_sum"))?);
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        sum: Option<Option<Decimal>>,
    ) -> Result<Option<String>> {
        Ok(sum.flatten().map(|sum| sum.to_string()))
    }
}

/// The least or greatest value of a column.
struct Extreme(Ordering);

impl Aggregate<Option<Decimal>, Option<String>> for Extreme {
    fn init(&self, _: &mut Context<'_>) -> Result<Option<Decimal>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, found: &mut Option<Decimal>) -> Result<()> {
        if let Some(value) = decimal(context, 0, "dec_min and dec_max")?
            && found.is_none_or(|found| value.cmp(&found) == self.0)
        {
            *found = Some(value);
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        found: Option<Option<Decimal>>,
    ) -> Result<Option<String>> {
        Ok(found.flatten().map(|found| found.to_string()))
    }
}
