//! Results exactly once and in order; effects as their guarantee says.

use std::collections::BTreeMap;
use std::sync::Arc;

use leftfold::react::{
    Cause, Guarantee, HandlerError, Parked, Reaction, Reactor, ReactorLimits, Retry,
};
use leftfold::testing::{Domain, Running, SimStore, World, running};
use leftfold::{Append, EventStore, NewEvent, Query, Recorded};
use parking_lot::Mutex;

type Calls = Arc<Mutex<BTreeMap<String, u32>>>;

/// Orders are echoed by an at-least-once reactor, and announced by an at-most-once reactor.
#[derive(Default)]
struct Orders {
    echoed: Calls,
    announced: Calls,
    wrong: Arc<Mutex<Option<String>>>,
}

fn name(event: &Recorded) -> String {
    format!("{}@{}", event.stream(), event.version())
}

fn limits() -> ReactorLimits {
    let mut limits = ReactorLimits::default();
    (limits.in_flight, limits.queued_per_lane, limits.batch) = (3, 2, 2);
    limits
}

impl Orders {
    fn echo(&self, world: &World) -> Reactor<SimStore, impl leftfold::react::Handler + use<>> {
        let (calls, wrong) = (self.echoed.clone(), self.wrong.clone());
        let (store, random) = (world.store(), world.random());
        let handler = move |cause: Cause| {
            let stream = format!("echo-{}", cause.event.stream());
            let done = store
                .look(Query::stream(&stream))
                .iter()
                .any(|echo| echo.causation() == Some(cause.event.id().to_string().as_str()));
            if done {
                *wrong.lock() = Some(format!("{} was finished already", name(&cause.event)));
            }
            *calls.lock().entry(name(&cause.event)).or_default() += 1;
            let fails = random.one_in(8);
            async move {
                if fails {
                    return Err(HandlerError::retry("not now"));
                }
                let event = NewEvent::json("Echoed", cause.event.data());
                Ok(Reaction::none().event(stream, event))
            }
        };
        let retry = Retry { attempts: 50, ..Retry::default() };
        world.reactor("echo", Query::category("order"), handler).limits(limits()).retry(retry)
    }

    fn announce(&self, world: &World) -> Reactor<SimStore, impl leftfold::react::Handler + use<>> {
        let (calls, random) = (self.announced.clone(), world.random());
        let handler = move |cause: Cause| {
            *calls.lock().entry(name(&cause.event)).or_default() += 1;
            let fails = random.one_in(20);
            async move {
                match fails {
                    true => Err(HandlerError::retry("the line is dead")),
                    false => Ok(()),
                }
            }
        };
        let reactor = world.reactor("announce", Query::category("order"), handler);
        reactor.limits(limits()).guarantee(Guarantee::AtMostOnce)
    }
}

impl Domain for Orders {
    fn runs(&self, world: &World) -> Vec<Running> {
        vec![running(self.echo(world).run()), running(self.announce(world).run())]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, random) = (world.store(), world.random());
        running(async move {
            let mut append = Append::new();
            for n in 0..1 + random.below(4) {
                let event = NewEvent::json("Placed", format!("\"{turn}.{n}\""));
                append = append.event(format!("order-{}", random.below(4)), event);
            }
            store.append(append).await
        })
    }

    fn check(&self, _: &World) -> Result<(), String> {
        if let Some(wrong) = self.wrong.lock().take() {
            return Err(wrong);
        }
        let twice =
            self.announced.lock().iter().find(|(_, calls)| **calls > 1).map(|it| it.0.clone());
        twice.map_or(Ok(()), |twice| Err(format!("{twice} was announced twice")))
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        self.check(world)?;
        let data =
            |events: Vec<Recorded>| -> Vec<_> { events.iter().map(|event| event.data()).collect() };
        for n in 0..4 {
            let placed = data(world.read(Query::stream(format!("order-{n}"))));
            let echoed = data(world.read(Query::stream(format!("echo-order-{n}"))));
            if placed != echoed {
                return Err(format!("order-{n}: {placed:?} was echoed as {echoed:?}"));
            }
        }
        let orders = world.read(Query::category("order"));
        let announced = self.announced.lock();
        // An event that was not announced is parked, or waits behind one that is.
        let parked = block_on(Parked::of("announce", &*world.store()).list());
        for event in orders.iter().filter(|event| !announced.contains_key(&name(event))) {
            let waits_behind = parked
                .iter()
                .any(|parked| parked.stream == event.stream() && parked.version <= event.version());
            if !waits_behind {
                return Err(format!("{} was neither announced nor parked", name(event)));
            }
        }
        Ok(())
    }
}

/// Runs a future to its end; it waits for nothing outside.
pub(crate) fn block_on<T, E: std::fmt::Debug>(future: impl Future<Output = Result<T, E>>) -> T {
    pollster::block_on(future).unwrap()
}

#[test]
fn results_are_written_once_and_effects_follow_their_guarantee() {
    crate::simulation::simulate(Orders::default);
}
