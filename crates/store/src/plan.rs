use leftfold_index::Expr;

use crate::keys::Keys;
use leftfold_api::{Field, Query, Value};

/// How a query is answered: by which postings, and whether they are the answer or only hold it.
pub(crate) struct Plan {
    /// The postings to go through; none means the whole log.
    pub(crate) postings: Option<Expr>,
    /// Whether every posting is wanted, so that no event needs to be looked at.
    pub(crate) exact: bool,
}

/// Plans a query; `index` gives the key of a named index or a partition.
pub(crate) fn plan(query: &Query, keys: &Keys, index: &impl Fn(&Query) -> Option<Expr>) -> Plan {
    match query {
        Query::All => Plan { postings: None, exact: true },
        Query::During(_) | Query::Not(_) => Plan { postings: None, exact: false },
        Query::Index(_) | Query::Partition(_) => {
            let postings = index(query);
            Plan { exact: postings.is_some(), postings }
        }
        Query::Is(field, values) => is(*field, values, keys),
        Query::And(queries) => and(queries.iter().map(|query| plan(query, keys, index))),
        Query::Or(queries) => or(queries.iter().map(|query| plan(query, keys, index))),
    }
}

fn is(field: Field, values: &[Value], keys: &Keys) -> Plan {
    let key = |value: &Value| match value {
        Value::Exactly(text) => Some(Expr::Key(keys.of(field, text))),
        Value::Prefix(_) => None,
    };
    let postings = match values {
        [value] => key(value),
        values => values.iter().map(key).collect::<Option<_>>().map(Expr::Or),
    };
    Plan { exact: postings.is_some(), postings }
}

/// The parts that have postings narrow the search; the others are looked for in what they yield.
fn and(plans: impl Iterator<Item = Plan>) -> Plan {
    let (mut exact, mut all) = (true, Vec::new());
    for plan in plans {
        exact &= plan.exact;
        all.extend(plan.postings);
    }
    Plan { postings: (!all.is_empty()).then_some(Expr::And(all)), exact }
}

/// One part without postings, and the whole log must be gone through.
fn or(plans: impl Iterator<Item = Plan>) -> Plan {
    let (mut exact, mut any) = (true, Some(Vec::new()));
    for plan in plans {
        exact &= plan.exact;
        any = any.zip(plan.postings).map(|(mut any, postings)| {
            any.push(postings);
            any
        });
    }
    let all_of_it = any.is_none();
    // Without postings "exact" would mean "all": true only if a part said so, and then it is
    // cheap to check the others too.
    Plan { postings: any.map(Expr::Or), exact: exact && !all_of_it }
}
