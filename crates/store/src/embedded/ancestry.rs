use leftfold_log::format::Ancestor;

/// The earlier incarnations of a store, and what this one has in common with them.
#[derive(Debug, Default)]
pub(crate) struct Ancestry {
    /// The first bytes of each incarnation's id and the last common position, oldest first.
    shared: Vec<([u8; 4], u64)>,
}

impl Ancestry {
    pub(crate) fn new(ancestors: &[Ancestor]) -> Self {
        let mut shared: Vec<_> = Vec::with_capacity(ancestors.len());
        let mut least = u64::MAX;
        for ancestor in ancestors.iter().rev() {
            least = least.min(ancestor.shared.get());
            let [a, b, c, d, ..] = ancestor.incarnation;
            shared.push(([a, b, c, d], least));
        }
        shared.reverse();
        Ancestry { shared }
    }

    /// Returns the last position that this incarnation has in common with another one; `None` if it does
    /// not descend from it. A cursor without an incarnation is of the first one.
    pub(crate) fn shared_with(&self, incarnation: [u8; 4]) -> Option<u64> {
        if incarnation == [0; 4] {
            return Some(self.shared.first().map_or(u64::MAX, |(_, shared)| *shared));
        }
        let found = self.shared.iter().find(|(ancestor, _)| *ancestor == incarnation);
        found.map(|(_, shared)| *shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ancestry(list: &[(u8, u64)]) -> Ancestry {
        let ancestor = |(id, shared): &(u8, u64)| Ancestor {
            incarnation: [*id; 16],
            shared: (*shared).into(),
        };
        Ancestry::new(&list.iter().map(ancestor).collect::<Vec<_>>())
    }

    #[test]
    fn an_ancestor_shares_what_all_later_ones_share() {
        let ancestry = ancestry(&[(1, 50), (2, 40), (3, 60)]);
        let shared = |id| ancestry.shared_with([id; 4]);
        assert_eq!([shared(1), shared(2), shared(3)], [Some(40), Some(40), Some(60)]);
        assert_eq!(shared(4), None);
        assert_eq!(shared(0), Some(40), "a cursor of an old release is of the first incarnation");
    }

    #[test]
    fn a_store_without_ancestors_takes_cursors_of_old_releases() {
        assert_eq!(ancestry(&[]).shared_with([0; 4]), Some(u64::MAX));
        assert_eq!(ancestry(&[]).shared_with([1; 4]), None);
    }
}
