//! What requests share: their number, and memory for their bodies and answers.
//!
//! Each is a [`Pool`], of which one address and one user have a part at most. `admission.rs` authenticates a request by
//! its head before anything is taken for it; `call_body.rs` counts the messages of gRPC while they arrive; `held.rs`
//! gives back what an answer holds when it is sent.

mod admission;
mod call_body;
mod client;
mod held;
mod page_turns;
mod pages;
mod pool;
mod reservation;

pub(crate) use admission::{SMALL_ANSWER, admit, hold_answer, is_grpc};
pub(crate) use client::{Client, Holder};
pub(crate) use held::{PageMemory, SharedLease, keep};
pub(crate) use page_turns::PageTurns;
pub(crate) use pages::{PageError, detach, memory_of};
pub(crate) use pool::{Lease, Pool};
pub(crate) use reservation::{MemoryFull, Reservation};

/// Why a body is not received.
pub(crate) const BODIES_FULL: &str = "the bodies of the requests in flight take all of limits.bodies_bytes, or of this \
                                      client's share of it (limits.share)";

use std::sync::Arc;

use leftfold_api::Engine;

use crate::config::Config;

/// The pools of a server.
pub(crate) struct SharedLimits {
    /// Requests in flight.
    pub(crate) requests: Arc<Pool>,
    /// Requests of metrics and administration.
    pub(crate) administration: Arc<Pool>,
    /// Calls of gRPC that need no credentials.
    pub(crate) open: Arc<Pool>,
    /// Subscriptions and other long-lived answers.
    pub(crate) subscriptions: Arc<Pool>,
    /// Bytes of bodies of requests in flight.
    pub(crate) bodies: Arc<Pool>,
    /// Queries of views that are answered.
    pub(crate) asks: Arc<Pool>,
    /// Live queries of views.
    pub(crate) live_queries: Arc<Pool>,
    /// Pages that are being read. Their memory is reserved when their size is known.
    pub(crate) pages: PageTurns,
    /// Bytes of answers that their clients have not taken.
    pub(crate) answers: Arc<Pool>,
}

impl SharedLimits {
    pub(crate) fn new(config: &Config, engine: &dyn Engine) -> Self {
        let pool = |most| Pool::new(most, config.share);
        SharedLimits {
            requests: pool(config.requests),
            administration: pool(config.reserved_requests),
            open: pool(config.reserved_requests),
            subscriptions: pool(config.subscriptions),
            asks: pool(config.asks),
            live_queries: pool(config.live_queries),
            pages: PageTurns::new(config, engine),
            bodies: pool(config.bodies_bytes.get()),
            answers: pool(config.answers_bytes.get()),
        }
    }
}
