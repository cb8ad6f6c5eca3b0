//! A mail server that takes mails, and fails as the test says.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use mailin::response::{AUTH_OK, INVALID_CREDENTIALS, OK};
use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::support::{KEY, PATIENCE};

/// The account; its password is `env:KEY`.
pub(crate) const USER: &str = "leftfold";

/// What a server does with the next mail or connection instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It answers a recipient with this.
    Recipient(u16, &'static str),
    /// It answers the content with this, and has not taken it.
    Content(u16, &'static str),
    /// It takes the mail, and closes the connection instead of an answer.
    CutAfterContent,
    /// It takes the mail, and never answers.
    SilentAfterContent,
    /// It takes the mail, and answers with a line that does not end.
    EndlessAnswer,
}

/// When a server has TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    None,
    StartTls,
    Implicit,
}

/// A mail that the server has taken.
#[derive(Debug, Clone, Default)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) content: Vec<u8>,
}

#[derive(Default)]
struct Shared {
    taken: Mutex<Vec<Taken>>,
    came: Notify,
    /// What happens to the next mails.
    troubles: Mutex<VecDeque<Trouble>>,
    /// What the next connections are greeted with.
    greetings: Mutex<VecDeque<String>>,
    /// All commands, with their connections.
    commands: Mutex<Vec<(u16, String)>>,
}

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    /// Its certificate, for `localhost`.
    pub(crate) certificate: String,
    shared: Arc<Shared>,
    accepting: tokio::task::JoinHandle<()>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl MailServer {
    pub(crate) async fn start(security: Security) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::listen(listener, security)
    }

    fn listen(listener: TcpListener, security: Security) -> Self {
        let address = listener.local_addr().unwrap();
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = made.cert.pem();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = made.signing_key.serialize_pem();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
        let acceptor = TlsAcceptor::from(Arc::new(config.unwrap()));
        let shared = Arc::<Shared>::default();
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, peer)) = listener.accept().await {
                let (shared, acceptor) = (serving.clone(), acceptor.clone());
                connections.spawn(async move {
                    // A client that goes away ends it.
                    _ = serve(client, peer, &shared, &acceptor, security).await;
                });
            }
        });
        MailServer { address, certificate, shared, accepting }
    }

    /// Ends it with all connections, and returns what starts another one in its place.
    pub(crate) fn stop(self) -> SocketAddr {
        self.accepting.abort();
        self.address
    }

    /// Starts one at the address of another one that has ended.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let binding = async {
            loop {
                let socket = tokio::net::TcpSocket::new_v4().unwrap();
                socket.set_reuseaddr(true).unwrap();
                if socket.bind(address).is_ok() {
                    return socket.listen(64).unwrap();
                }
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        let listener = tokio::time::timeout(PATIENCE, binding).await.expect("the port is in use");
        Self::listen(listener, Security::None)
    }

    /// Sets what happens to the next mails.
    pub(crate) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.shared.troubles.lock().extend(troubles);
    }

    /// Sets what the next connections are greeted with.
    pub(crate) fn greet(&self, greetings: impl IntoIterator<Item = String>) {
        self.shared.greetings.lock().extend(greetings);
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.shared.taken.lock().clone()
    }

    /// Returns the commands, and the port of the client of each.
    pub(crate) fn commands(&self) -> Vec<(u16, String)> {
        self.shared.commands.lock().clone()
    }

    /// Waits until this number of mails was taken.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Taken> {
        let waiting = async {
            loop {
                let came = self.shared.came.notified();
                let taken = self.taken();
                if taken.len() >= count {
                    return taken;
                }
                came.await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("the mails did not come")
    }
}

async fn serve(
    client: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    acceptor: &TlsAcceptor,
    security: Security,
) -> io::Result<()> {
    let mut stream: Box<dyn Stream> = match security {
        Security::Implicit => Box::new(acceptor.accept(client).await?),
        _ => Box::new(client),
    };
    let mut builder = SessionBuilder::new("mail.example");
    match security {
        Security::None => {}
        Security::StartTls => _ = builder.enable_start_tls().enable_auth(AuthMechanism::Plain),
        Security::Implicit => {
            builder.insecure_enable_plaintext_auth().enable_auth(AuthMechanism::Plain);
        }
    }
    let ending = Arc::<Mutex<Option<Trouble>>>::default();
    let inbox = Inbox { shared: shared.clone(), mail: Taken::default(), ending: ending.clone() };
    let mut session = builder.build(Ipv4Addr::LOCALHOST.into(), inbox);
    let greeting = shared.greetings.lock().pop_front();
    if let Some(greeting) = greeting {
        stream.write_all(greeting.as_bytes()).await?;
        return stream.shutdown().await;
    }
    stream.write_all(&session.greeting().buffer()?).await?;
    let mut stream = BufStream::new(stream);
    loop {
        let response = exchange(&mut stream, &mut session, peer, shared, &ending).await?;
        match response {
            Action::Close => return Ok(()),
            Action::UpgradeTls => {
                let plain = stream.into_inner();
                let encrypted: Box<dyn Stream> = Box::new(acceptor.accept(plain).await?);
                stream = BufStream::new(encrypted);
                session.tls_active();
            }
            Action::Reply | Action::NoReply => {}
        }
    }
}

/// Reads a line and answers it.
async fn exchange(
    stream: &mut BufStream<Box<dyn Stream>>,
    session: &mut Session<Inbox>,
    peer: SocketAddr,
    shared: &Shared,
    ending: &Mutex<Option<Trouble>>,
) -> io::Result<Action> {
    let mut line = Vec::new();
    if stream.read_until(b'\n', &mut line).await? == 0 {
        return Ok(Action::Close);
    }
    let response = session.process(&line);
    if response.action != Action::NoReply {
        let command = String::from_utf8_lossy(&line).trim_end().to_owned();
        shared.commands.lock().push((peer.port(), command));
    }
    let trouble = ending.lock().take();
    match trouble {
        Some(Trouble::CutAfterContent) => return Ok(Action::Close),
        Some(Trouble::SilentAfterContent) => std::future::pending().await,
        Some(Trouble::EndlessAnswer) => loop {
            stream.write_all(&[b'2'; 4096]).await?;
        },
        _ => {}
    }
    stream.write_all(&response.buffer()?).await?;
    stream.flush().await?;
    Ok(response.action)
}

/// Takes the mails of a connection.
struct Inbox {
    shared: Arc<Shared>,
    mail: Taken,
    ending: Arc<Mutex<Option<Trouble>>>,
}

impl Inbox {
    fn take_trouble(&self, is_now: impl Fn(Trouble) -> bool) -> Option<Trouble> {
        let mut troubles = self.shared.troubles.lock();
        match troubles.front() {
            Some(trouble) if is_now(*trouble) => troubles.pop_front(),
            _ => None,
        }
    }
}

impl Handler for Inbox {
    fn rcpt(&mut self, _to: &str) -> Response {
        match self.take_trouble(|trouble| matches!(trouble, Trouble::Recipient(..))) {
            Some(Trouble::Recipient(code, text)) => Response::custom(code, text.to_owned()),
            _ => OK,
        }
    }

    fn data_start(&mut self, _domain: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.mail.content.clear();
        (self.mail.from, self.mail.to) = (from.to_owned(), to.to_vec());
        OK
    }

    fn data(&mut self, buffer: &[u8]) -> io::Result<()> {
        self.mail.content.extend_from_slice(buffer);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let trouble = self.take_trouble(|_| true);
        if let Some(Trouble::Content(code, text)) = trouble {
            return Response::custom(code, text.to_owned());
        }
        *self.ending.lock() = trouble;
        self.shared.taken.lock().push(self.mail.clone());
        self.shared.came.notify_waiters();
        OK
    }

    fn auth_plain(&mut self, _authorization: &str, name: &str, password: &str) -> Response {
        match (name, password) == (USER, KEY) {
            true => AUTH_OK,
            false => INVALID_CREDENTIALS,
        }
    }
}

/// Returns a definition with more lines in front of its table and in it.
pub(crate) fn definition(server: &str, before: &str, inside: &str) -> String {
    format!(
        "name = \"mail\"\nkind = \"mail\"\nquery = \"category:order\"\n{before}\n[mail]\nserver = \"{server}\"\n\
         from = \"Shop <shop@shop.example>\"\nto = [\"{{data.to}}\"]\nsubject = \"Order {{key}}\"\n{inside}\n"
    )
}

/// Settings without TLS and with a text.
pub(crate) const PLAIN: &str = "tls = \"none\"\ntext = \"{data.text?}\"";

pub(crate) const ANN: &str = r#"{"to":"ann@home.example"}"#;
