//! Users, groups, tokens and grants of a server.

use clap::{Subcommand, ValueEnum};
use leftfold::{Query, Timestamp};

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold user add ann
  leftfold user passwd ann < password-file
  leftfold user --server https://store:2113 --ca ca.pem --as admin list
Passwords are never arguments: the command asks for them or reads standard input. It also asks for
your own password, unless LEFTFOLD_PASSWORD or LEFTFOLD_TOKEN is set.
When the admin's password is lost: stop the server, then leftfold --data DIR user recover";

pub(super) const GRANTS: &str = "\
Examples:
  leftfold grant add --user ann read 'category:order'
  leftfold grant add --group clerks append 'stream:order-* or tag:desk=7'
  leftfold grant add --group managers manage '*'";

#[derive(Debug, clap::Args)]
pub(crate) struct User {
    #[command(subcommand)]
    pub(crate) action: UserAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserAction {
    /// Add a user; the first may do everything.
    Add {
        /// Its name.
        user: String,
        /// The user gets no password and can only use tokens.
        #[arg(long)]
        no_password: bool,
    },
    /// Change a password.
    Passwd {
        /// The user.
        user: String,
    },
    /// Remove a user, with its tokens, memberships and grants.
    Remove {
        /// The user.
        user: String,
    },
    /// List the users.
    List,
    /// Give the user admin a new password and every permission, in the store's directory. No server
    /// may have it open.
    Recover,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Group {
    #[command(subcommand)]
    pub(crate) action: GroupAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GroupAction {
    /// Add a group, or a user to a group.
    Add {
        /// The group.
        group: String,
        /// The user.
        user: Option<String>,
    },
    /// Remove a group with its grants, or a user from a group.
    Remove {
        /// The group.
        group: String,
        /// The user.
        user: Option<String>,
    },
    /// List the groups.
    List,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    pub(crate) action: TokenAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token and print it to standard output; it is never shown again.
    Create {
        /// Its name.
        token: String,
        /// The user that the token acts as.
        #[arg(long = "for", value_name = "USER")]
        user: String,
        /// When it expires, such as 2027-01-01.
        #[arg(long)]
        until: Option<Timestamp>,
    },
    /// Revoke a token.
    Revoke {
        /// Its name.
        token: String,
    },
    /// List the tokens.
    List,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Grant {
    #[command(subcommand)]
    pub(crate) action: GrantAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GrantAction {
    /// Grant a permission to a user or a group.
    Add {
        /// To this user.
        #[arg(long, required_unless_present = "group")]
        user: Option<String>,
        /// To this group.
        #[arg(long, conflicts_with = "user")]
        group: Option<String>,
        /// The permission.
        action: Granted,
        /// Its scope: *, or streams, prefixes, categories and tags joined by `or`.
        scope: Query,
    },
    /// Revoke a grant.
    Remove {
        /// Its number.
        #[arg(value_parser = parse::number)]
        grant: u64,
    },
    /// List the grants.
    List,
}

/// The permission of a grant.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Granted {
    /// Read and subscribe.
    Read,
    /// Append, and move checkpoints.
    Append,
    /// Set retention and delete; with the scope * also manage users, indexes, rules and backups.
    Manage,
    /// See the metrics and the size of the store; with the scope *.
    Observe,
}

impl Granted {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Granted::Read => "read",
            Granted::Append => "append",
            Granted::Manage => "manage",
            Granted::Observe => "observe",
        }
    }
}
