-- @view bank
-- @query category:account type:EntryBooked,EntryPending
create table balances (
    account text, currency text, entries integer not null, booked text not null,
    primary key (account, currency)
) without rowid;
create index balances_by_entries on balances (entries desc, account);
create table daily_totals (
    day text, currency text, entries integer not null, credit text not null, debit text not null,
    primary key (day, currency)
) without rowid;

-- @on EntryBooked
insert into balances values (:stream_id, :data.currency, 1, dec(:data.signed_amount))
on conflict (account, currency) do update
set entries = entries + 1, booked = dec_add(booked, excluded.booked);
insert into daily_totals values (
    substr(:event_time, 1, 10), :data.currency, 1,
    iif(dec_cmp(:data.signed_amount, 0) < 0, '0', dec(:data.signed_amount)),
    iif(dec_cmp(:data.signed_amount, 0) < 0, dec(:data.signed_amount), '0')
)
on conflict (day, currency) do update
set entries = entries + 1, credit = dec_add(credit, excluded.credit), debit = dec_add(debit, excluded.debit);

-- @on EntryPending
insert into balances values (:stream_id, :data.currency, 1, '0')
on conflict (account, currency) do update set entries = entries + 1;

-- @test pending entries count, and change no balance
-- @given account-1 EntryBooked at 2026-03-30T00:00:00Z {"currency":"EUR","signed_amount":"10.00"}
-- @given account-1 EntryPending at 2026-03-30T00:00:00Z {"currency":"EUR","signed_amount":"99.00"}
-- @given account-1 EntryBooked at 2026-03-29T00:00:00Z {"currency":"EUR","signed_amount":"-0.01"}
-- @expect select * from balances
-- 1 | EUR | 3 | 9.99
-- @expect select * from daily_totals order by day
-- 2026-03-29 | EUR | 1 | 0 | -0.01
-- 2026-03-30 | EUR | 1 | 10.00 | 0
