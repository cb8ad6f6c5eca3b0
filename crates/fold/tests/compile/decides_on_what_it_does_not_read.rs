use leftfold::{StreamState, Command, Event, State};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

#[derive(Event)]
enum Shop {
    Sold,
}

#[derive(Default)]
struct Account;

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

struct Deposit;

impl Command for Deposit {
    type Event = Bank;
    type Error = std::convert::Infallible;
    type Reads = (StreamState<Account>, StreamState<Account>);

    fn reads(&self) -> Self::Reads {
        (StreamState::of("account-1"), StreamState::of("account-2"))
    }

    fn decide(&self, _: &Account) -> Result<Vec<Bank>, std::convert::Infallible> {
        Ok(vec![])
    }
}

fn main() {}
