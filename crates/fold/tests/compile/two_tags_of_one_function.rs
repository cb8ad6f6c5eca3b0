use leftfold::Event;

#[derive(Event)]
enum Booking {
    Booked {
        #[event(tag = "room-id")]
        room: u32,
        #[event(tag = "roomId")]
        other: u32,
    },
}

fn main() {}
