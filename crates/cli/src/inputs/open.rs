//! Opens inputs: gzip, zstd and zip are recognised by their first bytes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use anyhow::{Context, bail};
use indicatif::ProgressBar;
use leftfold_connect::decompressed;
use zip::ZipArchive;

use super::paths::{Input, Inputs, MEMBER, Unreadable};

/// Bytes of one read of a file.
const READ_AHEAD: usize = 256 << 10;

const ZIP: [&[u8]; 2] = [b"PK\x03\x04", b"PK\x05\x06"];

/// A decompressed input.
pub(crate) type Text<'a> = Box<dyn BufRead + Send + 'a>;

/// What is done with each input: its name and its text. The inner error says that this input cannot be read, the
/// outer one ends the command.
type Visit<'v> = dyn FnMut(&str, Text<'_>) -> anyhow::Result<anyhow::Result<()>> + 'v;

/// Visits all inputs one after the other, and all members of archives. An input that cannot be read does not end
/// it: they are returned, with those that were not found.
pub(crate) fn for_each(
    inputs: Inputs,
    bar: &ProgressBar,
    visit: &mut Visit<'_>,
) -> anyhow::Result<Vec<Unreadable>> {
    let mut unreadable = inputs.unreadable;
    for input in &inputs.list {
        let name = match input {
            Input::Stdin => "-".to_owned(),
            Input::File(path) => path.display().to_string(),
        };
        match open(input, bar) {
            Ok(Opened::Text(text)) => note(&mut unreadable, &name, visit(&name, text)?),
            Ok(Opened::Archive(mut archive, member)) => {
                visit_members(&name, &mut archive, member.as_deref(), bar, visit, &mut unreadable)?;
            }
            Err(error) => note(&mut unreadable, &name, Err(error)),
        }
    }
    Ok(unreadable)
}

fn note(unreadable: &mut Vec<Unreadable>, name: &str, read: anyhow::Result<()>) {
    if let Err(error) = read {
        unreadable.push(Unreadable { name: name.to_owned(), error });
    }
}

enum Opened<'a> {
    Text(Text<'a>),
    /// A zip archive, and the only member to read.
    Archive(ZipArchive<BufReader<File>>, Option<String>),
}

fn open<'a>(input: &Input, bar: &ProgressBar) -> anyhow::Result<Opened<'a>> {
    let path = match input {
        Input::Stdin => return text(bar.wrap_read(io::stdin())).map(Opened::Text),
        Input::File(path) => path,
    };
    if !path.exists()
        && let Some((archive, member)) = path.to_str().and_then(|path| path.split_once(MEMBER))
    {
        return archive_at(Path::new(archive), Some(member));
    }
    let mut file = File::open(path)?;
    // Only a file can be sought in; the first bytes of a pipe must not be lost.
    if file.metadata()?.is_file() {
        let mut start = Vec::new();
        (&mut file).take(4).read_to_end(&mut start)?;
        if ZIP.iter().any(|mark| start.starts_with(mark)) {
            return archive_at(path, None);
        }
        file.rewind()?;
    }
    text(bar.wrap_read(file)).map(Opened::Text)
}

fn archive_at<'a>(path: &Path, member: Option<&str>) -> anyhow::Result<Opened<'a>> {
    let file = BufReader::with_capacity(READ_AHEAD, File::open(path)?);
    let archive = ZipArchive::new(file).context("the zip archive cannot be read")?;
    Ok(Opened::Archive(archive, member.map(str::to_owned)))
}

/// Returns the text of an input that may be compressed.
fn text<'a>(mut input: impl Read + Send + 'a) -> anyhow::Result<Text<'a>> {
    let mut start = Vec::new();
    (&mut input).take(4).read_to_end(&mut start)?;
    if ZIP.iter().any(|mark| start.starts_with(mark)) {
        bail!("a zip archive must be a file: its list of members is at its end");
    }
    Ok(decompressed(Cursor::new(start).chain(input))?)
}

/// Visits the members of an archive in the order of their names, or only `member`.
fn visit_members(
    archive_name: &str,
    archive: &mut ZipArchive<BufReader<File>>,
    member: Option<&str>,
    bar: &ProgressBar,
    visit: &mut Visit<'_>,
    unreadable: &mut Vec<Unreadable>,
) -> anyhow::Result<()> {
    let mut members: Vec<String> = match member {
        Some(member) => vec![member.to_owned()],
        None => {
            archive.file_names().filter(|name| !name.ends_with('/')).map(str::to_owned).collect()
        }
    };
    members.sort();
    for member in members {
        let name = match archive_name.ends_with(&member) && archive_name.contains(MEMBER) {
            true => archive_name.to_owned(),
            false => format!("{archive_name}{MEMBER}{member}"),
        };
        let read = match archive.by_name(&member) {
            Ok(file) => {
                let bytes = file.compressed_size();
                let read = match text(file) {
                    Ok(text) => visit(&name, text)?,
                    Err(error) => Err(error),
                };
                bar.inc(bytes);
                read
            }
            Err(error) => Err(error.into()),
        };
        note(unreadable, &name, read);
    }
    Ok(())
}
