//! A directory says between which entries a key lies, for each value of its first bits.

use super::layout::Section;
use crate::key::Key;

/// A directory has one place for about so many keys.
const KEYS_PER_PLACE: u64 = 32;
/// Bytes of a place.
pub(super) const WIDTH: u64 = 4;

/// How many places a directory of so many keys has; a power of two.
fn places_for(keys: u64) -> u64 {
    (keys / KEYS_PER_PLACE).max(1).next_power_of_two()
}

/// The place of a key: its first bits.
pub(super) fn place_of(key: &Key, places: u64) -> u64 {
    match places.trailing_zeros() {
        0 => 0,
        bits => key.high() >> (64 - bits),
    }
}

/// Whether a section has a power of two of places, and one more for the end.
pub(super) fn is_directory(section: &Section) -> bool {
    let length = section.length.get();
    length.is_multiple_of(WIDTH) && places_in(section).is_power_of_two()
}

pub(super) fn places_in(section: &Section) -> u64 {
    (section.length.get() / WIDTH).saturating_sub(1)
}

/// A directory in the making; keys come in order.
pub(super) struct Directory {
    places: u64,
    starts: Vec<u32>,
    keys: u32,
}

impl Directory {
    /// For at most so many keys.
    pub(super) fn for_at_most(keys: u64) -> Self {
        let places = places_for(keys);
        Directory { places, starts: Vec::with_capacity(places as usize + 1), keys: 0 }
    }

    pub(super) fn add(&mut self, key: &Key) {
        let place = place_of(key, self.places) as usize;
        while self.starts.len() <= place {
            self.starts.push(self.keys);
        }
        self.keys += 1;
    }

    /// The directory, with as many places as its keys ask for: every second start is one of half
    /// as many places.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.starts.resize(self.places as usize + 1, self.keys);
        let every = (self.places / places_for(self.keys.into())).max(1);
        let starts = self.starts.iter().step_by(every as usize);
        starts.flat_map(|start| start.to_le_bytes()).collect()
    }
}
