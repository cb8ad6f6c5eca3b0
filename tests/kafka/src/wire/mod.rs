//! The client of `leftfold-kafka` for code that blocks: experiments, the proxy, administration.
//!
//! One runtime serves all connections. Sending returns at once, so several requests can be in flight; each reply's
//! `wait` blocks until its answer comes.

mod client;
mod connection;
mod replies;

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use leftfold_kafka::Address;
use tokio::runtime::{Builder, Runtime};

pub use client::Client;
pub use connection::Connection;
pub use leftfold_kafka::{
    Batch, End, EndVersion, FetchOptions, FetchResult, Isolation, KafkaError, OffsetSpec,
    Partition, ProduceResult, ProducerId, Record, ResponseError, StoredBatch, StoredRecord,
};
pub use replies::{EndReply, OffsetReply, ProduceReply, Reply};

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("leftfold-kafka").enable_all().build()
});

/// Waits until the future is done.
fn block_on<T>(future: impl Future<Output = Result<T, KafkaError>>) -> Result<T, KafkaError> {
    match &*RUNTIME {
        Ok(runtime) => runtime.block_on(future),
        Err(error) => {
            let address = Address::new(&Ipv4Addr::LOCALHOST.to_string(), 0);
            let source = Arc::new(error.kind().into());
            Err(KafkaError::Connect { address, source })
        }
    }
}
