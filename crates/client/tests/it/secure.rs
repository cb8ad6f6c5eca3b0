//! TLS, with a CA of one's own.

use leftfold_api::{Append, Coded, EventStore, NewEvent};
use leftfold_client::Client;
use leftfold_server::{Config, Server, make_certificate};
use pollster::block_on;

use crate::served::{RUNTIME, store};

#[test]
fn trusts_the_ca_that_it_is_given_and_no_other() {
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let [made, _other] =
        [&dirs[0], &dirs[1]].map(|dir| make_certificate(dir.path(), &names).unwrap());
    let [ca, other_ca] = [&dirs[0], &dirs[1]].map(|dir| dir.path().join("ca.pem"));
    let mut config = Config::default();
    config.listen = "127.0.0.1:0".parse().unwrap();
    (config.tls_certificate, config.tls_key) = (Some(made.certificate), Some(made.key));
    let running = RUNTIME.block_on(Server::start(config, store())).unwrap();
    let url = format!("https://localhost:{}", running.local_addr().port());

    let client = block_on(Client::builder(&url).ca_file(ca).unwrap().connect()).unwrap();
    block_on(client.append(Append::new().event("a-1", NewEvent::new("Put", "")))).unwrap();

    let brief = std::time::Duration::from_millis(300);
    let stranger = Client::builder(&url).ca_file(other_ca).unwrap().timeout(brief).connect();
    let refused = block_on(stranger).err().unwrap();
    assert_eq!(refused.code(), "server_unreachable");
    let plain = url.replace("https://", "http://");
    let refused = block_on(Client::connect(plain)).err().unwrap().to_string();
    assert!(refused.contains("if the server expects TLS, write https:// in its URL"), "{refused}");
    let missing = Client::builder(&url).ca_file(dirs[0].path().join("none.pem")).err().unwrap();
    assert_eq!(missing.code(), "tls_invalid");
    let garbage = Client::builder(&url).ca("nothing").timeout(brief).connect();
    assert!(block_on(garbage).is_err());
}

#[test]
fn sends_its_credentials() {
    let running = crate::served::serve(&store(), 0);
    let url = format!("http://{}", running.local_addr());
    // A server without users takes no credentials: that they arrive is seen by its refusal.
    for builder in [Client::builder(&url).basic("ann", "secret"), Client::builder(&url).token("t")]
    {
        let refused = block_on(builder.clone().connect()).err().unwrap();
        assert_eq!(refused.code(), "unauthenticated");
        let client = builder.connect_lazily().unwrap();
        let append = Append::new().event("a-1", NewEvent::new("Put", ""));
        assert_eq!(block_on(client.append(append)).unwrap_err().code(), "unauthenticated");
    }
}
