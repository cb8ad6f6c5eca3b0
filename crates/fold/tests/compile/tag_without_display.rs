use leftfold::Event;

#[derive(Event)]
enum Booking {
    Booked {
        #[event(tag)]
        nights: (u32, u32),
        #[event(tag)]
        others: Vec<(u32, u32)>,
    },
}

fn main() {}
