use leftfold_api::{AppendError, BackupReport, ReadError, ScavengeReport, Stat};
use leftfold_wire::v1;

use crate::calls::{Patience, Repeat};
use crate::client::Client;
use crate::fault::Fault;

/// What those who look after a store do. Each may take as long as it takes.
impl Client {
    /// The store's size and state; and, if wanted, what scavenging would remove, for which all
    /// segments are read.
    ///
    /// # Errors
    /// Those of a read; `forbidden`.
    pub async fn stat(
        &self,
        reclaimable: bool,
    ) -> Result<(Stat, Option<ScavengeReport>), ReadError> {
        let request = v1::StatRequest { reclaimable };
        let stat =
            self.calls.ask(Repeat::Safe, Patience::Endless, request, |calls, request| async move {
                calls.admin().stat(request).await
            });
        let stat = stat.await?;
        Ok((stat.stat(), stat.reclaimable.map(ScavengeReport::from)))
    }

    /// Removes the payloads of all that retention has dropped, or only says what that would be.
    ///
    /// # Errors
    /// Those of an append; `forbidden`. Doing it twice does no harm.
    pub async fn scavenge(&self, dry_run: bool) -> Result<ScavengeReport, ReadError> {
        let request = v1::ScavengeRequest { dry_run };
        let done = self.calls.ask(
            Repeat::Unsafe,
            Patience::Endless,
            request,
            |calls, request| async move { calls.admin().scavenge(request).await },
        );
        Ok(done.await?.reclaimed.unwrap_or_default().into())
    }

    /// Seals all events so far, and waits until all is packed and merged.
    ///
    /// # Errors
    /// Those of an append; `forbidden`. Doing it twice does no harm.
    pub async fn pack(&self) -> Result<(), AppendError> {
        let request = v1::PackRequest {};
        let done = self.calls.ask(
            Repeat::Unsafe,
            Patience::Endless,
            request,
            |calls, request| async move { calls.admin().pack(request).await },
        );
        Ok(done.await.map(|v1::PackResponse {}| ())?)
    }

    /// Backs the store up into a directory of the server's machine, which is named below the one
    /// that the server has for backups.
    ///
    /// # Errors
    /// `backups_off`, `forbidden`, and those of a backup.
    pub async fn backup(&self, directory: &str) -> Result<BackupReport, AppendError> {
        let request = v1::BackupRequest { directory: directory.to_owned() };
        let done = self.calls.ask(
            Repeat::Unsafe,
            Patience::Endless,
            request,
            |calls, request| async move { calls.admin().backup(request).await },
        );
        let done = done.await?;
        Ok(done.try_into().map_err(|wrong: leftfold_api::Invalid| Fault::Strange(wrong.message))?)
    }
}
