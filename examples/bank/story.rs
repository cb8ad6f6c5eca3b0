use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leftfold::{
    Append, Coded, CommandContext, Decider, Embedded, Event, EventQuery, Execute, ExecuteError,
    Expected, MemorySnapshots, Options, Read, StreamState,
};
use pollster::block_on;
use uuid::Uuid;

use crate::bank::orders::transfers as process;
use crate::bank::{
    Account, Bank, Deposit, Open, Order, OrderTransfer, Refused, Transfer, Withdraw,
};
use crate::running::heading;

const ACCOUNTS: u64 = 6;
const TRANSFERS: u64 = 50;
const TELLERS: u64 = 4;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    open_accounts(&store, out)?;
    two_writers(&store, out)?;
    once(&store, out)?;
    transfers(&store, out)?;
    orders(&store, out)
}

fn account(nth: u64) -> String {
    Bank::stream(nth)
}

fn open_accounts(store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "six accounts are opened")?;
    for nth in 0..ACCOUNTS {
        let owner = if nth < 3 { "ann" } else { "bob" };
        block_on(store.execute(Open { account: account(nth), owner: owner.into() }))?;
        block_on(store.execute(Deposit { account: account(nth), cents: 1_000 }))?;
    }
    let refused = block_on(store.execute(Open { account: account(9), owner: "ann".into() }));
    writeln!(out, "Ann's fourth account: {}", describe(refused.err()))?;
    let refused = block_on(store.execute(Withdraw { account: account(0), cents: 1_001 }));
    writeln!(out, "1,001 cents of 1,000: {}", describe(refused.err()))?;
    Ok(())
}

fn describe(error: Option<ExecuteError<Refused>>) -> String {
    error.map_or_else(|| "done".to_owned(), |error| error.to_string())
}

/// Two writers have read version 1, and both append version 2.
fn two_writers(store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "two writers append to one account")?;
    let withdraw = |id: u128| -> anyhow::Result<_> {
        let event = Bank::Withdrawn { cents: 800 }.to_new()?.id(Uuid::from_u128(id));
        Ok(Append::new().event(account(0), event).expect(account(0), Expected::Exactly(1)))
    };
    let first = store.blocking().append(withdraw(1)?)?;
    let second = store.blocking().append(withdraw(2)?).err();
    let second = second.map_or("done".to_owned(), |error| format!("{}: {error}", error.code()));
    writeln!(out, "the second writer: {second}")?;
    let again = store.blocking().append(withdraw(1)?)?;
    let same = again.repeated && again.positions == first.positions;
    writeln!(out, "the first append again: the same answer, {same}")?;
    Ok(())
}

/// A command with an id is handled once.
fn once(store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "a command is sent twice")?;
    let id = CommandContext::with_id(Uuid::from_u128(17));
    let withdraw = || Withdraw { account: account(0), cents: 200 };
    let first = block_on(store.execute_as(id.clone(), withdraw()))?;
    let again = block_on(store.execute_as(id, withdraw()))?;
    let same = again.repeated && again.events == first.events;
    writeln!(out, "the same command again: the same answer, {same}")?;
    block_on(store.execute(Deposit { account: account(0), cents: 1_000 }))?;
    Ok(())
}

/// Several tellers transfer money between the same accounts concurrently.
fn transfers(store: &Arc<Embedded>, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "four tellers transfer money at once")?;
    let tellers: Vec<_> = (0..TELLERS)
        .map(|teller| {
            let store = store.clone();
            std::thread::spawn(move || {
                let decider = Decider::new(store).snapshots(MemorySnapshots::default());
                (0..TRANSFERS).try_for_each(|nth| transfer(&decider, teller * 7 + nth))
            })
        })
        .collect();
    for teller in tellers {
        teller.join().map_err(|_| anyhow::anyhow!("a teller has panicked"))??;
    }
    writeln!(
        out,
        "after {} transfers the accounts have {} cents",
        TELLERS * TRANSFERS,
        total(store)?
    )?;
    Ok(())
}

fn total(store: &Embedded) -> anyhow::Result<u64> {
    let decider = Decider::new(store);
    (0..ACCOUNTS).try_fold(0, |total, nth| {
        Ok(total + block_on(decider.load(&StreamState::<Account>::of(account(nth))))?.cents)
    })
}

/// A process executes ordered transfers, each step once. The second run finds nothing to do.
fn orders(store: &Arc<Embedded>, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "a process executes ordered transfers")?;
    for nth in 0..ACCOUNTS {
        block_on(store.execute(Deposit { account: account(nth), cents: 1_000 }))?;
    }
    for nth in 0..20 {
        let to = if nth % 5 == 4 { "account-99".to_owned() } else { account((nth + 1) % ACCOUNTS) };
        let cents = if nth == 3 { 1_000_000 } else { 10 };
        let order =
            OrderTransfer { order: nth.to_string(), from: account(nth % ACCOUNTS), to, cents };
        block_on(store.execute(order))?;
    }
    for _ in 0..2 {
        block_on(process(store.clone()).catch_up())?;
    }
    let count = |events: EventQuery<Order>| -> anyhow::Result<usize> {
        Ok(store.blocking().read(Read::forward(events.into()))?.events.len())
    };
    writeln!(
        out,
        "of 20 ordered transfers {} were completed, {} returned, {} refused; the accounts have {} cents",
        count(Order::of_transfer_completed())?,
        count(Order::of_transfer_returned())?,
        count(Order::of_transfer_refused())?,
        total(store)?
    )?;
    Ok(())
}

fn transfer(decider: &Decider<Arc<Embedded>>, nth: u64) -> anyhow::Result<()> {
    let (from, to) = (account(nth % ACCOUNTS), account((nth + 1 + nth / 6 % 5) % ACCOUNTS));
    match block_on(decider.execute(Transfer { from, to, cents: 10 + nth % 90 })) {
        Ok(_) | Err(ExecuteError::Refused(_)) => Ok(()),
        Err(other) => Err(other.into()),
    }
}
