use leftfold::Event;

#[derive(Event)]
enum Booking {
    #[serde(rename = "RoomBooked")]
    Booked { room: u32 },
}

#[derive(Event)]
enum Cleaning {
    #[serde(skip)]
    Cleaned,
}

#[derive(Event)]
enum Payment {
    Paid(#[serde(default)] u64),
}

fn main() {}
