use leftfold::{Command, Event, State, StreamState};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

#[derive(Default)]
struct Account;

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

#[derive(Debug)]
enum Refused {
    Closed,
}

struct Deposit;

impl Command for Deposit {
    type Event = Bank;
    type Error = Refused;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of("account-1")
    }

    fn decide(&self, _: &Account) -> Result<Vec<Bank>, Refused> {
        Err(Refused::Closed)
    }
}

fn main() {}
