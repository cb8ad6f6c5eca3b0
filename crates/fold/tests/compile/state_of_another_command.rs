use leftfold::{Command, Event, State, StreamState};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

#[derive(Default)]
struct Account;

#[derive(Default)]
struct Owner;

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

impl State for Owner {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

struct Deposit;

impl Command for Deposit {
    type Event = Bank;
    type Error = std::convert::Infallible;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of("account-1")
    }

    fn decide(&self, _: &Owner) -> Result<Vec<Bank>, std::convert::Infallible> {
        Ok(vec![])
    }
}

fn main() {}
