#![doc = include_str!("README.md")]

mod parcel;

use std::io::Write;
use std::path::Path;

use leftfold::{
    Append, Decider, Embedded, Event, EventStore, Execute, NewEvent, Options, Query, Read,
    StreamState,
};
use pollster::block_on;

pub use parcel::{AlreadyDelivered, Parcel, Place, Posted, Scan, Scanned};

use crate::running::heading;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Embedded::open(dir, Options::default())?;
    block_on(run(&store, out))
}

async fn run(store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "an older release writes JSON")?;
    let mut posted = NewEvent::json("parcel.Posted", r#"{"receiver":"Ann","grams":1200}"#);
    posted.schema_version = 1;
    let posted = posted.tag("receiver", "Ann");
    store.append(Append::new().event(Parcel::stream(1), posted)).await?;
    write_events(store, out).await?;

    heading(out, "this release writes Protobuf, and reads both")?;
    store.execute(Scan { parcel: 1, depot: "Bern" }).await?;
    let posted = Parcel::Posted(Posted { receiver: "Ann".into(), grams: 300 });
    store.append(Append::new().event(Parcel::stream(2), posted.to_new()?)).await?;
    store.append(Append::new().event(Parcel::stream(2), Parcel::Delivered.to_new()?)).await?;
    write_events(store, out).await?;

    heading(out, "states and queries are those of any event")?;
    let place = Decider::new(store).load(&StreamState::<Place>::of(Parcel::stream(1))).await?;
    writeln!(out, "parcel 1: {} g, in {}", place.grams, place.depot.unwrap_or_default())?;
    if let Err(refused) = store.execute(Scan { parcel: 2, depot: "Bern" }).await {
        writeln!(out, "parcel 2: {refused}")?;
    }
    let for_ann = store.read(Read::forward(Parcel::by_receiver("Ann").into())).await?;
    writeln!(out, "{} parcels for Ann", for_ann.events.len())?;
    Ok(())
}

async fn write_events(store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    for event in store.read(Read::forward(Query::category("parcel"))).await?.events {
        let (stream, event_type, version) =
            (event.stream(), event.event_type(), event.schema_version());
        let (media_type, bytes) = (event.content_type(), event.data().len());
        writeln!(out, "{stream}: {event_type}, version {version}, {bytes} bytes of {media_type}")?;
    }
    Ok(())
}
