use leftfold_api::Timestamp;
use serde::{Deserialize, Serialize};

/// The node that claims a partition. The value of a claim is this, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimant {
    /// The name of the node.
    pub node: String,
    /// The URL at which other nodes and clients reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The time of the claim, by the node's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
}

impl Claimant {
    /// Values of claims that are longer name no claimant.
    const MAX_BYTES: usize = 16 << 10;

    /// Returns the value of the claim.
    pub fn to_json(&self) -> String {
        // It has no map with other keys than text, so nothing fails.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the value of a claim. A claim counts whatever its value is, so another value gives a claimant without a
    /// name.
    pub fn read(value: &[u8]) -> Self {
        let short = value.get(..Self::MAX_BYTES.min(value.len())).filter(|short| *short == value);
        short.and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_of_a_claim_names_the_claimant() {
        let claimant = Claimant {
            node: "n1".to_owned(),
            url: Some("https://n1.example:4000".to_owned()),
            time: Some(Timestamp(1_500_000)),
        };
        let json = claimant.to_json();
        let expected =
            r#"{"node":"n1","url":"https://n1.example:4000","time":"1970-01-01T00:00:01.5Z"}"#;
        assert_eq!(json, expected);
        assert_eq!(Claimant::read(json.as_bytes()), claimant);
        let later = br#"{"node":"n2","zone":7}"#;
        assert_eq!(Claimant::read(later).node, "n2");
    }

    #[test]
    fn another_value_gives_a_claimant_without_a_name() {
        let long = Claimant { node: "n".repeat(20_000), ..Claimant::default() }.to_json();
        for value in ["", "old", "{", "[]", r#"{"node":7}"#, &long] {
            assert_eq!(Claimant::read(value.as_bytes()), Claimant::default());
        }
    }
}
