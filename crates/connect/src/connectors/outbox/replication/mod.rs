//! Brings rows in by logical replication: PostgreSQL sends what was inserted into the table, whole transactions in the order
//! of their commits, from a replication slot on.
//!
//! The place in the server's log is appended together with the events before it, and only then the server is told that it
//! may forget. So a crash between any two steps loses and doubles nothing: what is sent again is before the place. The place
//! also says of which server and slot it is; a slot that is beyond it was made anew or read by another, and the connector
//! stops.
//!
//! **Rows from before the slot.** The slot is made first. Then the rows that a later snapshot shows are read from the table:
//! all that were committed before the slot, and some that the slot has too, which are recognised by their ids. What the
//! snapshot does not show is committed later, and comes by the slot.

mod check;
mod columns;
mod feed;
mod intake;
mod login;
mod lsn;
mod pgoutput;
mod place;
mod publication;
mod reader;
mod slot;
mod standby;
mod wire;

use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use leftfold_api::EventStore;
use parking_lot::Mutex;

use self::feed::Feed;
use self::intake::{Intake, Pending};
use self::lsn::Lsn;
use self::place::{Place, PlaceStream};
use self::slot::Slot;
use self::wire::{Wire, malformed};
use super::super::ConnectorError;
use super::super::follow::StopSignal;
use super::super::kind::Run;
use super::append::Appender;
use super::measured::Measured;
use super::session;
use super::settings::OutboxSettings;
use super::statements::OutboxTable;

pub(super) use self::check::check;

/// Reads the log until an error, or until it is to stop.
pub(super) async fn run<S: EventStore + 'static>(
    settings: &OutboxSettings,
    run: Run<S>,
) -> Result<(), ConnectorError> {
    let stop = run.stop.clone();
    let opened = pin!(open(settings, run));
    let feed = match select(opened, pin!(stop.wait())).await {
        Either::Left((feed, _)) => feed?,
        Either::Right(_) => return Ok(()),
    };
    match feed {
        Some(feed) => feed.run().await,
        None => Ok(()),
    }
}

/// Brings in what was there before, and begins to read. `None` if it is to stop.
async fn open<S: EventStore + 'static>(
    settings: &OutboxSettings,
    run: Run<S>,
) -> Result<Option<Feed<S>>, ConnectorError> {
    let measured = Arc::<Mutex<Measured>>::default();
    Measured::show(&measured, &run.gauges);
    let client = session::connect(settings, &run.secrets).await?;
    publication::check(&client, settings).await?;
    standby::check(&client).await?;
    let table = OutboxTable::open(client, settings).await?;
    let mut wire = login::connect(settings, &run.secrets).await?;
    let store = run.store.clone();
    let (mut stream, place) = PlaceStream::load(&*store, &run.progress).await?;
    let place = match place {
        Some(place) => place,
        None => {
            let place = first_place(&mut wire, &table, settings).await?;
            stream.store(&*store, &place).await?;
            place
        }
    };
    let (system, timeline) = identify(&mut wire).await?;
    slot::check_place(&place, &system, &timeline, &settings.slot())?;
    let confirmed = check_slot(&table, &place).await?;
    let mut intake = Intake {
        appender: Appender { store, stream: settings.stream.clone() },
        table,
        on_error: run.definition.on_error,
        connector: run.definition.name.clone(),
        measured,
        stream,
        place,
        batch: settings.batch(),
        pending: Pending::default(),
        confirmed,
    };
    if !intake.place.is_loaded && !load(&mut intake, &run.stop).await? {
        return Ok(None);
    }
    let table = settings.table.clone();
    let (time, stop) = (run.time.clone(), run.stop.clone());
    let mut feed =
        Feed { wire, intake, table, columns: None, is_asked: false, silence: 0, time, stop };
    feed.start(&settings.slot(), &settings.publication()).await?;
    // Now no other can drop or read it, and nothing was confirmed yet.
    check_slot(&feed.intake.table, &feed.intake.place).await?;
    Ok(Some(feed))
}

/// Returns the place of a connector that has none, at the position of its slot.
async fn first_place(
    wire: &mut Wire,
    table: &OutboxTable,
    settings: &OutboxSettings,
) -> Result<Place, ConnectorError> {
    let name = settings.slot();
    let slot = match Slot::find(table.client(), &name).await? {
        Some(slot) => slot,
        None => Slot::create(wire, &name).await?,
    };
    let (system, timeline) = identify(wire).await?;
    Ok(Place { system, timeline, slot: name, is_loaded: false, lsn: slot.confirmed, part: None })
}

/// Returns the server's system identifier and its timeline.
async fn identify(wire: &mut Wire) -> Result<(String, String), ConnectorError> {
    let rows = wire.query("IDENTIFY_SYSTEM").await?;
    let mut row = rows.into_iter().next().unwrap_or_default().into_iter().flatten();
    row.next().zip(row.next()).ok_or_else(malformed)
}

/// Checks that the slot of a place is there and is not beyond it. Returns where it is.
async fn check_slot(table: &OutboxTable, place: &Place) -> Result<Lsn, ConnectorError> {
    let found = Slot::find(table.client(), &place.slot).await?;
    let found = found.ok_or_else(|| slot::missing(&place.slot))?;
    found.check_against(place)?;
    Ok(found.confirmed)
}

/// Brings in the rows that are in the table. Returns whether that came to its end.
async fn load<S: EventStore>(
    intake: &mut Intake<S>,
    stop: &StopSignal,
) -> Result<bool, ConnectorError> {
    let parked = intake.table.count_parked().await?;
    if parked > 0 {
        return Err(ConnectorError::unusable(format!(
            "{parked} rows of the outbox are parked: mend them while mode = \"polling\", or give them up with relayed_at = now()"
        )));
    }
    let snapshot = intake.table.snapshot().await?;
    let mut seq = i64::MIN;
    while !stop.is_given() {
        let rows = intake.table.read_earlier(seq, &snapshot).await?;
        let Some(last) = rows.last() else {
            let place = Place { is_loaded: true, ..intake.place.clone() };
            intake.append(&[], place).await?;
            return Ok(true);
        };
        seq = last.seq;
        intake.append(&rows, intake.place.clone()).await?;
    }
    Ok(false)
}
