//! The simulator finds a planted bug, and the seed of the failure reproduces it.

use leftfold::testing::{Domain, Running, Simulation, World, running};
use leftfold::{
    Append, CheckpointMove, Delivery, EventStore, NewEvent, Query, Subscribe, Subscription,
};

/// A consumer with a bug: it answers first and moves its checkpoint in a second append.
struct Careless;

async fn answer(store: std::sync::Arc<leftfold::testing::SimStore>) -> Result<(), String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut at = store.checkpoint("careless").await.map_err(|error| text(&error))?;
    let from = at.clone().unwrap_or(leftfold::Cursor::START);
    let asked = Subscribe::after(Query::event_type("Asked"), from);
    let mut asked = store.subscribe(asked).await.map_err(|error| text(&error))?;
    loop {
        let Delivery::Event(_, to) = asked.next().await.map_err(|error| text(&error))? else {
            continue;
        };
        let answer = Append::new().event("answers", NewEvent::json("Answered", "1"));
        store.append(answer).await.map_err(|error| text(&error))?;
        let moved = CheckpointMove { name: "careless".to_owned(), expected: at, to: to.clone() };
        let moved = Append::new().checkpoint(moved);
        store.append(moved).await.map_err(|error| text(&error))?;
        at = Some(to);
    }
}

impl Domain for Careless {
    fn runs(&self, world: &World) -> Vec<Running> {
        vec![running(answer(world.store()))]
    }

    fn act(&self, world: &World, _: u64) -> Running {
        let store = world.store();
        let asked = Append::new().event("questions", NewEvent::json("Asked", "1"));
        running(async move { store.append(asked).await })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        let [asked, answered] =
            ["Asked", "Answered"].map(|kind| world.read(Query::event_type(kind)).len());
        match asked == answered {
            true => Ok(()),
            false => Err(format!("{asked} were asked, and {answered} answered")),
        }
    }
}

#[test]
fn a_planted_bug_is_found_and_its_seed_reproduces_it() {
    let failed = Simulation::of(|| Careless).seeds(100).run().unwrap_err();
    let again = Simulation::of(|| Careless).seeds(100).run().unwrap_err();
    assert_eq!(failed, again);
    assert!(failed.to_string().contains("LEFTFOLD_SEED="), "{failed}");
}
