//! Drafts a mapping of an XML file: the element that repeats is the record.

use super::DraftingError;
use super::guess::Values;
use super::page::Page;
use crate::input::Window;
use crate::xml::{Token, Tokens, attributes};
use std::collections::BTreeMap;

/// The longest token of a draft: the text is in memory anyway.
const LIMIT: usize = 1 << 20;
/// The most different paths that are looked at.
const MAX_PATHS: usize = 10_000;

/// One path of the document.
#[derive(Default)]
struct Element {
    count: usize,
    /// The order of first sight.
    order: usize,
    has_children: bool,
    text: Values,
    attributes: BTreeMap<String, Values>,
}

type Elements = BTreeMap<Vec<String>, Element>;

pub(super) fn draft(text: &str) -> Result<Page, DraftingError> {
    let elements = scan(text);
    let is_record = |(path, element): &(&Vec<String>, &Element)| {
        path.len() > 1
            && path.iter().all(|name| is_name(name))
            && (element.has_children || !element.attributes.is_empty())
    };
    // The outermost element that repeats most; a file with one record has none that repeats.
    let candidates = || elements.iter().filter(is_record);
    let repeated = candidates().filter(|(_, element)| element.count > 1);
    let record = repeated
        .min_by_key(|(path, element)| (path.len(), usize::MAX - element.count))
        .or_else(|| candidates().min_by_key(|(path, element)| (path.len(), element.order)));
    let Some((record, about)) = record else {
        return Err(DraftingError("no element has elements or attributes of its own".to_owned()));
    };
    let mut fields = below(&elements, record, "", about.count, &[]);
    let parent = &record[..record.len() - 1];
    let mut section = String::from("\n[xml]\n");
    let group =
        elements.get(parent).map(|group| below(&elements, parent, "group:", group.count, record));
    if let (Some(name), Some(group)) = (parent.last(), group.filter(|group| !group.is_empty())) {
        section.push_str(&format!("group = \"{name}\"\n"));
        section.push_str(&format!("record = \"{name}/{}\"\n", record[record.len() - 1]));
        fields.extend(group);
    } else {
        section.push_str(&format!(
            "record = \"{}\"\n",
            record.get(parent.len().saturating_sub(1)..).unwrap_or(record).join("/")
        ));
    }
    Ok(Page { format: "xml", section, fields })
}

/// Returns the values below a path, but not those below `without`.
fn below(
    elements: &Elements,
    from: &[String],
    scope: &str,
    records: usize,
    without: &[String],
) -> Vec<(String, Values)> {
    let mut found = Vec::new();
    for (path, element) in elements {
        let is_without = !without.is_empty() && path.starts_with(without);
        let Some(inside) = path.strip_prefix(from).filter(|_| !is_without) else { continue };
        if !inside.iter().all(|name| is_name(name)) {
            continue;
        }
        let inside = inside.join("/");
        for (name, values) in element.attributes.iter().filter(|(name, _)| is_name(name)) {
            let slash = if inside.is_empty() { "" } else { "/" };
            let path = format!("{scope}{inside}{slash}@{name}");
            found.push((element.order, path, values.with_records(records)));
        }
        if !element.has_children && !inside.is_empty() {
            found.push((
                element.order,
                format!("{scope}{inside}"),
                element.text.with_records(records),
            ));
        }
    }
    found.sort_by_key(|(order, ..)| *order);
    found.into_iter().map(|(_, path, values)| (path, values)).collect()
}

/// Returns whether a path of a mapping can have the name; other names are mistakes of the file.
fn is_name(name: &str) -> bool {
    let is_foreign = |c: char| c.is_whitespace() || c.is_control() || "@:.<>&\"'/\\".contains(c);
    !name.is_empty() && !name.contains(is_foreign)
}

/// Collects the paths up to the end of the text, or to its first mistake.
fn scan(text: &str) -> Elements {
    let mut elements = Elements::new();
    let mut tokens = Tokens::new(Window::new(text.as_bytes(), LIMIT));
    let mut path: Vec<String> = Vec::new();
    loop {
        tokens.window.pin();
        let Ok(token) = tokens.next() else { return elements };
        let bytes = tokens.window.pinned();
        match token {
            Token::Eof => return elements,
            Token::Other => {}
            Token::End => _ = path.pop(),
            Token::Text(span) | Token::CData(span) => {
                if let Some(element) = elements.get_mut(&path) {
                    element.text.add(&String::from_utf8_lossy(span.of(bytes)));
                }
            }
            Token::Start { name, attributes: tag, empty } => {
                if let Some(parent) = elements.get_mut(&path) {
                    parent.has_children = true;
                }
                path.push(String::from_utf8_lossy(name.of(bytes)).into_owned());
                if elements.len() >= MAX_PATHS && !elements.contains_key(&path) {
                    return elements;
                }
                let order = elements.len();
                let element = elements
                    .entry(path.clone())
                    .or_insert_with(|| Element { order, ..Element::default() });
                element.count += 1;
                attributes(bytes, tag, |name, value| {
                    let name = String::from_utf8_lossy(name).into_owned();
                    if !name.starts_with("xmlns") && name != "schemaLocation" {
                        let value = String::from_utf8_lossy(value.of(bytes));
                        element.attributes.entry(name).or_default().add(&value);
                    }
                });
                if empty {
                    path.pop();
                }
            }
        }
    }
}
