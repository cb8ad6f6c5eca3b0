use super::layout::{BLOCK, PAYLOAD};
use super::reader::IndexFile;
use crate::error::IndexError;

/// Blocks per read.
const BLOCKS: u64 = 32;

/// Reads a file sequentially with read-ahead and without the shared cache.
///
/// A file that is read once must not evict blocks that are read often.
#[derive(Default)]
pub(super) struct ReadAhead {
    /// Payload, without checksums.
    window: Vec<u8>,
    /// The start of the window, in payload.
    start: u64,
}

impl ReadAhead {
    /// Reads payload. All calls must name the same file.
    pub(super) fn read(
        &mut self,
        file: &IndexFile,
        mut at: u64,
        mut to: &mut [u8],
    ) -> Result<(), IndexError> {
        while !to.is_empty() {
            let behind = at.checked_sub(self.start).unwrap_or(u64::MAX);
            let rest = usize::try_from(behind).ok().and_then(|behind| self.window.get(behind..));
            let rest = rest.unwrap_or_default();
            if rest.is_empty() {
                self.load(file, at / PAYLOAD as u64)?;
                continue;
            }
            let n = rest.len().min(to.len());
            let (now, later) = to.split_at_mut(n);
            now.copy_from_slice(&rest[..n]);
            (at, to) = (at + n as u64, later);
        }
        Ok(())
    }

    fn load(&mut self, file: &IndexFile, block: u64) -> Result<(), IndexError> {
        // At least one block, so that a read behind the end fails.
        let blocks = file.blocks().saturating_sub(block).clamp(1, BLOCKS) as usize;
        self.start = block * PAYLOAD as u64;
        self.window.resize(blocks * BLOCK, 0);
        let read = file.read_blocks(block, &mut self.window);
        if let Err(error) = read {
            self.window.clear();
            return Err(error);
        }
        for i in 1..blocks {
            self.window.copy_within(i * BLOCK..i * BLOCK + PAYLOAD, i * PAYLOAD);
        }
        self.window.truncate(blocks * PAYLOAD);
        Ok(())
    }
}
