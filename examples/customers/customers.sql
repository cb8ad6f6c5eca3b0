-- @view customers
-- @query category:customer
-- @history
create table customers (
    id text primary key,
    name text not null,
    country text not null,
    state text not null,
    since text not null collate time
) without rowid;
create index customers_by_state on customers (state, country, id);

-- @on CustomerRegistered
insert into customers values (:stream_id, :data.name, :data.country, 'active', :event_time);

-- @on CustomerMoved
update customers set country = :data.country where id = :stream_id;

-- @on CustomerBlocked
update customers set state = 'blocked' where id = :stream_id;

-- @on CustomerDeleted
update customers set state = 'deleted' where id = :stream_id;

-- @test customers move and are deleted
-- @given customer-1 CustomerRegistered at 2024-01-31T10:00:00Z {"name":"Ada","country":"GB"}
-- @given customer-2 CustomerRegistered at 2024-01-31T11:00:00Z {"name":"Ben","country":"DE"}
-- @given customer-3 CustomerRegistered at 2024-01-31T12:00:00Z {"name":"Cyd","country":"DE"}
-- @given customer-1 CustomerMoved {"country":"FR"}
-- @given customer-2 CustomerBlocked {}
-- @given customer-3 CustomerDeleted {}
-- @expect select * from customers order by id
-- 1 | Ada | FR | active | 2024-01-31T10:00:00Z
-- 2 | Ben | DE | blocked | 2024-01-31T11:00:00Z
-- 3 | Cyd | DE | deleted | 2024-01-31T12:00:00Z
