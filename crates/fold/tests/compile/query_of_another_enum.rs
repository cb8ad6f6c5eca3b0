use leftfold::{Event, QueryState, State};

#[derive(Event)]
enum Booking {
    Booked {
        #[event(tag)]
        room: String,
    },
}

#[derive(Event)]
enum Cleaning {
    Cleaned {
        #[event(tag)]
        room: String,
    },
}

#[derive(Default)]
struct Occupancy;

impl State for Occupancy {
    type Event = Booking;

    fn apply(&mut self, _: &Booking) {}
}

fn main() {
    let _ = QueryState::<Occupancy>::of(Cleaning::by_room("101"));
}
