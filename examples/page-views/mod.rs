#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;

use leftfold::NewEvent;
use serde_json::json;

use crate::running::heading;
use crate::sql_views::World;

/// The files of the views: tumbling windows, hopping windows, and sessions.
pub const VIEWS: [&str; 3] =
    [include_str!("page-views.sql"), include_str!("page-trends.sql"), include_str!("visits.sql")];

const QUESTIONS: [(&str, &str); 3] = [
    (
        "five minutes, tumbling",
        "select start, sum(views) as views, start < final_before as final
         from five_minutes, page_views._clock group by start",
    ),
    (
        "ten minutes, hopping by five",
        "select start, sum(views) as views, start < final_before as final
         from ten_minutes, page_trends._clock group by start",
    ),
    ("sessions", "select * from visits.visits order by visitor, began"),
];

const LATE: &str = "
    select 'page_views' as view, stream, event_time, window from page_views._late union all
    select 'page_trends', stream, event_time, window from page_trends._late union all
    select 'visits', stream, event_time, window from visits._late";

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    World::run(dir, async |world| {
        for view in VIEWS {
            world.add(view).await?;
        }
        let hits = [
            ("ann", "10:01", "/"),
            ("ann", "10:02", "/shoes"),
            ("ben", "10:03", "/"),
            ("ben", "10:07", "/hats"),
            ("ann", "10:41", "/shoes"),
        ];
        for hit in hits {
            append(world, hit).await?;
        }
        tell(world, "", out).await?;
        // Phones were offline.
        append(world, ("ann", "10:20", "/hats")).await?;
        append(world, ("ben", "10:08", "/hats")).await?;
        tell(world, ", after two late hits", out).await?;
        append(world, ("ann", "13:00", "/")).await?;
        append(world, ("ben", "10:09", "/hats")).await?;
        tell(world, ", two hours later", out).await?;
        heading(out, "too late")?;
        world.tell(LATE, out).await
    })
}

async fn tell(world: &World, when: &str, out: &mut dyn Write) -> anyhow::Result<()> {
    for (title, sql) in QUESTIONS {
        heading(out, &format!("{title}{when}"))?;
        world.tell(sql, out).await?;
    }
    Ok(())
}

async fn append(world: &World, (visitor, time, page): (&str, &str, &str)) -> anyhow::Result<()> {
    let mut event = NewEvent::json("PageViewed", json!({ "page": page }).to_string());
    event.event_time = Some(format!("2024-01-31T{time}:00Z").parse()?);
    world.append([(format!("visitor-{visitor}"), event)]).await
}
