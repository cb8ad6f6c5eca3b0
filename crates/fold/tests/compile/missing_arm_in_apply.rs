use leftfold::{Event, State};

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

#[derive(Default)]
struct Account {
    cents: u64,
}

impl State for Account {
    type Event = Bank;

    fn apply(&mut self, event: &Bank) {
        match event {
            Bank::Deposited { cents } => self.cents += cents,
        }
    }
}

fn main() {}
