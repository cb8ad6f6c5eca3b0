//! Turns a record's values into a draft or a reject, the same for every format.

use crate::check::check;
use crate::item::{Draft, Occurrence, RecordText, cut};
use crate::origin::Origin;
use crate::plan::template::Template;
use crate::plan::{EventType, Field, Identity, KeyPart, Kind, Plan, Source};
use crate::reason::{Doubt, Problem, Reason, Warning};
use crate::record::Values;
use crate::value::json;
use crate::value::time::{Moment, Shape};
use bytes::{Bytes, BytesMut};
use leftfold_api::names;
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes per allocation of payloads and raw texts.
const ARENA: usize = 64 << 10;

/// Gives an [`Assembler`] the values of the record that the reader has read.
pub(crate) trait Lookup {
    /// Returns the text of an input field, or `None` if it is absent or blank. Where the format does not say
    /// where a text begins and ends, it is trimmed.
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem>;
}

pub(crate) struct Assembler<'m> {
    plan: &'m Plan,
    /// The checked values in normal form.
    clean: Values,
    /// The reused buffer of rendered templates.
    rendered: String,
    key: Vec<u8>,
    /// For each field the last text that passed unchanged. Accounts, currencies and dates repeat
    /// by the thousand, and comparing is much cheaper than checking.
    passed: Vec<String>,
    last_time: (String, i64),
    no_origin: Arc<Origin>,
    /// What could not be read of the checked record.
    doubts: Vec<String>,
    /// The reused buffer of the payload.
    text: Vec<u8>,
    /// Payloads and raw texts, several per allocation, which is freed with the last of them.
    arena: BytesMut,
}

impl<'m> Assembler<'m> {
    pub(crate) fn new(plan: &'m Plan) -> Self {
        let fields = plan.fields.len();
        Assembler {
            plan,
            clean: Values::new(fields),
            rendered: String::new(),
            key: Vec::new(),
            passed: vec![String::new(); fields],
            last_time: (String::new(), 0),
            no_origin: Arc::default(),
            doubts: Vec::new(),
            text: Vec::new(),
            arena: BytesMut::with_capacity(ARENA),
        }
    }

    /// Checks every field of a record and computes the fields that are made of others.
    ///
    /// The record is number `index` of its group, and part number `part` of a split record.
    pub(crate) fn check(
        &mut self,
        index: u64,
        part: Option<usize>,
        input: &impl Lookup,
    ) -> Result<(), Problem> {
        self.clean.clear();
        self.clean.write(self.plan.index, |out| push_number(index, out));
        if let Some(part) = part {
            self.clean.write(self.plan.part, |out| push_number(part as u64, out));
        }
        let (first, rest) = self.plan.order.split_at(self.plan.skip.fields);
        self.doubts.clear();
        for field in first {
            self.check_leniently(*field, input)?;
        }
        if self.plan.skip.apply(&self.clean) {
            return Err(Problem::skip());
        }
        for field in rest {
            self.check_leniently(*field, input)?;
        }
        Ok(())
    }

    /// Checks a field; one that is lenient is left out if it can't be read.
    fn check_leniently(&mut self, at: usize, input: &impl Lookup) -> Result<(), Problem> {
        match self.check_field(at, input) {
            Err(problem) if self.plan.fields[at].lenient => {
                self.clean.remove(at);
                self.doubts.push(problem.message);
                Ok(())
            }
            checked => checked,
        }
    }

    fn check_field(&mut self, at: usize, input: &impl Lookup) -> Result<(), Problem> {
        let field = &self.plan.fields[at];
        let complete = |template: &&Template| template.missing(&self.clean).is_none();
        let template = match &field.source {
            Source::Counted => return Ok(()),
            Source::Input(_) => match input.find(at)? {
                Some(text) if is_absent(field, &text) => None,
                Some(text) => match extracted(field, &text) {
                    None => None,
                    Some(text) => {
                        let is_text = matches!(field.kind, Kind::Text);
                        return self.accept(at, if is_text { text } else { text.trim() });
                    }
                },
                None => None,
            },
            Source::Value(templates) => templates.iter().find(complete),
            Source::By(by, templates) => {
                self.clean.get(*by).and_then(|value| templates.get(value)).filter(complete)
            }
        };
        if let Some(template) = template {
            let mut rendered = std::mem::take(&mut self.rendered);
            rendered.clear();
            template.render(&self.clean, &mut rendered);
            let result = self.accept(at, &rendered);
            self.rendered = rendered;
            return result;
        }
        match &field.default {
            Some(text) => self.accept(at, text),
            None if field.required => Err(missing(field)),
            None => Ok(()),
        }
    }

    fn accept(&mut self, at: usize, text: &str) -> Result<(), Problem> {
        let field = &self.plan.fields[at];
        if !field.is_worth_caching() {
            return check(field, at, text, &mut self.clean);
        }
        let passed = &mut self.passed[at];
        if passed == text {
            self.clean.put(at, text);
            return Ok(());
        }
        check(field, at, text, &mut self.clean)?;
        passed.clear();
        passed.push_str(text);
        Ok(())
    }

    /// Renders a template from unchecked values, for messages.
    pub(crate) fn render(&mut self, template: &Template, input: &impl Lookup) -> String {
        self.clean.clear();
        for field in template.fields() {
            if let Ok(Some(text)) = input.find(field) {
                self.clean.put(field, &text);
            }
        }
        let mut text = String::new();
        template.render(&self.clean, &mut text);
        text
    }

    /// Returns what the checked values say of the statement.
    pub(crate) fn origin(&self) -> Origin {
        let fields = &self.plan.statement;
        let text = |field: Option<usize>| Some(self.clean.get(field?)?.to_owned());
        let time = |field: Option<usize>| {
            let moment = Moment::parse(self.clean.get(field?)?, Shape::Either)?;
            moment.micros(&self.plan.zone)
        };
        /// A period that ends on a day ends with it.
        const DAY: i64 = 86_400_000_000;
        let is_day = |field: Option<usize>| {
            field.and_then(|field| self.clean.get(field)).is_some_and(|text| !text.contains('T'))
        };
        let (from, to) = (time(fields.from), time(fields.to));
        let to = to.map(|to| if is_day(fields.to) { to.saturating_add(DAY) } else { to });
        let [from, to] = if from < to && from.is_some() { [from, to] } else { [None, None] };
        Origin {
            statement: text(fields.id),
            message: text(fields.message),
            sequence: text(fields.sequence),
            page: text(fields.page),
            from,
            to,
            ..Origin::default()
        }
    }

    /// Returns the checked values.
    pub(crate) fn clean(&self) -> &Values {
        &self.clean
    }

    /// Makes the draft of the checked record.
    pub(crate) fn draft(&mut self, line: u64, raw: &str) -> Result<Draft, Problem> {
        let plan = self.plan;
        if let Some(field) = plan.stream.missing(&self.clean) {
            return Err(missing(&plan.fields[field]));
        }
        let mut stream = String::with_capacity(48);
        plan.stream.render(&self.clean, &mut stream);
        // Those of the store say which views and connectors there are, and more.
        if names::is_bookkeeping(&stream) {
            let message = format!("The stream {stream} belongs to the store itself.");
            return Err(Problem::new(Reason::Refused, message));
        }
        let id = self.id()?;
        let index = self.clean.get(plan.index).and_then(|index| index.parse().ok());
        let occurrence = matches!(plan.identity, Identity::Kinds(..)).then(|| Occurrence {
            kind: id,
            number: 0,
            ordinal: 0,
            index: index.unwrap_or_default(),
            origin: self.no_origin.clone(),
            metadata: self.metadata(),
        });
        Ok(Draft {
            stream,
            event_type: self.event_type()?,
            id,
            occurrence,
            warnings: self.warnings(line),
            event_time_micros: self.event_time()?,
            correlation: self.correlation(),
            tags: self.tags(),
            data: self.data(),
            line,
            raw: self.raw(raw),
        })
    }

    fn event_type(&self) -> Result<String, Problem> {
        let (at, types) = match &self.plan.event_type {
            EventType::Always(template) => return self.render_type(template),
            EventType::By(at, types, Some(other)) => {
                let given = self.clean.get(*at).and_then(|value| types.get(value));
                return self.render_type(given.unwrap_or(other));
            }
            EventType::By(at, types, None) => (*at, types),
        };
        let field = &self.plan.fields[at];
        let value = self.clean.get(at).ok_or_else(|| missing(field))?;
        let template = types.get(value).ok_or_else(|| {
            let known: Vec<&str> = types.keys().map(String::as_str).collect();
            let known = known.join(", ");
            let message = format!(
                "Field '{}' decides the event type and is '{value}'; the mapping has types for {known}.",
                field.name
            );
            Problem::new(Reason::UnknownEventType, message)
        })?;
        self.render_type(template)
    }

    fn render_type(&self, template: &Template) -> Result<String, Problem> {
        if let Some(field) = template.missing(&self.clean) {
            return Err(missing(&self.plan.fields[field]));
        }
        let mut event_type = String::with_capacity(16);
        template.render(&self.clean, &mut event_type);
        Ok(event_type)
    }

    fn id(&mut self) -> Result<Uuid, Problem> {
        let present = |key: &&Vec<KeyPart>| {
            key.iter().all(|part| part.optional || self.clean.get(part.field).is_some())
        };
        let (keys, counts) = match &self.plan.identity {
            Identity::Keys(keys) => (keys, false),
            Identity::Kinds(keys, _) => (keys, true),
        };
        let Some(key) = keys.iter().find(present) else {
            let message = "No natural key is complete, so a repeat of this record could not be \
                           recognised; fill the fields of one of the keys in [id].";
            return Err(Problem::new(Reason::MissingKey, message));
        };
        self.key.clear();
        for part in key {
            if let Some(value) = self.clean.get(part.field) {
                let Field { name, kind, .. } = &self.plan.fields[part.field];
                // Of equal records one may have 2.5 and another 2.50.
                let is_number = counts && matches!(kind, Kind::Decimal(_));
                push_key(&mut self.key, name);
                push_key(&mut self.key, if is_number { without_zeros(value) } else { value });
            }
        }
        Ok(Uuid::new_v5(&self.plan.namespace, &self.key))
    }

    fn event_time(&mut self) -> Result<i64, Problem> {
        let times = &self.plan.time;
        let Some(text) = times.iter().find_map(|field| self.clean.get(*field)) else {
            let names: Vec<&str> =
                times.iter().map(|field| self.plan.fields[*field].name.as_str()).collect();
            let names = names.join(" or ");
            let message = format!("The event time comes from {names}, which is missing.");
            return Err(Problem::new(Reason::MissingEventTime, message));
        };
        if self.last_time.0 == text {
            return Ok(self.last_time.1);
        }
        let moment = Moment::parse(text, Shape::Either);
        let micros = moment.and_then(|moment| moment.micros(&self.plan.zone)).ok_or_else(|| {
            let message = format!("The event time '{text}' is outside the years -9999 to 9999.");
            Problem::new(Reason::EventTimeOutOfRange, message)
        })?;
        self.last_time = (text.to_owned(), micros);
        Ok(micros)
    }

    fn warnings(&self, line: u64) -> Vec<Warning> {
        let warning = |message: &String| {
            let (doubt, message) = (Doubt::UnreadableField, message.clone());
            Warning { line, doubt, message }
        };
        self.doubts.iter().map(warning).collect()
    }

    fn correlation(&self) -> Option<String> {
        let complete = |template: &&Template| template.missing(&self.clean).is_none();
        let template = self.plan.correlation.iter().find(complete)?;
        let mut text = String::with_capacity(48);
        template.render(&self.clean, &mut text);
        // A bank's reference may be no name: the entry is kept without the link.
        names::check("correlation id", &text).is_ok().then_some(text)
    }

    fn tags(&self) -> Vec<(String, String)> {
        let mut tags = Vec::with_capacity(self.plan.tags.len());
        for (name, template) in &self.plan.tags {
            if template.missing(&self.clean).is_none() {
                let mut value = String::with_capacity(32);
                template.render(&self.clean, &mut value);
                tags.push((name.clone(), value));
            }
        }
        tags
    }

    fn metadata(&self) -> Vec<(String, String)> {
        let given = |(name, field): &(String, usize)| {
            Some((name.clone(), self.clean.get(*field)?.to_owned()))
        };
        self.plan.metadata.iter().filter_map(given).collect()
    }

    fn data(&mut self) -> Bytes {
        if let Some(value) = self.plan.whole.and_then(|whole| self.clean.get(whole)) {
            self.arena.extend_from_slice(value.as_bytes());
            return self.arena.split().freeze();
        }
        let data = &mut self.text;
        data.clear();
        for (lead, at) in &self.plan.data {
            let Some(value) = self.clean.get(*at) else { continue };
            data.extend_from_slice(lead);
            match self.plan.fields[*at] {
                Field { kind: Kind::Integer | Kind::Boolean | Kind::Json, .. }
                | Field { source: Source::Counted, .. } => data.extend_from_slice(value.as_bytes()),
                _ => json::string(value, data),
            }
        }
        match data.first_mut() {
            Some(comma) => *comma = b'{',
            None => data.push(b'{'),
        }
        data.push(b'}');
        self.arena.extend_from_slice(&self.text);
        self.arena.split().freeze()
    }

    fn raw(&mut self, text: &str) -> RecordText {
        let (head, mark) = cut(text);
        self.arena.extend_from_slice(head.as_bytes());
        self.arena.extend_from_slice(mark.as_bytes());
        RecordText(self.arena.split().freeze())
    }
}

/// Returns the part of a text that is the value.
fn extracted<'t>(field: &Field, text: &'t str) -> Option<&'t str> {
    let Some(extract) = &field.extract else { return Some(text) };
    let value = extract.captures(text)?.get(1)?.as_str();
    (!value.trim().is_empty()).then_some(value)
}

/// Whether a value stands for none.
fn is_absent(field: &Field, text: &str) -> bool {
    field.absent.as_ref().is_some_and(|absent| absent.is_match(text.trim()))
}

/// Returns a decimal in normal form without zeros at the end of its fraction.
pub(crate) fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

fn push_number(number: u64, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}

/// Appends a name or value with its length before it, so that different keys give different bytes.
/// The length fits into 32 bits, because a value is part of a record.
fn push_key(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn missing(field: &Field) -> Problem {
    let mut message = format!("Field '{}' is required and is missing or empty", field.name);
    if let Source::Input(paths) = &field.source {
        // Writing to a String cannot fail.
        let _ = write!(message, "; it is read from {}", paths.join(" or "));
    }
    message.push('.');
    Problem::new(Reason::MissingField, message)
}
