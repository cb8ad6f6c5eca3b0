-- Hopping windows: ten minutes wide, one begins every five; each hit is in two.
-- @view page_trends
-- @query category:visitor type:PageViewed
-- @window 10 minutes every 5 minutes final after 30 minutes
create table ten_minutes (start text, page text, views integer not null, primary key (start, page))
without rowid;

-- @on PageViewed
insert into ten_minutes
select value, :data.page, 1 from json_each(:windows) where true
on conflict (start, page) do update set views = views + 1;

-- @test a late hit counts in those of its windows that are not final
-- @given visitor-a PageViewed at 2024-01-31T10:07:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T10:41:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:08:00Z {"page":"/"}
-- @expect select start, views from ten_minutes order by start
-- 2024-01-31T10:00:00Z | 1
-- 2024-01-31T10:05:00Z | 2
-- 2024-01-31T10:35:00Z | 1
-- 2024-01-31T10:40:00Z | 1
-- @expect select event_time, window from _late
-- 2024-01-31T10:08:00Z | 2024-01-31T10:00:00Z
