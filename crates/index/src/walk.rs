use crate::error::IndexError;
use crate::walker::Walker;

/// The order in which positions are visited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From low to high positions.
    Ascending,
    /// From high to low positions.
    Descending,
}

impl Order {
    /// Returns whether `a` comes before `b` in this order.
    fn is_before(self, a: u64, b: u64) -> bool {
        match self {
            Order::Ascending => a < b,
            Order::Descending => a > b,
        }
    }

    /// Returns the earlier of two positions in this order.
    fn nearer(self, a: u64, b: u64) -> u64 {
        if self.is_before(b, a) { b } else { a }
    }

    /// Returns the next position in this order.
    pub(crate) fn next(self, position: u64) -> Option<u64> {
        match self {
            Order::Ascending => position.checked_add(1),
            Order::Descending => position.checked_sub(1),
        }
    }
}

/// An expression, bound to the lists of one part.
pub(crate) enum Node {
    List(Walker),
    And(Vec<Node>),
    Or(Vec<Node>),
}

impl Node {
    /// Intersects nodes. The shortest comes first, because its candidates drive the others.
    pub(crate) fn all_of(mut nodes: Vec<Node>) -> Node {
        nodes.sort_by_key(Node::len);
        if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) }
    }

    /// Unites nodes.
    pub(crate) fn any_of(mut nodes: Vec<Node>) -> Node {
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) }
    }

    /// Returns an upper bound of the number of positions.
    fn len(&self) -> usize {
        match self {
            Node::List(walker) => walker.len(),
            Node::And(nodes) => nodes.iter().map(Node::len).min().unwrap_or(0),
            Node::Or(nodes) => nodes.iter().map(Node::len).sum(),
        }
    }

    pub(crate) fn seek(
        &mut self,
        mut target: u64,
        order: Order,
    ) -> Result<Option<u64>, IndexError> {
        match self {
            Node::List(walker) => walker.seek(target),
            Node::Or(nodes) => {
                let mut nearest = None;
                for node in nodes {
                    if let Some(found) = node.seek(target, order)? {
                        nearest = Some(nearest.map_or(found, |best| order.nearer(best, found)));
                    }
                }
                Ok(nearest)
            }
            Node::And(nodes) => {
                let Some((shortest, others)) = nodes.split_first_mut() else { return Ok(None) };
                'candidates: loop {
                    let Some(candidate) = shortest.seek(target, order)? else { return Ok(None) };
                    for node in others.iter_mut() {
                        match node.seek(candidate, order)? {
                            Some(found) if found == candidate => {}
                            Some(beyond) => {
                                target = beyond;
                                continue 'candidates;
                            }
                            None => return Ok(None),
                        }
                    }
                    return Ok(Some(candidate));
                }
            }
        }
    }
}

/// An iterator over the positions that match an expression, over all parts.
pub struct Matches {
    pub(crate) parts: Vec<(u64, u64, Node)>,
    pub(crate) order: Order,
    /// The next position that may match.
    pub(crate) at: Option<u64>,
}

impl Matches {
    /// Returns the next position, or `None` at the end.
    #[expect(clippy::should_implement_trait, reason = "an error must not look like an item")]
    pub fn next(&mut self) -> Result<Option<u64>, IndexError> {
        while let (Some(target), Some((first, last, node))) = (self.at, self.parts.last_mut()) {
            let target = match self.order {
                Order::Ascending => target.max(*first),
                Order::Descending => target.min(*last),
            };
            let inside = (*first..=*last).contains(&target);
            let found = if inside { node.seek(target, self.order)? } else { None };
            if let Some(found) = found.filter(|found| (*first..=*last).contains(found)) {
                self.at = self.order.next(found);
                return Ok(Some(found));
            }
            self.parts.pop();
        }
        Ok(None)
    }
}
