//! The messages as server and client use them.

mod translation;
