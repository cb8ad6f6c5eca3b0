//! Writes a draft as TOML.

use super::MAX_FIELDS;
use super::guess::Values;
use crate::value::json;
use std::fmt::Write;

/// The content of a draft.
pub(super) struct Page {
    pub(super) format: &'static str,
    /// The section of the format.
    pub(super) section: String,
    /// The path and the values of each field, in the order of the file.
    pub(super) fields: Vec<(String, Values)>,
}

impl Page {
    pub(super) fn write(&self, name: &str, encoding: Option<&str>) -> String {
        let fields: Vec<(String, &(String, Values))> = self.named();
        // An amount or a day that no two records share is no key; the next file has it again.
        let is_key = |values: &Values| {
            let (keys, _) = values.guess();
            values.is_unique() && (keys.is_empty() || keys.contains("integer"))
        };
        let key = fields.iter().find(|(_, (_, values))| is_key(values)).map(|(name, _)| name);
        let time = fields.iter().find(|(_, (_, values))| values.guess().1).map(|(name, _)| name);
        let slug = slug(name);
        let mut out = String::from("# A draft: look at every line with a comment.\n");
        // Writing to a String cannot fail.
        _ = writeln!(out, "name = {}            # part of every id", quoted(name));
        _ = writeln!(out, "format = \"{}\"", self.format);
        if let Some(encoding) = encoding {
            _ = writeln!(out, "encoding = \"{encoding}\"   # not UTF-8; a guess");
        }
        _ = writeln!(out, "zone = \"UTC\"           # of times without an offset");
        let stream = key.map_or_else(|| slug.clone(), |key| format!("{slug}-{{{key}}}"));
        _ = writeln!(out, "stream = {}", quoted(&stream));
        let names: Vec<String> = fields.iter().map(|(name, _)| quoted(name)).collect();
        _ = writeln!(out, "data = [{}]", names.join(", "));
        let time_name = time.map_or("event_time", String::as_str);
        _ = writeln!(out, "\n[event]\ntype = \"Imported\"        # what happened");
        _ = writeln!(out, "time = \"{time_name}\"");
        _ = writeln!(out, "\n[id]");
        match key {
            Some(key) => {
                let why = "what makes a record the same record again";
                _ = writeln!(out, "keys = [[{}]]    # {why}", quoted(key));
            }
            None => out.push_str(&kinds(&fields)),
        }
        out.push_str(&self.section);
        _ = writeln!(out, "\n[field]");
        for (name, (path, values)) in &fields {
            let (kind, _) = values.guess();
            let kind = if kind.is_empty() { kind } else { format!(", {kind}") };
            let required = if values.is_complete() { ", required = true" } else { "" };
            _ = writeln!(out, "{name} = {{ path = {}{kind}{required} }}", quoted(path));
        }
        if time.is_none() {
            let value = "{ value = \"1970-01-01\", type = \"date\" }";
            _ = writeln!(out, "{time_name} = {value}   # no field looks like a time");
        }
        out
    }

    /// Gives each path a name, made of the end of the path.
    fn named(&self) -> Vec<(String, &(String, Values))> {
        let mut taken = vec!["index".to_owned(), "part".to_owned(), "event_time".to_owned()];
        let mut named = Vec::new();
        for field in self.fields.iter().take(MAX_FIELDS) {
            let base =
                slug(field.0.rsplit([':', '/']).find(|part| !slug(part).is_empty()).unwrap_or(""));
            let whole = slug(&field.0);
            let mut name = if base.is_empty() { "field".to_owned() } else { base };
            if taken.contains(&name) && !whole.is_empty() {
                name = whole;
            }
            let plain = name.clone();
            let mut number = 2;
            while taken.contains(&name) {
                name = format!("{plain}_{number}");
                number += 1;
            }
            taken.push(name.clone());
            named.push((name, field));
        }
        named
    }
}

/// Returns the identity of records without a key: all fields, and the number of equal ones.
fn kinds(fields: &[(String, &(String, Values))]) -> String {
    let scalar = fields.iter().filter(|(_, (_, values))| !values.nested);
    let part = |(name, (_, values)): &(String, &(String, Values))| {
        quoted(&format!("{name}{}", if values.is_complete() { "" } else { "?" }))
    };
    let parts: Vec<String> = scalar.map(part).collect();
    match parts.iter().any(|part| !part.ends_with("?\"")) {
        true => {
            let why = "no field is unique; equal records are counted";
            format!("kinds = [[{}]]    # {why}\n", parts.join(", "))
        }
        false => "keys = [[\"index\"]]    # no field is in all records\n".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    // The escapes of JSON are escapes of TOML too.
    json::string(text, &mut out);
    let text = String::from_utf8(out).unwrap_or_default();
    // The only control character that JSON allows and TOML does not.
    text.replace('\u{7f}', "\\u007f")
}

/// Returns a name of a-z, 0-9 and `_`: `orderNo` and `Order No.` are both `order_no`.
fn slug(text: &str) -> String {
    let mut out = String::new();
    let mut lower = false;
    for sign in text.chars() {
        let plain = match sign {
            'ä' | 'Ä' => "ae",
            'ö' | 'Ö' => "oe",
            'ü' | 'Ü' => "ue",
            'ß' => "ss",
            _ => "",
        };
        if sign.is_ascii_uppercase() && lower {
            out.push('_');
        }
        lower = sign.is_ascii_lowercase();
        match (plain, sign.is_ascii_alphanumeric()) {
            ("", true) => out.push(sign.to_ascii_lowercase()),
            ("", false) if !out.is_empty() && !out.ends_with('_') => out.push('_'),
            (plain, _) => out.push_str(plain),
        }
    }
    out.trim_end_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_words() {
        for (text, expected) in [
            ("orderNo", "order_no"),
            ("Order No.", "order_no"),
            ("IBAN", "iban"),
            ("Währung", "waehrung"),
            ("@Ccy", "ccy"),
            ("--", ""),
        ] {
            assert_eq!(slug(text), expected);
        }
    }
}
