-- @view last_orders
-- @query category:order
create table last_orders (
    customer text not null,
    placed_at text not null collate time,
    id text not null,
    total text not null,
    state text not null,
    primary key (customer, placed_at, id)
) without rowid;
create unique index last_orders_by_id on last_orders (id);

-- The delete keeps the last 30. An order that arrives late takes its place by its own time, or none.
-- @on OrderPlaced
insert into last_orders values (:data.customer, :event_time, :stream_id, :data.total, 'placed');
delete from last_orders
where customer = :data.customer
  and (placed_at, id) in (
    select placed_at, id from last_orders where customer = :data.customer
    order by placed_at desc, id desc limit -1 offset 30
  );

-- @on OrderPaid
update last_orders set state = 'paid' where id = :stream_id;

-- @test the newest order first, also if it arrives before another
-- @given order-2 OrderPlaced at 2024-01-02T00:00:00Z {"customer":"42","total":"20.00"}
-- @given order-1 OrderPlaced at 2024-01-01T00:00:00Z {"customer":"42","total":"9.90"}
-- @given order-3 OrderPlaced at 2024-01-01T00:00:00Z {"customer":"43","total":"1.00"}
-- @given order-1 OrderPaid {}
-- @expect select id, total, state from last_orders where customer = '42' order by placed_at desc
-- 2 | 20.00 | placed
-- 1 | 9.90 | paid
