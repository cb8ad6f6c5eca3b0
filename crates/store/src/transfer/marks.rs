use std::collections::BTreeMap;

/// The checkpoints of an export, as positions of the store that it is imported into.
///
/// An export says where each reader of the source was: in a source of one log at one place among the lines, in one of
/// many partitions at one place for each of them.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    all: BTreeMap<String, Mark>,
}

#[derive(Debug)]
struct Mark {
    /// The last imported position of each partition of the target where the first line of the checkpoint was.
    first: Vec<u64>,
    /// The same for one partition, where the line of that partition of the source was.
    each: BTreeMap<u32, u64>,
}

impl Marks {
    /// Notes that a reader has seen what was imported so far, of all partitions of the source or of one.
    /// `reached`: the last imported position of each partition of the target.
    pub(crate) fn note(&mut self, name: &str, source: Option<u32>, reached: &[u64]) {
        let first = || Mark { first: reached.to_vec(), each: BTreeMap::new() };
        let mark = self.all.entry(name.to_owned()).or_insert_with(first);
        if let Some(partition) = source {
            let position = reached.get(partition as usize).copied().unwrap_or_default();
            mark.each.insert(partition, position);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns each checkpoint with its position in each partition of the target.
    ///
    /// If source and target have the same number of partitions, a stream has the same place in both, so each partition
    /// has its own position. Else a reader goes back to the first event, in the order of the export, that it has not
    /// seen.
    pub(crate) fn positions(&self, source: u32, target: u32) -> Vec<(&str, Vec<u64>)> {
        let is_same = source == target;
        let at = |mark: &Mark, partition: u32| {
            let first = mark.first.get(partition as usize).copied().unwrap_or_default();
            let own = mark.each.get(&partition).filter(|_| is_same);
            own.copied().unwrap_or(first)
        };
        let positions = |mark: &Mark| (0..target).map(|partition| at(mark, partition)).collect();
        self.all.iter().map(|(name, mark)| (name.as_str(), positions(mark))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_keeps_its_place_in_each_partition_or_goes_back_to_the_first_event_it_has_not_seen()
    {
        let mut marks = Marks::default();
        marks.note("reader", Some(1), &[3, 4]);
        marks.note("reader", Some(0), &[8, 9]);
        assert_eq!(marks.positions(2, 2), [("reader", vec![8, 4])]);
        assert_eq!(marks.positions(4, 2), [("reader", vec![3, 4])]);
        assert_eq!(marks.positions(1, 3), [("reader", vec![3, 4, 0])]);
    }
}
