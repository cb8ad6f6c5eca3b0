//! States as they were at an earlier moment.

use leftfold::{Coded, Decider, Execute, MemorySnapshots, Query, QueryState, Reads, StreamState};
use pollster::block_on;

use crate::bank::{Account, Accounts, Open, deposit, put, store};

#[test]
fn a_stream_is_folded_up_to_a_version_or_a_cursor() {
    let store = store();
    // A snapshot holds later events.
    let decider = Decider::new(&store).snapshots(MemorySnapshots::default());
    let cursors: Vec<_> = (1..=25)
        .map(|cents| block_on(decider.execute(deposit("account-1", cents))).unwrap().cursor)
        .collect();
    let account = StreamState::<Account>::of("account-1");
    for (nth, cursor) in (0_u64..).zip(&cursors) {
        let sum = (1..=nth + 1).sum::<u64>();
        let by_version = block_on(decider.load_as_of(&account, nth)).unwrap();
        let by_cursor = block_on(decider.load_as_of(&account, cursor)).unwrap();
        assert_eq!((by_version.cents, by_cursor.cents), (sum, sum));
    }
    assert_eq!(block_on(decider.load_as_of(&account, 1_000)).unwrap().cents, 325);
    let start = leftfold::Cursor::START;
    assert_eq!(block_on(decider.load_as_of(&account, start)).unwrap(), Account::default());
}

#[test]
fn several_reads_are_of_one_moment() {
    let store = store();
    let open = |account| block_on(store.execute(Open { account, owner: "ann" })).unwrap();
    let then = open("account-1").cursor;
    block_on(store.execute(deposit("account-1", 5))).unwrap();
    open("account-2");
    let reads = (
        StreamState::<Account>::of("account-1"),
        QueryState::<Accounts>::untyped(Query::tag("owner", "ann")),
    );
    let decider = Decider::new(&store);
    let (account, accounts) = block_on(decider.load_as_of(&reads, then)).unwrap();
    assert_eq!((account.cents, accounts), (0, Accounts(1)));
    let (account, accounts) = block_on(decider.load(&reads)).unwrap();
    assert_eq!((account.cents, accounts), (5, Accounts(2)));
}

#[test]
fn a_query_has_no_version() {
    fn code<R: Reads>(decider: &Decider<std::sync::Arc<leftfold::Embedded>>, reads: &R) -> String {
        let answer = block_on(decider.load_as_of(reads, 0));
        answer.err().map_or("none", |error| error.code()).to_owned()
    }
    let store = store();
    put(&store, "account-1", "Deposited", r#"{"cents":1}"#);
    let decider = Decider::new(store);
    let query = || QueryState::<Accounts>::untyped(Query::tag("owner", "ann"));
    assert_eq!(code(&decider, &query()), "version_needs_stream");
    assert_eq!(
        code(&decider, &(StreamState::<Account>::of("account-1"), query())),
        "version_needs_stream"
    );
    assert_eq!(code(&decider, &StreamState::<Account>::of("account-1")), "none");
}
