use crate::key::Key;

/// A set of positions: those of a key, those of all of several, or those of any of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The positions of a key.
    Key(Key),
    /// The positions in all operands; none if there are no operands.
    And(Vec<Expr>),
    /// The positions in at least one operand; none if there are no operands.
    Or(Vec<Expr>),
}
