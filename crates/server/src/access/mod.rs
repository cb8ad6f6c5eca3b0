//! Authentication and authorization. Every handler of every protocol goes through here.
//!
//! Users, groups, tokens and grants are events in a system stream. Their state is a fold over it
//! (`accounts.rs`), which is kept up to date and replaced as a whole. `area.rs` decides whether a
//! query stays within what is granted; `permit.rs` holds what was decided. `docs/security.md`
//! describes the model.
//!
//! Without users there is one caller, who may do everything: it reaches a loopback address, so it
//! runs on this machine. The server then listens on no other address, unless `insecure` is set.

mod accounts;
mod area;
mod audit;
mod authenticate;
mod caller;
mod checkpoints;
mod credentials;
mod denied;
mod follow;
mod manage;
mod managed_change;
mod open;
mod password;
mod permit;
mod scram;
mod secret;
mod state;
mod turns;

pub use accounts::{Action, Grantee};
pub use audit::Origin;
#[cfg(test)]
pub(crate) use audit::record_for_test;
pub use caller::{Caller, Scope};
#[cfg(test)]
pub(crate) use checkpoints::room_of_users;
pub use credentials::Credentials;
pub use denied::Denial;
pub use manage::{AccountError, GrantInfo, GroupInfo, TokenInfo, UserInfo};
pub use managed_change::{ChangeError, ManagedChange};
pub use permit::{AppendAnswers, AppendPermit, ReadPermit, Refusal};
pub(crate) use scram::ScramLogin;
pub use secret::Secret;
pub use state::{ADMIN, Access};
