//! The clients, and how each is started.

use std::process::Command as Process;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::bail;

use crate::apache::MECHANISMS;
use crate::broker::Broker;
use crate::command::Command;
use crate::event::Event;
use crate::program::{Program, Stream};
use crate::tools::{java, kcat};
use leftfold_kafka_tools::{Tool, here, interpreter};

/// The variable with the password.
const PASSWORD: &str = "LEFTFOLD_CLIENT_PASSWORD";

/// A Kafka client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// librdkafka by Python's confluent-kafka.
    Confluent,
    /// kafka-python.
    KafkaPython,
    /// aiokafka.
    Aiokafka,
    /// kafkajs.
    Kafkajs,
    /// franz-go.
    FranzGo,
    /// Debian's kcat: an old librdkafka.
    Kcat,
    /// The Java client, by Kafka's own tools.
    Java,
}

impl Client {
    /// All of them.
    pub const ALL: [Client; 7] = [
        Client::Confluent,
        Client::KafkaPython,
        Client::Aiokafka,
        Client::Kafkajs,
        Client::FranzGo,
        Client::Kcat,
        Client::Java,
    ];

    /// Returns its name, which can be part of a topic's.
    pub fn name(self) -> &'static str {
        match self {
            Client::Confluent => "confluent",
            Client::KafkaPython => "kafka_python",
            Client::Aiokafka => "aiokafka",
            Client::Kafkajs => "kafkajs",
            Client::FranzGo => "franz_go",
            Client::Kcat => "kcat",
            Client::Java => "java",
        }
    }

    /// Returns what it runs on.
    pub fn tool(self) -> Tool {
        match self {
            Client::Confluent | Client::KafkaPython | Client::Aiokafka => Tool::Python,
            Client::Kafkajs => Tool::Node,
            Client::FranzGo => Tool::Go,
            Client::Kcat => Tool::Kcat,
            Client::Java => Tool::Java,
        }
    }

    /// Whether it has static members of groups.
    pub fn has_static_members(self) -> bool {
        self != Client::Kafkajs
    }

    /// Whether its groups rebalance cooperatively.
    pub fn has_cooperative_groups(self) -> bool {
        !matches!(self, Client::Kafkajs | Client::Aiokafka)
    }

    /// Whether it goes on when its only broker comes back. kcat gives up when all of them are gone.
    pub fn survives_outages(self) -> bool {
        self != Client::Kcat
    }

    /// Returns the mechanisms of SASL by which it can log in. librdkafka before 2.6.1 sends its nonce of SCRAM
    /// twice (librdkafka#4895), which RFC 5802 tells a server to refuse, as Kafka 4 does.
    pub fn mechanisms(self) -> &'static [&'static str] {
        match self {
            Client::Kcat => &MECHANISMS[..1],
            _ => &MECHANISMS,
        }
    }

    /// Whether it shows the text with which a broker refuses a record. The others show the error's code, or a
    /// text of their own for it.
    pub fn shows_refusals(self) -> bool {
        matches!(self, Client::KafkaPython | Client::Java)
    }

    /// Starts a command, after installing the client if it is missing. kcat and
    /// Java's tools know no limit of time, the others end by themselves after this one.
    ///
    /// # Errors
    /// The client can't be installed or started, or has no such command.
    pub fn start(
        self,
        broker: &dyn Broker,
        command: &Command,
        timeout: Duration,
    ) -> anyhow::Result<Program> {
        self.install()?;
        match self {
            Client::Kcat => kcat::start(broker, command),
            Client::Java => java::start(broker, command),
            _ => Program::start(
                format!("{} {:?}", self.name(), command.words()),
                &self.process(broker, command, timeout),
                |stream, line| match stream {
                    Stream::Out => Event::parse(line).into_iter().collect(),
                    Stream::Errors => Vec::new(),
                },
                Vec::new(),
            ),
        }
    }

    /// Installs it once in each test program.
    fn install(self) -> anyhow::Result<()> {
        static DONE: [OnceLock<Result<(), String>>; Client::ALL.len()] =
            [const { OnceLock::new() }; Client::ALL.len()];
        let prepare = || match self.tool().prepare() {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
        };
        match DONE.get(self as usize).map(|once| once.get_or_init(prepare)) {
            Some(Err(error)) => bail!("{error}"),
            _ => Ok(()),
        }
    }

    fn process(self, broker: &dyn Broker, command: &Command, timeout: Duration) -> Process {
        let directory = self.tool().directory();
        let mut process = match self.tool() {
            Tool::Node => {
                let mut node = Process::new("node");
                node.arg(here().join("node/client.js"));
                node.env("NODE_PATH", directory.join("node_modules"));
                node
            }
            Tool::Go => Process::new(directory.join("client")),
            _ => {
                let mut python = Process::new(interpreter(self.tool()));
                // Nothing is written beside the sources.
                python.args(["-B", "-u"]).arg(here().join("python/client.py"));
                python.arg(self.name().replace('_', "-"));
                python
            }
        };
        process.args(["--bootstrap", &broker.bootstrap()]);
        process.args(["--timeout", &timeout.as_secs_f64().to_string()]);
        if let Some(login) = broker.login() {
            process.args(["--user", &login.user, "--mechanism", login.mechanism]);
            process.args(["--password-env", PASSWORD]).env(PASSWORD, &login.password);
            if let Some(ca) = &login.ca {
                process.arg("--ca").arg(ca);
            }
        }
        process.args(command.words());
        process
    }
}
