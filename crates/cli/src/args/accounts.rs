//! Users, groups, tokens and grants of a server.

use clap::{Subcommand, ValueEnum};
use leftfold::{Query, Timestamp};

pub(super) const HELP: &str = "\
Examples:
  leftfold user add ann
  leftfold user passwd ann < password-file
  leftfold user --server https://store:2113 --ca ca.pem --as admin list
Passwords are never arguments: they are asked for, or read from standard input. What you are known
by yourself is asked for too, unless LEFTFOLD_PASSWORD or LEFTFOLD_TOKEN says it.
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
        /// It gets no password: only tokens speak for it.
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
    /// Give the user admin a new password and every right, in the store's directory: no server may
    /// have it open.
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
    /// Make a token; it is printed this once, to standard output.
    Create {
        /// Its name.
        token: String,
        /// For which user it speaks.
        #[arg(long = "for", value_name = "USER")]
        user: String,
        /// When it ends, such as 2027-01-01.
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
    /// Grant something to a user or a group.
    Add {
        /// To this user.
        #[arg(long, required_unless_present = "group")]
        user: Option<String>,
        /// To this group.
        #[arg(long, conflicts_with = "user")]
        group: Option<String>,
        /// What for.
        action: Granted,
        /// Of what: *, or streams, prefixes, categories and tags joined by `or`.
        scope: Query,
    },
    /// Take a grant back.
    Remove {
        /// Its number.
        grant: u64,
    },
    /// List the grants.
    List,
}

/// What a grant is for.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Granted {
    /// Read and subscribe.
    Read,
    /// Append, and move checkpoints.
    Append,
    /// Retention and deletion; of everything also users, indexes, rules, backups.
    Manage,
}

impl Granted {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Granted::Read => "read",
            Granted::Append => "append",
            Granted::Manage => "manage",
        }
    }
}
