//! Views by SQL, and questions to them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Subcommand;
use leftfold::Cursor;
use leftfold_views::AsOf;

use super::parse;

pub(super) const HELP: &str = "\
Examples:
  leftfold view check orders.sql
  leftfold view test views/
  leftfold view add orders.sql
  leftfold view plan orders.sql            what would a replacement do?
  leftfold view replace orders.sql
  leftfold view parked orders              what could not be applied, with @on_error park?
  leftfold view retry orders --stream order-17
  leftfold query 'select * from orders'

A view is one file of SQL: tables, statements for each type of event, and tests. With --data, views
advance only while a command asks them; a server follows them all the time.";

pub(super) const QUERY_HELP: &str = "\
Examples:
  leftfold query 'select state, count(*) from orders group by state'
  leftfold query 'select * from orders' -o csv > orders.csv
  leftfold query 'select * from orders' --at-least cursor:... --timeout 2m
  leftfold query 'select * from orders' --as-of 2026-03-01     a view with -- @history
  leftfold query --live 'select * from orders' --key id        rows, then changes; Ctrl-C ends it

-o json prints one object with columns, rows and the cursor of each view, -o ndjson one object a row.
--live prints rows that are removed (-), changed (~) and added (+), -o ndjson one object for each.";

#[derive(Debug, clap::Args)]
pub(crate) struct View {
    #[command(subcommand)]
    pub(crate) action: ViewAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ViewAction {
    /// Check files and run their tests, without a store. The exit code is 1 if anything is wrong.
    Check {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        database: CheckDatabase,
    },
    /// Check all files that end in .sql in a directory and below, as `check` does.
    Test {
        /// The directory.
        dir: PathBuf,
        #[command(flatten)]
        database: CheckDatabase,
    },
    /// Add a view.
    Add {
        /// Its file.
        file: PathBuf,
        /// The first events of the view: start (all), now (only new ones), or those after a cursor.
        #[arg(long, value_name = "POINT", default_value = "start", value_parser = parse::view_from)]
        from: ViewFrom,
    },
    /// List the views and what they are doing.
    List,
    /// Show a view and its file.
    Show {
        /// Its name.
        name: String,
    },
    /// Wait until a view has the events up to a cursor, so that PostgreSQL answers with them.
    Wait {
        /// Its name.
        name: String,
        /// The cursor; with --data, the default is all events.
        #[arg(long, value_name = "CURSOR", value_parser = parse::cursor)]
        at_least: Option<Cursor>,
        /// How long to wait: 10s or 2m. The default is 10s; with --data, as long as it needs.
        #[arg(long, value_name = "TIME", value_parser = parse::age)]
        timeout: Option<Duration>,
    },
    /// Stop a view until it is resumed; its tables still answer.
    Pause {
        /// Its name.
        name: String,
    },
    /// Resume a view that was paused.
    Resume {
        /// Its name.
        name: String,
    },
    /// Fill a view's tables anew; the old ones answer until the new ones have caught up.
    Reset {
        /// Its name.
        name: String,
    },
    /// Replace a view: the old tables answer until the new ones have caught up.
    Replace {
        /// Its file; the name in it is that of the view.
        file: PathBuf,
    },
    /// Remove a view and its tables.
    Remove {
        /// Its name.
        name: String,
    },
    /// List the parked events of a view, with the reasons: at most 1,000.
    Parked {
        /// The view.
        name: String,
        /// Also the events that wait behind parked ones.
        #[arg(long)]
        all: bool,
    },
    /// Retry parked events; those that wait behind them follow, each stream until one fails.
    Retry {
        /// The view.
        name: String,
        /// Only the events of this stream.
        #[arg(long)]
        stream: Option<String>,
    },
    /// Leave a parked event out; the events that wait behind it follow.
    Skip {
        /// The view.
        name: String,
        /// The event's position.
        #[arg(long)]
        position: u64,
        /// The event's stream, which a store of many partitions may need.
        #[arg(long)]
        stream: Option<String>,
    },
    /// Print what adding or replacing a view would do, and how many events it would read.
    Plan {
        /// Its file.
        file: PathBuf,
    },
}

/// Where views for PostgreSQL are checked.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckDatabase {
    /// The PostgreSQL in which views for PostgreSQL are checked, in a schema of which nothing stays. Without
    /// it, their files are only parsed.
    #[arg(long, env = "LEFTFOLD_POSTGRES", hide_env_values = true, value_name = "URL")]
    pub(crate) postgres: Option<String>,
}

/// Where a view begins.
#[derive(Debug, Clone)]
pub(crate) enum ViewFrom {
    Start,
    Now,
    After(Cursor),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    /// One select. Tables are named as in the view's file, or VIEW.TABLE.
    pub(crate) sql: String,
    /// Wait until the views have the events up to this cursor; with --data, the default is all events.
    #[arg(long, value_name = "CURSOR", value_parser = parse::cursor)]
    pub(crate) at_least: Option<Cursor>,
    /// How long the views may take to get there, and the query to answer: 10s or 2m. The default is
    /// 10s; with --data the views take as long as they need.
    #[arg(long, value_name = "TIME", value_parser = parse::age)]
    pub(crate) timeout: Option<Duration>,
    /// Ask views with @history as they were at a position, such as 17, or a time, such as 2026-03-01.
    #[arg(long, value_name = "MOMENT", conflicts_with = "at_least")]
    pub(crate) as_of: Option<AsOf>,
    /// Print the rows, and then how they change, until interrupted.
    #[arg(long, conflicts_with_all = ["at_least", "as_of", "timeout"])]
    pub(crate) live: bool,
    /// Columns that tell the rows apart: a row that differs in others has changed, and is not removed
    /// and added.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "live")]
    pub(crate) key: Vec<String>,
}
