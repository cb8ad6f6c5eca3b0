use leftfold::Event;

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
    #[event(name = "Deposited")]
    PaidIn { cents: u64 },
}

fn main() {}
