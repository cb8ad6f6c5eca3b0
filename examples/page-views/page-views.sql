-- Tumbling windows: each hit is in one. What comes more than half an hour after the end of its window is too late.
-- @view page_views
-- @query category:visitor type:PageViewed
-- @window 5 minutes final after 30 minutes
create table five_minutes (start text, page text, views integer not null, primary key (start, page))
without rowid;

-- @on PageViewed
insert into five_minutes values (:window, :data.page, 1)
on conflict (start, page) do update set views = views + 1;

-- @test a late hit corrects its window, until that is final
-- @given visitor-a PageViewed at 2024-01-31T10:04:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T10:34:59Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:03:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T10:35:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:02:00Z {"page":"/"}
-- @expect select start, views, start < final_before from five_minutes, _clock order by start
-- 2024-01-31T10:00:00Z | 2 | 1
-- 2024-01-31T10:30:00Z | 1 | 0
-- 2024-01-31T10:35:00Z | 1 | 0
-- @expect select stream, version, event_time, window from _late
-- visitor-a | 2 | 2024-01-31T10:02:00Z | 2024-01-31T10:00:00Z
