use leftfold::Event;

#[derive(Event)]
#[event(prefx = "booking.")]
enum Booking {
    Booked,
}

fn main() {}
