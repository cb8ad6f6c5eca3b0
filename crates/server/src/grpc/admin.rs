use leftfold_api::Administration;
use leftfold_wire::v1::admin_server::Admin;
use leftfold_wire::v1::{self, Reclaimed};
use tonic::{Request, Response, Status, async_trait};

use super::{Service, status};
use crate::access::Scope;

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Admin for Service {
    async fn stat(&self, request: Request<v1::StatRequest>) -> Answer<v1::StatResponse> {
        let request = self.manage(request, |_| None).await?;
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
        let does = |request: &v1::ScavengeRequest| (!request.dry_run).then_some("scavenge");
        let request = self.manage(request, does).await?;
        let scavenged = self.alone(move |store| match request.dry_run {
            true => store.reclaimable().map_err(status::read),
            false => store.scavenge(&mut |_, _| ()).map_err(status::read),
        });
        let reclaimed = Some(Reclaimed::from(scavenged.await?));
        Ok(Response::new(v1::ScavengeResponse { reclaimed }))
    }

    async fn pack(&self, request: Request<v1::PackRequest>) -> Answer<v1::PackResponse> {
        self.manage(request, |_| Some("pack")).await?;
        self.alone(|store| store.seal().map_err(|failure| status::read(failure.into()))).await?;
        Ok(Response::new(v1::PackResponse {}))
    }

    async fn backup(&self, request: Request<v1::BackupRequest>) -> Answer<v1::BackupResponse> {
        let request = self.manage(request, |_| Some("back up")).await?;
        let to = self.state.backup_directory(&request.directory).map_err(status::backup)?;
        let done = self.alone(move |store| {
            store.backup(&to, &mut |_, _| ()).map_err(|error| status::administration(&error))
        });
        Ok(Response::new(done.await?.into()))
    }
}

impl Service {
    /// Authorizes a request on the store as a whole; `does` names what it changes.
    async fn manage<T>(
        &self,
        request: Request<T>,
        does: impl Fn(&T) -> Option<&'static str>,
    ) -> Result<T, Status> {
        let (caller, request) = self.ask(request).await?;
        match does(&request) {
            Some(does) => caller.may_manage(Scope::Store, does),
            None => caller.may_look_after(Scope::Store),
        }
        .map_err(status::denied)?;
        Ok(request)
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
