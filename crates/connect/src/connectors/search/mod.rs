//! Documents of Elasticsearch and OpenSearch: each event writes one, by requests of `_bulk`.
//!
//! The version of a document is the position of its event. The cluster refuses a version that is not above the one it
//! has, so repeats and events that come late change nothing, and events can be delivered in any order.

mod action;
mod answer;
mod bulk;
mod check;
mod cluster;
mod document;
mod index_name;
mod pattern;
mod settings;

use std::time::Duration;

use leftfold_api::{EventStore, Recorded};
use leftfold_fold::react::{Lanes, Retry};

use self::action::{Action, Actions};
use self::bulk::Bulk;
pub(crate) use self::check::check;
use self::cluster::Cluster;
pub(crate) use self::settings::SearchSettings;
use super::ConnectorError;
use super::batch::{BatchLimits, Batches};
use super::kind::Run;
use super::outlet::{Attempt, Outlet, Pace, Undelivered, run_outlet};

/// Events that are delivered at a time, if the definition does not say: two requests and what is collected meanwhile.
const IN_FLIGHT: usize = 2_000;
/// Both vendors recommend requests of 5 to 15 MiB.
const BATCHES: BatchLimits = BatchLimits { items: 1_000, bytes: 5 << 20, requests: 2 };

/// Returns the usual retries: about an hour of them, because a cluster that is overloaded needs time.
pub(crate) fn usual_retry() -> Retry {
    Retry { attempts: 100, first: Duration::from_millis(200), longest: Duration::from_secs(60) }
}

/// Writes events into a cluster.
struct SearchOutlet {
    actions: Actions,
    batches: Batches<Action>,
    bulk: Bulk,
}

impl Outlet for SearchOutlet {
    async fn deliver(&self, event: &Recorded, _: Attempt) -> Result<(), Undelivered> {
        let action = self.actions.make(event).map_err(Undelivered::Refused)?;
        let bytes = action.lines.len();
        self.batches.deliver(action, bytes, |actions| self.bulk.send(actions)).await
    }
}

/// Runs a connector.
pub(crate) async fn run<S: EventStore + 'static>(
    settings: &SearchSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let partitions = run.store.head().await?.positions().len();
    if partitions > 1 && !settings.has_id_of_stream() {
        return Err(ConnectorError::unusable(format!(
            "the store has {partitions} partitions, whose positions can't be compared, so a document must be of one \
             stream: use {{stream}}, {{key}} or {{id}} in id"
        )));
    }
    let outlet = SearchOutlet {
        actions: settings.actions(),
        batches: Batches::new(BATCHES),
        bulk: Bulk::new(Cluster::new(settings, &run.secrets)?, settings.index.fixed().is_some()),
    };
    run_outlet(run, outlet, Pace { lanes: Lanes::ByEvent, ..Pace::batched(IN_FLIGHT) }).await
}
