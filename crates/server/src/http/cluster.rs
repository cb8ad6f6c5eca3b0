//! The cluster that the server is a node of.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as SharedState;
use leftfold_api::Cluster;

use super::extract::RequestCaller;
use super::json::cluster::ClusterAnswer;
use super::problem::Problem;
use crate::access::{ManagedChange, Scope};
use crate::state::State;

/// Get the cluster as this node sees it: its members, and the node's copy of each partition.
#[utoipa::path(
    get, path = "/v1/cluster", tag = "server", operation_id = "cluster",
    responses((status = 200, description = "The cluster", body = ClusterAnswer))
)]
pub(super) async fn status(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<ClusterAnswer>, Problem> {
    caller.may_observe()?;
    Ok(Json(cluster(&state)?.status().into()))
}

/// Give all partitions of this node to other nodes, as far as there are any, and take no new ones. The
/// answer comes at once, before they are given away: ask for the cluster until the node owns none.
#[utoipa::path(
    post, path = "/v1/cluster/drain", tag = "server", operation_id = "drain",
    responses((status = 200, description = "The cluster", body = ClusterAnswer))
)]
pub(super) async fn drain(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<ClusterAnswer>, Problem> {
    change(&state, caller.may_manage(Scope::Store, "drain")?, |cluster| cluster.drain()).await
}

/// Let this node take partitions again.
#[utoipa::path(
    post, path = "/v1/cluster/undrain", tag = "server", operation_id = "undrain",
    responses((status = 200, description = "The cluster", body = ClusterAnswer))
)]
pub(super) async fn undrain(
    SharedState(state): SharedState<Arc<State>>,
    RequestCaller(caller): RequestCaller,
) -> Result<Json<ClusterAnswer>, Problem> {
    change(&state, caller.may_manage(Scope::Store, "undrain")?, |cluster| cluster.undrain()).await
}

/// Changes the node, and returns the cluster after it.
async fn change(
    state: &State,
    allowed: ManagedChange,
    make: impl Fn(&dyn Cluster),
) -> Result<Json<ClusterAnswer>, Problem> {
    let changed = async {
        let cluster = cluster(state)?;
        make(cluster);
        Ok::<_, Problem>(cluster.status())
    };
    Ok(Json(allowed.make(changed).await?.into()))
}

fn cluster(state: &State) -> Result<&dyn Cluster, Problem> {
    let message = "this server is no node of a cluster: it was started with the embedded engine";
    state.store.cluster().ok_or_else(|| Problem::new("cluster_none", message))
}
