//! The actions of a request of `_bulk`.

use leftfold_api::Recorded;
use serde_json::{Map, Value, json};

use super::document::Document;
use super::index_name::check_index_name;
use super::settings::Deletes;
use crate::connectors::template::{EventFields, Template};

/// The longest id of a document, in bytes.
const MOST_ID_BYTES: usize = 512;

/// Makes the actions of events.
pub(super) struct Actions {
    pub(super) index: Template,
    pub(super) id: Option<Template>,
    pub(super) document: Document,
    pub(super) routing: Option<Template>,
    pub(super) delete_types: Vec<String>,
    pub(super) deletes: Deletes,
}

/// What one event does in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Action {
    /// Its lines in the request.
    pub(super) lines: String,
}

impl Actions {
    /// Makes the action of an event. The error says why the event has none.
    pub(super) fn make(&self, event: &Recorded) -> Result<Action, String> {
        let fields = EventFields::new(event);
        let deletes = self.delete_types.iter().any(|found| found == event.event_type());
        let meta = self.meta(&fields)?;
        let lines = match (deletes, self.deletes) {
            (false, _) => {
                format!("{}\n{}\n", json!({ "index": meta }), self.document.render(&fields)?)
            }
            (true, Deletes::Tombstone) => {
                let at = event.event_time().to_string();
                let tombstone = json!({ "deleted": true, "deleted_at": at });
                format!("{}\n{tombstone}\n", json!({ "index": meta }))
            }
            (true, Deletes::Delete) => format!("{}\n", json!({ "delete": meta })),
        };
        Ok(Action { lines })
    }

    fn meta(&self, fields: &EventFields<'_>) -> Result<Map<String, Value>, String> {
        let index = self.index.render(fields)?;
        check_index_name(&index)?;
        let id = match &self.id {
            Some(template) => template.render(fields)?,
            None => fields.event.stream().to_owned(),
        };
        if !(1..=MOST_ID_BYTES).contains(&id.len()) {
            return Err(format!(
                "the id of the document has {} bytes, expected 1 to {MOST_ID_BYTES}",
                id.len()
            ));
        }
        let mut meta = Map::new();
        meta.insert("_index".to_owned(), index.into());
        meta.insert("_id".to_owned(), id.into());
        meta.insert("version".to_owned(), fields.event.position().into());
        meta.insert("version_type".to_owned(), "external".into());
        if let Some(routing) = &self.routing {
            meta.insert("routing".to_owned(), routing.render(fields)?.into());
        }
        Ok(meta)
    }
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;
    use leftfold_fold::react::Cause;

    use super::*;

    fn actions(index: &str) -> Actions {
        Actions {
            index: Template::parse(index).unwrap(),
            id: None,
            document: Document::Data,
            routing: Some(Template::parse("{category}").unwrap()),
            delete_types: vec!["Removed".to_owned()],
            deletes: Deletes::Delete,
        }
    }

    #[test]
    fn an_action_has_the_position_as_its_version() {
        let make = |index: &str, event_type: &str, data: &str| {
            let event = NewEvent::json(event_type, data.to_owned());
            actions(index).make(&Cause::of_new("order-1", event).event)
        };
        let meta = |index: &str| {
            format!(
                r#"{{"_index":"{index}","_id":"order-1","version":1,"version_type":"external","routing":"order"}}"#
            )
        };
        assert_eq!(
            make("orders-{data.shop}", "Placed", "{\"shop\":\"a\"}\n").unwrap().lines,
            format!("{{\"index\":{}}}\n{{\"shop\":\"a\"}}\n", meta("orders-a"))
        );
        assert_eq!(
            make("orders", "Removed", "").unwrap().lines,
            format!("{{\"delete\":{}}}\n", meta("orders"))
        );
        let refused = make("{data.shop}", "Placed", r#"{"shop":"../x"}"#).unwrap_err();
        assert!(refused.contains("no name of an index"), "{refused}");
    }
}
