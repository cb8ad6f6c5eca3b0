use std::str::FromStr;

use super::print::is_plain;
use super::{Field, Query, Span, Value};
use crate::error::{Invalid, shortened};
use crate::time::Timestamp;

/// The most bytes of a query's text.
pub const MAX_QUERY_BYTES: usize = 64 << 10;
/// The most parts of a query.
pub const MAX_QUERY_PARTS: usize = 4_096;
/// The most nested parentheses and `not`s of a query.
pub const MAX_QUERY_DEPTH: usize = 64;

impl FromStr for Query {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.len() > MAX_QUERY_BYTES {
            let message =
                format!("a query has at most {MAX_QUERY_BYTES} bytes, this has {}", text.len());
            return Err(Invalid::new("query_too_large", message));
        }
        let mut parser = Parser { text, at: 0, depth: 0, terms: 0 };
        parser.skip_space();
        if parser.rest().is_empty() {
            return Ok(Query::All);
        }
        let query = parser.parse_or()?;
        match parser.rest() {
            "" => Ok(query),
            _ => Err(parser.error("a closing parenthesis without an opening one")),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    terms: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    /// Skips a word such as `or` or `OR`, if it comes next and stands alone.
    fn skip_word(&mut self, word: &str) -> bool {
        let alone =
            |rest: &str| rest.chars().next().is_none_or(|next| next.is_whitespace() || next == '(');
        let capitals = word.to_ascii_uppercase();
        let rest = self.rest().strip_prefix(word).or_else(|| self.rest().strip_prefix(&*capitals));
        let found = rest.is_some_and(alone);
        if found {
            self.at += word.len();
            self.skip_space();
        }
        found
    }

    /// Returns an error that points at the current character, and quotes what is around it.
    fn error(&self, what: &str) -> Invalid {
        /// The most characters that are quoted on each side.
        const AROUND: usize = 60;
        let (before, after) = self.text.split_at_checked(self.at).unwrap_or((self.text, ""));
        let column = before.chars().count();
        let skipped = column.saturating_sub(AROUND);
        let mut shown = String::from(if skipped > 0 { "\u{2026}" } else { "" });
        let quoted = before.chars().skip(skipped).chain(after.chars().take(AROUND));
        let arrow = " ".repeat(shown.chars().count() + column - skipped);
        shown.extend(quoted.map(|c| if c.is_control() { ' ' } else { c }));
        if after.chars().nth(AROUND).is_some() {
            shown.push('\u{2026}');
        }
        let at = column + 1;
        let message =
            format!("the query can't be read at character {at}: {what}\n  {shown}\n  {arrow}^");
        Invalid::new("query_syntax", message)
    }

    fn parse_nested<T>(
        &mut self,
        parse: impl Fn(&mut Self) -> Result<T, Invalid>,
    ) -> Result<T, Invalid> {
        if self.depth == MAX_QUERY_DEPTH {
            let what = format!("at most {MAX_QUERY_DEPTH} nested parentheses and nots are allowed");
            return Err(self.error(&what));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn parse_or(&mut self) -> Result<Query, Invalid> {
        let mut any = vec![self.parse_and()?];
        while self.skip_word("or") {
            any.push(self.parse_and()?);
        }
        Ok(one_or(any, Query::Or))
    }

    fn parse_and(&mut self) -> Result<Query, Invalid> {
        let mut all = vec![self.parse_part()?];
        while !self.rest().is_empty() && !self.rest().starts_with(')') {
            let here = self.at;
            if self.skip_word("or") {
                self.at = here;
                break;
            }
            // `and` is optional.
            self.skip_word("and");
            all.push(self.parse_part()?);
        }
        Ok(one_or(all, Query::And))
    }

    fn parse_part(&mut self) -> Result<Query, Invalid> {
        self.terms += 1;
        if self.terms > MAX_QUERY_PARTS {
            return Err(self.error(&format!("a query has at most {MAX_QUERY_PARTS} parts")));
        }
        if self.skip_word("not") {
            return Ok(Query::Not(Box::new(self.parse_nested(Self::parse_part)?)));
        }
        let query = if self.skip("(") {
            self.skip_space();
            let query = self.parse_nested(Self::parse_or)?;
            if !self.skip(")") {
                return Err(self.error("a closing parenthesis is missing"));
            }
            query
        } else if self.skip("*") {
            Query::All
        } else {
            self.parse_term()?
        };
        self.expect_end()?;
        Ok(query)
    }

    /// Expects white space, a parenthesis or the end after a part.
    fn expect_end(&mut self) -> Result<(), Invalid> {
        match self.rest().chars().next() {
            None | Some('(' | ')') => {}
            Some(next) if next.is_whitespace() => {}
            Some(next) => {
                return Err(self.error(&format!(
                    "{next:?} can't stand here: put a space between parts, and quotes around a \
                     value with spaces, commas, parentheses or stars"
                )));
            }
        }
        self.skip_space();
        Ok(())
    }

    fn parse_term(&mut self) -> Result<Query, Invalid> {
        let rest = self.rest();
        let name = rest.split_once(':').map_or(rest, |(name, _)| name);
        if name == "time" {
            self.at += "time:".len();
            return self.parse_time();
        }
        if name == "system" {
            return match self.skip("system:true") {
                true => Ok(Query::System),
                false => Err(self.error("write system:true to see the store's own events too")),
            };
        }
        if name == "index" {
            self.at += "index:".len();
            return match self.parse_value(None)? {
                Value::Exactly(name) => Ok(Query::Index(name)),
                Value::Prefix(_) => Err(self.error("an index's name is given in full")),
            };
        }
        if name == "within" {
            self.at += "within:".len();
            return self.parse_within();
        }
        if name == "partition" {
            self.at += "partition:".len();
            return self.parse_partition();
        }
        let Some(field) = Field::ALL.into_iter().find(|field| field.name() == name) else {
            let mut what = "expected stream:, category:, type:, correlation:, tag:key=, index:, \
                            partition:, within:, time:, system:true, not, * or a parenthesis"
                .to_owned();
            let word = rest.split(|c: char| c.is_whitespace() || "()".contains(c)).next();
            if let Some(word) = word.filter(|word| !word.is_empty() && !word.contains(':')) {
                let word = shortened(word);
                what += &format!("; for the stream {word} write stream:{word}");
            }
            return Err(self.error(&what));
        };
        self.at += name.len();
        if !self.skip(":") {
            return Err(self.error(&format!("a colon and a value follow {name}")));
        }
        let mut values = vec![self.parse_value(Some(field))?];
        while self.skip(",") {
            self.terms += 1;
            values.push(self.parse_value(Some(field))?);
        }
        Ok(Query::Is(field, values))
    }

    /// Reads `NAME/NUMBER`, behind `partition:`.
    fn parse_partition(&mut self) -> Result<Query, Invalid> {
        let start = self.at;
        if let Value::Exactly(text) = self.parse_value(None)?
            && let Some((name, number)) = text.rsplit_once('/')
            && let Ok(number) = number.parse::<u32>()
            && !name.is_empty()
        {
            return Ok(Query::partition(name, number));
        }
        self.at = start;
        Err(self.error("expected the name of an index, a slash and the number of a partition"))
    }

    /// Reads `NUMBER/COUNT`, behind `within:`.
    fn parse_within(&mut self) -> Result<Query, Invalid> {
        let start = self.at;
        if let Value::Exactly(text) = self.parse_value(None)?
            && let Some((number, of)) = text.split_once('/')
            && let (Ok(number), Ok(of)) = (number.parse::<u32>(), of.parse::<u32>())
            && number < of
        {
            return Ok(Query::within(number, of));
        }
        self.at = start;
        Err(self.error(
            "expected the number of a partition, a slash and the number of all, such as 3/8",
        ))
    }

    fn parse_value(&mut self, field: Option<Field>) -> Result<Value, Invalid> {
        let start = self.at;
        let text = if self.skip("\"") {
            self.parse_quoted()?
        } else {
            let rest = self.rest();
            let end = rest.find(|c| !is_plain(c)).unwrap_or(rest.len());
            self.at += end;
            rest.get(..end).unwrap_or_default().to_owned()
        };
        let prefix = self.skip("*");
        if text.is_empty() && !prefix {
            return Err(self.error("a value is missing"));
        }
        if field == Some(Field::Tag) && !prefix && !text.contains('=') {
            self.at = start;
            return Err(self.error("a tag is written key=value"));
        }
        Ok(if prefix { Value::Prefix(text) } else { Value::Exactly(text) })
    }

    fn parse_quoted(&mut self) -> Result<String, Invalid> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                _ => text.push(c),
            }
        }
        self.at = self.text.len();
        Err(self.error("a closing quote is missing"))
    }

    fn parse_time(&mut self) -> Result<Query, Invalid> {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || c == ')').unwrap_or(rest.len());
        let Some((from, to)) = rest.get(..end).and_then(|span| span.split_once("..")) else {
            return Err(
                self.error("a span of time is written FROM..TO, such as 2026-03-01..2026-03-02")
            );
        };
        let moment = |text: &str| (!text.is_empty()).then(|| text.parse::<Timestamp>()).transpose();
        let span = (|| Ok(Span { from: moment(from)?, to: moment(to)? }))();
        let span = span.map_err(|error: Invalid| self.error(&error.message))?;
        self.at += end;
        Ok(Query::During(span))
    }
}

fn one_or(mut queries: Vec<Query>, many: impl Fn(Vec<Query>) -> Query) -> Query {
    match queries.pop() {
        Some(only) if queries.is_empty() => only,
        last => {
            queries.extend(last);
            many(queries)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> Query {
        let query: Query = text.parse().unwrap();
        assert_eq!(query.to_string(), text);
        query
    }

    #[test]
    fn prints_the_text_that_it_read() {
        for text in [
            "*",
            "stream:order-1",
            "category:order type:OrderPlaced,OrderPaid tag:customer=42 not stream:Integration*",
            "stream:\"a b\",\"c,d\"* or (type:A or type:B) (tag:x=1 or not correlation:abc)",
            "not (stream:a stream:b)",
            "not not *",
            "time:2026-03-01T00:00:00Z..2026-03-02T00:00:00Z index:big-orders",
            "time:..2026-03-02T00:00:00Z",
            "stream:* tag:customer*",
            "system:true",
            "category:order system:true",
            "stream:\"say \\\"x\\\"\"",
        ] {
            check(text);
        }
        assert_eq!("  ".parse::<Query>().unwrap(), Query::All);
        let spaced = "  type:A   or ( type:B )  ".parse::<Query>().unwrap();
        assert_eq!(spaced.to_string(), "type:A or type:B");
        assert_eq!("time:2026-03-01..".parse::<Query>().unwrap().span().unwrap().1, i64::MAX);
    }

    #[test]
    fn a_space_means_and() {
        let parse = |text: &str| text.parse::<Query>().unwrap();
        let spelled_out = parse("type:A and not stream:b and (tag:x=1 or tag:x=2)");
        assert_eq!(spelled_out, parse("type:A not stream:b (tag:x=1 or tag:x=2)"));
        assert_eq!(parse("(type:and) and(type:B) or type:C"), parse("type:and type:B or type:C"));
    }

    #[test]
    fn errors_point_at_the_wrong_character() {
        for (text, column, words) in [
            ("stream:", 8, "a value is missing"),
            ("type:A,", 8, "a value is missing"),
            ("stream", 7, "a colon and a value"),
            ("color:red", 1, "expected stream:"),
            ("type:A) x", 7, "without an opening one"),
            ("(type:A", 8, "a closing parenthesis is missing"),
            ("type:\"A", 8, "a closing quote is missing"),
            ("tag:red", 5, "a tag is written key=value"),
            ("type:A*B", 8, "can't stand here"),
            ("type:A or", 10, "expected stream:"),
            ("type:A and", 11, "expected stream:"),
            ("and type:A", 1, "expected stream:"),
            ("type:A and and type:B", 12, "expected stream:"),
            ("not", 4, "expected stream:"),
            ("time:today", 6, "FROM..TO"),
            ("time:x..", 6, "is not a time"),
            ("index:a*", 9, "given in full"),
            ("system:false", 1, "system:true"),
            ("system", 1, "system:true"),
            ("system:truex", 12, "can't stand here"),
            ("type:ä ö", 8, "expected stream:"),
        ] {
            let error = text.parse::<Query>().unwrap_err();
            assert_eq!(error.code, "query_syntax");
            let start = format!("the query can't be read at character {column}: ");
            assert!(error.message.starts_with(&start), "{text}: {}", error.message);
            assert!(error.message.contains(words), "{text}: {}", error.message);
            let arrow = error.message.lines().last().unwrap();
            assert_eq!(arrow.chars().count(), column + 2, "{}", error.message);
        }
        let deep = "(".repeat(100);
        assert!(deep.parse::<Query>().unwrap_err().message.contains("at most 64"));
        let many = "type:a ".repeat(5000);
        assert!(many.parse::<Query>().unwrap_err().message.contains("at most 4096 parts"));
        let long = "x".repeat(MAX_QUERY_BYTES + 1);
        assert_eq!(long.parse::<Query>().unwrap_err().code, "query_too_large");
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z]{1,4}", "[a-z =\",()*\\\\\u{e4}]{1,6}"]
    }

    pub(crate) fn queries() -> impl Strategy<Value = Query> {
        let value = prop_oneof![
            texts().prop_map(|text| Value::Exactly(format!("k={text}"))),
            texts().prop_map(Value::Prefix),
        ];
        let field = prop::sample::select(Field::ALL.to_vec());
        let time = prop::option::of(-1_000_000i64..1_000_000).prop_map(|t| t.map(Timestamp));
        let leaf = prop_oneof![
            Just(Query::All),
            Just(Query::System),
            (field, prop::collection::vec(value, 1..3)).prop_map(|(f, v)| Query::Is(f, v)),
            (time.clone(), time).prop_map(|(from, to)| Query::During(Span { from, to })),
            texts().prop_map(Query::Index),
            (texts(), any::<u32>()).prop_map(|(name, number)| Query::partition(name, number)),
        ];
        leaf.prop_recursive(4, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 2..4).prop_map(Query::And),
                prop::collection::vec(inner.clone(), 2..4).prop_map(Query::Or),
                inner.prop_map(|query| Query::Not(Box::new(query))),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_printed_query_is_read_as_itself(query in queries()) {
            prop_assert_eq!(query.to_string().parse::<Query>().unwrap(), query);
        }

        #[test]
        fn no_text_causes_a_panic(text in ".{0,80}") {
            _ = text.parse::<Query>();
        }
    }
}
