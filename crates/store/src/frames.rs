//! What an owner's batch holds, for a commit that sends it elsewhere.

use leftfold_api::{Cursor, Failure, Recorded, Timestamp};
use leftfold_log::format::EXTENSION_CHECKPOINTS;
use leftfold_log::{Batch, FrameView};

use crate::committed::{CommittedAppend, CommittedEvent};
use crate::embedded::{decode_event, decode_moves};

/// An append of this node, as its batch holds it.
#[derive(Debug, Clone)]
pub struct OwnAppend {
    /// The position of its first event. An append without events has a position of its own, if empty frames
    /// take one.
    pub first: u64,
    /// The id of the append.
    pub append_id: u128,
    /// When it was written.
    pub commit_time: Timestamp,
    /// Its events, with their versions.
    pub events: Vec<Recorded>,
    /// The checkpoints that it moves, and where to.
    pub checkpoints: Vec<(String, Cursor)>,
}

/// Reads the appends of a batch, in order. Ends after the first error.
pub fn committed_frames(
    batch: &Batch<'_>,
) -> impl Iterator<Item = Result<OwnAppend, Failure>> + use<> {
    let (first, positions) = (batch.first, batch.positions_of_empty());
    batch.read_frames().filter(|frame| !matches!(frame, Ok(frame) if frame.header.is_mark())).map(
        move |frame| match frame {
            Ok(frame) => own_append(frame, positions),
            Err(what) => Err(Failure::Record { position: first, what }),
        },
    )
}

fn own_append(frame: FrameView, positions_of_empty: u64) -> Result<OwnAppend, Failure> {
    let moves = frame.extensions().filter(|extension| extension.kind == EXTENSION_CHECKPOINTS);
    Ok(OwnAppend {
        checkpoints: moves.flat_map(|extension| decode_moves(extension.value)).collect(),
        first: frame.position(positions_of_empty),
        append_id: u128::from_le_bytes(frame.header.append_id),
        commit_time: Timestamp(frame.header.commit_time.get()),
        events: frame.records.into_iter().map(decode_event).collect::<Result<_, _>>()?,
    })
}

/// The append as another node applies it.
impl From<OwnAppend> for CommittedAppend {
    fn from(own: OwnAppend) -> Self {
        let OwnAppend { first, append_id, commit_time, events, checkpoints } = own;
        let events = events.iter().map(CommittedEvent::from).collect();
        CommittedAppend { first, append_id, commit_time, events, checkpoints }
    }
}

impl From<&Recorded> for CommittedEvent {
    fn from(event: &Recorded) -> Self {
        CommittedEvent {
            stream: event.stream().to_owned(),
            version: event.version(),
            event_time: event.event_time(),
            event: event.into(),
        }
    }
}
