//! Where a record came from: its statement, and how two statements of an account lie to each other.

use serde::{Deserialize, Serialize};

/// What a statement says of itself. It is metadata of its entries, never content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Origin {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The message that delivered it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Its number in the sequence of the account's statements.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<String>,
    /// The number of the page, if it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The start of its period, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// The end of its period, in microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<i64>,
    /// The opening balance with its currency, in normal form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<String>,
    /// The closing balance with its currency, in normal form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closing: Option<String>,
    /// How many statements before it in its file say the same of themselves.
    #[serde(skip_serializing_if = "is_zero")]
    pub same_before: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// How two statements of one account lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are one statement, or have entries in common: equal entries are the same.
    Overlapping,
    /// They have no entry in common: equal entries add up.
    Disjoint,
    /// What they say does not decide it.
    Unknown,
}

impl Origin {
    /// Decides from what two statements of an account say of themselves how they lie to each other.
    /// `docs-identity.md` gives the reasons.
    pub fn relation(&self, other: &Origin) -> Relation {
        if self == other {
            // Without a message or a page, another file may say the same of itself.
            let is_named = self.message.is_some() || self.page.is_some();
            return if is_named { Relation::Overlapping } else { Relation::Unknown };
        }
        let pages_differ = self.page.is_some() && other.page.is_some() && self.page != other.page;
        let is_one_number = self.statement == other.statement && self.sequence == other.sequence;
        if self.statement.is_some() && is_one_number && pages_differ {
            return Relation::Disjoint;
        }
        if self.is_same_statement(other) {
            let is_same_page = self.page.is_some() && self.page == other.page;
            return match is_same_page && self.same_before == other.same_before {
                true => Relation::Overlapping,
                // Sent again, or another page of a bank that does not number them.
                false => Relation::Unknown,
            };
        }
        if self.periods_meet(other) == Some(false) {
            return Relation::Disjoint;
        }
        let [meets, shares] = self.balances_touch(other);
        if meets {
            // A balance that comes back to where it was says nothing.
            return if shares { Relation::Unknown } else { Relation::Disjoint };
        }
        let periods_differ =
            self.periods_meet(other).is_some() && [self.from, self.to] != [other.from, other.to];
        match (periods_differ, shares, self.is_numbered_apart(other)) {
            (true, ..) => Relation::Overlapping,
            (false, false, true) => Relation::Disjoint,
            _ => Relation::Unknown,
        }
    }

    /// Whether both say the same of themselves, but for the message and the page.
    pub(crate) fn is_same_statement(&self, other: &Origin) -> bool {
        let said = |origin: &Origin| Origin {
            message: None,
            page: None,
            same_before: 0,
            ..origin.clone()
        };
        self.statement.is_some() && said(self) == said(other)
    }

    /// Whether the two have different numbers in the sequence of statements.
    pub(crate) fn is_numbered_apart(&self, other: &Origin) -> bool {
        match (&self.sequence, &other.sequence) {
            (Some(one), Some(two)) => one != two,
            _ => false,
        }
    }

    /// Whether the balances tell a statement that was sent again from another one.
    pub(crate) fn has_moving_balances(&self) -> bool {
        self.opening.is_some() && self.closing.is_some() && self.opening != self.closing
    }

    /// Whether the periods have more in common than a moment at their ends.
    fn periods_meet(&self, other: &Origin) -> Option<bool> {
        let [from, to] = [self.from?.max(other.from?), self.to?.min(other.to?)];
        Some(from < to)
    }

    /// Whether one statement begins where the other ends, and whether they begin or end alike.
    fn balances_touch(&self, other: &Origin) -> [bool; 2] {
        let ends = |origin: &Origin| Some((origin.opening.clone()?, origin.closing.clone()?));
        let (Some((opening, closing)), Some((before, after))) = (ends(self), ends(other)) else {
            return [false, false];
        };
        [closing == before || after == opening, opening == before || closing == after]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(id: &str) -> Origin {
        Origin { statement: Some(id.into()), message: Some(format!("m-{id}")), ..Origin::default() }
    }

    fn balances(id: &str, opening: &str, closing: &str) -> Origin {
        Origin { opening: Some(opening.into()), closing: Some(closing.into()), ..origin(id) }
    }

    fn check(one: &Origin, two: &Origin, expected: Relation) {
        assert_eq!(one.relation(two), expected, "{one:?} {two:?}");
        assert_eq!(two.relation(one), expected, "{two:?} {one:?}");
    }

    #[test]
    fn statements_lie_to_each_other_as_their_headers_say() {
        let period = |id: &str, from, to| Origin { from: Some(from), to: Some(to), ..origin(id) };
        let number = |id: &str, n: &str| Origin { sequence: Some(n.into()), ..origin(id) };
        let page = |n: &str| Origin { page: Some(n.into()), ..origin("s") };
        let no_message = |id: &str| Origin { message: None, ..origin(id) };
        check(&no_message("a"), &no_message("a"), Unknown);
        let resent = Origin { message: Some("again".into()), ..balances("a", "1", "2") };
        use Relation::{Disjoint, Overlapping, Unknown};
        for (one, two, expected) in [
            (origin("a"), origin("a"), Overlapping),
            (origin("a"), origin("b"), Unknown),
            (Origin::default(), Origin::default(), Unknown),
            (page("1"), page("1"), Overlapping),
            (balances("a", "1", "2"), balances("b", "2", "3"), Disjoint),
            (balances("a", "1", "2"), balances("b", "1", "3"), Unknown),
            (balances("a", "1", "2"), balances("b", "0", "2"), Unknown),
            (balances("a", "1", "2"), balances("b", "5", "6"), Unknown),
            // A sweeping account begins and ends every day with nothing.
            (balances("a", "0", "0"), balances("b", "0", "0"), Unknown),
            (balances("a", "1", "2"), resent, Unknown),
            (period("a", 0, 10), period("b", 10, 20), Disjoint),
            (period("a", 0, 10), period("b", 5, 20), Overlapping),
            (number("a", "7"), number("b", "8"), Disjoint),
            (
                Origin { sequence: Some("1".into()), ..balances("a", "5", "2") },
                Origin { sequence: Some("3".into()), ..balances("b", "5", "2") },
                Unknown,
            ),
            (
                Origin { sequence: Some("1".into()), ..balances("a", "5", "2") },
                Origin { sequence: Some("3".into()), ..balances("b", "1", "0") },
                Disjoint,
            ),
            (number("a", "7"), number("b", "7"), Unknown),
            (page("1"), page("2"), Disjoint),
            (page("1"), Origin { message: None, ..page("1") }, Overlapping),
        ] {
            check(&one, &two, expected);
        }
        // Two statements within a day, whose periods are given as that day.
        let day = |id: &str, opening: &str, closing: &str| Origin {
            opening: Some(opening.into()),
            closing: Some(closing.into()),
            ..period(id, 0, 10)
        };
        check(&day("a", "1", "2"), &day("b", "2", "3"), Disjoint);
        check(&day("a", "1", "2"), &day("b", "1", "3"), Unknown);
        // A sweeping account, with periods that meet on a day.
        let days =
            |id: &str, from, to| Origin { from: Some(from), to: Some(to), ..day(id, "0", "0") };
        check(&days("a", 0, 10), &days("b", 5, 20), Unknown);
        // Twice in one message.
        let again = Origin { same_before: 1, ..origin("a") };
        check(&origin("a"), &again, Unknown);
        check(&Origin { same_before: 1, ..page("1") }, &page("1"), Unknown);
        // Pages with parts of the balances.
        let one =
            Origin { closing: None, ..Origin { page: Some("1".into()), ..balances("s", "1", "") } };
        let two =
            Origin { opening: None, ..Origin { page: Some("2".into()), ..balances("s", "", "2") } };
        check(&one, &two, Disjoint);
        check(&day("a", "1", "2"), &day("b", "7", "8"), Unknown);
    }
}
