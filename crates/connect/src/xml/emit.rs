//! Turns a complete record into drafts: one, or one for each of its parts.

use super::balance::Balance;
use super::slots::Slots;
use crate::assemble::{Assembler, Lookup};
use crate::item::{Draft, shown};
use crate::output::{Halt, Output};
use crate::plan::Plan;
use crate::plan::xml::{SplitRule, XmlPlan};
use crate::reason::{Problem, Reason};
use crate::value::decimal::Exact;
use std::borrow::Cow;

pub(super) struct Emitter<'m> {
    plan: &'m XmlPlan,
    assembler: Assembler<'m>,
    pub(super) balance: Balance,
    /// The number of the current record in its group, from 1.
    index: u64,
    group_line: u64,
}

/// The number of drafts of a record.
enum Division {
    /// One draft, whose checked values the assembler holds.
    One,
    /// One draft for each of this many parts.
    Each(usize),
}

/// Which of a part's fields are visible.
#[derive(Clone, Copy, PartialEq)]
enum Fields {
    All,
    /// All but the fields that would make the part an event of its own.
    WithoutAmount,
}

impl<'m> Emitter<'m> {
    pub(super) fn new(plan: &'m Plan, xml: &'m XmlPlan) -> Self {
        Emitter {
            plan: xml,
            assembler: Assembler::new(plan),
            balance: Balance::default(),
            index: 0,
            group_line: 0,
        }
    }

    pub(super) fn begin_group(&mut self, line: u64) {
        self.index = 0;
        self.group_line = line;
        self.balance = Balance::default();
    }

    pub(super) fn end_group<E>(
        &mut self,
        slots: &Slots<'_>,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        out.summary.groups += 1;
        let Some(rule) = &self.plan.balance_rule else { return Ok(()) };
        // Only values of the file and the group remain; a broken value renders as empty.
        let view = View { plan: self.plan, slots, text: "", part: None, fields: Fields::All };
        let subject = self.assembler.render(&rule.subject, &view);
        self.balance.end_group(self.group_line, &subject, out)
    }

    /// Refuses a record without looking at its values.
    pub(super) fn refuse<E>(
        &mut self,
        line: u64,
        problem: Problem,
        head: &str,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        self.index += 1;
        self.balance.mark_unknown();
        out.reject(line, problem, shown(head))
    }

    /// Emits all drafts of a complete record, or one reject.
    pub(super) fn record<E>(
        &mut self,
        line: u64,
        text: &str,
        slots: &Slots<'_>,
        out: &mut Output<'_, E>,
    ) -> Result<(), Halt<E>> {
        self.index += 1;
        let drafts = self.divide(slots, text).and_then(|division| match division {
            Division::One => self.assembler.draft(line, text).map(|draft| (draft, 0)),
            Division::Each(parts) => {
                // Part 0 is made last and kept; the others are only checked here.
                for part in (1..parts).rev() {
                    self.part(part, slots, text, line)?;
                }
                self.part(0, slots, text, line).map(|draft| (draft, parts))
            }
        });
        let (first, parts) = match drafts {
            Ok(drafts) => drafts,
            Err(problem) => {
                self.balance.mark_unknown();
                return out.reject(line, problem, shown(text));
            }
        };
        if let Some(rule) = &self.plan.balance_rule {
            self.balance.add_entry(rule, self.assembler.clean());
        }
        out.record(first)?;
        for part in 1..parts {
            // The part passed above, so it passes again; a reject would still be reported.
            match self.part(part, slots, text, line) {
                Ok(draft) => out.record(draft)?,
                Err(problem) => out.reject(line, problem, shown(text))?,
            }
        }
        Ok(())
    }

    fn part(
        &mut self,
        part: usize,
        slots: &Slots<'_>,
        text: &str,
        line: u64,
    ) -> Result<Draft, Problem> {
        let view = View { plan: self.plan, slots, text, part: Some(part), fields: Fields::All };
        self.assembler.check(self.index, Some(part + 1), &view)?;
        self.assembler.draft(line, text)
    }

    /// Decides between one draft per record and one draft per part.
    fn divide(&mut self, slots: &Slots<'_>, text: &str) -> Result<Division, Problem> {
        let parts = slots.part_count();
        if parts > 1 && self.are_parts_complete(slots, text)? {
            return Ok(Division::Each(parts));
        }
        let part = (parts == 1).then_some(0);
        let mut view = View { plan: self.plan, slots, text, part, fields: Fields::All };
        self.assembler.check(self.index, None, &view)?;
        if let (Some(rule), 1) = (&self.plan.split, parts) {
            match self.classify_part(rule) {
                PartKind::Complete(amount) => self.check_sum(rule, amount, parts)?,
                PartKind::WithoutAmount => {}
                PartKind::Contradicting => {
                    view.fields = Fields::WithoutAmount;
                    self.assembler.check(self.index, None, &view)?;
                }
            }
        }
        Ok(Division::One)
    }

    /// Returns whether each part can be an event; then the parts must add up to the record.
    fn are_parts_complete(&mut self, slots: &Slots<'_>, text: &str) -> Result<bool, Problem> {
        let Some(rule) = &self.plan.split else { return Ok(false) };
        let mut sum = Some(Exact::default());
        for part in 0..slots.part_count() {
            let view = View { plan: self.plan, slots, text, part: Some(part), fields: Fields::All };
            self.assembler.check(self.index, Some(part + 1), &view)?;
            let PartKind::Complete(amount) = self.classify_part(rule) else { return Ok(false) };
            sum = sum.and_then(|sum| sum.plus(amount?));
        }
        self.check_sum(rule, sum, slots.part_count())?;
        Ok(true)
    }

    /// Classifies the part that was checked last.
    fn classify_part(&self, rule: &SplitRule) -> PartKind {
        let values = self.assembler.clean();
        let given = |(part, _): &(usize, usize)| values.get(*part).is_some();
        let differs =
            |pair: &(usize, usize)| given(pair) && values.get(pair.0) != values.get(pair.1);
        if rule.same.iter().any(differs) {
            return PartKind::Contradicting;
        }
        match rule.sum {
            None => PartKind::Complete(Some(Exact::default())),
            Some((amount, _)) => match values.get(amount) {
                Some(amount) => PartKind::Complete(Exact::parse(amount)),
                None => PartKind::WithoutAmount,
            },
        }
    }

    fn check_sum(&self, rule: &SplitRule, sum: Option<Exact>, parts: usize) -> Result<(), Problem> {
        let Some((_, total)) = rule.sum else { return Ok(()) };
        let total = self.assembler.clean().get(total).unwrap_or_default();
        let same = sum.and_then(|sum| sum.same(Exact::parse(total)?));
        if same == Some(true) {
            return Ok(());
        }
        let sum = sum.map_or_else(|| "more than can be added".to_owned(), |sum| sum.to_string());
        let message = format!(
            "The record is a batch of {parts} whose amounts add up to {sum}, but the record's own \
             amount is {total}; they must be equal."
        );
        Err(Problem::new(Reason::BatchSumMismatch, message))
    }
}

/// The relation of a part to its record.
enum PartKind {
    /// The part can be an event with this amount; `None` is too large to add.
    Complete(Option<Exact>),
    /// The part has no amount.
    WithoutAmount,
    /// The part has another currency or direction than the record.
    Contradicting,
}

/// A record's values as one of its drafts sees them.
struct View<'a> {
    plan: &'a XmlPlan,
    slots: &'a Slots<'a>,
    text: &'a str,
    part: Option<usize>,
    fields: Fields,
}

impl Lookup for View<'_> {
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem> {
        if self.fields == Fields::WithoutAmount && self.makes_event(field) {
            return Ok(None);
        }
        for slot in &self.plan.inputs[field] {
            if let Some(value) = self.slots.value(*slot, self.text, self.part)? {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

impl View<'_> {
    fn makes_event(&self, field: usize) -> bool {
        let Some(rule) = &self.plan.split else { return false };
        rule.sum.is_some_and(|(amount, _)| amount == field)
            || rule.same.iter().any(|(same, _)| *same == field)
    }
}
