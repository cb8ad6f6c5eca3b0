use leftfold::Event;

#[derive(Event)]
enum Booking {
    Booked {
        #[event(tag)]
        nights: u32,
    },
}

fn main() {
    let _ = Booking::by_nights("101");
}
