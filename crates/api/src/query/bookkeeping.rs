//! Which queries show bookkeeping: the events of the store's own streams and of reactors.

use super::{Field, Query, Value};
use crate::names::{OF_LEFTFOLD, SYSTEM, category_of, is_bookkeeping};

/// How the types of events of bookkeeping begin that is not the store's own.
const TYPE_OF_LEFTFOLD: &str = "leftfold.";
/// The number of categories of bookkeeping in the first release. Later ones are behind these.
const FIRST_CATEGORIES: usize = 4;

impl Query {
    /// Whether the query shows the events of a stream that it matches. It hides bookkeeping unless it says
    /// `system:true`, or names a stream, a category or a type of bookkeeping, outside of a `not`.
    pub fn shows(&self, stream: &str) -> bool {
        !is_bookkeeping(stream) || self.shows_bookkeeping()
    }

    /// Whether the query shows bookkeeping. For a query with a named index, expand it first.
    pub fn shows_bookkeeping(&self) -> bool {
        match self {
            Query::System => true,
            Query::Is(field, values) => values.iter().any(|value| names_bookkeeping(*field, value)),
            Query::And(queries) | Query::Or(queries) => {
                queries.iter().any(Query::shows_bookkeeping)
            }
            Query::All
            | Query::During(_)
            | Query::Index(_)
            | Query::Partition(_)
            | Query::Within(_)
            | Query::Not(_) => false,
        }
    }

    /// Returns the query as it is stored in a definition: what it hides is part of it, so that its meaning
    /// depends on no rule. Releases before `system:true` wrote only such queries, which hid nothing.
    pub fn to_stored(&self) -> Query {
        match self.shows_bookkeeping() {
            true => self.without_system(),
            false => self.without_system().and(no_bookkeeping(OF_LEFTFOLD.len())),
        }
    }

    /// Returns the query of a stored definition: the opposite of [`Query::to_stored`]. A definition of
    /// an earlier release hides the categories that there were; its store has no events of the others.
    pub fn of_stored(self) -> Query {
        if let Query::And(mut queries) = self {
            let mut categories = FIRST_CATEGORIES..=OF_LEFTFOLD.len();
            if !categories.any(|count| queries.last() == Some(&no_bookkeeping(count))) {
                return Query::And(queries).with_system();
            }
            queries.pop();
            return match queries.pop() {
                Some(only) if queries.is_empty() => only,
                last => {
                    queries.extend(last);
                    Query::And(queries)
                }
            };
        }
        self.with_system()
    }

    fn with_system(self) -> Query {
        match self {
            Query::All => Query::System,
            query if query.shows_bookkeeping() => query,
            query => query.and(Query::System),
        }
    }

    fn without_system(&self) -> Query {
        let each = |queries: &[Query]| queries.iter().map(Query::without_system).collect();
        match self {
            Query::System => Query::All,
            Query::And(queries) => {
                let mut rest: Vec<_> =
                    queries.iter().filter(|part| **part != Query::System).collect();
                match rest.pop() {
                    None => Query::All,
                    Some(only) if rest.is_empty() => only.without_system(),
                    Some(last) => {
                        rest.push(last);
                        Query::And(rest.into_iter().map(Query::without_system).collect())
                    }
                }
            }
            Query::Or(queries) => Query::Or(each(queries)),
            Query::Not(query) => Query::Not(Box::new(query.without_system())),
            Query::All
            | Query::Is(..)
            | Query::During(_)
            | Query::Index(_)
            | Query::Partition(_)
            | Query::Within(_) => self.clone(),
        }
    }
}

/// Returns the query for all events that are not bookkeeping: of the store, or of the first categories.
fn no_bookkeeping(categories: usize) -> Query {
    let store = Query::Is(Field::Stream, vec![Value::Prefix(SYSTEM.to_string())]);
    let others = OF_LEFTFOLD.iter().take(categories);
    let others = others.map(|category| Value::Exactly((*category).to_owned())).collect();
    let others = Query::Is(Field::Category, others);
    Query::Not(Box::new(Query::Or(vec![store, others])))
}

/// Whether a value is or begins the name of a stream, a category or a type of bookkeeping.
fn names_bookkeeping(field: Field, value: &Value) -> bool {
    let (Value::Exactly(text) | Value::Prefix(text)) = value;
    match field {
        Field::Stream | Field::Category => {
            text.starts_with(SYSTEM) || OF_LEFTFOLD.contains(&category_of(text))
        }
        Field::Type => text.starts_with(SYSTEM) || text.starts_with(TYPE_OF_LEFTFOLD),
        Field::Correlation | Field::Tag => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Facts;

    /// An event of a stream, with a type.
    struct Event(&'static str, &'static str);

    impl Facts for Event {
        fn stream(&self) -> &str {
            self.0
        }

        fn event_type(&self) -> &str {
            self.1
        }

        fn correlation(&self) -> Option<&str> {
            None
        }

        fn any_tag(&self, _: &dyn Fn(&str, &str) -> bool) -> bool {
            false
        }

        fn each_tag(&self, _: &mut dyn FnMut(&str, &str)) {}

        fn event_micros(&self) -> i64 {
            0
        }
    }

    fn query(text: &str) -> Query {
        text.parse().unwrap()
    }

    #[test]
    fn bookkeeping_is_shown_to_those_who_ask_for_it() {
        let shown =
            ["$index-a", "leftfold.reactor-x", "leftfold.parked-x", "leftfold.handled-x", "$lost"];
        let user = ["order-1", "leftfold", "leftfold.reactors-x", "l", "a$"];
        for text in [
            "system:true",
            "time:.. system:true",
            "stream:$* or type:A",
            "stream:$index-a",
            "category:$index",
            "type:$IndexDefined",
            "type:leftfold.Parked",
            "category:leftfold.reactor",
            "stream:leftfold.parked-x",
        ] {
            assert!(shown.iter().chain(&user).all(|stream| query(text).shows(stream)), "{text}");
        }
        for text in ["*", "not stream:$index-a", "not system:true", "tag:$a=1", "stream:l*"] {
            assert!(!shown.iter().any(|stream| query(text).shows(stream)), "{text}");
            assert!(user.iter().all(|stream| query(text).shows(stream)), "{text}");
        }
    }

    #[test]
    fn a_stored_query_of_an_earlier_release_is_read_as_it_was_written() {
        let first = "not (stream:$* or category:leftfold.reactor,leftfold.control,leftfold.parked,leftfold.ingest)";
        assert_eq!(query(&format!("* {first}")).of_stored().to_string(), "*");
        let shorter =
            "not (stream:$* or category:leftfold.reactor,leftfold.control,leftfold.parked)";
        assert!(query(&format!("* {shorter}")).of_stored().shows_bookkeeping());
    }

    #[test]
    fn a_stored_query_says_itself_what_it_hides() {
        for (written, stored, read) in [
            (
                "*",
                "* not (stream:$* or category:leftfold.reactor,leftfold.control,leftfold.parked,leftfold.ingest,leftfold.handled,leftfold.lease,leftfold.view,leftfold.connector)",
                "*",
            ),
            ("system:true", "*", "system:true"),
            ("type:A system:true", "type:A", "type:A system:true"),
            ("system:true type:A type:B", "type:A type:B", "type:A type:B system:true"),
            ("type:A or system:true", "type:A or *", "(type:A or *) system:true"),
            ("category:$index", "category:$index", "category:$index"),
        ] {
            assert_eq!(query(written).to_stored().to_string(), stored);
            assert_eq!(query(stored).of_stored().to_string(), read);
        }
        let (one, two) = (query("type:A or type:B"), query("type:A not tag:x=1"));
        for written in [one, two] {
            assert_eq!(
                written.to_stored().to_string().parse::<Query>().unwrap().of_stored(),
                written
            );
        }
    }

    #[test]
    fn a_stored_query_matches_in_any_release_what_it_matched_when_it_was_written() {
        let streams = ["order-1", "$index-a", "leftfold.reactor-r", "leftfold.x-1", "l-1"];
        for text in ["*", "type:A", "not type:A", "type:A or tag:x=1", "system:true not type:A"] {
            for stream in streams {
                let event = Event(stream, "A");
                let (asked, stored) = (query(text), query(text).to_stored());
                // A release before `system:true` hides nothing.
                assert_eq!(asked.matches(&event), stored.holds(&event), "{text} {stream}");
                assert_eq!(asked.matches(&event), stored.of_stored().matches(&event), "{text}");
            }
        }
    }
}
