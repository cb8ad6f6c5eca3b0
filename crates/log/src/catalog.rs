use std::io;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use leftfold_io::Disk;
use parking_lot::Mutex;

use crate::blocks::Blocks;
use crate::create::create_segment;
use crate::format::{SegmentHeader, StoreIdentity};
use crate::manifest::{FileKind, LiveFile, Manifest, REPAIRED, SCAVENGED, SegmentState};
use crate::options::Compression;
use crate::ownership::Ownership;
use crate::segment::Segment;

/// What the log consists of: its segments, and the header and manifest that describe it on disk.
pub(crate) struct Catalog {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) ownership: Arc<Ownership>,
    pub(crate) identity: StoreIdentity,
    pub(crate) manifest: Manifest,
    segments: ArcSwap<Vec<Arc<Segment>>>,
    /// The incompatible features in use.
    features: Mutex<u64>,
}

/// Describes a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its number.
    pub id: u64,
    /// The position of its first record, or where that would be.
    pub first: u64,
    /// The position of its last record; one less than the first if there is none.
    pub last: u64,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether it is the one that is written to.
    pub active: bool,
    /// The length of its file in bytes, without what is preallocated.
    pub bytes: u64,
    /// How its blocks are stored.
    pub compression: Compression,
    /// Whether payloads were removed from it.
    pub scavenged: bool,
    /// Whether it was damaged, and its index knows more of it than it does itself.
    pub repaired: bool,
}

impl Catalog {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        ownership: Arc<Ownership>,
        identity: StoreIdentity,
        manifest: Manifest,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        let features = Mutex::new(identity.header.incompatible_features.get());
        let segments = ArcSwap::from_pointee(segments);
        Catalog { disk, ownership, identity, manifest, segments, features }
    }

    /// All segments of this moment, in order.
    pub(crate) fn segments(&self) -> Guard<Arc<Vec<Arc<Segment>>>> {
        self.segments.load()
    }

    /// The segment of a number.
    pub(crate) fn segment(&self, id: u64) -> Option<Arc<Segment>> {
        self.segments().iter().find(|segment| segment.id == id).cloned()
    }

    /// Describes all segments, in order.
    pub(crate) fn infos(&self) -> Vec<SegmentInfo> {
        let segments = self.segments();
        let count = segments.len();
        let info = |(at, segment): (usize, &Arc<Segment>)| SegmentInfo {
            id: segment.id,
            first: segment.first_position,
            last: segment.last_position(),
            sealed: segment.open_body().is_none(),
            active: at + 1 == count,
            bytes: segment.length(),
            compression: Compression::of(segment.detail).unwrap_or_default(),
            scavenged: segment.detail & SCAVENGED != 0,
            repaired: segment.detail & REPAIRED != 0,
        };
        segments.iter().enumerate().map(info).collect()
    }

    /// Returns the store's identity with all features that are in use.
    pub(crate) fn identity_now(&self) -> StoreIdentity {
        self.identity.clone().with_features(*self.features.lock())
    }

    /// Notes in the store's header that it uses features which older releases do not know.
    pub(crate) fn use_features(&self, features: u64) -> io::Result<()> {
        let mut in_use = self.features.lock();
        if *in_use & features != features {
            let identity = self.identity.clone().with_features(*in_use | features);
            self.ownership.replace_store(&identity.encode())?;
            *in_use |= features;
        }
        Ok(())
    }

    /// Creates the file of a new open segment, and names it and the closed one in the manifest. The
    /// segment is in the list only after [`Catalog::push`].
    pub(crate) fn create_segment(
        &self,
        [id, first_position]: [u64; 2],
        commit_floor: i64,
        closed: LiveFile,
    ) -> io::Result<Arc<Segment>> {
        let store_id = self.identity.header.store_id;
        let live = LiveFile {
            kind: FileKind::SEGMENT,
            state: SegmentState::Open.code(),
            id,
            generation: 0,
            first: first_position,
            last: 0,
            length: 0,
            detail: 0,
        };
        // What has the new name may be another process's.
        self.ownership.check()?;
        // An attempt that failed, for want of space or of a descriptor, may have left the file.
        _ = self.disk.remove(&live.name());
        let file = create_segment(&*self.disk, &live, store_id, commit_floor)?;
        self.manifest.update(|files| {
            files.retain(|file| (file.kind, file.id) != (closed.kind, closed.id));
            files.push(closed);
            files.push(live);
        })?;
        let numbers = [id, first_position, SegmentHeader::SIZE];
        Ok(Arc::new(Segment::open(store_id, numbers, file, Blocks::default())))
    }

    /// Adds a segment at the end of the list.
    pub(crate) fn push(&self, segment: &Arc<Segment>) {
        self.segments.rcu(|segments| {
            let mut segments = Vec::clone(segments);
            segments.push(segment.clone());
            segments
        });
    }

    /// Puts a sealed file in the place of the segment of its number, on disk and in the list.
    pub(crate) fn replace_with_sealed(&self, live: LiveFile) -> io::Result<()> {
        self.manifest.replace(live)?;
        let sealed = Arc::new(Segment::sealed(self.identity.header.store_id, &live));
        self.segments.rcu(|segments| {
            let mut segments = Vec::clone(segments);
            if let Some(old) = segments.iter_mut().find(|segment| segment.id == live.id) {
                *old = sealed.clone();
            }
            segments
        });
        Ok(())
    }
}
