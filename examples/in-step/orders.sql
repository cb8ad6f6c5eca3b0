-- The database of the shop. The outbox beside it is made by the SQL of `leftfold outbox init`.
create table orders (id text primary key, state text not null, total numeric not null);
