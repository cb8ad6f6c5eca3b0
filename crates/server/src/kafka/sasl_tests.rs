use std::sync::Arc;

use futures_util::FutureExt;
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_kafka::security::ScramClient;
use leftfold_store::{Embedded, Options};
use proptest::prelude::*;

use super::*;
use crate::access::Secret;

const PASSWORD: &str = "a user's password";
const PLAIN: &str = "PLAIN";
const MECHANISMS: [&str; 3] = [PLAIN, "SCRAM-SHA-256", "SCRAM-SHA-512"];

fn secret() -> Secret {
    PASSWORD.to_owned().into()
}

async fn open() -> Access {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    let store = Embedded::open_on(disk, clock.clone(), random, Options::default()).unwrap();
    Access::open(Arc::new(store), clock).await.unwrap()
}

/// A server with the users `admin`, who is the caller, and `ann`.
async fn served() -> (Access, Caller) {
    let access = open().await;
    access.begin(Some(secret())).await.unwrap();
    let credentials = Credentials::Basic { user: "admin".to_owned(), password: secret() };
    let admin = access.authenticate(Some(&credentials), Origin::default()).await.unwrap();
    admin.add_user("ann", Some(&secret())).await.unwrap();
    (access, admin)
}

async fn send(
    session: &mut SaslSession,
    access: &Access,
    message: impl AsRef<[u8]>,
) -> Result<Step, SaslFailure> {
    session.authenticate(message.as_ref(), access, Origin::default()).await
}

/// Authenticates as a client does.
async fn login(
    session: &mut SaslSession,
    access: &Access,
    mechanism: &str,
    (user, password): (&str, &str),
) -> Result<Caller, SaslFailure> {
    session.handshake(mechanism)?;
    let Some(hash) = mechanism.parse::<SaslMechanism>().unwrap().scram_hash() else {
        let step = send(session, access, format!("\0{user}\0{password}")).await?;
        let Step::Done(answer, caller) = step else { panic!("PLAIN takes one message") };
        assert!(answer.is_empty());
        return Ok(caller);
    };
    let client = ScramClient::new(hash, user, password).unwrap();
    let step = send(session, access, client.first()).await?;
    let Step::Continue(challenge) = step else { panic!("SCRAM takes two messages") };
    let proof = client.prove(&challenge).unwrap();
    let step = send(session, access, &proof.message).await?;
    let Step::Done(last, caller) = step else { panic!("SCRAM takes two messages") };
    proof.check(&last).unwrap();
    Ok(caller)
}

async fn is_out_of_order(session: &mut SaslSession, access: &Access) {
    let refused = send(session, access, "\0ann\0x").await.unwrap_err();
    assert_eq!(refused, SaslFailure::IllegalState);
    assert_eq!(session.handshake(PLAIN), Err(SaslFailure::IllegalState));
}

#[tokio::test]
async fn each_mechanism_authenticates_a_user() {
    let (access, _admin) = served().await;
    assert_eq!(SaslSession::mechanisms().collect::<Vec<_>>(), MECHANISMS);
    for mechanism in MECHANISMS {
        let mut session = SaslSession::default();
        assert!(!session.is_authenticated());
        let caller = login(&mut session, &access, mechanism, ("ann", PASSWORD)).await.unwrap();
        assert_eq!(caller.name(), "user ann");
        caller.is_known().unwrap();
        assert!(session.is_authenticated() && !session.is_underway());
    }
}

#[tokio::test]
async fn a_token_is_a_password_of_plain() {
    let (access, admin) = served().await;
    let token = admin.create_token("t", "ann", None).await.unwrap();
    let mut session = SaslSession::default();
    let by_token = (TOKEN, token.reveal());
    let caller = login(&mut session, &access, PLAIN, by_token).await.unwrap();
    assert_eq!(caller.name(), "token t of user ann");
    // It is the same user with the password.
    login(&mut session, &access, PLAIN, ("ann", PASSWORD)).await.unwrap();
    admin.revoke_token("t").await.unwrap();
    caller.is_known().unwrap_err();
    let refused = login(&mut session, &access, PLAIN, by_token).await.unwrap_err();
    assert_eq!(refused, SaslFailure::Refused(REFUSED));
}

#[tokio::test]
async fn refusals_do_not_tell_users_apart() {
    let (access, admin) = served().await;
    admin.add_user("service", None).await.unwrap();
    for mechanism in MECHANISMS {
        for user in ["ann", "service", "unknown", TOKEN] {
            let mut session = SaslSession::default();
            let wrong = (user, "a wrong password");
            let refused = login(&mut session, &access, mechanism, wrong).await.unwrap_err();
            assert_eq!(refused, SaslFailure::Refused(REFUSED), "{mechanism} {user}");
            assert_eq!(refused.error().unwrap().code(), 58);
            assert_eq!(refused.message(), "SASL authentication failed");
            assert!(!session.is_authenticated());
            is_out_of_order(&mut session, &access).await;
        }
    }
}

#[tokio::test]
async fn requests_out_of_order_are_refused() {
    let (access, _admin) = served().await;
    is_out_of_order(&mut SaslSession::default(), &access).await;
    let mut session = SaslSession::default();
    session.handshake(PLAIN).unwrap();
    assert!(session.is_underway());
    let refused = session.handshake(PLAIN).unwrap_err();
    assert_eq!(refused.error().unwrap().code(), 34);
    is_out_of_order(&mut session, &access).await;
    // After an authentication only a handshake may come.
    let mut session = SaslSession::default();
    login(&mut session, &access, PLAIN, ("ann", PASSWORD)).await.unwrap();
    is_out_of_order(&mut session, &access).await;
}

#[tokio::test]
async fn an_unknown_mechanism_is_refused() {
    let (access, _admin) = served().await;
    for mechanism in ["GSSAPI", "plain", "", "OAUTHBEARER"] {
        let mut session = SaslSession::default();
        let refused = session.handshake(mechanism).unwrap_err();
        assert_eq!(refused.error().unwrap().code(), 33);
        is_out_of_order(&mut session, &access).await;
    }
}

#[tokio::test]
async fn a_connection_authenticates_again_as_the_same_user_only() {
    let (access, _admin) = served().await;
    let mut session = SaslSession::default();
    for mechanism in MECHANISMS {
        login(&mut session, &access, mechanism, ("ann", PASSWORD)).await.unwrap();
        assert!(session.is_authenticated());
    }
    session.handshake(PLAIN).unwrap();
    assert!(session.is_authenticated() && session.is_underway());
    let refused = send(&mut session, &access, format!("\0admin\0{PASSWORD}")).await.unwrap_err();
    assert_eq!(refused, SaslFailure::Refused("a connection can't change its user"));
    assert!(!session.is_authenticated());
    is_out_of_order(&mut session, &access).await;
}

#[tokio::test]
async fn a_server_without_users_takes_no_credentials() {
    let access = open().await;
    assert!(!access.has_users());
    for mechanism in MECHANISMS {
        let mut session = SaslSession::default();
        session.handshake(mechanism).unwrap();
        let refused = send(&mut session, &access, "\0ann\0x").await.unwrap_err();
        assert_eq!(refused.error().unwrap().code(), 58);
        assert!(refused.message().contains("no users"));
    }
    let caller = access.authenticate(None, Origin::default()).await.unwrap();
    caller.is_known().unwrap();
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused() {
    let (access, _admin) = served().await;
    for mechanism in MECHANISMS {
        let mut session = SaslSession::default();
        session.handshake(mechanism).unwrap();
        let message = format!("\0ann\0{}", "x".repeat(MESSAGE_BYTES));
        let refused = send(&mut session, &access, message).await.unwrap_err();
        assert_eq!(refused, SaslFailure::Refused(REFUSED));
    }
}

#[tokio::test]
async fn an_authentication_that_is_dropped_has_failed() {
    let (access, _admin) = served().await;
    let mut session = SaslSession::default();
    session.handshake(PLAIN).unwrap();
    // The password is hashed on another thread, so this does not end at once.
    assert!(send(&mut session, &access, "\0ann\0a wrong password").now_or_never().is_none());
    is_out_of_order(&mut session, &access).await;
}

#[test]
fn a_full_queue_is_no_answer() {
    let failure = SaslFailure::from(Denial::Busy("too many"));
    assert_eq!(failure, SaslFailure::Busy);
    assert_eq!(failure.error(), None);
}

#[test]
fn plain_has_three_parts() {
    let basic = |user: &str, password: &str| {
        let (user, password) = (user.to_owned(), Secret::from(password.to_owned()));
        Some(Credentials::Basic { user, password })
    };
    assert_eq!(plain(b"\0ann\0secret"), basic("ann", "secret"));
    assert_eq!(plain(b"ann\0ann\0secret"), basic("ann", "secret"));
    let token = Some(Credentials::Bearer(Secret::from("secret".to_owned())));
    assert_eq!(plain(b"\0$token\0secret"), token);
    assert_eq!(plain(b"$token\0$token\0secret"), token);
    for wrong in [
        &b""[..],
        b"\0",
        b"\0ann",
        b"ann\0secret",
        b"\0ann\0",
        b"\0\0secret",
        b"\0ann\0secret\0",
        b"ben\0ann\0secret",
        b"ann\0$token\0secret",
        b"\0ann\0\xff",
    ] {
        assert_eq!(plain(wrong), None, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        _ = plain(&bytes);
    }

    #[test]
    fn texts_with_separators_are_parsed_or_refused(text in "[\0a$]{0,12}") {
        if let Some(Credentials::Basic { user, password }) = plain(text.as_bytes()) {
            let end = format!("\0{user}\0{}", password.reveal());
            prop_assert!(text.ends_with(&end));
        }
    }
}
