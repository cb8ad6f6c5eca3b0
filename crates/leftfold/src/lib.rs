#![doc = include_str!("../README.md")]

pub use leftfold_api::*;
#[cfg(feature = "client")]
#[doc(inline)]
pub use leftfold_client as client;
pub use leftfold_fold::*;
pub use leftfold_store::*;

/// The program in the repository's README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct RepositoryReadme;
