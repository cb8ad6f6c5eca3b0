//! Drafts a mapping from the structure of a file.

mod csv;
mod guess;
mod json;
mod page;
mod xml;

use crate::input::{Label, open};
use std::cell::Cell;
use std::io::{Cursor, Read};

/// Records that a draft is made from.
const SAMPLES: usize = 100;
/// Paths of a record that a draft has fields for.
const MAX_FIELDS: usize = 200;

/// Why a file gives no draft.
#[derive(Debug, thiserror::Error)]
#[error("no mapping can be drafted: {0}")]
pub struct DraftingError(String);

/// Drafts a mapping called `name` from the first bytes of a file.
///
/// The format, the delimiter, the columns or paths, and their types are guessed from the content. The draft is a
/// mapping that parses; its comments say what to look at.
///
/// ```
/// let start = b"No;Date;Total\n1;31.01.2024;1.234,50\n2;01.02.2024;7,00\n";
/// let draft = leftfold_connect::draft_mapping("orders", start)?;
/// assert!(draft.contains("total = { path = \"Total\", type = \"decimal\", decimal_separator = \",\""));
/// leftfold_connect::Mapping::parse(&draft).expect("a draft is a mapping");
/// # Ok::<(), leftfold_connect::DraftingError>(())
/// ```
pub fn draft_mapping(name: &str, start: &[u8]) -> Result<String, DraftingError> {
    let (text, encoding) = decode(start)?;
    refuse_built_in(&text)?;
    let page = match text.trim_start().chars().next() {
        None => return Err(DraftingError("the file is empty".to_owned())),
        Some('<') => xml::draft(&text)?,
        Some('{' | '[') => json::draft(&text)?,
        Some(_) => csv::draft(&text)?,
    };
    Ok(page.write(name, encoding))
}

/// Refuses files of formats that have fields of their own, for which there are built-in mappings.
fn refuse_built_in(text: &str) -> Result<(), DraftingError> {
    let is_message = |tag: &str| text.starts_with(tag) || text.contains(&format!("\n{tag}"));
    let names = match text.trim_start() {
        text if text.starts_with("OFXHEADER") => {
            "OFX; use the built-in mapping ofx, or one like it"
        }
        _ if is_message(":20:") && is_message(":25:") => {
            "a SWIFT message; use the built-in mapping mt940 or mt942, or one like it"
        }
        _ => return Ok(()),
    };
    Err(DraftingError(format!("the file is {names}")))
}

/// Returns the text, and the encoding to name in the mapping.
fn decode(start: &[u8]) -> Result<(String, Option<&'static str>), DraftingError> {
    let is_xml = start.trim_ascii_start().starts_with(b"<");
    // The last character may be cut.
    let valid = match std::str::from_utf8(start) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let has_mark = start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]);
    let (label, encoding) = match is_xml || valid || has_mark {
        true => (Label::Declared, None),
        false => (Label::Given(encoding_rs::WINDOWS_1252), Some("windows-1252")),
    };
    let bytes = Cell::new(0);
    let failed = |error: std::io::Error| DraftingError(error.to_string());
    let opened = open(Cursor::new(start), label, &bytes).map_err(failed)?;
    let mut input = opened.map_err(|name| {
        DraftingError(format!("the file declares the unknown encoding '{name}'"))
    })?;
    let mut text = Vec::new();
    input.read_to_end(&mut text).map_err(failed)?;
    Ok((String::from_utf8_lossy(&text).into_owned(), encoding))
}
