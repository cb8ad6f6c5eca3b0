use std::fmt;
use std::sync::Arc;

use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::StrBytes;

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number in it.
    pub number: i32,
}

impl Partition {
    /// Returns the partition of a topic with this number.
    pub fn new(topic: &str, number: i32) -> Self {
        Partition { topic: topic.into(), number }
    }

    /// Returns the first partition of a topic.
    pub fn first_of(topic: &str) -> Self {
        Partition::new(topic, 0)
    }

    /// Returns the topic's name in the type of the protocol.
    pub fn topic_name(&self) -> TopicName {
        TopicName(StrBytes::from_string(self.topic.to_string()))
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.number)
    }
}
