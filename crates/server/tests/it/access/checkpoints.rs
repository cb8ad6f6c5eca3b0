//! Who has room for checkpoints, of which there is a limit.

use std::sync::Arc;

use leftfold_api::{Append, CheckpointMove, Coded, EventStore};
use leftfold_client::Client as Remote;
use leftfold_io::fake::{FakeDisk, SeededRandom};
use leftfold_io::{Clock, SystemClock};
use leftfold_store::{Embedded, Options};
use reqwest::Method;
use serde_json::{Value, json};

use crate::access::support::{ADMIN, PASSWORD, Served, answer, serve};

/// A server whose store takes 20 checkpoints: 10 of a category, 18 by users who do not manage everything.
async fn small() -> Served {
    let (clock, random): (Arc<dyn Clock>, _) = (Arc::new(SystemClock), SeededRandom::new(7));
    let mut options = Options::default();
    options.log.preallocate = 4096;
    options.limits.checkpoints = 20;
    let disk = Arc::new(FakeDisk::new());
    let store = Embedded::open_on(disk, clock.clone(), Arc::new(random), options).unwrap();
    serve(Arc::new(store), Some(ADMIN), clock).await
}

/// Makes checkpoints in one append; the code of the refusal, if it is refused.
async fn make(by: &Remote, names: &[String]) -> Option<&'static str> {
    let to = by.head().await.unwrap();
    let moves = names.iter().fold(Append::new(), |append, name| {
        append.checkpoint(CheckpointMove { name: name.clone(), expected: None, to: to.clone() })
    });
    by.append(moves).await.err().map(|error| error.code())
}

fn names(category: &str, numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|n| format!("{category}-{n}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_user_takes_the_room_for_checkpoints_of_all_others() {
    let served = small().await;
    served.user("clerk", &[("append", "category:order"), ("read", "category:order")]).await;
    served.user("all", &[("append", "*"), ("read", "*")]).await;
    let clerk = served.remote("clerk", PASSWORD).await;
    let all = served.remote("all", PASSWORD).await;
    let admin = served.remote("admin", ADMIN).await;

    assert_eq!(make(&clerk, &names("order", 0..11)).await, Some("too_many_checkpoints"));
    assert_eq!(make(&clerk, &names("order", 0..10)).await, None);
    assert_eq!(make(&clerk, &names("order", 10..11)).await, Some("too_many_checkpoints"));

    assert_eq!(make(&all, &names("a", 0..9)).await, Some("too_many_checkpoints"), "19 of 20");
    assert_eq!(make(&all, &names("a", 0..8)).await, None);
    assert_eq!(make(&all, &names("b", 0..1)).await, Some("too_many_checkpoints"));
    // What is there still moves.
    let at = served.store.checkpoint("order-1").await.unwrap();
    let to = clerk.head().await.unwrap();
    let moved = CheckpointMove { name: "order-1".to_owned(), expected: at, to };
    clerk.append(Append::new().checkpoint(moved)).await.unwrap();

    assert_eq!(make(&admin, &names("upkeep", 0..2)).await, None, "the reserve is for managers");
    assert_eq!(make(&admin, &names("upkeep", 2..3)).await, Some("too_many_checkpoints"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_deleted_by_whom_may_move_it() {
    let served = small().await;
    served.user("clerk", &[("append", "category:order")]).await;
    served.user("reader", &[("read", "*")]).await;
    let admin = served.remote("admin", ADMIN).await;
    assert_eq!(make(&admin, &["order-1".to_owned(), "mails".to_owned()]).await, None);
    for (user, path, status) in [
        ("reader", "/v1/checkpoints/order-1", 403),
        ("clerk", "/v1/checkpoints/mails", 403),
        ("clerk", "/v1/checkpoints/order-1", 204),
    ] {
        let deleted = served.ask((user, PASSWORD), Method::DELETE, path, Value::Null).await;
        assert_eq!(deleted.status(), status, "{user} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_warns_before_there_is_no_room_for_checkpoints() {
    let served = small().await;
    let admin = served.remote("admin", ADMIN).await;
    let warnings = async || {
        let ready = served.request(Method::GET, "/health/ready").send().await.unwrap();
        answer(ready).await["warnings"].clone()
    };
    assert_eq!(make(&admin, &names("a", 0..10)).await, None);
    assert_eq!(make(&admin, &names("b", 0..5)).await, None);
    assert_eq!(warnings().await, Value::Null);
    assert_eq!(make(&admin, &names("b", 5..6)).await, None);
    let warned = warnings().await;
    let text = warned[0].as_str().unwrap();
    assert!(text.starts_with("there are 16 of at most 20 checkpoints"), "{text}");
    let stat = served.admin(Method::GET, "/v1/stat", Value::Null).await;
    assert_eq!((&stat["checkpoints"], &stat["checkpoints_allowed"]), (&json!(16), &json!(20)));
    let metrics = served.ask(("admin", ADMIN), Method::GET, "/metrics", Value::Null).await;
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("checkpoints_allowed 20\n"), "{metrics}");
}
