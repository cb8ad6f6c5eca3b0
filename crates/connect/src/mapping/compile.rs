//! Compiles a mapping file into a plan.

use super::error::MappingError;
use super::field::{compile_equals, compile_field};
use super::file::{self, FormatName};
use super::paths::{BalancePaths, Shape, compile_paths};
use crate::changes::{Changes, OnChange};
use crate::plan::csv::CsvPlan;
use crate::plan::ndjson::NdjsonPlan;
use crate::plan::template::{Names, Template, resolve};
use crate::plan::xml::{BalanceRule, Markup, SplitRule, XmlPlan};
use crate::plan::{
    EventType, Field, Format, Identity, KeyPart, Kind, Kinds, Plan, SkipRule, SkipRules,
    StatementFields,
};
use crate::value::{decimal::Exponent, json};
use encoding_rs::Encoding;
use jiff::tz::TimeZone;
use regex::Regex;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The namespace of all ids made here: UUIDv5 of the mapping's name in it is the namespace of that
/// mapping's records. Frozen; another value would make every file new.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f1c_6d0e_52b7_4a39_9d84_1ef0_7c53_a6b2);

/// The default limit: two orders of magnitude above the longest known bank statement entry.
const DEFAULT_RECORD_BYTES: usize = 1024 * 1024;
/// The largest limit, because a whole record is held in memory.
const LARGEST_RECORD_BYTES: usize = 64 * 1024 * 1024;

type Result<T> = std::result::Result<T, MappingError>;

/// Compiles a mapping as it is written.
pub(super) fn compile(mut file: file::File) -> Result<Plan> {
    if file.name.trim().is_empty() {
        return Err(MappingError::at("name", "is empty; it becomes part of every id"));
    }
    let fields = std::mem::take(&mut file.field);
    let names = names(&fields)?;
    let (index, part) = (fields.len(), fields.len() + 1);
    let mut fields = compile_fields(fields, file.format, &names)?;
    let whole = whole_record(&file, &mut fields)?;
    let format = format(&file, &fields, &names)?;
    let order = order(&fields)?;
    let (order, skip) = skip(&file.skip.0, order, &fields, &names)?;
    Ok(Plan {
        namespace: Uuid::new_v5(&NAMESPACE, file.name.as_bytes()),
        format,
        zone: zone(&file.zone)?,
        encoding: encoding(&file)?,
        max_record_bytes: record_bytes(file.max_record_bytes)?,
        order,
        index,
        part,
        stream: template("stream", &file.stream, &names)?,
        event_type: event_type(&file.event, &names)?,
        time: time(&file.event.time.0, &fields, &names)?,
        identity: identity(&file, &names)?,
        changes: changes(&file)?,
        statement: statement(file.statement.as_ref(), &names)?,
        correlation: correlation(&file.event, &names)?,
        tags: tags(&file.tags, &names)?,
        data: data(&file.data, &names)?,
        metadata: metadata(&file, &names)?,
        skip,
        whole,
        fields,
    })
}

fn names(fields: &BTreeMap<String, file::Field>) -> Result<Names> {
    let mut names: Names = fields.keys().cloned().zip(0..).collect();
    for (counted, at) in [("index", fields.len()), ("part", fields.len() + 1)] {
        if names.insert(counted.to_owned(), at).is_some() {
            let problem = "this name is reserved for the counted position; rename the field";
            return Err(MappingError::at(format!("field.{counted}"), problem));
        }
    }
    Ok(names)
}

fn compile_fields(
    files: BTreeMap<String, file::Field>,
    format: FormatName,
    names: &Names,
) -> Result<Vec<Field>> {
    let exponent = match format {
        FormatName::Ndjson => Exponent::Allowed,
        FormatName::Xml | FormatName::Ofx | FormatName::Mt | FormatName::Csv => Exponent::Refused,
    };
    let mut fields = Vec::with_capacity(files.len() + 2);
    for (name, file) in files {
        if file.join.is_some() && (format.markup().is_none() || file.path.is_none()) {
            let problem = "joins repeated XML elements; it needs format = \"xml\" and a path";
            return Err(MappingError::at(format!("field.{name}.join"), problem));
        }
        fields.push(compile_field(&name, file, exponent, names)?);
    }
    fields.push(Field::counted("index"));
    fields.push(Field::counted("part"));
    Ok(fields)
}

fn format(file: &file::File, fields: &[Field], names: &Names) -> Result<Format> {
    for (section, given, fits) in [
        ("xml", file.xml.is_some(), file.format.markup().is_some()),
        ("csv", file.csv.is_some(), file.format == FormatName::Csv),
        ("ndjson", file.ndjson.is_some(), file.format == FormatName::Ndjson),
        ("balance", file.balance.is_some(), file.format.markup().is_some()),
    ] {
        if given && !fits {
            let problem = "this section belongs to another format than the one in `format`";
            return Err(MappingError::at(section, problem));
        }
    }
    match file.format {
        FormatName::Xml | FormatName::Ofx | FormatName::Mt => {
            xml_plan(file, fields, names).map(|plan| Format::Xml(Box::new(plan)))
        }
        FormatName::Csv => csv_plan(file.csv.as_ref(), fields).map(Format::Csv),
        FormatName::Ndjson => ndjson_plan(file.ndjson.as_ref(), fields).map(Format::Ndjson),
    }
}

/// Adds the field that is the whole record, if the payload is that.
fn whole_record(file: &file::File, fields: &mut Vec<Field>) -> Result<Option<usize>> {
    match (&file.data, file.format) {
        (file::Data::Fields(_), _) => Ok(None),
        (file::Data::Record, FormatName::Xml | FormatName::Ofx | FormatName::Mt) => {
            let problem = "\"record\" needs format = \"csv\" or \"ndjson\"; list the fields of XML";
            Err(MappingError::at("data", problem))
        }
        (file::Data::Record, _) if file.ndjson.as_ref().is_some_and(|n| n.split.is_some()) => {
            let problem = "\"record\" contradicts ndjson.split; list fields: an element is \
                           path = \"part:\" with type = \"json\"";
            Err(MappingError::at("data", problem))
        }
        (file::Data::Record, FormatName::Csv | FormatName::Ndjson) => {
            fields.push(Field::whole_record());
            Ok(Some(fields.len() - 1))
        }
    }
}

/// Compiles the rules of `skip` and moves the fields that they need to the front of the order.
fn skip(
    rules: &[file::Skip],
    order: Vec<usize>,
    fields: &[Field],
    names: &Names,
) -> Result<(Vec<usize>, SkipRules)> {
    let rule = |rule: &file::Skip| {
        let is = rule.is.as_ref().map_or(Vec::new(), |is| is.0.clone());
        if is.is_empty() && !rule.absent {
            let problem = "needs values of the field in `is`, or absent = true";
            return Err(MappingError::at("skip", problem));
        }
        let field = name_at("skip.field", &rule.field, names)?;
        Ok(SkipRule { field, is, absent: rule.absent })
    };
    let rules: Result<Vec<SkipRule>> = rules.iter().map(rule).collect();
    let rules = rules?;
    let mut needed = vec![false; fields.len()];
    let mut open: Vec<usize> = rules.iter().map(|rule| rule.field).collect();
    while let Some(field) = open.pop() {
        if !std::mem::replace(&mut needed[field], true) {
            open.extend(fields[field].depends_on());
        }
    }
    let (first, rest): (Vec<usize>, Vec<usize>) =
        order.into_iter().partition(|field| needed[*field]);
    let skip = SkipRules { rules, fields: first.len() };
    Ok(([first, rest].concat(), skip))
}

fn ndjson_plan(section: Option<&file::Ndjson>, fields: &[Field]) -> Result<NdjsonPlan> {
    let split = section.and_then(|section| section.split.as_deref());
    let plan = NdjsonPlan::compile(fields, split);
    let mut plan = plan.map_err(|(place, problem)| MappingError::at(place, problem))?;
    plan.array = section.and_then(|section| section.array);
    Ok(plan)
}

fn csv_plan(section: Option<&file::Csv>, fields: &[Field]) -> Result<CsvPlan> {
    let absent = file::Csv::default();
    let section = section.unwrap_or(&absent);
    let byte = |key: &str, sign: char| match u8::try_from(sign) {
        Ok(byte) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(byte),
        _ => Err(MappingError::at(format!("csv.{key}"), "must be one ASCII character")),
    };
    let (delimiter, quote) = (byte("delimiter", section.delimiter)?, byte("quote", section.quote)?);
    if delimiter == quote {
        return Err(MappingError::at("csv.quote", "must differ from csv.delimiter"));
    }
    let columns = section.columns.clone();
    let plan = CsvPlan {
        delimiter,
        quote,
        columns,
        skip_lines: section.skip_lines,
        find_header: section.find_header,
        footer: section.footer.as_deref().map(footer).transpose()?,
    };
    if plan.columns.is_some() && plan.find_header {
        let problem = "contradicts csv.columns, which is for files without a header";
        return Err(MappingError::at("csv.find_header", problem));
    }
    if let Some(columns) = &plan.columns {
        plan.bind(fields, columns).map_err(|(field, problem)| path_error(&field, problem))?;
    }
    Ok(plan)
}

fn footer(written: &str) -> Result<Regex> {
    Regex::new(&format!(r"\A(?:{written})")).map_err(|error| {
        MappingError::at("csv.footer", format!("is not a regular expression: {error}"))
    })
}

fn xml_plan(file: &file::File, fields: &[Field], names: &Names) -> Result<XmlPlan> {
    let Some(section) = &file.xml else {
        let problem = "is missing; an XML mapping needs [xml] with record = \"path/of/a/record\"";
        return Err(MappingError::at("xml", problem));
    };
    let shape = Shape {
        record: &section.record,
        group: section.group.as_deref(),
        split: section.split.as_ref().map(|split| split.path.as_str()),
        balance: file.balance.as_ref().map(|balance| balance.element.as_str()),
        markup: file.format.markup().unwrap_or(Markup::Xml),
    };
    let balance_paths = file.balance.as_ref().map(|b| BalancePaths {
        kind: &b.kind,
        amount: &b.amount,
        direction: &b.direction,
        currency: b.currency.as_deref(),
    });
    let mut plan = compile_paths(&shape, balance_paths, fields)
        .map_err(|(place, problem)| MappingError::at(place, problem))?;
    if let Some(split) = &section.split {
        plan.split = Some(split_rule(split, fields, names)?);
    }
    if let Some(balance) = &file.balance {
        plan.balance_rule = Some(balance_rule(balance, fields, names)?);
    }
    Ok(plan)
}

fn split_rule(split: &file::Split, fields: &[Field], names: &Names) -> Result<SplitRule> {
    let pair = |key: &str, [part, record]: &[String; 2]| {
        let place = format!("xml.split.{key}");
        Ok((name_at(&place, part, names)?, name_at(&place, record, names)?))
    };
    let sum = split.sum.as_ref().map(|names| pair("sum", names)).transpose()?;
    if let Some((part, total)) = sum {
        must_be_decimal("xml.split.sum", &fields[part])?;
        must_be_decimal("xml.split.sum", &fields[total])?;
    }
    let same: Result<Vec<_>> = split.same.iter().map(|names| pair("same", names)).collect();
    Ok(SplitRule { sum, same: same? })
}

fn balance_rule(balance: &file::Balance, fields: &[Field], names: &Names) -> Result<BalanceRule> {
    let entry = name_at("balance.entry", &balance.entry, names)?;
    must_be_decimal("balance.entry", &fields[entry])?;
    let currency = balance.entry_currency.as_ref();
    let when = balance.when.as_ref();
    Ok(BalanceRule {
        negative: balance.negative.clone(),
        opening: balance.opening.0.clone(),
        closing: balance.closing.0.clone(),
        entry,
        entry_currency: currency
            .map(|name| name_at("balance.entry_currency", name, names))
            .transpose()?,
        when: when.map(|when| compile_equals(when, "balance.when", names)).transpose()?,
        subject: template("balance.subject", &balance.subject, names)?,
    })
}

fn must_be_decimal(place: &str, field: &Field) -> Result<()> {
    match field.kind {
        Kind::Decimal(_) => Ok(()),
        _ => Err(MappingError::at(place, format!("'{}' needs type = \"decimal\"", field.name))),
    }
}

fn path_error(field: &str, problem: String) -> MappingError {
    MappingError::at(format!("field.{field}.path"), problem)
}

fn name_at(place: &str, name: &str, names: &Names) -> Result<usize> {
    resolve(name, names).map_err(|problem| MappingError::at(place, problem))
}

fn template(place: &str, text: &str, names: &Names) -> Result<Template> {
    Template::parse(text, names).map_err(|problem| MappingError::at(place, problem))
}

pub(super) fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).map_err(|_| {
        let problem =
            format!("'{name}' is not a time zone; write one such as Europe/Berlin or UTC");
        MappingError::at("zone", problem)
    })
}

fn encoding(file: &file::File) -> Result<Option<&'static Encoding>> {
    let Some(label) = &file.encoding else { return Ok(None) };
    if matches!(file.format, FormatName::Xml | FormatName::Ofx) {
        let problem = "an XML or OFX file names its encoding itself; remove this key";
        return Err(MappingError::at("encoding", problem));
    }
    let unknown = || {
        let problem = format!("'{label}' is not a known encoding; write one such as windows-1252");
        MappingError::at("encoding", problem)
    };
    Encoding::for_label(label.as_bytes()).map(Some).ok_or_else(unknown)
}

fn record_bytes(given: Option<usize>) -> Result<usize> {
    match given.unwrap_or(DEFAULT_RECORD_BYTES) {
        bytes @ 1..=LARGEST_RECORD_BYTES => Ok(bytes),
        _ => {
            let problem = format!("must be between 1 and {LARGEST_RECORD_BYTES}");
            Err(MappingError::at("max_record_bytes", problem))
        }
    }
}

/// Orders the fields so that each comes after the fields it is made of; refuses cycles.
fn order(fields: &[Field]) -> Result<Vec<usize>> {
    let depends: Vec<Vec<usize>> = fields.iter().map(Field::depends_on).collect();
    let mut order = Vec::with_capacity(fields.len());
    let mut placed = vec![false; fields.len()];
    while order.len() < fields.len() {
        let ready = |field: &usize| !placed[*field] && depends[*field].iter().all(|d| placed[*d]);
        let Some(next) = (0..fields.len()).find(ready) else {
            let stuck = placed.iter().position(|placed| !placed).unwrap_or(0);
            let problem = "is made of itself, directly or through other fields";
            return Err(MappingError::at(format!("field.{}", fields[stuck].name), problem));
        };
        placed[next] = true;
        order.push(next);
    }
    Ok(order)
}

fn event_type(event: &file::Event, names: &Names) -> Result<EventType> {
    match (&event.constant, &event.type_field) {
        (Some(always), None) if event.types.is_empty() && event.other.is_none() => {
            Ok(EventType::Always(template("event.type", always, names)?))
        }
        (None, Some(field)) if !event.types.is_empty() => {
            let field = name_at("event.type_field", field, names)?;
            let types = event
                .types
                .iter()
                .map(|(value, text)| Ok((value.clone(), template("event.types", text, names)?)));
            let other = event.other.as_ref();
            let other = other.map(|text| template("event.other", text, names)).transpose()?;
            Ok(EventType::By(field, types.collect::<Result<_>>()?, other))
        }
        _ => {
            let problem = "needs either type (a template) or type_field and types (by a field's \
                           value), and only then other";
            Err(MappingError::at("event", problem))
        }
    }
}

fn time(wanted: &[String], fields: &[Field], names: &Names) -> Result<Vec<usize>> {
    let mut times = Vec::with_capacity(wanted.len());
    for name in wanted {
        let field = name_at("event.time", name, names)?;
        if !matches!(fields[field].kind, Kind::Time(..)) {
            let problem =
                format!("'{name}' needs type = \"date\", \"datetime\" or \"date_or_datetime\"");
            return Err(MappingError::at("event.time", problem));
        }
        times.push(field);
    }
    if times.is_empty() {
        return Err(MappingError::at("event.time", "needs at least one field"));
    }
    Ok(times)
}

fn identity(file: &file::File, names: &Names) -> Result<Identity> {
    let file::Id { keys: unique, kinds, .. } = &file.id;
    match (unique.is_empty(), kinds.is_empty()) {
        (false, true) => Ok(Identity::Keys(keys("id.keys", unique, names)?)),
        (true, false) => {
            let rules = Kinds { by_statement: file.statement.is_some() };
            Ok(Identity::Kinds(keys("id.kinds", kinds, names)?, rules))
        }
        _ => {
            let problem = "needs either keys (each belongs to one record) or kinds (several records \
                           may be equal, and are counted)";
            Err(MappingError::at("id", problem))
        }
    }
}

/// Compiles the rules for records that the store has with other content.
fn changes(file: &file::File) -> Result<Changes> {
    if file.version == 0 {
        return Err(MappingError::at("version", "must be at least 1"));
    }
    let corrected = file.id.corrected.clone();
    let (has_kinds, older) = (!file.id.kinds.is_empty(), file.changed.records);
    let older = older.unwrap_or(OnChange::Refuse);
    if older == OnChange::Correct && corrected.is_none() {
        let problem = "\"correct\" needs id.corrected, the event type of a correction";
        return Err(MappingError::at("changed.records", problem));
    }
    if !has_kinds && corrected.is_some() && older != OnChange::Correct {
        let problem = "needs kinds, or changed.records = \"correct\": a key of its own has no \
                       corrections under one version of the mapping";
        return Err(MappingError::at("id.corrected", problem));
    }
    let has_corrections = has_kinds && corrected.is_some();
    let same = if has_corrections { OnChange::Correct } else { OnChange::Refuse };
    Ok(Changes { version: file.version, same, older, corrected })
}

fn statement(file: Option<&file::Statement>, names: &Names) -> Result<StatementFields> {
    let Some(file) = file else { return Ok(StatementFields::default()) };
    let field = |key: &str, name: &Option<String>| {
        let place = format!("statement.{key}");
        name.as_ref().map(|name| name_at(&place, name, names)).transpose()
    };
    Ok(StatementFields {
        id: field("id", &file.id)?,
        message: field("message", &file.message)?,
        sequence: field("sequence", &file.sequence)?,
        page: field("page", &file.page)?,
        from: field("from", &file.from)?,
        to: field("to", &file.to)?,
    })
}

fn keys(place: &str, keys: &[Vec<String>], names: &Names) -> Result<Vec<Vec<KeyPart>>> {
    let part = |written: &String| {
        let name = written.strip_suffix('?');
        let field = name_at(place, name.unwrap_or(written), names)?;
        Ok(KeyPart { field, optional: name.is_some() })
    };
    let keys: Result<Vec<Vec<KeyPart>>> =
        keys.iter().map(|key| key.iter().map(part).collect()).collect();
    let keys = keys?;
    if keys.is_empty() || keys.iter().any(|key| key.iter().all(|part| part.optional)) {
        let problem = "needs at least one key, and each key at least one field without '?'";
        return Err(MappingError::at(place, problem));
    }
    Ok(keys)
}

fn correlation(event: &file::Event, names: &Names) -> Result<Vec<Template>> {
    let templates = event.correlation.iter().flat_map(|given| &given.0);
    templates.map(|text| template("event.correlation", text, names)).collect()
}

fn tags(tags: &BTreeMap<String, String>, names: &Names) -> Result<Vec<(String, Template)>> {
    let tag = |(name, text): (&String, &String)| {
        Ok((name.clone(), template(&format!("tags.{name}"), text, names)?))
    };
    tags.iter().map(tag).collect()
}

fn metadata(file: &file::File, names: &Names) -> Result<Vec<(String, usize)>> {
    if file.id.kinds.is_empty() && !file.metadata.is_empty() {
        let problem = "needs id.kinds: records with keys of their own have no metadata";
        return Err(MappingError::at("metadata", problem));
    }
    /// What the metadata of each event has.
    const OWN: [&str; 8] =
        ["file", "line", "index", "number", "statement", "warnings", "mapping_version", "corrects"];
    if let Some(own) = file.metadata.iter().find(|name| OWN.contains(&name.as_str())) {
        let problem = format!("'{own}' is in the metadata of each event already; rename the field");
        return Err(MappingError::at("metadata", problem));
    }
    let has_tag = !file.id.kinds.is_empty() || file.id.corrected.is_some();
    if has_tag && file.tags.contains_key(crate::stored::TAG) {
        let problem = "this tag is made by the store's reader itself; give yours another name";
        return Err(MappingError::at("tags.record", problem));
    }
    let field = |name: &String| Ok((name.clone(), name_at("metadata", name, names)?));
    file.metadata.iter().map(field).collect()
}

/// Parses `field` and `field as name`.
fn data(data: &file::Data, names: &Names) -> Result<Vec<(Vec<u8>, usize)>> {
    let file::Data::Fields(data) = data else { return Ok(Vec::new()) };
    let mut keys: Vec<&str> = Vec::with_capacity(data.len());
    let mut compiled = Vec::with_capacity(data.len());
    for written in data {
        let (field, key) = written.split_once(" as ").unwrap_or((written, written));
        let (field, key) = (field.trim(), key.trim());
        let field = name_at("data", field, names)?;
        if keys.contains(&key) {
            return Err(MappingError::at("data", format!("'{key}' occurs twice")));
        }
        keys.push(key);
        let mut lead = vec![b','];
        json::string(key, &mut lead);
        lead.push(b':');
        compiled.push((lead, field));
    }
    Ok(compiled)
}
