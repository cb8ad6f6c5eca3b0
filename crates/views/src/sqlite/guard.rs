//! What SQL may do: an authorizer for each purpose, and limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, Result};

use super::history::PREFIX;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Makes the tables of a view.
    Tables,
    /// Changes their rows.
    Rows,
    /// Reads them.
    Asking,
    /// Reads them as they were: through the views that stand in their places.
    AskingAsOf,
}

/// What the authorizer has refused last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<Option<String>>>);

impl Refusals {
    /// Returns the last refusal, and forgets it.
    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().take()
    }

    /// Refuses something for a reason.
    fn deny(&self, reason: String) -> Authorization {
        *self.0.lock() = Some(reason);
        Authorization::Deny
    }
}

/// Functions whose result is no function of the facts.
const OF_CHANCE: [&str; 9] = [
    "random",
    "randomblob",
    "changes",
    "total_changes",
    "last_insert_rowid",
    "current_time",
    "current_date",
    "current_timestamp",
    "sqlite_offset",
];

/// Functions that nothing needs.
const NEVER: [&str; 3] = ["load_extension", "fts3_tokenizer", "readfile"];

/// How many steps of SQLite's machine the statements of one event may take: about a second of work.
pub(crate) const STEPS_OF_EVENT: u64 = 100_000_000;

/// The longest pattern of `glob`, in bytes: against a text of 16 MiB it takes about a second, and nothing ends it
/// meanwhile. `like` has a bound of its own.
const LONGEST_PATTERN: i32 = 64;

/// The most arguments of a function.
const MOST_ARGUMENTS: i32 = 200;

/// How many steps of SQLite's machine an event or a question may take between two looks at the limit.
const STEPS: i32 = 10_000;

/// Lets a connection do only what its purpose needs. Only triggers may change the tables of `history`.
pub(crate) fn restrict(
    connection: &mut Connection,
    purpose: Purpose,
    history: &[String],
) -> Result<Refusals> {
    let refusals = Refusals::default();
    let history = history.to_vec();
    let of_hook = refusals.clone();
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        match of_history(purpose, &context, &history).unwrap_or_else(|| refusal(purpose, &context))
        {
            None => Authorization::Allow,
            Some(reason) => of_hook.deny(reason),
        }
    }))?;
    Ok(refusals)
}

/// Lets a connection do only what a purpose needs while there is one, and everything while there is none.
pub(super) fn restrict_while(
    connection: &mut Connection,
    purpose: &Arc<Mutex<Option<Purpose>>>,
) -> Result<Refusals> {
    let refusals = Refusals::default();
    let (purpose, of_hook) = (purpose.clone(), refusals.clone());
    connection.authorizer(Some(move |context: AuthContext<'_>| {
        match purpose.lock().and_then(|purpose| refusal(purpose, &context)) {
            None => Authorization::Allow,
            Some(reason) => of_hook.deny(reason),
        }
    }))?;
    Ok(refusals)
}

/// Lets a connection do everything again.
pub(crate) fn release(connection: &mut Connection) -> Result<()> {
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
}

/// Bounds what one statement can take.
pub(crate) fn limit(connection: &Connection, longest: i32) -> Result<()> {
    connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, longest)?;
    connection.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, 1 << 20)?;
    connection.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 200)?;
    connection.set_limit(Limit::SQLITE_LIMIT_COMPOUND_SELECT, 100)?;
    connection.set_limit(Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, LONGEST_PATTERN)?;
    // A function of JSON looks at the length of its result only once it is there.
    connection.set_limit(Limit::SQLITE_LIMIT_FUNCTION_ARG, MOST_ARGUMENTS)?;
    connection.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
    Ok(())
}

/// Counts the steps of a connection's statements, and ends them when there are too many.
#[derive(Debug, Clone)]
pub(crate) struct StepLimit {
    left: Arc<AtomicU64>,
    most: u64,
}

impl StepLimit {
    /// Allows about this many steps until the limit is renewed.
    pub(crate) fn new(connection: &mut Connection, most: u64) -> Result<Self> {
        let limit = StepLimit { left: Arc::new(AtomicU64::new(most)), most };
        let left = limit.left.clone();
        let is_over = move || {
            let before = left.load(Ordering::Relaxed);
            left.store(before.saturating_sub(STEPS as u64), Ordering::Relaxed);
            before == 0
        };
        connection.progress_handler(STEPS, Some(is_over))?;
        Ok(limit)
    }

    /// Allows as many steps as at first.
    pub(crate) fn renew(&self) {
        self.left.store(self.most, Ordering::Relaxed);
    }
}

/// Returns whether something about the history of tables is refused, and why; `None` if it is about something else.
fn of_history(
    purpose: Purpose,
    context: &AuthContext<'_>,
    history: &[String],
) -> Option<Option<String>> {
    let is_history = |table: &str| history.iter().any(|one| one.eq_ignore_ascii_case(table));
    let is_trigger = context.accessor.is_some_and(|name| name.starts_with(PREFIX));
    match context.action {
        AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name }
            if is_history(table_name) =>
        {
            Some((!is_trigger).then(|| format!("{table_name} belongs to the view's runner")))
        }
        AuthAction::Function { function_name } if function_name.starts_with(PREFIX) => {
            Some((!is_trigger).then(|| format!("{function_name} belongs to the view's runner")))
        }
        AuthAction::Read { table_name, .. } if purpose == Purpose::AskingAsOf => {
            let is_direct = context.accessor.is_none()
                && context.database_name.is_some_and(|name| name.starts_with('_'));
            let is_own = is_reserved(table_name) && !is_of_sqlite(table_name);
            let is_refused = is_own || is_direct && !table_name.ends_with("_history");
            Some(is_refused.then(|| format!("{table_name} has no history")))
        }
        _ => None,
    }
}

/// Returns why something is refused, or `None` if it is allowed.
pub(crate) fn refusal(purpose: Purpose, context: &AuthContext<'_>) -> Option<String> {
    let own = |table: &str| is_reserved(table) && !is_of_sqlite(table);
    match (context.action, purpose) {
        (AuthAction::Select | AuthAction::Recursive, _) => None,
        (AuthAction::Read { table_name, .. }, Purpose::Rows) if own(table_name) => {
            Some(format!("{table_name} belongs to the view's runner"))
        }
        (AuthAction::Read { .. }, _) => None,
        (AuthAction::Function { function_name }, _) => of_function(purpose, function_name),
        (
            AuthAction::CreateTable { table_name }
            | AuthAction::CreateView { view_name: table_name }
            | AuthAction::CreateIndex { table_name, .. },
            Purpose::Tables,
        ) => is_reserved(table_name)
            .then(|| format!("{table_name} can't be a table of a view: names with _ or sqlite_ in front are reserved")),
        (AuthAction::Reindex { .. }, Purpose::Tables) => None,
        (
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name },
            Purpose::Tables,
        ) => (!is_of_sqlite(table_name)).then(|| {
            "the head of the file makes tables; rows come from events behind @on".to_owned()
        }),
        (
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name },
            Purpose::Rows,
        ) => is_reserved(table_name).then(|| format!("{table_name} belongs to the view's runner")),
        (action, _) => Some(format!("{} is not allowed here", name_of(&action))),
    }
}

/// Whether a name is one of the runner's or of SQLite's own tables.
fn is_reserved(table: &str) -> bool {
    table.starts_with('_') || is_of_sqlite(table)
}

fn is_of_sqlite(table: &str) -> bool {
    table.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"))
}

fn of_function(purpose: Purpose, name: &str) -> Option<String> {
    let is_in = |names: &[&str]| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if is_in(&NEVER) {
        return Some(format!("the function {name} is not allowed"));
    }
    let is_question = matches!(purpose, Purpose::Asking | Purpose::AskingAsOf);
    let is_of_chance = !is_question && is_in(&OF_CHANCE);
    is_of_chance.then(|| {
        format!(
            "the function {name} gives another result each time; a view is a function of its events"
        )
    })
}

fn name_of(action: &AuthAction<'_>) -> &'static str {
    match action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => "ATTACH",
        AuthAction::Pragma { .. } => "PRAGMA",
        AuthAction::Insert { .. } | AuthAction::Update { .. } | AuthAction::Delete { .. } => {
            "changing rows"
        }
        AuthAction::Transaction { .. } | AuthAction::Savepoint { .. } => "a transaction",
        AuthAction::CreateVtable { .. } | AuthAction::DropVtable { .. } => "a virtual table",
        AuthAction::CreateTrigger { .. } | AuthAction::CreateTempTrigger { .. } => "a trigger",
        AuthAction::CreateTempTable { .. } | AuthAction::CreateTempView { .. } => {
            "a temporary table"
        }
        AuthAction::Analyze { .. } => "ANALYZE",
        _ => "changing tables",
    }
}
