use std::time::Duration;

use leftfold_api::{Append, NewEvent, Query};
use leftfold_io::SystemClock;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_store::{Embedded, Options};

use super::*;
use crate::access::{Access, Origin};
use crate::config::Config;
use crate::connectors::RunningConnectors;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);

fn state(change: impl FnOnce(&mut Config)) -> Arc<State> {
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
    let disk = Arc::new(FakeDisk::new());
    let store = Arc::new(Embedded::open_on(disk, clock, random, Options::default()).unwrap());
    let mut config = Config::default();
    change(&mut config);
    let views = crate::views::SqlViews::off(&config);
    let connectors = RunningConnectors::off();
    Arc::new(State::new(config, store.clone(), Access::local(store), views, connectors))
}

async fn append(state: &State, stream: &str, events: usize) {
    let append = (0..events).fold(Append::new(), |append, _| {
        append.event(stream, NewEvent::json("T", "\"0123456789\""))
    });
    state.store.append(append).await.unwrap();
}

async fn start(state: &Arc<State>, query: Query, part_bytes: usize) -> Feed {
    let caller = state.access.authenticate(None, Origin::default()).await.unwrap();
    let options = FeedOptions { name: Some("test"), part_bytes };
    let started = Feed::start(state.clone(), caller, Subscribe::to(query), options).await;
    started.unwrap_or_else(|error| panic!("{error:?}"))
}

async fn next(feed: &mut Feed) -> Result<Part, End> {
    tokio::time::timeout(DEADLINE, feed.next()).await.unwrap()
}

#[tokio::test]
async fn a_part_holds_no_more_events_than_its_bound_and_marks_the_end_of_history() {
    let state = state(|_| ());
    append(&state, "a-1", 20).await;
    let mut feed = start(&state, Query::All, 1).await;
    for position in 1..=20 {
        let part = next(&mut feed).await.unwrap();
        assert_eq!((part.events.len(), part.events[0].0.position()), (1, position));
        assert_eq!(part.cursor, part.events[0].1);
    }
    assert!(next(&mut feed).await.unwrap().caught_up);

    let mut feed = start(&state, Query::All, 1 << 20).await;
    let part = next(&mut feed).await.unwrap();
    assert_eq!((part.events.len(), part.caught_up), (20, true));
}

#[tokio::test]
async fn a_heartbeat_has_the_cursor_behind_unwanted_events() {
    let state = state(|config| config.heartbeat = Duration::from_millis(10));
    let mut feed = start(&state, Query::stream("wanted"), 1 << 20).await;
    assert!(next(&mut feed).await.unwrap().caught_up);
    append(&state, "unwanted", 3).await;
    let head = state.store.head().await.unwrap();
    loop {
        let part = next(&mut feed).await.unwrap();
        assert!(part.is_heartbeat());
        if part.cursor == head {
            return;
        }
    }
}

#[tokio::test]
async fn it_ends_when_the_server_closes() {
    let state = state(|_| ());
    let mut feed = start(&state, Query::All, 1 << 20).await;
    assert!(next(&mut feed).await.unwrap().caught_up);
    state.close();
    assert!(matches!(next(&mut feed).await, Err(End::Closing)));
    assert_eq!(state.subscriptions.count(), 1);
    drop(feed);
    assert_eq!(state.subscriptions.count(), 0);
}

#[tokio::test]
async fn no_more_subscriptions_start_than_are_allowed() {
    let state = state(|config| config.subscriptions = 1);
    let _first = start(&state, Query::All, 1 << 20).await;
    let caller = state.access.authenticate(None, Origin::default()).await.unwrap();
    let options = FeedOptions { name: None, part_bytes: 1 };
    let second = Feed::start(state.clone(), caller, Subscribe::to(Query::All), options).await;
    assert!(matches!(second, Err(SubscribeError::Full(1))));
}

#[tokio::test]
async fn a_channel_whose_reader_takes_nothing_ends_in_time() {
    let state = state(|config| config.write_time = Duration::from_millis(10));
    append(&state, "a-1", 20).await;
    let mut parts = start(&state, Query::All, 1).await.into_channel(|next| next.is_ok());
    let ended = async {
        while state.subscriptions.count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.unwrap();
    assert_eq!(parts.recv().await, Some(true), "the one part in the channel");
    assert_eq!(parts.recv().await, None);
}
