//! The names of streams, made of the columns of rows.

use serde::Deserialize;

/// The name of a stream with `{aggregatetype}` and `{aggregateid}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct StreamTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    AggregateType,
    AggregateId,
}

impl StreamTemplate {
    pub(super) fn render(&self, aggregate_type: &str, aggregate_id: &str) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.as_str(),
            Piece::AggregateType => aggregate_type,
            Piece::AggregateId => aggregate_id,
        });
        pieces.collect()
    }
}

impl Default for StreamTemplate {
    fn default() -> Self {
        let dash = Piece::Text("-".to_owned());
        StreamTemplate(vec![Piece::AggregateType, dash, Piece::AggregateId])
    }
}

impl TryFrom<String> for StreamTemplate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (mut pieces, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, behind) = behind.split_once('}').unwrap_or((behind, ""));
            pieces.push(Piece::Text(before.to_owned()));
            pieces.push(match name {
                "aggregatetype" => Piece::AggregateType,
                "aggregateid" => Piece::AggregateId,
                _ => {
                    return Err(format!(
                        "stream: {{{name}}} is no field; expected {{aggregatetype}} or {{aggregateid}}"
                    ));
                }
            });
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(StreamTemplate(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_named_by_the_aggregate() {
        let render = |text: &str| {
            StreamTemplate::try_from(text.to_owned()).map(|found| found.render("order", "7"))
        };
        for (template, stream) in [
            ("{aggregatetype}-{aggregateid}", "order-7"),
            ("shop_{aggregatetype}-eu-{aggregateid}!", "shop_order-eu-7!"),
            ("all", "all"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(stream));
        }
        assert_eq!(StreamTemplate::default().render("order", "7"), "order-7");
        for wrong in ["{type}", "{", "{}", "{aggregatetype}-{id}"] {
            assert!(render(wrong).unwrap_err().contains("expected {aggregatetype}"), "{wrong}");
        }
    }
}
