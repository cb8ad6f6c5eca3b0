use leftfold::State;

enum Bank {
    Deposited { cents: u64 },
}

#[derive(Default)]
struct Account;

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, _: &Bank) {}
}

fn main() {}
