use leftfold::Event;

#[derive(Event)]
#[event(category = "hotel-booking")]
enum Booking {
    Booked,
}

fn main() {}
