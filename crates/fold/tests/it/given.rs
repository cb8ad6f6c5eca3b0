//! `given` fails a test that would pass by mistake.

use std::panic::{AssertUnwindSafe, catch_unwind};

use leftfold::{Command, Emit, Event, QueryState, StreamState, given};

use crate::bank::{Account, Accounts, Bank, Open, Refused, withdraw};

/// Returns the text of a panic.
fn panic_of<T>(test: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).err().unwrap();
    *panic.downcast::<String>().unwrap()
}

fn opened() -> Bank {
    Bank::Opened { owner: "ann".into() }
}

/// Depends on nothing, and decides an event.
struct Decide(Bank);

impl Command for Decide {
    type Event = Bank;
    type Error = Refused;
    type Reads = ();
    fn reads(&self) {}
    fn decide(&self, (): &()) -> Result<Vec<Emit<Bank>>, Refused> {
        Ok(vec![self.0.clone().to("account-1")])
    }
}

#[test]
fn an_event_without_a_stream_needs_a_single_stream_that_is_read() {
    struct OfOwner;
    impl Command for OfOwner {
        type Event = Bank;
        type Error = Refused;
        type Reads = QueryState<Accounts>;
        fn reads(&self) -> QueryState<Accounts> {
            QueryState::of(Bank::by_owner("ann"))
        }
        fn decide(&self, _: &Accounts) -> Result<Vec<Emit<Bank>>, Refused> {
            Ok(vec![])
        }
    }
    struct Single;
    impl Command for Single {
        type Event = Bank;
        type Error = Refused;
        type Reads = (StreamState<Account>,);
        fn reads(&self) -> Self::Reads {
            (StreamState::of("account-1"),)
        }
        fn decide(&self, (account,): &(Account,)) -> Result<Vec<Emit<Bank>>, Refused> {
            assert!(account.open);
            Ok(vec![])
        }
    }
    let tuple = panic_of(|| given([opened()]).when(Open { account: "a-1", owner: "ann" }));
    let query = panic_of(|| given([opened()]).when(OfOwner));
    let nothing = panic_of(|| given([opened()]).when(Decide(opened())));
    let waits = panic_of(|| given([opened()]).waits(OfOwner));
    for sentence in [tuple, query, nothing, waits] {
        assert!(sentence.contains("event Opened has no stream"), "{sentence}");
        assert!(sentence.contains("event.to("), "{sentence}");
    }
    assert!(given([opened()]).when(withdraw("account-1", 0)).is_ok());
    assert!(given([opened()]).when(Single).is_ok());
    let addressed = given([opened().to("a-1")]);
    assert!(addressed.when(OfOwner).is_ok());
    assert_eq!(addressed.state::<Account>(), given([opened()]).state());
}

#[test]
fn what_a_store_refuses_fails_the_test() {
    let of = |owner: String| Bank::Opened { owner };
    let decided = panic_of(|| given([] as [Bank; 0]).when(Decide(of("a\nb".into()))));
    let long = panic_of(|| given([] as [Bank; 0]).when(Decide(of("x".repeat(2_000)))));
    let past = panic_of(|| given([of("a\nb".into()).to("account-1")]));
    let stream = panic_of(|| given([opened().to("")]));
    let single = panic_of(|| given([] as [Bank; 0]).when(withdraw("$account", 0)));
    for (sentence, part) in [
        (decided, r#"a store refuses event Opened in stream "account-1": tag"#),
        (long, "2006 bytes"),
        (past, "control character"),
        (stream, "it is empty"),
        (single, "begins with $"),
    ] {
        assert!(sentence.contains(part), "{sentence}");
    }
}
