use leftfold::Event;

#[derive(Event)]
enum Bank {
    Deposited { cents: u64 },
}

fn main() {
    let _ = Bank::of_deposit();
}
