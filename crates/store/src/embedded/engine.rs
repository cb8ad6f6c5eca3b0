//! The embedded store as an [`Engine`] of the server.

use std::borrow::Cow;
use std::path::Path;

use leftfold_api::{
    Administration, AdministrationError, Append, AppendError, Appended, BackupReport, BoxFuture,
    Copies, CopySink, Engine, Failure, Invalid, Meters, Page, Progress, Query, Read, ReadError,
    ScavengeReport, Stat, VerifySummary,
};

use super::Embedded;

impl Engine for Embedded {
    fn append_here(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(Embedded::append_here(self, append))
    }

    fn read_here(&self, read: Read) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(Embedded::read_here(self, read))
    }

    fn append_system(&self, append: Append) -> BoxFuture<'_, Result<Appended, AppendError>> {
        Box::pin(Embedded::append_system(self, append))
    }

    fn expand(&self, query: &Query) -> Result<Query, Invalid> {
        self.core.expand(query).map(Cow::into_owned)
    }

    fn meters(&self) -> Meters {
        Embedded::meters(self)
    }

    fn failure(&self) -> Option<Failure> {
        Embedded::failure(self)
    }

    fn administration(&self) -> &dyn Administration {
        self
    }

    fn copies(&self) -> Option<&dyn Copies> {
        Some(self)
    }
}

impl Copies for Embedded {
    fn send_copy(&self, sink: CopySink<'_>) -> Result<(), AdministrationError> {
        self.send_backup(sink).map_err(|error| Box::new(error) as AdministrationError)
    }
}

impl Administration for Embedded {
    fn stat(&self) -> Result<Stat, ReadError> {
        Embedded::stat(self)
    }

    fn seal(&self) -> Result<(), Failure> {
        Embedded::seal(self)
    }

    fn scavenge(&self, progress: Progress<'_>) -> Result<ScavengeReport, ReadError> {
        Embedded::scavenge(self, progress)
    }

    fn reclaimable(&self) -> Result<ScavengeReport, ReadError> {
        Embedded::reclaimable(self)
    }

    fn verify(&self, go_on: &mut dyn FnMut() -> bool) -> Result<VerifySummary, ReadError> {
        let report = super::verify::verify_slowly(&self.core, go_on).ok_or(Failure::Closed)?;
        Ok(VerifySummary {
            frames: report.frames,
            events: report.events,
            index_files: report.index_files,
            lost: report.lost,
            problem_count: report.problem_count,
            problems: report.problems.into_iter().map(|problem| problem.message).collect(),
            refilled: report.refilled,
        })
    }

    fn backup(
        &self,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<BackupReport, AdministrationError> {
        Embedded::backup(self, to, progress).map_err(|error| Box::new(error) as AdministrationError)
    }
}
