use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::layout::Listed;
use super::reader::IndexFile;
use super::scan::Entries;
use crate::error::IndexError;
use crate::key::Key;

/// What an input has of a key.
#[derive(Clone, Copy)]
pub(super) enum Found {
    List(Listed),
    Single(u32),
}

/// What all inputs have of a key, in their order.
pub(super) struct Group {
    pub(super) key: Key,
    /// Each with its input. An input's single that a list of its own hides is left out: nobody
    /// finds it there, either.
    pub(super) members: Vec<(usize, Found)>,
}

impl Default for Group {
    fn default() -> Self {
        Group { key: Key([0; 16]), members: Vec::new() }
    }
}

impl Group {
    fn add(&mut self, input: usize, found: Found) {
        let hidden = matches!(found, Found::Single(_))
            && self.members.last().is_some_and(|(last, _)| *last == input);
        if !hidden {
            self.members.push((input, found));
        }
    }

    /// The posting, if it is the only one and nobody says that it is a list.
    pub(super) fn only_single(&self) -> Option<(usize, u32)> {
        match self.members.as_slice() {
            [(input, Found::Single(offset))] => Some((*input, *offset)),
            _ => None,
        }
    }

    pub(super) fn has_single(&self) -> bool {
        self.members.iter().any(|(_, found)| matches!(found, Found::Single(_)))
    }

    /// Whether there is no posting.
    pub(super) fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, found)| found.count() == 0)
    }

    /// The ordinal of the first posting.
    pub(super) fn ordinal(&self) -> u64 {
        let first = self.members.iter().find(|(_, found)| found.count() > 0);
        first.map_or(0, |(_, found)| match found {
            Found::List(listed) => listed.ordinal,
            Found::Single(_) => 0,
        })
    }
}

impl Found {
    fn count(&self) -> u32 {
        match self {
            Found::List(listed) => listed.count,
            Found::Single(_) => 1,
        }
    }
}

/// The keys of several inputs, in order. Stream 2 i is the lists of input i, the one after it its
/// singles.
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The least key comes first, and of those that are equal the first stream.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
}

struct Stream {
    entries: Entries,
    head: Option<Found>,
}

impl Streams {
    /// The lists, with the singles or without.
    pub(super) fn new(inputs: &[Arc<IndexFile>], singles: bool) -> Result<Self, IndexError> {
        let (mut streams, mut heap) = (Vec::new(), BinaryHeap::new());
        for input in inputs {
            for is_single in [false, true] {
                let mut stream = Stream { entries: Entries::new(input), head: None };
                let first = if is_single && !singles { None } else { stream.next(is_single)? };
                heap.extend(first.map(|key| Reverse((key, streams.len()))));
                streams.push(stream);
            }
        }
        Ok(Streams { streams, heap })
    }

    /// Finds the next key; false at the end.
    pub(super) fn next(&mut self, group: &mut Group) -> Result<bool, IndexError> {
        group.members.clear();
        while let Some(mut least) = self.heap.peek_mut() {
            let Reverse((key, number)) = *least;
            if !group.members.is_empty() && group.key != key {
                break;
            }
            group.key = key;
            let Some(stream) = self.streams.get_mut(number) else { break };
            if let Some(found) = stream.head {
                group.add(number / 2, found);
            }
            match stream.next(number % 2 == 1)? {
                Some(key) => *least = Reverse((key, number)),
                None => _ = PeekMut::pop(least),
            }
        }
        Ok(!group.members.is_empty())
    }
}

impl Stream {
    fn next(&mut self, is_single: bool) -> Result<Option<Key>, IndexError> {
        let next = if is_single {
            self.entries.single()?.map(|(key, offset)| (key, Found::Single(offset)))
        } else {
            self.entries.list()?.map(|listed| (listed.key, Found::List(listed)))
        };
        self.head = next.map(|(_, found)| found);
        Ok(next.map(|(key, _)| key))
    }
}
