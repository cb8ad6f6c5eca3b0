//! A node whose store is on the disk of its machine finds it again after the machine was killed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use leftfold_api::{
    Append, AppendError, Appended, BoxFuture, EventStore, NewEvent, Query, Read, ReadError,
    Recorded, Timestamp,
};
use leftfold_fold::time::FakeTime;
use leftfold_io::fake::{Crash, SeededRandom};
use leftfold_store::{Embedded, Manual, Options};

use super::machine::{Machine, NodeContext, SimNode, StartNode, StartedNode};
use crate::fake::{FakeKafka, Faults};

/// A node that has a store of its own, and nothing in Kafka.
struct Stored {
    store: Arc<Embedded>,
    manual: RefCell<Manual>,
}

fn start(context: NodeContext) -> StartedNode {
    let NodeContext { disk, clock, random, .. } = context;
    let options = Options::default();
    let opened = Embedded::open_manual(Arc::new(disk), Arc::new(clock), random, options);
    let (store, manual) = opened.unwrap();
    let node = Stored { store: Arc::new(store), manual: RefCell::new(manual) };
    StartedNode { tasks: Vec::new(), node: Rc::new(node) }
}

impl SimNode for Stored {
    fn append(&self, append: Append) -> BoxFuture<'static, Result<Appended, AppendError>> {
        let store = self.store.clone();
        Box::pin(async move { store.append(append).await })
    }

    fn last_version(&self, stream: &str) -> BoxFuture<'static, Result<Option<u64>, ReadError>> {
        let (store, stream) = (self.store.clone(), stream.to_owned());
        // Without the store's thread for reads, which the seed does not control.
        Box::pin(async move { Ok(store.blocking().stream(&stream)?.map(|info| info.version)) })
    }

    fn copy(&self) -> Vec<Recorded> {
        self.store.blocking().read(Read::forward(Query::System)).unwrap().events
    }

    fn turn(&self) -> bool {
        let mut manual = self.manual.borrow_mut();
        manual.write() || manual.maintain()
    }
}

#[test]
fn a_store_on_the_disk_of_a_machine_survives_its_end() {
    let (time, random) = (FakeTime::at(Timestamp(0)), Arc::new(SeededRandom::new(1)));
    let kafka = FakeKafka::new(time.clone(), random.clone(), Faults::NONE);
    let (node, mut machine) = (Rc::new(start) as StartNode, Machine::new(0, 0));
    for count in 1..4 {
        machine.start(&node, &kafka, &time, count);
        let process = machine.process.as_ref().unwrap();
        let append = Append::new().event("s-0", NewEvent::json("Counted", "{}"));
        let mut appended = process.node.append(append);
        let mut context = Context::from_waker(Waker::noop());
        while appended.as_mut().poll(&mut context).is_pending() {
            machine.step(&random);
        }
        let process = machine.process.as_ref().unwrap();
        assert_eq!(process.node.copy().len() as u64, count);
        let crash = [Crash::Forgets, Crash::Keeps, Crash::Tears(7)][count as usize % 3];
        drop(appended);
        machine.kill(crash);
    }
}
