#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;

use leftfold::NewEvent;
use serde_json::json;

use crate::running::heading;
use crate::sql_views::World;

/// The file of the view.
pub const VIEW: &str = include_str!("page-views.sql");

const QUESTIONS: [(&str, &str); 3] = [
    (
        "five minutes, tumbling",
        "select start, sum(views) as views from five_minutes group by start",
    ),
    (
        "ten minutes, hopping by five",
        "select start, sum(views) as views from ten_minutes group by start",
    ),
    ("sessions", "select visitor, began, ended, views from sessions order by visitor, began"),
];

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        world.add(VIEW).await?;
        let hits = [
            ("ann", "10:01", "/"),
            ("ann", "10:02", "/shoes"),
            ("ben", "10:03", "/"),
            ("ben", "10:07", "/hats"),
            ("ann", "10:41", "/shoes"),
        ];
        world.append(hits.into_iter().map(hit).collect::<Result<Vec<_>, _>>()?).await?;
        for (title, sql) in QUESTIONS {
            heading(out, title)?;
            world.tell(sql, out).await?;
        }
        // Ann's phone was offline.
        world.append([hit(("ann", "10:20", "/hats"))?]).await?;
        for (title, sql) in QUESTIONS {
            heading(out, &format!("{title}, after a late hit"))?;
            world.tell(sql, out).await?;
        }
        Ok(())
    })
}

fn hit((visitor, time, page): (&str, &str, &str)) -> anyhow::Result<(String, NewEvent)> {
    let mut event = NewEvent::json("PageViewed", json!({ "page": page }).to_string());
    event.event_time = Some(format!("2024-01-31T{time}:00Z").parse()?);
    Ok((format!("visitor-{visitor}"), event))
}
