use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use super::scan::Ids;
use crate::error::IndexError;
use crate::file::reader::IndexFile;
use crate::key::Fingerprint;

/// The ids of several inputs, in the order of their fingerprints; equal ones in that of the inputs.
pub(in crate::file) struct MergedIds {
    inputs: Vec<Ids>,
    /// The next id of each input, with its input and its offset there.
    heap: BinaryHeap<Reverse<(Fingerprint, usize, u32)>>,
}

impl MergedIds {
    pub(in crate::file) fn new(inputs: &[Arc<IndexFile>]) -> Result<Self, IndexError> {
        let mut inputs: Vec<_> = inputs.iter().map(Ids::new).collect();
        let mut heap = BinaryHeap::with_capacity(inputs.len());
        for (input, ids) in inputs.iter_mut().enumerate() {
            heap.extend(ids.next()?.map(|(id, offset)| Reverse((id, input, offset))));
        }
        Ok(MergedIds { inputs, heap })
    }

    /// Returns the next fingerprint, the input that has it, and its offset there.
    pub(in crate::file) fn next(
        &mut self,
    ) -> Result<Option<(Fingerprint, usize, u32)>, IndexError> {
        let Some(mut least) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse(found) = *least;
        let next = self.inputs.get_mut(found.1).map_or(Ok(None), Ids::next)?;
        match next {
            Some((id, offset)) => *least = Reverse((id, found.1, offset)),
            None => _ = PeekMut::pop(least),
        }
        Ok(Some(found))
    }
}
