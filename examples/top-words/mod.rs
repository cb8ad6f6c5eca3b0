#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use leftfold::{Append, Embedded, NewEvent};
use leftfold_views::{AskLimits, Definition};
use serde_json::json;

use crate::running::heading;
use crate::sql_views::World;

/// The file of the view.
pub const VIEW: &str = include_str!("top-words.sql");

/// The view with another idea of what a word is.
pub const LONG_WORDS: &str = include_str!("long-words.sql");

const TEXTS: [&str; 4] = [
    "An event is a fact, and a fact is never changed.",
    "A view is a fold over events, and a fold can always be repeated.",
    "Ask the view, not the events.",
    "The events are there, the view is made of events.",
];

/// The posts that are there before the view, and those that come in while it is changed.
const BEFORE: usize = 2_000;
const MEANWHILE: usize = 400;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        heading(out, "posts are there, and more come in all the time")?;
        world.append((0..BEFORE).map(|at| ("post-1".to_owned(), post(at)))).await?;
        let store = world.store.clone();
        let writer = thread::spawn(move || write_posts(&store));

        heading(out, "plug a view in: it catches up, and follows")?;
        world.add(VIEW).await?;
        let order = "select word from words order by count desc, word limit";
        world.tell(&format!("{order} 3"), out).await?;

        heading(out, "replace it: the old words answer until the new ones have caught up")?;
        world.views.replace(&Definition::parse(LONG_WORDS)?).await?;
        world.wait("top_words", |view| !view.replacing).await?;
        world.tell(&format!("{order} 2"), out).await?;

        heading(out, "the top ten, when all posts are in")?;
        writer.join().map_err(|_| anyhow::anyhow!("the writer has panicked"))??;
        world.tell("select word, count from words order by count desc, word limit 10", out).await?;

        heading(out, "unplug it")?;
        world.views.remove("top_words").await?;
        let gone = world.views.ask(&format!("{order} 10"), None, AskLimits::default()).await;
        if let Err(error) = gone {
            writeln!(out, "{error}")?;
        }
        Ok(())
    })
}

fn post(at: usize) -> NewEvent {
    NewEvent::json("Posted", json!({ "text": TEXTS[at % TEXTS.len()] }).to_string())
}

fn write_posts(store: &Arc<Embedded>) -> anyhow::Result<()> {
    for at in 0..MEANWHILE {
        store.blocking().append(Append::new().event("post-2", post(at)))?;
    }
    Ok(())
}
