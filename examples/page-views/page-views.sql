-- @view page_views
-- @query category:visitor type:PageViewed
create table hits (
    position integer primary key,
    visitor text not null,
    page text not null,
    at text not null collate time
);
create index hits_by_visitor on hits (visitor, at);

-- Tumbling windows: each hit is in one.
create table five_minutes (start text, page text, views integer not null, primary key (start, page))
without rowid;

-- Hopping windows: ten minutes wide, one begins every five; each hit is in two.
create table ten_minutes (start text, page text, views integer not null, primary key (start, page))
without rowid;

-- Sessions: a session ends when its visitor does nothing for 30 minutes. They are computed when they are
-- asked for, from the raw hits: so a late hit extends a session, or joins two.
create view sessions as
with marked as (
    select visitor, page, at,
        coalesce(micros_between(lag(at) over by_time, at) > 30 * 60 * 1000000, 1) as begins
    from hits
    window by_time as (partition by visitor order by at, position)
),
numbered as (
    select visitor, page, at,
        sum(begins) over (partition by visitor order by at rows unbounded preceding) as number
    from marked
)
select visitor, min(at) as began, max(at) as ended, count(*) as views
from numbered
group by visitor, number;

-- @on PageViewed
insert into hits values (:position, :stream_id, :data.page, :event_time);
insert into five_minutes values (tumble(:event_time, '5 minutes'), :data.page, 1)
on conflict (start, page) do update set views = views + 1;
insert into ten_minutes
select value, :data.page, 1 from json_each(hop(:event_time, '10 minutes', '5 minutes')) where true
on conflict (start, page) do update set views = views + 1;

-- @test a late hit corrects its windows and joins two sessions
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:50:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T10:52:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:25:00Z {"page":"/"}
-- @expect select start, views from five_minutes order by start
-- 2024-01-31T10:00:00Z | 1
-- 2024-01-31T10:25:00Z | 1
-- 2024-01-31T10:50:00Z | 2
-- @expect select start, views from ten_minutes where start >= '2024-01-31T10:25' order by start
-- 2024-01-31T10:25:00Z | 1
-- 2024-01-31T10:45:00Z | 2
-- 2024-01-31T10:50:00Z | 2
-- @expect select visitor, began, ended, views from sessions order by visitor
-- a | 2024-01-31T10:00:00Z | 2024-01-31T10:50:00Z | 3
-- b | 2024-01-31T10:52:00Z | 2024-01-31T10:52:00Z | 1

-- @test times sort as times, also within a second
-- @given visitor-a PageViewed at 2024-01-31T10:00:00.5Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @expect select began, ended, views from sessions
-- 2024-01-31T10:00:00Z | 2024-01-31T10:00:00.5Z | 2

-- @test a pause of more than 30 minutes ends a session
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:30:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T11:00:00.000001Z {"page":"/"}
-- @expect select began, ended, views from sessions order by began
-- 2024-01-31T10:00:00Z | 2024-01-31T10:30:00Z | 2
-- 2024-01-31T11:00:00.000001Z | 2024-01-31T11:00:00.000001Z | 1
