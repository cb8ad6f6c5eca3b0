//! A slow subscriber or a slow disk blocks no other call.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use leftfold_api::{Append, Delivery, EventStore, NewEvent, Query, Read, Subscribe, Subscription};
use leftfold_client::Client;
use leftfold_io::fake::FakeDisk;
use pollster::block_on;

use crate::served::{Served, url};

/// More than HTTP/2 has on its way for a subscription, and more than a connection would if all shared
/// one window.
const EVENTS: usize = 400;
const BYTES: usize = 32 << 10;

#[test]
fn slow_subscribers_block_no_other_call_and_miss_nothing() {
    let served = Served::fresh();
    let subscribe = || block_on(served.subscribe(Subscribe::to(Query::category("slow")))).unwrap();
    let mut slow: Vec<_> = (0..8).map(|_| subscribe()).collect();
    for _ in 0..EVENTS {
        let event = NewEvent::new("Put", vec![b'x'; BYTES]);
        block_on(served.append(Append::new().event("slow-1", event))).unwrap();
    }
    // Over the same connection, while the subscriptions' messages stay unread.
    let page = block_on(served.read(Read::forward(Query::category("slow")).limit(3))).unwrap();
    assert_eq!(page.events.len(), 3);
    let mut quick = subscribe();
    let see_all = |subscription: &mut dyn FnMut() -> Delivery| {
        let mut versions = Vec::new();
        while versions.len() < EVENTS {
            if let Delivery::Event(event, _) = subscription() {
                assert_eq!(event.data().len(), BYTES);
                versions.push(event.version());
            }
        }
        assert!(versions.iter().enumerate().all(|(n, version)| n as u64 == *version));
    };
    see_all(&mut || block_on(quick.next()).unwrap());
    for subscription in &mut slow {
        see_all(&mut || block_on(subscription.next()).unwrap());
    }
}

/// A client that always waits for its answer has its appends written by its connection's thread.
#[test]
fn a_slow_fsync_blocks_only_the_appends_that_wait_for_it() {
    let disk = Arc::new(FakeDisk::new());
    let served = Served::on(disk.clone());
    let append = |client: &Client| {
        block_on(client.append(Append::new().event("a", NewEvent::new("Put", "{}")))).unwrap()
    };
    for version in 0..50 {
        assert_eq!(append(&served).streams[0].last, version);
    }
    disk.syncs().shut();
    let (said, heard) = mpsc::channel();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| append(&served).streams[0].last);
        disk.syncs().wait_until_blocked();
        let address = served.address();
        scope.spawn(move || {
            let other = block_on(Client::connect(url(address))).unwrap();
            let page = block_on(other.read(Read::forward(Query::stream("a")))).unwrap();
            said.send(page.events.len()).unwrap();
        });
        let events = heard.recv_timeout(Duration::from_secs(60));
        disk.syncs().open();
        assert_eq!(events, Ok(50));
        assert_eq!(waiting.join().unwrap(), 50);
    });
}
