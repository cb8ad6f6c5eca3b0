//! Ranges of integers and times.

/// A range of integers, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Bounds {
    pub(super) const ALL: Bounds = Bounds { from: i64::MIN, to: i64::MAX };

    /// Returns the range of a comparison, or `None` if it is none.
    pub(super) fn of(sign: &str, value: i64) -> Option<Self> {
        Some(match sign {
            "=" | "==" => Bounds { from: value, to: value },
            ">" => Bounds { from: value.saturating_add(1), to: i64::MAX },
            ">=" => Bounds { from: value, to: i64::MAX },
            "<" => Bounds { from: i64::MIN, to: value.saturating_sub(1) },
            "<=" => Bounds { from: i64::MIN, to: value },
            _ => return None,
        })
    }

    /// Returns what lies in both.
    pub(super) fn and(self, other: Bounds) -> Bounds {
        Bounds { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Returns a range that holds both.
    pub(super) fn hull(self, other: Bounds) -> Bounds {
        Bounds { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    pub(super) fn holds(self, value: i64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    pub(super) fn is_empty(self) -> bool {
        self.from > self.to
    }
}
