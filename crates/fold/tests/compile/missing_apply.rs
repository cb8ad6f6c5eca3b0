use leftfold::{Event, State};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

#[derive(Default)]
struct Account;

impl State for Account {
    type Event = Bank;
}

fn main() {}
