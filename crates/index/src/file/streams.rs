use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::layout::ListInfo;
use super::reader::IndexFile;
use super::scan::Entries;
use crate::error::IndexError;
use crate::key::Key;

/// The lists of a key in all inputs, in their order.
pub(super) struct Group {
    pub(super) key: Key,
    /// The lists with their inputs.
    pub(super) members: Vec<(usize, ListInfo)>,
}

impl Default for Group {
    fn default() -> Self {
        Group { key: Key([0; 16]), members: Vec::new() }
    }
}

impl Group {
    /// Returns whether there is no posting.
    pub(super) fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, list)| list.count == 0)
    }

    /// Returns the ordinal of the first posting.
    pub(super) fn ordinal(&self) -> u64 {
        let first = self.members.iter().find(|(_, list)| list.count > 0);
        first.map_or(0, |(_, list)| list.ordinal)
    }
}

/// The lists of several inputs, in the order of their keys.
pub(super) struct Streams {
    streams: Vec<Stream>,
    /// The smallest key comes first; equal keys come in the order of their streams.
    heap: BinaryHeap<Reverse<(Key, usize)>>,
}

struct Stream {
    entries: Entries,
    head: Option<ListInfo>,
}

impl Streams {
    /// Opens the lists.
    pub(super) fn new(inputs: &[Arc<IndexFile>]) -> Result<Self, IndexError> {
        let (mut streams, mut heap) = (Vec::new(), BinaryHeap::new());
        for input in inputs {
            let mut stream = Stream { entries: Entries::new(input), head: None };
            heap.extend(stream.next()?.map(|key| Reverse((key, streams.len()))));
            streams.push(stream);
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
            group.members.extend(stream.head.map(|list| (number, list)));
            match stream.next()? {
                Some(key) => *least = Reverse((key, number)),
                None => _ = PeekMut::pop(least),
            }
        }
        Ok(!group.members.is_empty())
    }
}

impl Stream {
    fn next(&mut self) -> Result<Option<Key>, IndexError> {
        self.head = self.entries.list()?;
        Ok(self.head.map(|list| list.key))
    }
}
