//! The transactions of a connector: records, and the cursor behind them.

use std::sync::Arc;
use std::time::Duration;

use leftfold_kafka::{Client, Compression, Connection, End, EndVersion, KafkaError, ProducerId};
use parking_lot::Mutex;

use super::failure::Attempts;
use super::sender::{InTransaction, Sender, Shipment};

/// How long a transaction may be open before the broker aborts it. A connector that was killed holds up the readers of
/// its topics so long, unless it begins again.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(40);
/// How long a takeover may take: a predecessor's transaction ends first.
const TAKEOVER_TIME: Duration = Duration::from_secs(60);
/// How long the end of a transaction may take.
const END_TIME: Duration = Duration::from_secs(10);
/// How long a connector that stops waits for the end of its open transaction.
const ABORT_TIME: Duration = Duration::from_secs(2);

/// The producer of a transactional id, of which there is one at a time.
pub(super) struct TransactionalProducer {
    client: Arc<Client>,
    id: String,
    coordinator: Connection,
    version: EndVersion,
    sender: Sender,
    open: OpenTransaction,
}

/// The transaction that is open, or may be: for an abort after the producer was dropped.
#[derive(Clone, Default)]
pub(super) struct OpenTransaction(Arc<Mutex<Option<Abort>>>);

struct Abort {
    coordinator: Connection,
    id: String,
    producer: ProducerId,
    version: EndVersion,
}

impl TransactionalProducer {
    /// Takes a transactional id over: its predecessor is fenced, and what it has not committed is aborted.
    pub(super) async fn take_over(
        client: Arc<Client>,
        id: &str,
        compression: Compression,
        open: OpenTransaction,
    ) -> Result<Self, KafkaError> {
        let mut attempts = Attempts::within(TAKEOVER_TIME);
        loop {
            match try_take_over(&client, id).await {
                Ok((coordinator, producer, version)) => {
                    let sender = Sender::new(client.clone(), producer, compression);
                    let id = id.to_owned();
                    return Ok(TransactionalProducer {
                        client,
                        id,
                        coordinator,
                        version,
                        sender,
                        open,
                    });
                }
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// Returns the producer of the next transaction. All of the id's earlier ones have ended.
    pub(super) fn producer(&self) -> ProducerId {
        self.sender.producer()
    }

    /// Commits records in one transaction. After an error it may be committed, or open: the next takeover ends it.
    pub(super) async fn commit(&mut self, shipments: Vec<Shipment>) -> Result<(), KafkaError> {
        if !self.coordinator.is_open() {
            self.coordinator = self.client.coordinator(&self.id).await?;
        }
        self.open.set(Some(Abort {
            coordinator: self.coordinator.clone(),
            id: self.id.clone(),
            producer: self.sender.producer(),
            version: self.version,
        }));
        let (id, coordinator, version) = (&*self.id, &self.coordinator, self.version);
        let transaction = InTransaction { id, coordinator, version };
        self.sender.send(shipments, Some(&transaction)).await?;
        let next = self.end().await?;
        self.open.set(None);
        self.sender.set_producer(next);
        Ok(())
    }

    async fn end(&mut self) -> Result<ProducerId, KafkaError> {
        let mut attempts = Attempts::within(END_TIME);
        loop {
            let producer = self.sender.producer();
            let sent =
                self.coordinator.end_transaction(&self.id, producer, End::Commit, self.version);
            let error = match sent {
                Ok(reply) => match reply.wait().await {
                    Ok(next) => return Ok(next),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            // What was refused was not executed. Without an answer only the cursor tells what has happened.
            if error.is_outcome_unknown() || error.code().is_none() {
                return Err(error);
            }
            attempts.after(error).await?;
            self.coordinator = self.client.coordinator(&self.id).await?;
        }
    }
}

impl OpenTransaction {
    fn set(&self, open: Option<Abort>) {
        *self.0.lock() = open;
    }

    /// Aborts the transaction if one is open, so that readers need not wait until it times out. It may have ended.
    pub(super) async fn abort(&self) {
        let Some(open) = self.0.lock().take() else { return };
        let Abort { coordinator, id, producer, version } = open;
        let aborted = match coordinator.end_transaction(&id, producer, End::Abort, version) {
            Ok(reply) => reply.wait_for(ABORT_TIME).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = aborted {
            tracing::debug!(%id, %error, "the open transaction of a connector was not aborted");
        }
    }
}

async fn try_take_over(
    client: &Client,
    id: &str,
) -> Result<(Connection, ProducerId, EndVersion), KafkaError> {
    let coordinator = client.coordinator(id).await?;
    let version = coordinator.newest_end().await?;
    let taken = coordinator.take_over(id, TRANSACTION_TIMEOUT).await;
    if let Err(KafkaError::Timeout { .. }) = taken {
        client.forget(&coordinator);
    }
    Ok((coordinator, taken?, version))
}
