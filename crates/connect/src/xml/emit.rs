//! Turns a complete record into drafts: one, or one for each of its parts.

use super::balance::Balance;
use super::slots::Slots;
use crate::assemble::{Assembler, Lookup};
use crate::item::{Draft, shown};
use crate::origin::Origin;
use crate::output::{Halt, Output};
use crate::plan::Plan;
use crate::plan::xml::{SplitRule, XmlPlan};
use crate::reason::{Doubt, Problem, Warning};
use crate::value::decimal::Exact;
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(super) struct Emitter<'m> {
    plan: &'m XmlPlan,
    assembler: Assembler<'m>,
    pub(super) balance: Balance,
    /// The number of the current record in its group, from 1.
    index: u64,
    group_line: u64,
    /// What the group says of itself, once its first record was read.
    origin: Option<Arc<Origin>>,
    /// How many groups of the file said the same of themselves, by its hash.
    said: HashMap<u64, u64>,
}

/// The number of drafts of a record.
enum Division {
    /// One draft, whose checked values the assembler holds, and what is in doubt about its parts.
    One(Option<String>),
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
            origin: None,
            said: HashMap::new(),
        }
    }

    pub(super) fn begin_group<E>(&mut self, line: u64, out: &mut Output<'_, E>) {
        out.begin_group();
        self.origin = None;
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
        let Some(rule) = &self.plan.balance_rule else { return out.end_group(None) };
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
            Division::One(warning) => {
                self.assembler.draft(line, text).map(|draft| (draft, 0, warning))
            }
            Division::Each(parts) => {
                // Part 0 is made last and kept; the others are only checked here.
                for part in (1..parts).rev() {
                    self.part(part, slots, text, line)?;
                }
                self.part(0, slots, text, line).map(|draft| (draft, parts, None))
            }
        });
        let (first, parts, warning) = match drafts {
            Ok(drafts) => drafts,
            Err(problem) => {
                self.balance.mark_unknown();
                return out.reject(line, problem, shown(text));
            }
        };
        if let Some(rule) = &self.plan.balance_rule {
            self.balance.add_entry(rule, self.assembler.clean());
        }
        let origin = self.origin();
        let of_group = |mut draft: Draft| {
            if let Some(occurrence) = &mut draft.occurrence {
                occurrence.origin = origin.clone();
            }
            draft
        };
        let mut first = of_group(first);
        first.warnings.extend(warning.map(|message| Warning {
            line,
            doubt: Doubt::PartsDiffer,
            message,
        }));
        out.record(first)?;
        for part in 1..parts {
            // The part passed above, so it passes again; a reject would still be reported.
            match self.part(part, slots, text, line) {
                Ok(draft) => out.record(of_group(draft))?,
                Err(problem) => out.reject(line, problem, shown(text))?,
            }
        }
        Ok(())
    }

    /// Returns what the group of the checked record says of itself.
    fn origin(&mut self) -> Arc<Origin> {
        let (assembler, balance, said) = (&self.assembler, &self.balance, &mut self.said);
        let origin = self.origin.get_or_insert_with(|| {
            let [opening, closing] = balance.known();
            let mut origin = Origin { opening, closing, ..assembler.origin() };
            let mut hasher = DefaultHasher::new();
            origin.hash(&mut hasher);
            let before = said.entry(hasher.finish()).or_default();
            origin.same_before = *before;
            *before += 1;
            Arc::new(origin)
        });
        origin.clone()
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
        let mut doubt = None;
        if parts > 1 {
            match self.check_parts(slots, text) {
                PartsCheck::Complete => return Ok(Division::Each(parts)),
                PartsCheck::Incomplete => {}
                PartsCheck::Wrong(message) => doubt = Some(message),
            }
        }
        let part = (parts == 1).then_some(0);
        let mut view = View { plan: self.plan, slots, text, part, fields: Fields::All };
        if let Err(problem) = self.assembler.check(self.index, None, &view) {
            view.part = None;
            // The record alone may be right.
            if part.is_none() || self.assembler.check(self.index, None, &view).is_err() {
                return Err(problem);
            }
            let problem = problem.message;
            doubt = Some(format!(
                "The record's transaction can't be read, so the record was kept without it: {problem}"
            ));
            return Ok(Division::One(doubt));
        }
        if let (Some(rule), 1) = (&self.plan.split, parts) {
            let kind = self.classify_part(rule);
            if let PartKind::Complete(amount) = &kind {
                doubt = self.differs(rule, *amount, parts);
            }
            if matches!(kind, PartKind::Contradicting) || doubt.is_some() {
                view.fields = Fields::WithoutAmount;
                self.assembler.check(self.index, None, &view)?;
            }
        }
        Ok(Division::One(doubt))
    }

    /// Decides whether each part can be an event. The record's own amount is certain, so nothing that is
    /// wrong with its parts refuses it.
    fn check_parts(&mut self, slots: &Slots<'_>, text: &str) -> PartsCheck {
        let Some(rule) = &self.plan.split else { return PartsCheck::Incomplete };
        let mut sum = Some(Exact::default());
        for part in 0..slots.part_count() {
            let view = View { plan: self.plan, slots, text, part: Some(part), fields: Fields::All };
            if let Err(problem) = self.assembler.check(self.index, Some(part + 1), &view) {
                return PartsCheck::Wrong(format!(
                    "Transaction {} of the record can't be read, so the record was kept whole: {}",
                    part + 1,
                    problem.message
                ));
            }
            let PartKind::Complete(amount) = self.classify_part(rule) else {
                return PartsCheck::Incomplete;
            };
            sum = sum.and_then(|sum| sum.plus(amount?));
        }
        match self.differs(rule, sum, slots.part_count()) {
            Some(message) => PartsCheck::Wrong(message),
            None => PartsCheck::Complete,
        }
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

    /// Returns what is wrong with the sum of the parts, if it differs from the record.
    fn differs(&self, rule: &SplitRule, sum: Option<Exact>, parts: usize) -> Option<String> {
        let (_, total) = rule.sum?;
        let total = self.assembler.clean().get(total).unwrap_or_default();
        if sum.and_then(|sum| sum.same(Exact::parse(total)?)) == Some(true) {
            return None;
        }
        let sum = sum.map_or_else(|| "more than can be added".to_owned(), |sum| sum.to_string());
        Some(format!(
            "The amounts of the record's {parts} transactions add up to {sum}, but its own amount is \
             {total}, so it was kept whole."
        ))
    }
}

/// Whether the parts of a record can be events.
enum PartsCheck {
    Complete,
    /// A part has no amount, or another currency or direction.
    Incomplete,
    /// Something is wrong with them.
    Wrong(String),
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
