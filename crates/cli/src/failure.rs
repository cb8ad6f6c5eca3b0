use std::process::ExitCode;

use leftfold::react::ReactorError;
use leftfold::{AppendError, BackupError, Coded, Invalid, OpenError, ReadError};
use leftfold_cluster::node::NodeError;
use leftfold_connect::connectors::ConnectorError;
use leftfold_server::{CertificateError, ConfigError, StartError};
use leftfold_views::ViewsError;

use crate::commands::view::FileError;
use crate::output::safe_lines;

/// Prints an error to standard error: its stable code and its message.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // The reader closed the pipe, as `head` does.
        return ExitCode::SUCCESS;
    }
    let text = text(error);
    match code(error) {
        Some("store_locked") => print("error[store_locked]", &format!("{text}: add --server URL")),
        Some("view_unknown") => {
            print("error[view_unknown]", &format!("{text}; see: leftfold view list"));
        }
        Some(code) => print(&format!("error[{code}]"), &text),
        None => print("error", &text),
    }
    ExitCode::FAILURE
}

/// Prints a message after its label, which is bold and red where the output has colours.
fn print(label: &str, text: &str) {
    anstream::eprintln!("\u{1b}[1;31m{label}\u{1b}[0m: {}", safe_lines(text));
}

/// Joins an error's message and those of its causes, each once: some errors quote their cause.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn code(error: &anyhow::Error) -> Option<&'static str> {
    error.chain().find_map(|cause| {
        let append = cause.downcast_ref::<AppendError>().map(Coded::code);
        let read = || cause.downcast_ref::<ReadError>().map(Coded::code);
        let open = || cause.downcast_ref::<OpenError>().map(Coded::code);
        let invalid = || cause.downcast_ref::<Invalid>().map(|invalid| invalid.code);
        let backup = || cause.downcast_ref::<BackupError>().map(Coded::code);
        let reactor = || cause.downcast_ref::<ReactorError>().map(Coded::code);
        let definition = || cause.downcast_ref::<FileError>().map(FileError::code);
        let views = || cause.downcast_ref::<ViewsError>().map(Coded::code);
        let connector = || cause.downcast_ref::<ConnectorError>().map(Coded::code);
        let config = || cause.downcast_ref::<ConfigError>().map(|error| error.code);
        let start = || cause.downcast_ref::<StartError>().map(StartError::code);
        let certificate = || cause.downcast_ref::<CertificateError>().map(CertificateError::code);
        let node = || cause.downcast_ref::<NodeError>().map(NodeError::code);
        let served = || config().or_else(start).or_else(certificate).or_else(node);
        let stored = append.or_else(read).or_else(open).or_else(invalid).or_else(backup);
        stored
            .or_else(reactor)
            .or_else(definition)
            .or_else(views)
            .or_else(connector)
            .or_else(served)
    })
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}
