use std::time::{Duration, Instant};

use leftfold_api::{Append, EventStore, NewEvent, Query, Read};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_kafka::security::ScramClient;
use leftfold_store::{Embedded, Options};

use super::super::accounts::{Change, STREAM};
use super::super::audit;
use super::super::credentials::Credentials;
use super::*;

const PASSWORD: &str = "a user's password";
const DEADLINE: Duration = Duration::from_secs(60);
const WRONG: &str = "the user or the password is wrong";

fn store() -> Arc<Embedded> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    Arc::new(Embedded::open_on(disk, clock, random, Options::default()).unwrap())
}

async fn open(store: &Arc<Embedded>) -> Access {
    Access::open(store.clone(), Arc::new(SystemClock)).await.unwrap()
}

fn password() -> Secret {
    PASSWORD.to_owned().into()
}

fn origin(peer: &str) -> Origin {
    Origin { peer: peer.to_owned(), request: String::new() }
}

fn basic(user: &str) -> Credentials {
    Credentials::Basic { user: user.to_owned(), password: password() }
}

/// A server with the user `admin`, who is the caller.
async fn served() -> (Arc<Embedded>, Access, Caller) {
    let store = store();
    let access = open(&store).await;
    access.begin(Some(password())).await.unwrap();
    let caller = access.authenticate(Some(&basic("admin")), Origin::default()).await.unwrap();
    (store, access, caller)
}

async fn login(
    access: &Access,
    hash: ScramHash,
    user: &str,
    password: &str,
) -> Result<Caller, Denial> {
    let (client, from) = (ScramClient::new(hash, user, password).unwrap(), origin("10.0.0.1:1"));
    let login = access.begin_scram(hash, client.first().as_bytes(), &from)?;
    let proof = client.prove(login.first().as_bytes()).unwrap();
    let (caller, last) = access.finish_scram(login, proof.message.as_bytes(), from).await?;
    proof.check(last.as_bytes()).unwrap();
    Ok(caller)
}

async fn refuses(access: &Access, user: &str, password: &str) {
    for hash in ScramHash::ALL {
        let denied = login(access, hash, user, password).await.unwrap_err();
        assert_eq!(denied, Denial::Unauthenticated(WRONG.to_owned()), "{user}");
    }
}

/// Returns the salt that a client gets.
fn salt_of(access: &Access, hash: ScramHash, user: &str) -> String {
    let client = ScramClient::new(hash, user, "").unwrap();
    let login = access.begin_scram(hash, client.first().as_bytes(), &Origin::default()).unwrap();
    let (_, from_salt) = login.first().split_once(",s=").unwrap();
    from_salt.to_owned()
}

#[tokio::test]
async fn a_user_proves_its_password_and_no_other() {
    let (_store, access, admin) = served().await;
    admin.add_user("a=b,c", Some(&password())).await.unwrap();
    admin.add_user("service", None).await.unwrap();
    for hash in ScramHash::ALL {
        let caller = login(&access, hash, "a=b,c", PASSWORD).await.unwrap();
        assert_eq!(caller.user(), Some("a=b,c"));
        caller.is_known().unwrap();
    }
    // The same for a wrong password, for no password and for no user.
    refuses(&access, "a=b,c", "a wrong password").await;
    refuses(&access, "service", PASSWORD).await;
    refuses(&access, "unknown", PASSWORD).await;
}

#[tokio::test]
async fn a_new_password_ends_what_the_old_one_proved() {
    let (_store, access, admin) = served().await;
    let hash = ScramHash::Sha256;
    let before = login(&access, hash, "admin", PASSWORD).await.unwrap();
    let client = ScramClient::new(hash, "admin", PASSWORD).unwrap();
    let begun = client.first();
    let begun = access.begin_scram(hash, begun.as_bytes(), &Origin::default()).unwrap();
    let proof = client.prove(begun.first().as_bytes()).unwrap();
    admin.change_password("admin", &"another password".to_owned().into()).await.unwrap();
    before.is_known().unwrap_err();
    let late = access.finish_scram(begun, proof.message.as_bytes(), Origin::default()).await;
    late.unwrap().0.is_known().unwrap_err();
    refuses(&access, "admin", PASSWORD).await;
    login(&access, hash, "admin", "another password").await.unwrap();
}

#[tokio::test]
async fn salts_do_not_tell_which_users_there_are() {
    let (store, access, _admin) = served().await;
    let again = open(&store).await;
    for hash in ScramHash::ALL {
        for user in ["admin", "unknown"] {
            let salt = salt_of(&access, hash, user);
            assert_eq!(salt, salt_of(&access, hash, user), "the same each time");
            assert_eq!(salt, salt_of(&again, hash, user), "and after a restart");
            assert!(salt.ends_with(",i=100000"));
        }
    }
    let (_store, other, _admin) = served().await;
    let of = |access: &Access| salt_of(access, ScramHash::Sha256, "unknown");
    assert_ne!(of(&access), of(&other), "each store has a secret of its own");
}

/// Appends the user `old` as an earlier release did.
async fn add_old_user(store: &Embedded, access: &Access) {
    let (password, _) = super::super::password::PasswordRecord::into_parts(Some(
        access.0.passwords.hash(&password()).await.unwrap(),
    ));
    let change = Change::UserAdded { user: "old".to_owned(), password, scram: None };
    let data = serde_json::to_vec(&change).unwrap();
    assert!(!String::from_utf8(data.clone()).unwrap().contains("scram"));
    let event = NewEvent::json(change.event_type(), data);
    let appended = store.append_system(Append::new().event(STREAM, event)).await.unwrap();
    access.catch_up(Some(appended.cursor)).await.unwrap();
}

#[tokio::test]
async fn a_password_of_an_earlier_release_is_to_be_set_again() {
    let (store, access, admin) = served().await;
    add_old_user(&store, &access).await;
    refuses(&access, "old", PASSWORD).await;
    access.authenticate(Some(&basic("old")), Origin::default()).await.unwrap();
    // Only the audit tells why.
    let audited = async {
        loop {
            let events =
                store.read(Read::forward(Query::stream(audit::STREAM))).await.unwrap().events;
            let texts =
                events.iter().map(|event| String::from_utf8_lossy(&event.data()).into_owned());
            if texts
                .into_iter()
                .any(|text| text.contains("set it again") && text.contains("user old"))
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, audited).await.unwrap();
    admin.change_password("old", &password()).await.unwrap();
    login(&access, ScramHash::Sha512, "old", PASSWORD).await.unwrap();
}

/// The changes of passwords as an earlier release reads them.
#[derive(Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
enum OldChange {
    UserAdded { user: String, password: Option<serde_json::Value> },
    PasswordChanged { user: String, password: Option<serde_json::Value> },
}

#[tokio::test]
async fn an_earlier_release_reads_events_with_keys() {
    let (store, _access, admin) = served().await;
    admin.change_password("admin", &password()).await.unwrap();
    let page = store.read(Read::forward(Query::stream(STREAM))).await.unwrap();
    let mut read = 0;
    for event in page.events {
        if !["$UserAdded", "$PasswordChanged"].contains(&event.event_type()) {
            continue;
        }
        let text = String::from_utf8(event.data().to_vec()).unwrap();
        assert!(text.contains("\"scram\":{\"SCRAM-SHA-256\":{\"salt\":\""), "{text}");
        assert!(text.contains("\"SCRAM-SHA-512\":{\"salt\":\""), "{text}");
        let (OldChange::UserAdded { user, password }
        | OldChange::PasswordChanged { user, password }) = serde_json::from_str(&text).unwrap();
        assert_eq!((user.as_str(), password.is_some()), ("admin", true));
        read += 1;
    }
    assert_eq!(read, 2);
}

#[test]
fn keys_that_a_later_release_adds_are_kept_apart() {
    let keys = r#"{"SCRAM-SHA-1024": {"salt": "AA==", "iterations": 1, "stored_key": "AA==",
                   "server_key": "AA==", "more": 1},
                   "SCRAM-SHA-256": {"salt": "!", "iterations": 0, "stored_key": "", "server_key": ""}}"#;
    let keys: ScramKeys = serde_json::from_str(keys).unwrap();
    assert!(ScramHash::ALL.iter().all(|hash| keys.credentials(*hash).is_none()));
}

#[test]
fn keys_are_derived_slowly_and_are_not_printed() {
    let keys = ScramKeys::of(&password()).unwrap();
    for hash in ScramHash::ALL {
        let credentials = keys.credentials(hash).unwrap();
        assert_eq!(credentials.iterations, ITERATIONS);
        let salt = STANDARD.encode(credentials.salt);
        assert!(!format!("{keys:?}").contains(&salt));
    }
}

#[tokio::test]
async fn malformed_messages_are_refused() {
    let (_store, access, _admin) = served().await;
    let hash = ScramHash::Sha256;
    for first in ["", "n,,n=admin,r=abc,tokenauth=true", "p=tls-unique,,n=admin,r=abc"] {
        let refused = access.begin_scram(hash, first.as_bytes(), &Origin::default());
        assert_eq!(refused.unwrap_err().code(), "unauthenticated", "{first}");
    }
    for user in ["admin", "unknown"] {
        let first = format!("n,,n={user},r=abc");
        let begun = access.begin_scram(hash, first.as_bytes(), &Origin::default()).unwrap();
        let refused = access.finish_scram(begun, b"\xff", Origin::default()).await.unwrap_err();
        let text = "SCRAM: the message does not have the form that SCRAM demands";
        assert_eq!(refused, Denial::Unauthenticated(text.to_owned()), "{user}");
    }
}

#[tokio::test]
async fn guesses_are_slowed_down_as_those_of_passwords() {
    let (_store, access, _admin) = served().await;
    let hash = ScramHash::Sha256;
    let guess = async |peer: &str| {
        let begun = access.begin_scram(hash, b"n,,n=admin,r=abc", &origin(peer)).unwrap();
        access.finish_scram(begun, b"c=biws,r=abc,p=AAAA", origin(peer)).await.unwrap_err();
    };
    let guesses = async |peer: &str, count: u32| {
        let started = Instant::now();
        for _ in 0..count {
            guess(peer).await;
        }
        started.elapsed()
    };
    guesses("10.0.0.9:1", 10).await;
    // From then on 20 in a second.
    assert!(guesses("10.0.0.9:2", 10).await >= Duration::from_millis(400));
    // A password that is sent waits in the same line.
    let wrong =
        Credentials::Basic { user: "admin".to_owned(), password: PASSWORD[1..].to_owned().into() };
    let started = Instant::now();
    for _ in 0..10 {
        access.authenticate(Some(&wrong), origin("10.0.0.9:3")).await.unwrap_err();
    }
    assert!(started.elapsed() >= Duration::from_millis(400));
    assert!(guesses("10.0.0.8:1", 9).await < DEADLINE);
    let before = access.hash_runs();
    guesses("10.0.0.7:1", 3).await;
    assert_eq!(access.hash_runs(), before, "no password is hashed");
}
