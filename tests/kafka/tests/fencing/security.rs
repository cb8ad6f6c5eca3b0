//! Connections by TLS and SASL to a real broker.

use std::time::Duration;

use leftfold_kafka::{Client, KafkaError, Sasl, SaslMechanism, Security, Tls};
use leftfold_kafka_testing::broker::{Cluster, Listener, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::runtime::Runtime;

use crate::support::fresh;

const MECHANISMS: [SaslMechanism; 3] =
    [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512];

/// An authority, and a certificate of it for a host with its key.
struct Certificates {
    authority: String,
    chain: String,
    key: String,
}

impl Certificates {
    fn for_host(host: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        Certificates { authority: issuer.pem(), chain: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Starts a broker with a listener of `SASL_SSL`, where Alice may log in.
fn start(port: u16, certificates: &Certificates) -> Cluster {
    let jaas = |module: &str, users: &str| {
        format!("org.apache.kafka.common.security.{module} required {users};")
    };
    // A properties file writes the end of a line as two characters.
    let line = |pem: &str| pem.replace('\n', "\\n");
    let scram = "scram.ScramLoginModule";
    let settings = [
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.certificate.chain", line(&certificates.chain)),
        ("ssl.keystore.key", line(&certificates.key)),
        ("sasl.enabled.mechanisms", MECHANISMS.map(SaslMechanism::name).join(",")),
        ("plain.sasl.jaas.config", jaas("plain.PlainLoginModule", "user_alice=\"secret\"")),
        ("scram-sha-256.sasl.jaas.config", jaas(scram, "")),
        ("scram-sha-512.sasl.jaas.config", jaas(scram, "")),
    ];
    let scrams = MECHANISMS[1..].iter();
    let users = scrams.map(|one| [one.name(), "alice", "secret"].map(str::to_owned)).collect();
    let listener = Listener { port, protocol: "SASL_SSL".to_owned(), users };
    let mut options = Options { listener: Some(listener), ..Options::default() };
    for (name, value) in settings {
        options = options.set(&format!("listener.name.extra.{name}"), &value);
    }
    Cluster::start(&options).unwrap()
}

/// Asks for a topic that does not exist.
fn ask(port: u16, authority: &str, sasl: Option<Sasl>) -> Result<(), KafkaError> {
    let tls = Some(Tls::trusting(authority.as_bytes()).unwrap());
    let client = Client::new(&format!("127.0.0.1:{port}"), Duration::from_secs(10)).unwrap();
    let client = client.secured(Security { tls, sasl });
    let topic = fresh("topic");
    Runtime::new().unwrap().block_on(client.describe_topic(&topic)).map(|found| {
        assert_eq!(found, None);
    })
}

#[test]
fn a_client_is_encrypted_and_authenticated_by_each_mechanism() {
    let (port, certificates) =
        (leftfold_ports::reserve().unwrap(), Certificates::for_host("127.0.0.1"));
    let (number, authority) = (port.number, &certificates.authority);
    let _cluster = start(number, &certificates);
    for mechanism in MECHANISMS {
        let alice = |password| Some(Sasl::new(mechanism, "alice", password));
        ask(number, authority, alice("secret")).unwrap();
        let error = ask(number, authority, alice("wrong")).unwrap_err();
        let code = error.code().map(|code| code.to_string());
        assert!(code.is_some_and(|code| code.contains("SaslAuthenticationFailed")), "{error}");
    }
    // Without authentication, or with another authority, nothing is answered.
    assert!(ask(number, authority, None).is_err());
    let other = Certificates::for_host("127.0.0.1").authority;
    let sasl = Sasl::new(SaslMechanism::Plain, "alice", "secret");
    let error = ask(number, &other, Some(sasl)).unwrap_err();
    assert!(matches!(error, KafkaError::Connect { .. }), "{error}");
}
