use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::layout::ListInfo;
use super::reader::IndexFile;
use super::scan::Entries;
use crate::error::IndexError;
use crate::key::Key;

/// The postings of a key in one input.
#[derive(Clone, Copy)]
pub(super) enum KeyEntry {
    List(ListInfo),
    Single(u32),
}

/// The postings of a key in all inputs, in their order.
pub(super) struct Group {
    pub(super) key: Key,
    /// The entries with their inputs. If an input has a list and a single of the key, the single
    /// is omitted, because look-ups in that input do not find it either.
    pub(super) members: Vec<(usize, KeyEntry)>,
}

impl Default for Group {
    fn default() -> Self {
        Group { key: Key([0; 16]), members: Vec::new() }
    }
}

impl Group {
    fn add(&mut self, input: usize, found: KeyEntry) {
        let hidden = matches!(found, KeyEntry::Single(_))
            && self.members.last().is_some_and(|(last, _)| *last == input);
        if !hidden {
            self.members.push((input, found));
        }
    }

    /// Returns the posting if it is the only one and no input has a list of the key.
    pub(super) fn only_single(&self) -> Option<(usize, u32)> {
        match self.members.as_slice() {
            [(input, KeyEntry::Single(offset))] => Some((*input, *offset)),
            _ => None,
        }
    }

    pub(super) fn has_single(&self) -> bool {
        self.members.iter().any(|(_, found)| matches!(found, KeyEntry::Single(_)))
    }

    /// Returns whether there is no posting.
    pub(super) fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, found)| found.count() == 0)
    }

    /// Returns the ordinal of the first posting.
    pub(super) fn ordinal(&self) -> u64 {
        let first = self.members.iter().find(|(_, found)| found.count() > 0);
        first.map_or(0, |(_, found)| match found {
            KeyEntry::List(info) => info.ordinal,
            KeyEntry::Single(_) => 0,
        })
    }
}

impl KeyEntry {
    fn count(&self) -> u32 {
        match self {
            KeyEntry::List(info) => info.count,
            KeyEntry::Single(_) => 1,
        }
    }
}

/// The keys of several inputs, in order.
///
/// Stream 2 i has the lists of input i, stream 2 i + 1 its singles.
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The smallest key comes first; equal keys come in the order of their streams.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
}

struct Stream {
    entries: Entries,
    head: Option<KeyEntry>,
}

impl Streams {
    /// Opens the lists, and the singles if `singles` is set.
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

    /// Reads the next key; returns false at the end.
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
            self.entries.single()?.map(|(key, offset)| (key, KeyEntry::Single(offset)))
        } else {
            self.entries.list()?.map(|info| (info.key, KeyEntry::List(info)))
        };
        self.head = next.map(|(_, found)| found);
        Ok(next.map(|(key, _)| key))
    }
}
