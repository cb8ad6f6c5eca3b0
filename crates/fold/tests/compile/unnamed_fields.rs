use leftfold::Event;

#[derive(Event)]
enum Bank {
    Deposited(u64, String),
}

fn main() {}
