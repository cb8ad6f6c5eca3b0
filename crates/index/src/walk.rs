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
            Node::And(nodes) => loop {
                let mut furthest = target;
                for node in nodes.iter_mut() {
                    let Some(found) = node.seek(furthest, toward)? else { return Ok(None) };
                    furthest = found;
                }
                if nodes.is_empty() {
                    return Ok(None);
                }
                if furthest == target {
                    return Ok(Some(target));
                }
                target = furthest;
            },
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
