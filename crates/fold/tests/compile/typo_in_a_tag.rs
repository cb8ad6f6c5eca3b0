use leftfold::{Command, Emit, Event, QueryState, State};

#[derive(Event)]
enum Booking {
    Booked {
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

struct Book;

impl Command for Book {
    type Event = Booking;
    type Error = std::convert::Infallible;
    type Reads = QueryState<Occupancy>;

    fn reads(&self) -> QueryState<Occupancy> {
        QueryState::of(Booking::by_rooms("101"))
    }

    fn decide(&self, _: &Occupancy) -> Result<Vec<Emit<Booking>>, std::convert::Infallible> {
        Ok(vec![])
    }
}

fn main() {}
