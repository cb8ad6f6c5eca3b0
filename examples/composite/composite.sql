-- @view customer_orders
-- @query category:customer or category:order or category:payment
create table customers (id text primary key, name text) without rowid;

-- Each event writes the columns that it knows; whichever comes first makes the row.
create table orders (id text primary key, customer text, total text, paid text) without rowid;
create index orders_by_customer on orders (customer);

-- The join. What has not arrived yet is NULL.
create view customer_orders as
select orders.id, orders.customer, customers.name, orders.total, coalesce(orders.paid, '0') as paid
from orders left join customers on customers.id = orders.customer;

-- @on CustomerRegistered, CustomerRenamed
insert into customers values (:stream_id, :data.name)
on conflict (id) do update set name = excluded.name;

-- @on OrderPlaced
insert into orders (id, customer, total) values (:stream_id, :data.customer, :data.total)
on conflict (id) do update set customer = excluded.customer, total = excluded.total;

-- The payment service has streams of its own, which may be ahead of the shop's.
-- @on PaymentReceived
insert into orders (id, paid) values (:data.order, :data.amount)
on conflict (id) do update set paid = dec_add(coalesce(paid, '0'), excluded.paid);

-- @test the payment and the order come before their customer
-- @given payment-1 PaymentReceived {"order":"7","amount":"5.00"}
-- @given order-7 OrderPlaced {"customer":"42","total":"9.90"}
-- @expect select * from customer_orders
-- 7 | 42 | null | 9.90 | 5.00

-- @test the customer comes first
-- @given customer-42 CustomerRegistered {"name":"Ada"}
-- @given customer-42 CustomerRenamed {"name":"Ada L."}
-- @given order-7 OrderPlaced {"customer":"42","total":"9.90"}
-- @given payment-1 PaymentReceived {"order":"7","amount":"5.00"}
-- @given payment-1 PaymentReceived {"order":"7","amount":"4.90"}
-- @expect select * from customer_orders
-- 7 | 42 | Ada L. | 9.90 | 9.90
