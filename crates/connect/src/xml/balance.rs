//! Checks that a group's opening balance plus its entries equals its closing balance.

use super::slots::Slots;
use crate::assemble::without_zeros;
use crate::output::{Halt, Output};
use crate::plan::xml::{BalanceRule, BalanceSlots};
use crate::reason::{Problem, Reason};
use crate::record::Values;
use crate::value::decimal::{Exact, Exponent, canonical};

/// The balances and the sum of the current group.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// The best opening balance so far, with its rank in the rule's list of kinds.
    opening: Option<(usize, Exact)>,
    closing: Option<(usize, Exact)>,
    sum: Exact,
    /// The currency of the first balance or entry; all others must have the same.
    currency: Option<String>,
    /// Whether the sum is unknown: an entry was refused, or a number exceeds exact arithmetic.
    unknown: bool,
}

impl Balance {
    /// Marks the sum as unknown, because an entry of the group was refused.
    pub(super) fn mark_unknown(&mut self) {
        self.unknown = true;
    }

    /// Adds a checked entry.
    pub(super) fn add_entry(&mut self, rule: &BalanceRule, values: &Values) {
        if let Some(when) = &rule.when
            && values.get(when.field) != Some(&when.is)
        {
            return;
        }
        self.unknown |= rule
            .entry_currency
            .and_then(|field| values.get(field))
            .is_some_and(|currency| !self.same_currency(currency));
        let amount = values.get(rule.entry).and_then(Exact::parse);
        match amount.and_then(|amount| self.sum.plus(amount)) {
            Some(sum) => self.sum = sum,
            None => self.unknown = true,
        }
    }

    fn same_currency(&mut self, currency: &str) -> bool {
        self.currency.get_or_insert_with(|| currency.to_owned()) == currency
    }

    /// Adds a balance element at its end.
    pub(super) fn add_balance(&mut self, rule: &BalanceRule, at: BalanceSlots, slots: &Slots<'_>) {
        let value = |slot| slots.value(slot, "", None).ok().flatten();
        let Some(kind) = value(at.kind) else { return };
        let rank = |kinds: &[String]| kinds.iter().position(|known| *known == *kind);
        let (opening, closing) = (rank(&rule.opening), rank(&rule.closing));
        if opening.is_none() && closing.is_none() {
            return;
        }
        let negative = value(at.direction).is_some_and(|direction| *direction == *rule.negative);
        let mut plain = String::new();
        let amount = value(at.amount)
            .and_then(|text| canonical(&text, Exponent::Refused, &mut plain))
            .and_then(|_| Exact::parse(&plain));
        let currency = at.currency.and_then(value);
        self.unknown |= currency.is_some_and(|currency| !self.same_currency(&currency));
        let Some(amount) = amount else {
            self.unknown = true;
            return;
        };
        let amount = if negative { amount.negate() } else { amount };
        keep_best(&mut self.opening, opening, amount);
        keep_best(&mut self.closing, closing, amount);
    }

    /// Checks the group at its end and resets the state; `subject` names the group.
    pub(super) fn end_group<E>(
        &mut self,
        line: u64,
        subject: &str,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        let ended = std::mem::take(self);
        let (Some((_, opening)), Some((_, closing)), false) =
            (ended.opening, ended.closing, ended.unknown)
        else {
            out.summary.balances_unchecked += 1;
            return out.end_group(None);
        };
        let found = opening.plus(ended.sum);
        match found.and_then(|found| found.same(closing)) {
            Some(true) => {
                out.summary.balances_held += 1;
                return out.end_group(Some(true));
            }
            None => {
                out.summary.balances_unchecked += 1;
                return out.end_group(None);
            }
            Some(false) => {
                out.summary.balances_mismatched += 1;
                let found = found.unwrap_or_default();
                let message = format!(
                    "The balance of {subject} does not hold: opening {opening} and entries of {} \
                     make {found}, but the closing balance is {closing}. Its good entries were \
                     delivered; ask the sender for a correct file.",
                    ended.sum
                );
                let problem = Problem::new(Reason::BalanceMismatch, message);
                out.reject(line, problem, String::new())?;
            }
        }
        out.end_group(Some(false))
    }

    /// Returns the opening and the closing balance that were read so far, in normal form.
    pub(super) fn known(&self) -> [Option<String>; 2] {
        let text = |balance: &Option<(usize, Exact)>| {
            let amount = balance.as_ref()?.1.to_string();
            let currency = self.currency.as_deref().unwrap_or_default();
            Some(format!("{} {currency}", without_zeros(&amount)))
        };
        [text(&self.opening), text(&self.closing)]
    }
}

/// Keeps the amount whose kind comes first in its list; of the same kind, the first.
fn keep_best(best: &mut Option<(usize, Exact)>, rank: Option<usize>, amount: Exact) {
    if let Some(rank) = rank
        && best.is_none_or(|(known, _)| rank < known)
    {
        *best = Some((rank, amount));
    }
}
