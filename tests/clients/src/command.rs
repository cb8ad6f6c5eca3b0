//! What a client is asked to do. The fields are the options of `python/client.py`.

use std::time::Duration;

/// A command of a client.
#[derive(Debug, Clone)]
pub enum Command {
    /// Writes records.
    Produce(Produce),
    /// Reads records without a group.
    Consume(Consume),
    /// Reads records as a member of a group.
    Group(Group),
    /// Writes one record under an expected version.
    Conflict(Conflict),
}

/// Writes the records `{"n": START}` to `{"n": START + COUNT - 1}`.
#[derive(Debug, Clone)]
pub struct Produce {
    /// The topic.
    pub topic: String,
    /// The number of records.
    pub count: u64,
    /// The first number.
    pub start: u64,
    /// The number of keys: record `n` has the key `k{n % keys}`.
    pub keys: u64,
    /// Whether the producer is idempotent. Some libraries are so by default, and then always are here.
    pub idempotent: bool,
}

impl Produce {
    /// Writes this many records, from this number on.
    pub fn new(topic: &str, start: u64, count: u64) -> Self {
        Produce { topic: topic.to_owned(), count, start, keys: 20, idempotent: false }
    }

    /// Returns the number, key and value of each record.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, String, String)> {
        let keys = self.keys.max(1);
        (self.start..self.start + self.count)
            .map(move |n| (n, format!("k{}", n % keys), format!("{{\"n\": {n}}}")))
    }
}

/// Where a consumer begins.
#[derive(Debug, Clone, Copy)]
pub enum Origin {
    /// At the first record.
    Earliest,
    /// At the first record of each partition that is not older, in milliseconds since 1970.
    Time(u64),
}

/// Reads records without a group.
#[derive(Debug, Clone)]
pub struct Consume {
    /// The topic.
    pub topic: String,
    /// Where it begins.
    pub from: Origin,
    /// The number of records after which it ends.
    pub count: u64,
}

/// How a group moves partitions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Membership {
    /// Whether partitions move without stopping all members.
    pub is_cooperative: bool,
}

/// Reads records as a member of a group.
#[derive(Debug, Clone)]
pub struct Group {
    /// The topic.
    pub topic: String,
    /// The group's name.
    pub group: String,
    /// The number of records between two commits.
    pub commit_every: u64,
    /// The id of a static member.
    pub static_id: Option<String>,
    /// Whether partitions move without stopping all members.
    pub cooperative: bool,
    /// How long the group waits for a silent member.
    pub session: Duration,
}

impl Group {
    /// A dynamic member that commits after every tenth record. Apache Kafka refuses a session below six
    /// seconds.
    pub fn new(topic: &str, group: &str) -> Self {
        Group {
            topic: topic.to_owned(),
            group: group.to_owned(),
            commit_every: 10,
            static_id: None,
            cooperative: false,
            session: Duration::from_secs(6),
        }
    }
}

/// Writes one record with the header `expected-version`.
#[derive(Debug, Clone)]
pub struct Conflict {
    /// The topic.
    pub topic: String,
    /// The record's key.
    pub key: String,
    /// A number, `no-stream` or `exists`.
    pub version: String,
}

impl Command {
    /// Returns the words of the command as the programs in Python, JavaScript and Go take them.
    pub(crate) fn words(&self) -> Vec<String> {
        let mut words = Words::default();
        match self {
            Command::Produce(produce) => {
                words.add(["produce", &produce.topic]).add([produce.count]);
                words.add(["--start"]).add([produce.start]).add(["--keys"]).add([produce.keys]);
                words.flag("--idempotent", produce.idempotent);
            }
            Command::Consume(consume) => {
                words.add(["consume", &consume.topic, "--count"]).add([consume.count]);
                if let Origin::Time(time) = consume.from {
                    words.add(["--from"]).add([time]);
                }
            }
            Command::Group(group) => {
                words.add(["group", &group.topic, &group.group, "--commit-every"]);
                words.add([group.commit_every]).add(["--session-ms"]);
                words.add([group.session.as_millis()]);
                if let Some(id) = &group.static_id {
                    words.add(["--static-id", id]);
                }
                words.flag("--cooperative", group.cooperative);
            }
            Command::Conflict(conflict) => {
                words.add(["conflict", &conflict.topic, &conflict.key, &conflict.version]);
            }
        }
        words.0
    }
}

#[derive(Default)]
struct Words(Vec<String>);

impl Words {
    fn add<T: ToString>(&mut self, words: impl IntoIterator<Item = T>) -> &mut Self {
        self.0.extend(words.into_iter().map(|word| word.to_string()));
        self
    }

    fn flag(&mut self, name: &str, is_set: bool) {
        if is_set {
            self.0.push(name.to_owned());
        }
    }
}
