use crate::error::IndexError;
use crate::walker::Walker;

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    /// To higher positions.
    Later,
    /// To lower positions.
    Earlier,
}

impl Toward {
    /// Whether `a` comes before `b` on the way.
    fn before(self, a: u64, b: u64) -> bool {
        match self {
            Toward::Later => a < b,
            Toward::Earlier => a > b,
        }
    }

    /// The nearer of two.
    fn nearer(self, a: u64, b: u64) -> u64 {
        if self.before(b, a) { b } else { a }
    }

    /// The next position on the way.
    pub(crate) fn next(self, position: u64) -> Option<u64> {
        match self {
            Toward::Later => position.checked_add(1),
            Toward::Earlier => position.checked_sub(1),
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
    /// What all of some have. The shortest comes first: it says where the others have to look.
    pub(crate) fn all_of(mut nodes: Vec<Node>) -> Node {
        nodes.sort_by_key(Node::len);
        if nodes.len() == 1 { nodes.remove(0) } else { Node::And(nodes) }
    }

    /// What any of some has.
    pub(crate) fn any_of(mut nodes: Vec<Node>) -> Node {
        if nodes.len() == 1 { nodes.remove(0) } else { Node::Or(nodes) }
    }

    /// At most so many positions come of it.
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
        toward: Toward,
    ) -> Result<Option<u64>, IndexError> {
        match self {
            Node::List(walker) => walker.seek(target),
            Node::Or(nodes) => {
                let mut nearest = None;
                for node in nodes {
                    if let Some(found) = node.seek(target, toward)? {
                        nearest = Some(nearest.map_or(found, |best| toward.nearer(best, found)));
                    }
                }
                Ok(nearest)
            }
            Node::And(nodes) => {
                let Some((shortest, others)) = nodes.split_first_mut() else { return Ok(None) };
                'candidates: loop {
                    let Some(candidate) = shortest.seek(target, toward)? else { return Ok(None) };
                    for node in others.iter_mut() {
                        match node.seek(candidate, toward)? {
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

/// The positions that an expression yields, over all parts, one after the other.
pub struct Matches {
    pub(crate) parts: Vec<(u64, u64, Node)>,
    pub(crate) toward: Toward,
    /// The next position that may be given.
    pub(crate) at: Option<u64>,
}

impl Matches {
    /// The next position, or none at the end.
    #[expect(clippy::should_implement_trait, reason = "an error must not look like an item")]
    pub fn next(&mut self) -> Result<Option<u64>, IndexError> {
        while let (Some(target), Some((first, last, node))) = (self.at, self.parts.last_mut()) {
            let target = match self.toward {
                Toward::Later => target.max(*first),
                Toward::Earlier => target.min(*last),
            };
            let inside = (*first..=*last).contains(&target);
            let found = if inside { node.seek(target, self.toward)? } else { None };
            if let Some(found) = found.filter(|found| (*first..=*last).contains(found)) {
                self.at = self.toward.next(found);
                return Ok(Some(found));
            }
            self.parts.pop();
        }
        Ok(None)
    }
}
