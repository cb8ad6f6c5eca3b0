//! The examples of SQL views: `customers`, `last-30-orders`, `top-words`, `page-views` and `composite`.

use std::io::stdout;

use anyhow::bail;
use leftfold_examples::run_with;
use leftfold_examples::sql_views::STORIES;

fn main() -> anyhow::Result<()> {
    run_with("sql-views", "*", |dir, arguments| {
        let story = STORIES.iter().find(|(name, _)| arguments == [*name]);
        let Some((_, story)) = story else {
            let names: Vec<_> = STORIES.iter().map(|(name, _)| *name).collect();
            bail!("usage: [--keep] NAME, one of {}", names.join(", "));
        };
        story(dir, &mut stdout())
    })
}
