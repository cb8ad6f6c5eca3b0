use std::fmt;

use super::{IndexPartition, Query, Span, StorePartition, Value};

/// The operator around an operand, which decides whether the operand needs parentheses.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Context {
    Or,
    And,
    Not,
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(f, Context::Or)
    }
}

impl Query {
    fn print(&self, f: &mut fmt::Formatter<'_>, context: Context) -> fmt::Result {
        match self {
            Query::All => f.write_str("*"),
            Query::System => f.write_str("system:true"),
            Query::Is(field, values) => {
                write!(f, "{}:", field.name())?;
                separated(f, values, ",", |f, value| write!(f, "{value}"))
            }
            Query::During(Span { from, to }) => {
                f.write_str("time:")?;
                from.map_or(Ok(()), |from| write!(f, "{from}"))?;
                f.write_str("..")?;
                to.map_or(Ok(()), |to| write!(f, "{to}"))
            }
            Query::Index(name) => write!(f, "index:{}", Value::Exactly(name.clone())),
            Query::Partition(IndexPartition { index, number, .. }) => {
                write!(f, "partition:{}", Value::Exactly(format!("{index}/{number}")))
            }
            Query::Within(StorePartition { number, of }) => write!(f, "within:{number}/{of}"),
            Query::And(queries) if queries.is_empty() => f.write_str("*"),
            Query::Or(queries) if queries.is_empty() => f.write_str("not *"),
            Query::And(queries) => in_parentheses(f, context >= Context::And, |f| {
                separated(f, queries, " ", |f, query| query.print(f, Context::And))
            }),
            Query::Or(queries) => in_parentheses(f, context >= Context::And, |f| {
                separated(f, queries, " or ", |f, query| query.print_operand_of_or(f))
            }),
            Query::Not(query) => {
                f.write_str("not ")?;
                query.print(f, Context::Not)
            }
        }
    }

    fn print_operand_of_or(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nested = matches!(self, Query::Or(queries) if !queries.is_empty());
        in_parentheses(f, nested, |f| self.print(f, Context::Or))
    }
}

fn separated<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    separator: &str,
    print: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        f.write_str(if i == 0 { "" } else { separator })?;
        print(f, item)?;
    }
    Ok(())
}

fn in_parentheses(
    f: &mut fmt::Formatter<'_>,
    needed: bool,
    print: impl Fn(&mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    f.write_str(if needed { "(" } else { "" })?;
    print(f)?;
    f.write_str(if needed { ")" } else { "" })
}

/// Whether a character needs no quotes.
pub(super) fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !"\"(),*\\".contains(c)
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, star) = match self {
            Value::Exactly(text) => (text, ""),
            Value::Prefix(text) => (text, "*"),
        };
        if !text.is_empty() && text.chars().all(is_plain) {
            return write!(f, "{text}{star}");
        }
        if text.is_empty() && star == "*" {
            return f.write_str("*");
        }
        f.write_str("\"")?;
        for c in text.chars() {
            if "\"\\".contains(c) {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"{star}")
    }
}
