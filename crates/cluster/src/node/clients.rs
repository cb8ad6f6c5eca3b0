//! The connections to other nodes. The partitions share them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use leftfold_api::{Coded, ErasedStore, Failure};
use leftfold_client::Client;
use parking_lot::Mutex;

/// The time of one attempt at another node. A call that takes longer is asked again, or reported.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The connections to one node at most: each carries the calls of every eighth partition.
const CONNECTIONS: u32 = 8;
/// The most connections that are kept. Nodes come and go; those that are left are made anew.
const MAX_KEPT: usize = 64 * CONNECTIONS as usize;

/// The connections to other nodes.
pub(super) struct Clients {
    token: String,
    kept: Mutex<HashMap<(String, u32), Client>>,
}

impl Clients {
    /// Returns connections that show a token, unless it is empty.
    pub(super) fn new(token: String) -> Self {
        Clients { token, kept: Mutex::default() }
    }

    /// Returns a client of a partition at another node. It connects when it is first called.
    ///
    /// # Errors
    /// The URL or the token can't be used.
    pub(super) fn connect(&self, url: &str, number: u32) -> Result<Arc<dyn ErasedStore>, Failure> {
        let key = (url.to_owned(), number % CONNECTIONS);
        let mut kept = self.kept.lock();
        let client = match kept.get(&key) {
            Some(client) => client.clone(),
            None => {
                let client = self.open(url)?;
                if kept.len() >= MAX_KEPT {
                    kept.clear();
                }
                kept.insert(key, client.clone());
                client
            }
        };
        Ok(Arc::new(client.of_partition(number)))
    }

    /// Returns a connection that nothing shares.
    ///
    /// # Errors
    /// The URL or the token can't be used.
    pub(super) fn open(&self, url: &str) -> Result<Client, Failure> {
        let mut builder = Client::builder(url).timeout(ATTEMPT);
        if !self.token.is_empty() {
            builder = builder.token(&self.token);
        }
        builder.connect_lazily().map_err(|error| Failure::Remote {
            code: error.code(),
            message: format!("the node at {url}: {error}"),
            can_retry: false,
        })
    }
}
