use leftfold::Event;

#[derive(Event)]
enum Booking {
    #[event(name = "Confirmed")]
    BookingIDSet,
    BookingIdSet,
}

fn main() {}
