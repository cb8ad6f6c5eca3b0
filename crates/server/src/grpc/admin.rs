use leftfold_api::Administration;
use leftfold_wire::v1::admin_server::Admin;
use leftfold_wire::v1::{self, Reclaimed};
use tonic::{Request, Response, Status, async_trait};

use super::{Service, status};
use crate::access::{ManagedChange, Scope};

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Admin for Service {
    async fn stat(&self, request: Request<v1::StatRequest>) -> Answer<v1::StatResponse> {
        let (caller, request) = self.ask(request)?;
        caller.may_observe().map_err(status::denied)?;
        let stat = self.state.inspect(|state| state.store.administration().stat()).await;
        let stat = stat.map_err(status::work)?.map_err(status::read)?;
        let reclaimable = match request.reclaimable {
            true => Some(self.alone(|store| store.reclaimable().map_err(status::read)).await?),
            false => None,
        };
        Ok(Response::new(v1::StatResponse::new(&stat, reclaimable)))
    }

    async fn scavenge(
        &self,
        request: Request<v1::ScavengeRequest>,
    ) -> Answer<v1::ScavengeResponse> {
        let found = match request.get_ref().dry_run {
            true => {
                self.look_after(request)?;
                self.alone(|store| store.reclaimable().map_err(status::read)).await?
            }
            false => {
                let scavenge =
                    self.alone(|store| store.scavenge(&mut |_, _| ()).map_err(status::read));
                self.manage(request, "scavenge")?.0.make(scavenge).await?
            }
        };
        let reclaimed = Some(Reclaimed::from(found));
        Ok(Response::new(v1::ScavengeResponse { reclaimed }))
    }

    async fn pack(&self, request: Request<v1::PackRequest>) -> Answer<v1::PackResponse> {
        let (change, _) = self.manage(request, "pack")?;
        let pack = self.alone(|store| store.seal().map_err(|failure| status::read(failure.into())));
        change.make(pack).await?;
        Ok(Response::new(v1::PackResponse {}))
    }

    async fn verify(&self, request: Request<v1::VerifyRequest>) -> Answer<v1::VerifyResponse> {
        let (change, _) = self.manage(request, "verify")?;
        let verify =
            async { self.state.verify().await.map_err(status::work)?.map_err(status::read) };
        Ok(Response::new(change.make(verify).await?.into()))
    }

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Answer<v1::BackupResponse> {
        let (change, request) = self.manage(request, "back up")?;
        let back_up = async {
            let to = self.state.backup_directory(&request.directory).map_err(status::backup)?;
            let work = move |store: &dyn Administration| {
                store.backup(&to, &mut |_, _| ()).map_err(|error| status::administration(&error))
            };
            self.alone(work).await
        };
        Ok(Response::new(change.make(back_up).await?.into()))
    }
}

impl Service {
    /// Authorizes a question about the store as a whole.
    fn look_after<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (caller, request) = self.ask(request)?;
        caller.may_look_after(Scope::Store).map_err(status::denied)?;
        Ok(request)
    }

    /// Authorizes a change of the store as a whole.
    fn manage<T>(&self, request: Request<T>, does: &str) -> Result<(ManagedChange, T), Status> {
        let (caller, request) = self.ask(request)?;
        let change = caller.may_manage(Scope::Store, does).map_err(status::denied)?;
        Ok((change, request))
    }

    /// Runs work that reads or writes much: one at a time.
    async fn alone<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Administration) -> Result<T, Status> + Send + 'static,
    ) -> Result<T, Status> {
        let done = self.state.run_alone(|state| work(state.store.administration())).await;
        done.map_err(status::work)?
    }
}
