//! Guesses the type of a field from its values.

use regex::Regex;
use std::sync::LazyLock;

/// What the values of one column or path have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    /// Values that are not empty.
    seen: Vec<String>,
    /// Records that were looked at, with and without a value.
    pub(super) records: usize,
    /// A value is a JSON object or array.
    pub(super) nested: bool,
}

/// The values that are compared.
const KEPT: usize = 100;

/// Decimals by their separators, behind whole numbers: the pattern, and the keys of the field.
const DECIMALS: [(&str, &str); 4] = [
    (r"[-+]?\d+\.\d+", ""),
    (r"[-+]?\d+(,\d+)?", ", decimal_separator = \",\""),
    (
        r"[-+]?\d{1,3}(\.\d{3})*(,\d+)?|[-+]?\d+,\d+",
        ", decimal_separator = \",\", group_separator = \".\"",
    ),
    (r"[-+]?\d{1,3}(,\d{3})*(\.\d+)?|[-+]?\d+(\.\d+)?", ", group_separator = \",\""),
];

/// Dates and times by their form: the pattern, the type, and the format.
const TIMES: [(&str, &str, &str); 9] = [
    (r"\d{4}-\d\d-\d\d", "date", ""),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[-+]\d\d:\d\d)?", "datetime", ""),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "date", "%d.%m.%Y"),
    (r"\d{1,2}\.\d{1,2}\.\d{4} \d\d:\d\d", "datetime", "%d.%m.%Y %H:%M"),
    (r"\d{1,2}\.\d{1,2}\.\d{2}", "date", "%d.%m.%y"),
    (r"(0?[1-9]|[12]\d|3[01])/(0?[1-9]|1[0-2])/\d{4}", "date", "%d/%m/%Y"),
    (r"(0?[1-9]|1[0-2])/(0?[1-9]|[12]\d|3[01])/\d{4}", "date", "%m/%d/%Y"),
    (r"1\d{9}", "datetime", "epoch_s"),
    (r"1\d{12}", "datetime", "epoch_ms"),
];

impl Values {
    pub(super) fn add(&mut self, value: &str) {
        let value = value.trim();
        if !value.is_empty() && self.seen.len() < KEPT {
            self.seen.push(value.to_owned());
        }
    }

    /// Returns the values as those of a number of records.
    pub(super) fn with_records(&self, records: usize) -> Values {
        Values { records, ..self.clone() }
    }

    /// Returns whether every record has a value.
    pub(super) fn is_complete(&self) -> bool {
        self.records > 0 && self.seen.len() == self.records.min(KEPT)
    }

    /// Returns whether every record has a value, and no two the same.
    pub(super) fn is_unique(&self) -> bool {
        let mut seen: Vec<&String> = self.seen.iter().collect();
        seen.sort_unstable();
        seen.dedup();
        self.is_complete() && !self.nested && seen.len() == self.seen.len()
    }

    /// Returns the keys of the type, such as `type = "date"`, and whether it is a time.
    pub(super) fn guess(&self) -> (String, bool) {
        if self.nested {
            return ("type = \"json\"".to_owned(), false);
        }
        let found = FORMS.iter().find(|form| self.all(&form.regex));
        found.map_or_else(Default::default, |form| (form.keys.clone(), form.is_time))
    }

    fn all(&self, regex: &Regex) -> bool {
        !self.seen.is_empty() && self.seen.iter().all(|value| regex.is_match(value))
    }
}

/// The form of the values of a type.
struct Form {
    regex: Regex,
    keys: String,
    is_time: bool,
}

/// All forms, in the order they are tried.
static FORMS: LazyLock<Vec<Form>> = LazyLock::new(|| {
    let times = TIMES.iter().map(|(pattern, kind, format)| {
        let format = match *format {
            "" => String::new(),
            format => format!(", format = \"{format}\""),
        };
        (*pattern, format!("type = \"{kind}\"{format}"), true)
    });
    // Leading zeros and long numbers are names, such as those of accounts.
    let plain = [("true|false", "boolean"), (r"-?(0|[1-9]\d{0,8})", "integer"), (r"\d+", "text")];
    let plain = plain.map(|(pattern, kind)| match kind {
        "text" => (pattern, String::new(), false),
        kind => (pattern, format!("type = \"{kind}\""), false),
    });
    let decimals = DECIMALS
        .iter()
        .map(|(pattern, keys)| (*pattern, format!("type = \"decimal\"{keys}"), false));
    let all = times.chain(plain).chain(decimals);
    all.filter_map(|(pattern, keys, is_time)| {
        let regex = Regex::new(&format!(r"\A(?:{pattern})\z")).ok()?;
        Some(Form { regex, keys, is_time })
    })
    .collect()
});
