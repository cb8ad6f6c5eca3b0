use leftfold::Execute;

struct Deposit;

async fn deposit(store: &leftfold::Embedded) {
    _ = store.execute(Deposit).await;
}

fn main() {}
