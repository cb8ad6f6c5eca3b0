#![doc = include_str!("../README.md")]

pub mod blocking;
pub mod commit;
mod committed;
mod embedded;
mod error;
mod frames;
mod keys;
mod plan;
pub mod replay;
pub mod transfer;

pub use committed::{CommittedAppend, CommittedEvent};
pub use embedded::{
    BackupError, BackupInfo, BackupReceiver, Embedded, Import, ImportEvent, ImportReport,
    LiveSubscription, LostEvent, Manual, Options, Problem, ReceiveError, ReceivedBackup,
    RepairMode, RepairReport, VerifyReport, forget_repairs, repair, repair_on, restore, restore_on,
    undo_repair, verify_backup, verify_backup_on,
};
pub use error::OpenError;
pub use frames::{OwnAppend, committed_frames};
pub use leftfold_log::repair::{DamagedBytes, Outcome as RepairOutcome, Undone as UndoneRepair};
pub use leftfold_log::{Compression, Durability, Identity as StoreIdentity, Keep};
pub use replay::{Replay, ReplayError, ReplayKey, ReplayOutcome};
