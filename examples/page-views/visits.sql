-- Sessions: one ends when its visitor does nothing for 30 minutes. A visitor who is quiet for an hour does not keep
-- a session open for ever: the hits of others let the clock go on.
-- @view visits
-- @query category:visitor type:PageViewed
-- @window session 30 minutes by :stream_id final after 30 minutes idle 1 hour
create table hits (
    position integer primary key,
    visitor text not null,
    page text not null,
    at text not null collate time
);
create index hits_by_visitor on hits (visitor, at);

create view visits as
select key as visitor, start as began, end as ended, events as views, final from _sessions;

-- A late hit extends a session, or joins two. So what is known of a hit is joined with the session that is there now.
create view pages_of_visits as
select s.key as visitor, s.start as began, h.page, count(*) as views
from _sessions s join hits h on h.visitor is s.key and h.at between s.start and s.end
group by s.key, s.start, h.page;

-- @on PageViewed
insert into hits values (:position, :window_key, :data.page, :event_time);

-- @test a late hit joins two sessions
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:50:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T10:52:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:25:00Z {"page":"/hats"}
-- @expect select * from visits order by visitor
-- a | 2024-01-31T10:00:00Z | 2024-01-31T10:50:00Z | 3 | 0
-- b | 2024-01-31T10:52:00Z | 2024-01-31T10:52:00Z | 1 | 0
-- @expect select visitor, page, views from pages_of_visits order by visitor, page
-- a | / | 2
-- a | /hats | 1
-- b | / | 1

-- @test a pause of more than 30 minutes ends a session
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:30:00Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T11:00:00.000001Z {"page":"/"}
-- @expect select began, ended, views from visits order by began
-- 2024-01-31T10:00:00Z | 2024-01-31T10:30:00Z | 2
-- 2024-01-31T11:00:00.000001Z | 2024-01-31T11:00:00.000001Z | 1

-- @test times sort as times, also within a second
-- @given visitor-a PageViewed at 2024-01-31T10:00:00.5Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @expect select began, ended, views from visits
-- 2024-01-31T10:00:00Z | 2024-01-31T10:00:00.5Z | 2

-- @test the session of a quiet visitor is final when others have gone on for an hour and the rest
-- @given visitor-a PageViewed at 2024-01-31T10:00:00Z {"page":"/"}
-- @given visitor-b PageViewed at 2024-01-31T12:00:00.5Z {"page":"/"}
-- @given visitor-a PageViewed at 2024-01-31T10:00:00.4Z {"page":"/"}
-- @expect select * from visits order by visitor
-- a | 2024-01-31T10:00:00Z | 2024-01-31T10:00:00Z | 1 | 1
-- b | 2024-01-31T12:00:00.5Z | 2024-01-31T12:00:00.5Z | 1 | 0
-- @expect select event_time, key from _late
-- 2024-01-31T10:00:00.4Z | a
