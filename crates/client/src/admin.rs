use leftfold_api::{AppendError, BackupReport, ReadError, ScavengeReport, Stat, VerifySummary};
use leftfold_wire::v1;

use crate::call_error::CallError;
use crate::calls::{Retry, TimeLimit};
use crate::client::Client;

/// Administration. These calls have no time limit.
impl Client {
    /// Returns the store's size and state. With `reclaimable` it also reads all segments and returns
    /// what scavenging would remove.
    ///
    /// # Errors
    /// Those of a read; `forbidden`.
    pub async fn stat(
        &self,
        reclaimable: bool,
    ) -> Result<(Stat, Option<ScavengeReport>), ReadError> {
        let request = v1::StatRequest { reclaimable };
        let stat =
            self.calls.send(Retry::Always, TimeLimit::None, request, |calls, request| async move {
                calls.admin().stat(request).await
            });
        let stat = stat.await?;
        Ok((stat.stat(), stat.reclaimable.map(ScavengeReport::from)))
    }

    /// Removes the payloads of events that retention drops; a dry run only counts them.
    ///
    /// # Errors
    /// Those of an append; `forbidden`. A repeat is safe.
    pub async fn scavenge(&self, dry_run: bool) -> Result<ScavengeReport, ReadError> {
        let request = v1::ScavengeRequest { dry_run };
        let done = self.calls.send(
            Retry::IfNotSent,
            TimeLimit::None,
            request,
            |calls, request| async move { calls.admin().scavenge(request).await },
        );
        Ok(done.await?.reclaimed.unwrap_or_default().into())
    }

    /// Seals all events so far; waits until their segments are compressed and merged.
    ///
    /// # Errors
    /// Those of an append; `forbidden`. A repeat is safe.
    pub async fn pack(&self) -> Result<(), AppendError> {
        let request = v1::PackRequest {};
        let done = self.calls.send(
            Retry::IfNotSent,
            TimeLimit::None,
            request,
            |calls, request| async move { calls.admin().pack(request).await },
        );
        Ok(done.await.map(|v1::PackResponse {}| ())?)
    }

    /// Checks every byte of the store: checksums, index against log, versions. It stops when this future is
    /// dropped.
    ///
    /// # Errors
    /// Those of a read; `forbidden`.
    pub async fn verify(&self) -> Result<VerifySummary, ReadError> {
        let request = v1::VerifyRequest {};
        let done = self.calls.send(
            Retry::IfNotSent,
            TimeLimit::None,
            request,
            |calls, request| async move { calls.admin().verify(request).await },
        );
        Ok(done.await?.into())
    }

    /// Backs the store up into a directory of the server's machine, inside its directory of backups.
    ///
    /// # Errors
    /// `backups_off`, `forbidden`, and those of a backup.
    pub async fn backup(&self, directory: &str) -> Result<BackupReport, AppendError> {
        let request = v1::BackupRequest { directory: directory.to_owned() };
        let done = self.calls.send(
            Retry::IfNotSent,
            TimeLimit::None,
            request,
            |calls, request| async move { calls.admin().backup(request).await },
        );
        let done = done.await?;
        Ok(done
            .try_into()
            .map_err(|wrong: leftfold_api::Invalid| CallError::Protocol(wrong.message))?)
    }
}
