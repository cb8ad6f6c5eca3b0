use crate::key::Key;

/// Which positions are wanted: those of a key, those common to several, those of any of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// The postings of a key.
    Key(Key),
    /// The postings that all have. Of nothing: none.
    And(Vec<Expr>),
    /// The postings that at least one has. Of nothing: none.
    Or(Vec<Expr>),
}
