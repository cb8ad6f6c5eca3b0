use leftfold::given;

struct Deposited;

fn main() {
    let _ = given([Deposited]);
}
