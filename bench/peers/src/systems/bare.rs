//! The control: a file of zeros, written and synced in a loop, with writes as large as our frames.
//! No store can be faster with one append in flight.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::system::{DataSetEvent, Directories, Event, Mark, ReadResult, Session, System, refused};
use crate::work::Work;

/// About the bytes that our appends take in the log: one event of 256 bytes, and a hundred.
pub(crate) const FRAME: usize = 448;
pub(crate) const BATCH_FRAME: usize = 37_000;
/// The size of the file; the loop starts again at its end.
const FILE: u64 = 32 << 20;

/// A file of zeros.
pub(crate) struct Bare {
    file: Arc<File>,
    end: Arc<AtomicU64>,
}

impl Bare {
    /// Creates the file beside other data.
    pub(crate) fn create(dir: &Path) -> anyhow::Result<Bare> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("bare");
        let file = File::options().create(true).truncate(true).write(true).open(path)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE).step_by(zeros.len()) {
            file.write_all_at(&zeros, at)?;
        }
        file.sync_all()?;
        Ok(Bare { file: Arc::new(file), end: Arc::default() })
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle { file: self.file.clone(), end: self.end.clone(), record: vec![7; BATCH_FRAME] }
    }
}

/// A writer.
pub(crate) struct Handle {
    file: Arc<File>,
    end: Arc<AtomicU64>,
    record: Vec<u8>,
}

impl Handle {
    pub(crate) fn write(&self, bytes: usize) -> anyhow::Result<()> {
        let at = self.end.fetch_add(bytes as u64, Ordering::Relaxed) % (FILE - bytes as u64);
        self.file.write_all_at(self.record.get(..bytes).unwrap_or(&self.record), at)?;
        self.file.sync_data()?;
        Ok(())
    }
}

impl System for Bare {
    type Session = Handle;

    fn cannot(work: Work) -> Option<&'static str> {
        match work {
            Work::Single(1) | Work::Batch(1) => None,
            _ => Some("A loop of one thread, which keeps nothing to be found"),
        }
    }

    async fn open(place: &Directories) -> anyhow::Result<Self> {
        Bare::create(&place.data)
    }

    async fn session(&self) -> anyhow::Result<Handle> {
        Ok(self.handle())
    }

    async fn close(self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Session for Handle {
    async fn append_single(&mut self, _: &str, _: Mark, _: Event) -> anyhow::Result<Mark> {
        self.write(FRAME)?;
        Ok(None)
    }

    async fn append_batch(&mut self, _: &str, _: Mark, _: Vec<Event>) -> anyhow::Result<Mark> {
        self.write(BATCH_FRAME)?;
        Ok(None)
    }

    async fn append_on_tags(&mut self, _: [&str; 2], _: Mark, _: Event) -> anyhow::Result<Mark> {
        refused()
    }

    async fn read_stream(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn query_category(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn query_tags(&mut self, _: &str) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn replay(&mut self, _: u64) -> anyhow::Result<ReadResult> {
        refused()
    }

    async fn load(&mut self, _: Vec<DataSetEvent>) -> anyhow::Result<()> {
        Ok(())
    }
}
