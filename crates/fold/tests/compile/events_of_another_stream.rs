use leftfold::{Command, Event, State, StreamState};

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

struct Sell;

impl Command for Sell {
    type Event = Shop;
    type Error = std::convert::Infallible;
    type Reads = StreamState<Account>;

    fn reads(&self) -> StreamState<Account> {
        StreamState::of("account-1")
    }

    fn decide(&self, _: &Account) -> Result<Vec<Shop>, std::convert::Infallible> {
        Ok(vec![Shop::Sold])
    }
}

fn main() {}
