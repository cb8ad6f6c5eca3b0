use leftfold::Event;

#[derive(Event)]
enum Bank {
    #[event(version = 2)]
    Deposited { cents: u64 },
}

fn main() {}
