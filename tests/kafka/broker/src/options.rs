use std::time::Duration;

/// The options of a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// The number of brokers. A single broker is also the controller; several get a separate one.
    pub brokers: u16,
    /// Settings of every broker, which override those of a small, quick cluster.
    pub settings: Vec<(String, String)>,
    /// Feature levels to format with, such as `("transaction.version", 0)`; Kafka's defaults if empty.
    pub features: Vec<(String, u16)>,
    /// A second listener, for a single broker.
    pub listener: Option<Listener>,
    /// The tuning of the Java processes.
    pub tuning: Tuning,
    /// The most time for each node to become ready.
    pub patience: Duration,
}

/// A listener of a broker, beside the plain one. Its settings are those that begin with `listener.name.extra.`.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The port, reserved by the caller.
    pub port: u16,
    /// The protocol, such as `SASL_SSL`.
    pub protocol: String,
    /// Users to format with: each a mechanism of SCRAM, a name and a password.
    pub users: Vec<[String; 3]>,
}

/// The tuning of a broker's Java process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tuning {
    /// Starts quickly and is small, for tests.
    Start,
    /// Is fast after a warm-up, for measurements.
    Speed,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            brokers: 1,
            settings: Vec::new(),
            features: Vec::new(),
            listener: None,
            tuning: Tuning::Start,
            patience: Duration::from_secs(120),
        }
    }
}

impl Options {
    /// Returns the default options with this number of brokers.
    pub fn brokers(brokers: u16) -> Self {
        Options { brokers, ..Options::default() }
    }

    /// Adds a setting.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Formats with this level of a feature.
    #[must_use]
    pub fn feature(mut self, name: &str, level: u16) -> Self {
        self.features.push((name.to_owned(), level));
        self
    }

    pub(crate) fn java_flags(&self) -> &'static [&'static str] {
        match self.tuning {
            Tuning::Start => &[
                "-Xms128m",
                "-Xmx384m",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-Xshare:auto",
            ],
            Tuning::Speed => &["-Xms512m", "-Xmx512m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
        }
    }

    /// Returns the settings of a small, quick cluster, overridden by the caller's settings.
    pub(crate) fn server_settings(&self) -> Vec<(String, String)> {
        let copies = self.brokers.min(3);
        let least = if copies == 3 { 2 } else { 1 };
        let small = [
            ("auto.create.topics.enable", "false".to_owned()),
            ("broker.heartbeat.interval.ms", "500".to_owned()),
            ("broker.session.timeout.ms", "3000".to_owned()),
            ("controlled.shutdown.enable", "false".to_owned()),
            ("default.replication.factor", copies.to_string()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            ("log.cleaner.dedupe.buffer.size", "4194304".to_owned()),
            ("log.retention.ms", "-1".to_owned()),
            ("min.insync.replicas", least.to_string()),
            ("num.io.threads", "4".to_owned()),
            ("num.network.threads", "2".to_owned()),
            ("offsets.topic.num.partitions", "1".to_owned()),
            ("offsets.topic.replication.factor", copies.to_string()),
            ("transaction.state.log.min.isr", least.to_string()),
            ("transaction.state.log.num.partitions", "1".to_owned()),
            ("transaction.state.log.replication.factor", copies.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        let mut all: Vec<_> = small.map(|(name, value)| (name.to_owned(), value)).into();
        all.retain(|(name, _)| !self.settings.iter().any(|(own, _)| own == name));
        all.extend(self.settings.iter().cloned());
        all
    }
}
