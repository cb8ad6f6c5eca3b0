//! Retention rules: retention for the events of a query.

use std::sync::Arc;

use leftfold_index::Order;

use super::change::{CATEGORY_OF_RULES, RULE_DEFINED, RULE_DROPPED};
use crate::embedded::core::Core;
use crate::embedded::limit_error;
use leftfold_api::names;
use leftfold_api::{
    Append, AppendError, Expected, Facts, Field, Invalid, NewEvent, Query, ReadError, RetentionRule,
};

/// A retention rule of the store.
pub(crate) type Rule = RetentionRule;

/// Reads the change that an event of a rule's stream makes: a new rule, or its removal. `None` if the
/// event makes none.
pub(crate) fn read_change(name: &str, event_type: &str, text: &str) -> Option<Option<Arc<Rule>>> {
    match event_type {
        RULE_DROPPED => Some(None),
        RULE_DEFINED => {
            let (query, retention) = text.split_once('\n')?;
            let query = query.parse::<Query>().ok()?.of_stored();
            let retention = retention.parse().ok()?;
            Some(Some(Arc::new(Rule { name: name.to_owned(), query, retention })))
        }
        _ => None,
    }
}

/// Whether a rule selects a stream as a whole.
pub(crate) fn selects(rule: &Rule, stream: &str) -> bool {
    rule.query.matches(&WholeStream(stream))
}

fn check(rule: &Rule) -> Result<(), Invalid> {
    names::check_new("retention rule", &rule.name)?;
    rule.retention.check()?;
    let wrong = |message: &str| {
        Err(Invalid::new("retention_invalid", format!("rule {}: {message}", rule.name)))
    };
    if rule.retention.truncate_before.is_some() {
        return wrong("truncating before a version is for a single stream");
    }
    if rule.retention.keeps_all() {
        return wrong("it drops nothing; give a maximal age or count");
    }
    if rule.retention.max_count.is_some() && !selects_streams(&rule.query) {
        return wrong(
            "a maximal count is counted by stream: its query may ask for streams and categories \
             only",
        );
    }
    let mut of_index = false;
    rule.query.each(&mut |part| of_index |= matches!(part, Query::Index(_) | Query::Partition(_)));
    let has_text = |query: &Query| query.to_string().parse::<Query>().as_ref() == Ok(query);
    if of_index || !has_text(&rule.query) || !has_text(&rule.query.to_stored()) {
        return wrong("its query must have a text form and ask for no named index");
    }
    Ok(())
}

/// The facts of a whole stream, for queries by streams and categories only.
struct WholeStream<'a>(&'a str);

impl Facts for WholeStream<'_> {
    fn stream(&self) -> &str {
        self.0
    }

    fn event_type(&self) -> &str {
        ""
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

/// Whether a query selects whole streams.
fn selects_streams(query: &Query) -> bool {
    match query {
        Query::All | Query::System => true,
        Query::Is(field, _) => matches!(field, Field::Stream | Field::Category),
        Query::Within(_) => true,
        Query::And(queries) | Query::Or(queries) => queries.iter().all(selects_streams),
        Query::Not(query) => selects_streams(query),
        Query::During(_) | Query::Index(_) | Query::Partition(_) => false,
    }
}

impl Core {
    /// Returns the append that defines a rule.
    pub(crate) fn rule_definition(&self, rule: &RetentionRule) -> Result<Append, AppendError> {
        check(rule)?;
        let (rules, allowed) = (self.definitions.rules.load(), self.limits.retention_rules);
        if rules.len() >= allowed && rules.iter().all(|known| known.name != rule.name) {
            let found = rules.len() + 1;
            let error = limit_error("too_many_rules", "retention rules", found, allowed);
            return Err(error.into());
        }
        // The query is on the first line, the retention on the following ones.
        let text = format!("{}\n{}", rule.query.to_stored(), rule.retention);
        let event =
            NewEvent { content_type: "text/plain".to_owned(), ..NewEvent::new(RULE_DEFINED, text) };
        self.rule_append(&rule.name, event)
    }

    /// Returns the append that removes a rule.
    pub(crate) fn rule_removal(&self, name: &str) -> Result<Append, AppendError> {
        if self.definitions.rules.load().iter().all(|rule| rule.name != name) {
            let message = format!("there is no retention rule {name}; check its name");
            return Err(Invalid::new("rule_unknown", message).into());
        }
        self.rule_append(name, NewEvent::new(RULE_DROPPED, ""))
    }

    fn rule_append(&self, name: &str, event: NewEvent) -> Result<Append, AppendError> {
        let stream = format!("{CATEGORY_OF_RULES}-{name}");
        let version =
            self.index.version(&self.keys.of(Field::Stream, &stream), self.log.head().position)?;
        let expected = version.map_or(Expected::NoStream, Expected::Exactly);
        Ok(Append::new().event(&stream, event).expect(stream, expected))
    }

    /// Loads the rules from the log when the store is opened.
    pub(crate) fn load_rules(&self) -> Result<(), ReadError> {
        let plan = self.plan_of(&Query::category(CATEGORY_OF_RULES));
        let range = [1, self.log.head().position];
        let mut events = self.candidates(&plan, &Query::All, range, Order::Ascending)?;
        while let Some(event) = events.next()? {
            let (data, stream) = (event.data(), event.stream());
            let name = stream.split_once('-').map_or("", |(_, name)| name);
            let text = std::str::from_utf8(&data).unwrap_or_default();
            if let Some(rule) = read_change(name, event.event_type(), text) {
                self.definitions.change_rule(name, rule);
            }
        }
        Ok(())
    }
}
