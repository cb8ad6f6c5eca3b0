use leftfold::Event;

#[derive(Event)]
#[serde(rename_all = "snake_case")]
enum Booking {
    Booked,
}

#[derive(Event)]
#[serde(deny_unknown_fields)]
enum Cleaning {
    Cleaned { room: u32 },
}

#[derive(Event)]
#[serde(tag = "type")]
enum Payment {
    Paid { cents: u64 },
}

fn main() {}
