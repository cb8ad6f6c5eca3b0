use leftfold::{Command, Emit, Event, State, StreamState};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

#[derive(Default)]
struct S;

impl State for S {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

struct Audit;

impl Command for Audit {
    type Event = Bank;
    type Error = std::convert::Infallible;
    type Reads = (StreamState<S>, StreamState<S>, StreamState<S>, StreamState<S>, StreamState<S>, StreamState<S>, StreamState<S>);

    fn reads(&self) -> Self::Reads {
        todo!()
    }

    fn decide(&self, _: &()) -> Result<Vec<Emit<Bank>>, std::convert::Infallible> {
        Ok(vec![])
    }
}

fn main() {}
