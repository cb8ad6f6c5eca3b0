use leftfold::Event;

#[derive(Event)]
enum Bank {
    #[event(topic = "deposits")]
    Deposited { cents: u64 },
}

fn main() {}
