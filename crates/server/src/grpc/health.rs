//! gRPC's own health protocol, which load balancers and orchestrators speak. It needs no credentials.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use tonic::{Request, Response, Status, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::state::State;

/// The services that it knows; the empty name is the server as a whole.
const SERVICES: [&str; 3] = ["", "leftfold.v1.Store", "leftfold.v1.Admin"];

pub(super) struct HealthService {
    pub(super) state: Arc<State>,
}

impl HealthService {
    fn status(&self, service: &str) -> Result<HealthCheckResponse, Status> {
        if !SERVICES.contains(&service) {
            return Err(Status::not_found(format!("there is no service {service}")));
        }
        Ok(answer(!self.state.is_closing() && self.state.store.failure().is_none()))
    }
}

fn answer(serves: bool) -> HealthCheckResponse {
    let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
    HealthCheckResponse { status: status as i32 }
}

#[async_trait]
impl Health for HealthService {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(self.status(&request.get_ref().service)?))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    /// Tells the status, and once more when the server shuts down.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let now = self.status(&request.get_ref().service)?;
        let state = self.state.clone();
        let end = stream::once(async move {
            state.closed().await;
            Ok(answer(false))
        });
        Ok(Response::new(Box::pin(stream::iter([Ok(now)]).chain(end))))
    }
}
