//! A real Apache Kafka that makes topics of eight partitions on first use, as Leftfold does.

use anyhow::Context;
use leftfold_kafka_broker::{Cluster, Listener, Options};
use leftfold_ports::Port;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::NamedTempFile;

use crate::broker::{Broker, Endpoint, Login};
use crate::paths::PARTITIONS;
use crate::tools::java::{JavaTool, run};

/// What a login may use.
pub const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

const USER: &str = "alice";
const PASSWORD: &str = "secret";

/// A broker that anyone may use.
#[derive(Debug)]
pub struct Apache(Cluster);

impl Apache {
    /// Starts a broker; fetches it first if it is missing.
    ///
    /// # Errors
    /// Java or Maven are missing, or the broker does not start.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Apache(Cluster::start(&options()).context("starting Apache Kafka")?))
    }

    /// Kills the broker, as a power cut does, and starts it again on its data and port.
    ///
    /// # Errors
    /// It does not start.
    pub fn crash(&self) -> anyhow::Result<()> {
        let broker = self.0.broker(1)?;
        broker.kill()?;
        Ok(broker.restart()?)
    }
}

impl Broker for Apache {
    fn bootstrap(&self) -> String {
        self.0.bootstrap()
    }

    /// Kafka makes the partitions of a topic one after the other. A producer that comes meanwhile tries
    /// some records again, and repeats or reorders them if it is not idempotent.
    fn create_topic(&self, topic: &str) -> anyhow::Result<()> {
        let partitions = PARTITIONS.to_string();
        let words = ["--create", "--topic", topic, "--partitions", &partitions];
        run(JavaTool::Topics, self, &words).map(drop)
    }
}

fn options() -> Options {
    let options = Options::default().set("auto.create.topics.enable", "true");
    options.set("num.partitions", &PARTITIONS.to_string())
}

/// A broker with a listener of TLS and SASL.
#[derive(Debug)]
pub struct SecuredApache {
    _cluster: Cluster,
    port: Port,
    authority: NamedTempFile,
}

impl SecuredApache {
    /// Starts a broker; fetches it first if it is missing.
    ///
    /// # Errors
    /// Java or Maven are missing, or the broker does not start.
    pub fn start() -> anyhow::Result<Self> {
        let (authority, chain, key) = certificates().context("making certificates")?;
        let file = NamedTempFile::new()?;
        std::fs::write(&file, authority)?;
        let jaas = |module: &str, users: &str| {
            format!("org.apache.kafka.common.security.{module} required {users};")
        };
        // A properties file writes the end of a line as two characters.
        let line = |pem: &str| pem.replace('\n', "\\n");
        let scram = "scram.ScramLoginModule";
        let plain = format!("user_{USER}=\"{PASSWORD}\"");
        let settings = [
            ("ssl.keystore.type", "PEM".to_owned()),
            ("ssl.keystore.certificate.chain", line(&chain)),
            ("ssl.keystore.key", line(&key)),
            ("sasl.enabled.mechanisms", MECHANISMS.join(",")),
            ("plain.sasl.jaas.config", jaas("plain.PlainLoginModule", &plain)),
            ("scram-sha-256.sasl.jaas.config", jaas(scram, "")),
            ("scram-sha-512.sasl.jaas.config", jaas(scram, "")),
        ];
        let scrams = MECHANISMS.iter().filter(|mechanism| mechanism.starts_with("SCRAM"));
        let users = scrams.map(|one| [one, USER, PASSWORD].map(str::to_owned)).collect();
        let port = leftfold_ports::reserve()?;
        let protocol = "SASL_SSL".to_owned();
        let mut options = options();
        options.listener = Some(Listener { port: port.number, protocol, users });
        for (name, value) in settings {
            options = options.set(&format!("listener.name.extra.{name}"), &value);
        }
        let cluster = Cluster::start(&options).context("starting Apache Kafka")?;
        Ok(SecuredApache { _cluster: cluster, port, authority: file })
    }

    /// Returns its address with a login by one of [`MECHANISMS`].
    pub fn endpoint(&self, mechanism: &'static str) -> Endpoint {
        let login = Login {
            user: USER.to_owned(),
            password: PASSWORD.to_owned(),
            mechanism,
            ca: Some(self.authority.path().to_owned()),
        };
        Endpoint { bootstrap: format!("127.0.0.1:{}", self.port.number), login: Some(login) }
    }
}

/// Makes an authority, and a certificate of it for this host with its key; all as PEM.
fn certificates() -> Result<(String, String, String), rcgen::Error> {
    let named = |name: &str| {
        // OpenSSL takes a certificate whose issuer has its own name for one that it signed itself.
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        Ok::<_, rcgen::Error>(params)
    };
    let mut params = named("authority")?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = named("broker")?.signed_by(&key, &issuer)?;
    Ok((issuer.pem(), certificate.pem(), key.serialize_pem()))
}
