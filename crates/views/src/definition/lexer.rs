//! Splits SQL into statements and finds their parameters, without understanding more of it.

use std::ops::Range;

/// A piece of SQL that matters for splitting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// The end of a statement.
    Semicolon,
    /// A parameter: the path behind the colon.
    Parameter(Vec<String>),
    /// A name or keyword that is not quoted.
    Word,
    /// A text in single quotes.
    Text,
    /// A name in quotes.
    Quoted,
    /// A question mark, or another form of parameter that views do not have.
    OtherParameter,
    /// Anything else but blanks and comments.
    Other,
}

/// A token and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spanned {
    pub(crate) token: Token,
    pub(crate) span: Range<usize>,
}

/// Why SQL can't be split; the byte where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unclosed {
    pub(crate) at: usize,
    pub(crate) what: &'static str,
}

/// Whose SQL it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Returns the tokens of SQL for SQLite, without blanks and comments.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Spanned>, Unclosed> {
    tokens_of(Dialect::Sqlite, sql)
}

/// Returns the tokens of SQL, without blanks and comments.
pub(crate) fn tokens_of(dialect: Dialect, sql: &str) -> Result<Vec<Spanned>, Unclosed> {
    let is_postgres = dialect == Dialect::Postgres;
    let bytes = sql.as_bytes();
    let (mut tokens, mut at) = (Vec::<Spanned>::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let next = bytes.get(at + 1).copied();
        let token = match byte {
            _ if byte.is_ascii_whitespace() => {
                at += 1;
                continue;
            }
            b'-' if next == Some(b'-') => {
                at = find(bytes, at, b"\n").unwrap_or(bytes.len());
                continue;
            }
            b'/' if next == Some(b'*') && is_postgres => {
                at = end_of_nested(bytes, at).ok_or(Unclosed { at, what: "comment" })?;
                continue;
            }
            b'/' if next == Some(b'*') => {
                let end = find(bytes, at + 2, b"*/").ok_or(Unclosed { at, what: "comment" })?;
                at = end + 2;
                continue;
            }
            b'\'' => {
                let before = tokens.last().filter(|before| is_postgres && before.span.end == at);
                let is_escaped = before
                    .is_some_and(|before| matches!(sql.get(before.span.clone()), Some("e" | "E")));
                let end = match is_escaped {
                    true => end_of_escaped(bytes, at),
                    false => end_of_quoted(bytes, at, b'\''),
                };
                at = end.ok_or(Unclosed { at, what: "text" })?;
                Token::Text
            }
            b'`' | b'[' | b'?' | b'@' if is_postgres => {
                at += 1;
                Token::Other
            }
            b'$' if is_postgres && end_of_tag(bytes, at).is_some() => {
                let tag = bytes.get(at..end_of_tag(bytes, at).unwrap_or(at)).unwrap_or_default();
                let end = find(bytes, at + tag.len(), tag);
                at = end.ok_or(Unclosed { at, what: "text" })? + tag.len();
                Token::Text
            }
            b'"' | b'`' => {
                at = end_of_quoted(bytes, at, byte).ok_or(Unclosed { at, what: "quoted name" })?;
                Token::Quoted
            }
            b'[' => {
                at = find(bytes, at, b"]").ok_or(Unclosed { at, what: "bracket" })? + 1;
                Token::Quoted
            }
            b';' => {
                at += 1;
                Token::Semicolon
            }
            b':' if next == Some(b':') => {
                at += 2;
                Token::Other
            }
            b':' => {
                let (path, end) = path(sql, at + 1)?;
                at = end;
                if path.is_empty() { Token::Other } else { Token::Parameter(path) }
            }
            b'?' | b'@' | b'$' => {
                at += 1;
                Token::OtherParameter
            }
            _ if is_word(byte) => {
                at = end_of_word(bytes, at);
                // Names of PostgreSQL have dollars, but not in front.
                while is_postgres && bytes.get(at) == Some(&b'$') {
                    at = end_of_word(bytes, at + 1);
                }
                Token::Word
            }
            _ => {
                at += 1;
                Token::Other
            }
        };
        tokens.push(Spanned { token, span: start..at });
    }
    Ok(tokens)
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn end_of_word(bytes: &[u8], start: usize) -> usize {
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().take_while(|byte| is_word(**byte)).count()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    let rest = bytes.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|found| from + found)
}

/// Returns the end of what is quoted; the quote itself is doubled within.
fn end_of_quoted(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at = find(bytes, at, &[quote])? + 1;
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns the end of a text with backslashes: `e'it\'s'`.
fn end_of_escaped(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Returns the end of a comment that may have comments in it.
fn end_of_nested(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut at, mut depth) = (start, 0usize);
    loop {
        match bytes.get(at..at + 2)? {
            b"/*" => (at, depth) = (at + 2, depth + 1),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
}

/// Returns the end of what begins a text between dollars: `$$` or `$tag$`.
fn end_of_tag(bytes: &[u8], start: usize) -> Option<usize> {
    let end = end_of_word(bytes, start + 1);
    let is_number = bytes.get(start + 1).is_some_and(u8::is_ascii_digit);
    (!is_number && bytes.get(end) == Some(&b'$')).then_some(end + 1)
}

/// Reads the path of a parameter: words, numbers, or names in double quotes, with dots between them.
fn path(sql: &str, start: usize) -> Result<(Vec<String>, usize), Unclosed> {
    let bytes = sql.as_bytes();
    let (mut path, mut at) = (Vec::new(), start);
    loop {
        let (step, end) = match bytes.get(at) {
            Some(b'"') => {
                let end = end_of_quoted(bytes, at, b'"');
                let end = end.ok_or(Unclosed { at, what: "quoted name" })?;
                (sql.get(at + 1..end - 1).unwrap_or_default().replace("\"\"", "\""), end)
            }
            Some(byte) if is_word(*byte) => {
                let end = end_of_word(bytes, at);
                (sql.get(at..end).unwrap_or_default().to_owned(), end)
            }
            _ => return Ok((path, at)),
        };
        path.push(step);
        at = end;
        let more = bytes.get(at + 1).is_some_and(|byte| *byte == b'"' || is_word(*byte));
        if bytes.get(at) != Some(&b'.') || !more {
            return Ok((path, at));
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(sql: &str) -> Vec<String> {
        let tokens = tokens(sql).unwrap();
        let path = |token: Spanned| match token.token {
            Token::Parameter(path) => Some(path.join("/")),
            _ => None,
        };
        tokens.into_iter().filter_map(path).collect()
    }

    #[test]
    fn parameters_are_found_outside_of_texts_and_comments() {
        assert_eq!(
            parameters(
                "insert into a values (:data.a.b, ':no', :tags.\"x-y\", 1) -- :no\n/* :no */"
            ),
            ["data/a/b", "tags/x-y"]
        );
        assert_eq!(parameters("select a::text, :data.0.x, \":no\" from [b:c]"), ["data/0/x"]);
        assert_eq!(parameters("select :id."), ["id"]);
    }

    #[test]
    fn postgres_has_other_quotes_and_operators() {
        let parameters = |sql: &str| -> Vec<String> {
            let tokens = tokens_of(Dialect::Postgres, sql).unwrap();
            let path = |token: Spanned| match token.token {
                Token::Parameter(path) => Some(path.join("/")),
                other => (other == Token::OtherParameter).then(|| "other".to_owned()),
            };
            tokens.into_iter().filter_map(path).collect()
        };
        for (sql, found) in [
            ("select :data.a::numeric(10, 2), b::text", vec!["data/a"]),
            ("select e'it\\'s :no', E'\\\\', :a, 'back\\', :b", vec!["a", "b"]),
            ("select $$ :no ' $$, $x$ $$ :no $x$, :a", vec!["a"]),
            ("select a ? 'x', b @> :data, c[1], d ?| array['y']", vec!["data"]),
            ("/* /* :no */ :no */ select :a", vec!["a"]),
            ("select $1", vec!["other"]),
            ("select a$b, c$1", vec![]),
            ("select the'x', note'\\', :a", vec!["a"]),
        ] {
            assert_eq!(parameters(sql), found, "{sql}");
        }
        for (sql, what) in [("$$a", "text"), ("$a$ $b$", "text"), ("/* /* */", "comment")] {
            assert_eq!(tokens_of(Dialect::Postgres, sql), Err(Unclosed { at: 0, what }));
        }
    }

    #[test]
    fn what_is_not_closed_is_named() {
        for (sql, what) in
            [("'a", "text"), ("/* a", "comment"), ("\"a", "quoted name"), ("[a", "bracket")]
        {
            assert_eq!(tokens(sql), Err(Unclosed { at: 0, what }));
        }
        assert_eq!(tokens("select 'it''s'").unwrap().len(), 2);
    }
}
