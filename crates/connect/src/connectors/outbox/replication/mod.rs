//! Brings rows in by logical replication: PostgreSQL sends what was inserted into the table, whole transactions in the order
//! of their commits, from a replication slot on.
//!
//! The place in the server's log is appended together with the events before it, and only then the server is told that it
//! may forget. So a crash between any two steps loses and doubles nothing: what is sent again is before the place. The place
//! also says of which server and slot it is; a slot that is beyond it was made anew or read by another, and the connector
//! stops.
//!
//! **Rows from before the slot.** The snapshot that a new slot exports shows what was committed before it. The rows of that
//! snapshot are read from the table, all others come by the slot, so that none come both ways and the order is that of the
//! commits. A place is noted before the slot is made, and again with the slot's position and snapshot. So a slot that is
//! there without a place is another's, and is refused; one that is there behind the first of the two places is that of an
//! interrupted run, has not been read, and is made anew.

mod backlog;
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

use self::backlog::{Backlog, check_parked};
use self::feed::Feed;
use self::intake::{Intake, Pending};
use self::lsn::Lsn;
use self::place::{Place, PlaceStream};
use self::slot::Slot;
use self::wire::{Wire, malformed};
use super::super::ConnectorError;
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
    let (system, timeline) = identify(&mut wire).await?;
    let store = run.store.clone();
    let (mut stream, place) = PlaceStream::load(&*store, &run.progress).await?;
    let mut place = match place {
        Some(place) => place,
        None => {
            check_parked(&table).await?;
            slot::check_absent(table.client(), &settings.slot()).await?;
            let place = Place::before_slot(&system, &timeline, settings.slot());
            stream.store(&*store, &place).await?;
            place
        }
    };
    slot::check_place(&place, &system, &timeline, &settings.slot())?;
    let mut backlog = None;
    if !place.is_loaded {
        check_parked(&table).await?;
        let opened = Backlog::connect(settings, &run.secrets).await?;
        if place.snapshot.is_none() {
            place = make_slot(&mut wire, &table, &opened, place).await?;
            stream.store(&*store, &place).await?;
        }
        backlog = Some(opened);
    }
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
    if let Some(backlog) = backlog
        && !backlog.load(&mut intake, &run.stop).await?
    {
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

/// Makes the slot of a place, and reads in its snapshot from now on. Returns the place at the slot's position.
async fn make_slot(
    wire: &mut Wire,
    table: &OutboxTable,
    backlog: &Backlog,
    place: Place,
) -> Result<Place, ConnectorError> {
    // An earlier run was interrupted before it noted the slot's position.
    if Slot::find(table.client(), &place.slot).await?.is_some() {
        slot::remove(table.client(), &place.slot).await?;
    }
    let made = slot::create(wire, &place.slot).await?;
    let snapshot = backlog.import(&made.exported).await?;
    // The next command ends the transaction that has exported the snapshot; a server may end a connection that idles in one.
    identify(wire).await?;
    Ok(Place { lsn: made.position, snapshot: Some(snapshot), ..place })
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
