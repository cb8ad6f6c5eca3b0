//! The entry point: reads a file with a mapping into drafts and rejects.

use crate::convert::{Converted, Mt, Ofx};
use crate::input::{Label, open};
use crate::item::{Item, ReadError, ReadSummary};
use crate::mapping::Mapping;
use crate::output::{Halt, Output};
use crate::plan::xml::Markup;
use crate::plan::{Format, Plan};
use crate::{csv, ndjson, xml};
use std::cell::Cell;
use std::io::BufRead;

/// Reads `input` with `mapping` and passes every record to `sink`, good or refused, in the order
/// of the file.
///
/// Memory is bounded by the mapping's `max_record_bytes`, whatever the input's size. Bad content is
/// not an error but a [`Reject`](crate::Reject). If [`ReadSummary::complete`] is false, the last
/// reject says why reading ended early. Errors come only from the input and the sink.
///
/// To show progress, let `input` count the bytes that are read from it.
///
/// ```
/// use leftfold_connect::{Item, Mapping, read};
///
/// let mapping = Mapping::parse(r#"
///     name = "orders"
///     format = "ndjson"
///     stream = "order-{number}"
///     data = ["total"]
///     event = { type = "OrderImported", time = "day" }
///     id = { keys = [["number"]] }
///     [field]
///     number = { path = "/no", required = true }
///     total = { path = "/total", type = "decimal" }
///     day = { path = "/day", type = "date" }
/// "#)?;
/// let input = br#"{"no": 7, "total": 0.1000000000000000055, "day": "2024-01-31"}"#;
/// let mut drafts = Vec::new();
/// let summary = read(&mapping, &input[..], &mut |item| {
///     if let Item::Record(draft) = item {
///         drafts.push(draft);
///     }
///     Ok::<(), std::convert::Infallible>(())
/// })?;
/// assert_eq!((summary.records, summary.rejects), (1, 0));
/// assert_eq!(drafts[0].stream, "order-7");
/// assert_eq!(&drafts[0].data[..], br#"{"total":"0.1000000000000000055"}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read<E>(
    mapping: &Mapping,
    input: impl BufRead,
    sink: &mut dyn FnMut(Item) -> Result<(), E>,
) -> Result<ReadSummary, ReadError<E>> {
    read_into(mapping, input, Output::new(sink))
}

/// The same, into an output.
pub(crate) fn read_into<E>(
    mapping: &Mapping,
    input: impl BufRead,
    mut out: Output<'_, E>,
) -> Result<ReadSummary, ReadError<E>> {
    let bytes = Cell::new(0);
    let ended = dispatch(mapping.plan(), input, &bytes, &mut out);
    out.summary.bytes = bytes.get();
    out.finish(ended)
}

fn dispatch<E>(
    plan: &Plan,
    input: impl BufRead,
    bytes: &Cell<u64>,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let label = match (&plan.format, plan.encoding) {
        (Format::Xml(xml), _) => match xml.markup {
            Markup::Xml => Label::Declared,
            Markup::Ofx => Label::Ofx,
            Markup::Mt => Label::Given(plan.encoding.unwrap_or(encoding_rs::UTF_8)),
        },
        (_, encoding) => Label::Given(encoding.unwrap_or(encoding_rs::UTF_8)),
    };
    let input = open(input, label, bytes)?.map_err(|unknown| {
        let message = format!(
            "The file declares the encoding '{unknown}', which is unknown; convert the file to \
             UTF-8 and correct its first line."
        );
        Halt::Malformed { line: 1, message }
    })?;
    match &plan.format {
        Format::Xml(xml) => match xml.markup {
            Markup::Xml => xml::read(plan, xml, input, out),
            Markup::Ofx => xml::read(plan, xml, Converted::new(input, Ofx::new()), out),
            Markup::Mt => xml::read(plan, xml, Converted::new(input, Mt::new()), out),
        },
        Format::Csv(csv) => csv::read(plan, csv, input, out),
        Format::Ndjson(ndjson) => ndjson::read(plan, ndjson, input, out),
    }
}

/// Reads the columns' names of a CSV file; the error is a sentence.
pub(crate) fn columns(plan: &Plan, input: impl BufRead) -> Result<Vec<String>, String> {
    let Format::Csv(csv) = &plan.format else { return Ok(Vec::new()) };
    let bytes = Cell::new(0);
    let label = Label::Given(plan.encoding.unwrap_or(encoding_rs::UTF_8));
    let input = open(input, label, &bytes).map_err(|error| error.to_string())?;
    csv::columns(plan, csv, input?)
}
