use leftfold::Event;

#[derive(Event)]
#[event(prefix = "$booking.")]
enum Booking {
    Booked,
}

#[derive(Event)]
enum Cleaning {
    #[event(name = "")]
    Cleaned,
}

#[derive(Event)]
enum Payment {
    Paid {
        #[event(tag = "by=whom")]
        by: String,
    },
}

fn main() {}
