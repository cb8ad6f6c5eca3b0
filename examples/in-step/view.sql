-- @view orders
-- @target postgres env:REPORTS_URL
-- @query category:order
create table orders (id text primary key, state text not null, changes integer not null);

-- @on OrderPlaced
insert into orders values (:stream_id, 'placed', 1);

-- @on OrderPaid
update orders set state = 'paid', changes = changes + 1 where id = :stream_id;

-- @on OrderShipped
update orders set state = 'shipped', changes = changes + 1 where id = :stream_id;
