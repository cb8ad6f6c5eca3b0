//! Reads the changes that the server sends, and tells it what is durable.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use leftfold_api::EventStore;
use leftfold_fold::time::Time;
use postgres_protocol::message::frontend;

use super::super::super::ConnectorError;
use super::super::super::follow::StopSignal;
use super::super::table::TableName;
use super::columns::{OutboxColumns, age};
use super::intake::Intake;
use super::login::SENDER_TIMEOUT;
use super::lsn::Lsn;
use super::pgoutput::{Change, Copied, confirmation, parse};
use super::standby;
use super::wire::{Frame, MOST_MESSAGES, Refusal, Wire, malformed};

/// How often the server is told what is durable, at least. It answers.
const CONFIRM_EVERY: Duration = Duration::from_secs(5);
/// How often the place follows the log while nothing is inserted.
const FOLLOW_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether commits wait for the connector.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long a row may wait for others to be appended with it, however many messages come.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// How many pauses there may be without a message of the server, which sends one at least at half of its timeout.
const MOST_SILENCE: u32 = 6;

const _: () =
    assert!(CONFIRM_EVERY.as_secs() * (MOST_SILENCE as u64 + 1) > SENDER_TIMEOUT.as_secs());

/// The changes of an outbox as they come.
pub(super) struct Feed<S> {
    pub(super) wire: Wire,
    pub(super) intake: Intake<S>,
    pub(super) table: TableName,
    /// `None` before its first row.
    pub(super) columns: Option<OutboxColumns>,
    /// Whether the server waits for an answer.
    pub(super) is_asked: bool,
    /// How many pauses there were since the last message.
    pub(super) silence: u32,
    pub(super) time: Arc<dyn Time>,
    pub(super) stop: StopSignal,
}

/// When what is done now and then was done.
struct Clock {
    confirmed: Instant,
    followed: Instant,
    checked: Instant,
    flushed: Instant,
}

impl<S: EventStore> Feed<S> {
    /// Asks the server to send what it has since the slot's position.
    pub(super) async fn start(
        &mut self,
        slot: &str,
        publication: &str,
    ) -> Result<(), ConnectorError> {
        let mut message = BytesMut::new();
        let sql = format!(
            "START_REPLICATION SLOT \"{slot}\" LOGICAL 0/0 (proto_version '1', publication_names '\"{publication}\"')"
        );
        frontend::query(&sql, &mut message).map_err(ConnectorError::unusable)?;
        self.wire.send(&message).await?;
        for _ in 0..MOST_MESSAGES {
            let frame = self.wire.answer().await?;
            match frame.tag {
                // Both sides copy from now on.
                b'W' => return Ok(()),
                b'E' => return Err(Refusal::of(frame.body).error()),
                _ => {}
            }
        }
        Err(malformed())
    }

    /// Reads until an error, or until it is to stop.
    pub(super) async fn run(mut self) -> Result<(), ConnectorError> {
        let now = Instant::now();
        let mut clock = Clock { confirmed: now, followed: now, checked: now, flushed: now };
        let mut told = self.intake.confirmed;
        while !self.stop.is_given() {
            if let Some(frame) = self.next().await? {
                self.take(frame).await?;
            }
            let is_asked = std::mem::take(&mut self.is_asked);
            if clock.flushed.elapsed() >= FLUSH_EVERY && !self.intake.is_in_transaction() {
                self.flush().await?;
                clock.flushed = Instant::now();
            }
            if clock.checked.elapsed() >= CHECK_EVERY {
                clock.checked = Instant::now();
                standby::check(self.intake.table.client()).await?;
            }
            if is_asked || clock.followed.elapsed() >= FOLLOW_EVERY {
                clock.followed = Instant::now();
                self.intake.follow_log().await?;
            }
            if is_asked
                || told < self.intake.confirmed
                || clock.confirmed.elapsed() >= CONFIRM_EVERY
            {
                clock.confirmed = Instant::now();
                told = self.intake.confirmed;
                self.wire.send(&confirmation(told, now_micros())).await?;
            }
        }
        Ok(())
    }

    /// Returns the next message. When none is there, what was received is appended first. `None` if none came for a while.
    async fn next(&mut self) -> Result<Option<Frame>, ConnectorError> {
        if let Some(frame) = self.wire.receive().now_or_never() {
            self.silence = 0;
            return frame.map(Some);
        }
        if !self.intake.is_in_transaction() {
            let told = self.intake.confirmed;
            self.flush().await?;
            self.intake.measured.lock().note_age(Duration::ZERO);
            if self.intake.confirmed > told {
                return Ok(None);
            }
        }
        let (pause, stop) = (pin!(self.time.after(CONFIRM_EVERY)), pin!(self.stop.wait()));
        match select(pin!(self.wire.receive()), select(pause, stop)).await {
            Either::Left((frame, _)) => {
                self.silence = 0;
                frame.map(Some)
            }
            Either::Right(_) if self.silence >= MOST_SILENCE => {
                Err(ConnectorError::unavailable("PostgreSQL does not answer any more"))
            }
            Either::Right(_) => {
                self.silence += 1;
                Ok(None)
            }
        }
    }

    async fn flush(&mut self) -> Result<(), ConnectorError> {
        let told = self.intake.confirmed;
        self.confirming(told, async |intake| intake.flush().await).await
    }

    async fn take(&mut self, frame: Frame) -> Result<(), ConnectorError> {
        match frame.tag {
            b'd' => {}
            b'E' => return Err(Refusal::of(frame.body).error()),
            b'c' | b'C' => {
                return Err(ConnectorError::unavailable("PostgreSQL has ended the replication"));
            }
            _ => return Ok(()),
        }
        let length = frame.length;
        match parse(frame.body).ok_or_else(malformed)? {
            Copied::Keepalive { end, wants_answer } => {
                self.intake.reach(end);
                // A server that shuts down waits until all is confirmed.
                self.is_asked |= wants_answer;
            }
            Copied::Change { change, sent_micros } => {
                self.apply(change, length).await?;
                if let Some(committed) = self.intake.committed_micros() {
                    self.intake.measured.lock().note_age(age(sent_micros, committed));
                }
            }
        }
        Ok(())
    }

    async fn apply(&mut self, change: Change, length: usize) -> Result<(), ConnectorError> {
        match change {
            Change::Begin { commit, micros, xid } => self.intake.begin(xid, commit, micros),
            Change::Commit { end } => self.intake.commit(end),
            Change::Relation(relation) if self.table.is_of(&relation.schema, &relation.table) => {
                self.columns = Some(OutboxColumns::of(&relation)?);
            }
            Change::Insert { relation, values } => {
                // A publication may have other tables too.
                let columns = self.columns.as_ref().filter(|found| found.relation == relation);
                if let Some(columns) = columns {
                    let row = columns.row(&values, length);
                    let told = self.intake.confirmed;
                    self.confirming(told, async |intake| intake.insert(row).await).await?;
                }
            }
            Change::Relation(_) | Change::Other => {}
        }
        Ok(())
    }

    /// Waits for work of the intake. Meanwhile the server hears that the connector is there.
    async fn confirming(
        &mut self,
        told: Lsn,
        work: impl AsyncFnOnce(&mut Intake<S>) -> Result<(), ConnectorError>,
    ) -> Result<(), ConnectorError> {
        let mut working = pin!(work(&mut self.intake));
        loop {
            match select(working, pin!(self.time.after(CONFIRM_EVERY))).await {
                Either::Left((done, _)) => return done,
                Either::Right(((), unfinished)) => working = unfinished,
            }
            self.wire.send(&confirmation(told, now_micros())).await?;
        }
    }
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
