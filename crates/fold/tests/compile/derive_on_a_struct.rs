use leftfold::Event;

#[derive(Event)]
struct Deposited {
    cents: u64,
}

fn main() {}
