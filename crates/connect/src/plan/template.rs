//! Templates such as `account-{account}`.

use crate::record::Values;
use std::collections::BTreeMap;

/// The index of each field by name.
pub(crate) type Names = BTreeMap<String, usize>;

#[derive(Debug)]
enum Piece {
    Text(String),
    Field(usize),
}

#[derive(Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    /// Parses `text`; the error is a sentence about what is wrong.
    pub(crate) fn parse(text: &str, names: &Names) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let (name, after) = match (brace, after.split_once('}')) {
                ("{", Some(found)) => found,
                _ => return Err(unbalanced(text)),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Field(resolve(name, names)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Template { pieces })
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = usize> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(*field),
            Piece::Text(_) => None,
        })
    }

    /// Returns the first absent field, or `None`.
    pub(crate) fn missing(&self, values: &Values) -> Option<usize> {
        self.fields().find(|field| values.get(*field).is_none())
    }

    /// Appends the rendered text; an absent field renders as empty.
    pub(crate) fn render(&self, values: &Values, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(field) => out.push_str(values.get(*field).unwrap_or_default()),
            }
        }
    }
}

/// Returns the index of the field `name`, or a sentence that lists the fields.
pub(crate) fn resolve(name: &str, names: &Names) -> Result<usize, String> {
    names.get(name).copied().ok_or_else(|| {
        let known: Vec<&str> = names.keys().map(String::as_str).collect();
        format!("there is no field '{name}'; the fields are {}", known.join(", "))
    })
}

fn unbalanced(text: &str) -> String {
    format!("'{text}' has a brace without its other half; write {{{{ or }}}} for a plain brace")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::from([("a".to_owned(), 0), ("b".to_owned(), 1)])
    }

    #[test]
    fn renders_fields_and_doubled_braces() {
        let mut values = Values::new(2);
        values.put(0, "1");
        let template = Template::parse("x-{a}{{}}{b}!", &names()).unwrap();
        let mut out = String::new();
        template.render(&values, &mut out);
        assert_eq!(out, "x-1{}!");
        assert_eq!(template.missing(&values), Some(1));
    }

    #[test]
    fn errors_name_the_mistake() {
        for (text, expected) in [
            ("{c}", "there is no field 'c'; the fields are a, b"),
            ("{a", "a brace without its other half"),
            ("a}", "a brace without its other half"),
        ] {
            let error = Template::parse(text, &names()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
