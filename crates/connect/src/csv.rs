//! Reads CSV in constant memory, record by record.
//!
//! csv-core parses the fields; the window bounds the record and keeps its text. A quoted field may
//! hold line breaks, so an unclosed quote swallows the following lines, up to the limit. A file that
//! was cut is noticed if its last record ends within quotes, or lacks columns and a line break.

use crate::assemble::{Assembler, Lookup};
use crate::input::{Fill, Window};
use crate::item::shown;
use crate::output::{Halt, Output};
use crate::plan::Plan;
use crate::plan::csv::{Binding, CsvPlan};
use crate::reason::{Problem, Reason, too_large};
use crate::value::json;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use std::borrow::Cow;
use std::convert::Infallible;
use std::io::{self, Read};

/// A record with more columns than this is refused.
const MAX_COLUMNS: usize = 65_536;
/// The most records among which a header is searched; preambles of banks have a dozen lines.
const MAX_HEADER_SEARCH: usize = 200;

pub(crate) fn read<R: Read, E>(
    plan: &Plan,
    csv: &CsvPlan,
    input: R,
    out: &mut Output<'_, E>,
) -> Result<(), Halt<E>> {
    let mut records = Records::new(csv, input, plan.max_record_bytes);
    records.skip_lines(csv.skip_lines)?;
    let columns = match &csv.columns {
        Some(columns) => columns.clone(),
        None if csv.find_header => find_header(&mut records, csv, plan)?,
        None => header(&mut records)?,
    };
    let binding = csv.bind(&plan.fields, &columns).map_err(|(field, problem)| {
        let message = format!("Field '{field}' cannot be read: {problem}.");
        Halt::Malformed { line: 1, message }
    })?;
    let mut assembler = Assembler::new(plan);
    let mut index = 0;
    while records.next()? {
        if csv.footer.as_ref().is_some_and(|footer| footer.is_match(&records.raw())) {
            return Ok(records.drain()?);
        }
        index += 1;
        let line = records.line();
        if let Some(message) = records.cut(columns.len()) {
            let problem = Problem::new(Reason::MalformedInput, message);
            out.reject(line, problem, shown(&records.raw()))?;
            return Err(Halt::Reported);
        }
        let draft = records.fields(columns.len()).and_then(|fields| {
            assembler.check(
                index,
                None,
                &Row { fields, binding: &binding, columns: &columns, whole: plan.whole },
            )?;
            assembler.draft(line, &records.raw())
        });
        match draft {
            Ok(draft) => out.record(draft)?,
            Err(problem) => out.reject(line, problem, shown(&records.raw()))?,
        }
    }
    Ok(())
}

/// Reads the columns' names of a file; the error is a sentence.
pub(crate) fn columns<R: Read>(
    plan: &Plan,
    csv: &CsvPlan,
    input: R,
) -> Result<Vec<String>, String> {
    let mut records = Records::new(csv, input, plan.max_record_bytes);
    records.skip_lines(csv.skip_lines).map_err(|error| error.to_string())?;
    let found = match csv.find_header {
        true => find_header::<R, Infallible>(&mut records, csv, plan),
        false => header(&mut records),
    };
    found.map_err(|halt| match halt {
        Halt::Io(error) => error.to_string(),
        Halt::Malformed { message, .. } => message,
        Halt::Sink(_) | Halt::Reported => "The header cannot be read.".to_owned(),
    })
}

/// The fields of one record.
struct Row<'a> {
    fields: Vec<&'a str>,
    binding: &'a Binding,
    columns: &'a [String],
    whole: Option<usize>,
}

impl Row<'_> {
    /// Returns the whole record as a JSON object, with all columns.
    fn object(&self) -> String {
        let mut out = Vec::new();
        for (name, value) in self.columns.iter().zip(&self.fields) {
            out.push(if out.is_empty() { b'{' } else { b',' });
            json::string(name, &mut out);
            out.push(b':');
            json::string(value, &mut out);
        }
        out.push(b'}');
        // Made of strings, so it is UTF-8.
        String::from_utf8(out).unwrap_or_default()
    }
}

impl Lookup for Row<'_> {
    fn find(&self, field: usize) -> Result<Option<Cow<'_, str>>, Problem> {
        if self.whole == Some(field) {
            return Ok(Some(Cow::Owned(self.object())));
        }
        let values = self.binding[field].iter().filter_map(|place| self.fields.get(*place));
        let present = values.map(|value| value.trim()).find(|value| !value.is_empty());
        Ok(present.map(Cow::Borrowed))
    }
}

/// Reads up to the first record that has the columns of the mapping.
fn find_header<R: Read, E>(
    records: &mut Records<R>,
    csv: &CsvPlan,
    plan: &Plan,
) -> Result<Vec<String>, Halt<E>> {
    let mut problem = "the file is empty".to_owned();
    for _ in 0..MAX_HEADER_SEARCH {
        if !records.next()? {
            break;
        }
        let Ok(names) = records.fields(records.width) else { continue };
        let names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        match csv.bind(&plan.fields, &names) {
            Ok(_) => return Ok(names),
            Err((_, missing)) => problem = missing,
        }
    }
    let message = format!(
        "None of the first {MAX_HEADER_SEARCH} lines has the columns of the mapping; in the last \
         of them, {problem}."
    );
    Err(Halt::Malformed { line: 1, message })
}

fn header<R: Read, E>(records: &mut Records<R>) -> Result<Vec<String>, Halt<E>> {
    let malformed = |message: String| Halt::Malformed { line: 1, message };
    if !records.next()? {
        let message = "The file is empty; its first line must hold the columns' names, or the \
                       mapping must give them as csv.columns.";
        return Err(malformed(message.to_owned()));
    }
    let names = records.fields(records.width);
    let names =
        names.map_err(|problem| malformed(format!("In the header: {}", problem.message)))?;
    Ok(names.iter().map(|name| name.trim().to_owned()).collect())
}

pub(crate) struct Records<R> {
    window: Window<R>,
    parser: Reader,
    /// The concatenated fields of the record, and the end of each. Behind them is room that stays, because
    /// clearing it for each record would take more time than all the rest.
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// The bytes of all fields of the record.
    bytes: usize,
    /// The number of columns of the record.
    width: usize,
    too_many: bool,
    end: End,
}

/// How the record ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    LineBreak,
    /// With the file, without a line break.
    File,
    /// With the file, within quotes.
    Quoted,
}

impl<R: Read> Records<R> {
    pub(crate) fn new(plan: &CsvPlan, input: R, limit: usize) -> Self {
        Records {
            window: Window::new(input, limit),
            parser: ReaderBuilder::new().delimiter(plan.delimiter).quote(plan.quote).build(),
            fields: Vec::new(),
            ends: Vec::new(),
            bytes: 0,
            width: 0,
            too_many: false,
            end: End::LineBreak,
        }
    }

    /// Skips lines that are not records, such as a preamble.
    fn skip_lines(&mut self, lines: usize) -> io::Result<()> {
        let mut left = lines;
        while left > 0 {
            let rest = self.window.rest();
            match memchr::memchr(b'\n', rest) {
                Some(at) => {
                    self.window.advance(at + 1);
                    left -= 1;
                }
                None => {
                    self.window.advance(rest.len());
                    self.window.pin();
                    if self.window.more()? == Fill::End {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Reads to the end, so that a pipe's writer can finish.
    fn drain(&mut self) -> io::Result<()> {
        self.skip_lines(usize::MAX)
    }

    /// Reads the next record; returns false at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<bool> {
        if !self.skip_blank_lines()? {
            return Ok(false);
        }
        self.window.pin();
        self.too_many = false;
        self.end = End::LineBreak;
        let (mut bytes, mut count) = (0, 0);
        loop {
            if self.window.rest().is_empty() && self.end == End::LineBreak {
                match self.window.more()? {
                    Fill::More => {}
                    Fill::End => self.end = End::File,
                    Fill::Full => {
                        self.window.drop_record();
                        continue;
                    }
                }
            }
            self.make_room(&mut bytes, &mut count);
            // A line break that the file lacks ends its last record, unless that is within quotes.
            let input = match self.end {
                End::File => b"\n",
                End::LineBreak | End::Quoted => self.window.rest(),
            };
            let (result, read, written, columns) =
                self.parser.read_record(input, &mut self.fields[bytes..], &mut self.ends[count..]);
            self.window.advance(read);
            bytes += written;
            count += columns;
            match result {
                ReadRecordResult::Record => {
                    (self.bytes, self.width) = (bytes, count);
                    return Ok(true);
                }
                ReadRecordResult::End => return Ok(false),
                ReadRecordResult::InputEmpty if self.end == End::File => self.end = End::Quoted,
                _ => {}
            }
        }
    }

    /// Makes room for more of the record.
    ///
    /// Data beyond the limits is overwritten: the record will be refused, and only its end matters.
    fn make_room(&mut self, bytes: &mut usize, count: &mut usize) {
        if self.window.is_lost() {
            *bytes = 0;
        }
        if *count >= MAX_COLUMNS {
            self.too_many = true;
            *count = 0;
        }
        let room = *bytes + self.window.rest().len().max(1024);
        if self.fields.len() < room {
            self.fields.resize(room, 0);
        }
        if self.ends.len() < *count + 64 {
            self.ends.resize((*count + 64).next_power_of_two(), 0);
        }
    }

    /// Skips blank lines, which are not records; returns false at the end of the file.
    fn skip_blank_lines(&mut self) -> io::Result<bool> {
        loop {
            let rest = self.window.rest();
            let blank = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
            let found = blank < rest.len();
            self.window.advance(blank);
            if found {
                return Ok(true);
            }
            self.window.pin();
            if self.window.more()? == Fill::End {
                return Ok(false);
            }
        }
    }

    fn line(&mut self) -> u64 {
        self.window.line()
    }

    /// Returns the number of columns of the record.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Returns whether the file ends with the record and without a line break.
    pub(crate) fn is_cut(&self) -> bool {
        self.end != End::LineBreak
    }

    /// Returns the sentence about a record at which the file was cut, or `None`.
    fn cut(&self, columns: usize) -> Option<String> {
        match self.end {
            End::Quoted => Some(
                "The file ends within a quoted field that begins in this record, so it is cut \
                 short or a quote is not closed; complete the file and ingest it again."
                    .to_owned(),
            ),
            End::File if !self.window.is_too_large() && self.width < columns => Some(format!(
                "The file is cut short: its last record has {} of {columns} columns and no line \
                 break; complete the file and ingest it again.",
                self.width
            )),
            End::File | End::LineBreak => None,
        }
    }

    fn raw(&self) -> Cow<'_, str> {
        let without_end = |text: &str| text.trim_end_matches(['\r', '\n']).len();
        match self.window.head() {
            Cow::Borrowed(head) => Cow::Borrowed(&head[..without_end(head)]),
            Cow::Owned(mut head) => {
                head.truncate(without_end(&head));
                Cow::Owned(head)
            }
        }
    }

    /// Returns the record's fields, or the problem if it is malformed.
    pub(crate) fn fields(&self, columns: usize) -> Result<Vec<&str>, Problem> {
        let malformed = |message: String| Problem::new(Reason::MalformedRecord, message);
        if self.window.is_too_large() {
            return Err(too_large(self.window.limit()));
        }
        if self.too_many || self.width != columns {
            let found = if self.too_many { MAX_COLUMNS } else { self.width };
            let message = format!("The record has {found} columns where {columns} are expected.");
            return Err(malformed(message));
        }
        let text = std::str::from_utf8(&self.fields[..self.bytes])
            .map_err(|error| malformed(format!("The record is not UTF-8: {error}.")))?;
        let ends = &self.ends[..self.width];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let spans = starts.zip(ends);
        Ok(spans.map(|(start, end)| text.get(start..*end).unwrap_or_default()).collect())
    }
}
