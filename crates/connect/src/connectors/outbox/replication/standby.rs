//! Whether PostgreSQL takes the connector for a synchronous standby.
//!
//! Commits would then wait until the connector has confirmed them. It confirms a row when the row was taken away, for which
//! the row must be visible, which it is when its commit has ended: both would wait for each other.
//!
//! The setting decides rather than `pg_stat_replication`, which shows the state of a connection a moment after the
//! replication began, and to a role without `pg_read_all_stats` not at all.

use tokio_postgres::Client;

use super::super::super::ConnectorError;
use super::super::session::{answer, get};

/// Checks that no commit waits for the connector.
///
/// # Errors
/// The connector is or would be a synchronous standby.
pub(super) async fn check(client: &Client) -> Result<(), ConnectorError> {
    let sql =
        "select current_setting('synchronous_standby_names'), current_setting('application_name')";
    let row = answer(client.query_one(sql, &[])).await?;
    let (standbys, application): (String, String) = (get(&row, 0)?, get(&row, 1)?);
    if !has_name(&standbys, &application) {
        return Ok(());
    }
    Err(ConnectorError::unusable(format!(
        "synchronous_standby_names is {standbys:?}, which takes the connector (application_name {application:?}) for a \
         synchronous standby: commits would wait for it without end. Set the names of the real standbys there, without *, or \
         give the connector another name (application_name in its url), then resume the connector"
    )))
}

/// Whether a name is one of a list in the syntax of `synchronous_standby_names`, such as `FIRST 1 (a, "b")`, or all are.
fn has_name(list: &str, name: &str) -> bool {
    let mut rest = list;
    loop {
        rest = rest.trim_start_matches(is_between);
        if rest.is_empty() {
            return false;
        }
        let (found, behind) = split_name(rest);
        if found == "*" || found.eq_ignore_ascii_case(name) {
            return true;
        }
        rest = behind;
    }
}

fn is_between(letter: char) -> bool {
    letter.is_ascii_whitespace() || matches!(letter, ',' | '(' | ')')
}

/// Splits the name off with which a list begins. A quote in a quoted one is written twice.
fn split_name(list: &str) -> (String, &str) {
    let Some(mut rest) = list.strip_prefix('"') else {
        let (name, behind) = list.split_at(list.find(is_between).unwrap_or(list.len()));
        return (name.to_owned(), behind);
    };
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"').unwrap_or((rest, ""));
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return (name, behind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_a_name_as_postgresql_reads_it() {
        for list in [
            "*",
            "leftfold",
            "a, LeftFold",
            "FIRST 1 (a,leftfold)",
            "any 2 ( a , \"leftfold\" )",
            "2(*)",
            "\"a\"\"b\",\"leftfold",
        ] {
            assert!(has_name(list, "leftfold"), "{list}");
        }
        for list in ["", " ", "a, b", "FIRST 1 (leftfold2, \"left fold\")", "\"\"\"leftfold\""] {
            assert!(!has_name(list, "leftfold"), "{list}");
        }
        assert!(has_name("\"my \"\"app\"\", 1\"", "my \"app\", 1"));
    }
}
