//! Random nights of statements against a simple truth: the entries of a ledger that were delivered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use leftfold_connect::Mapping;
use proptest::prelude::*;

use crate::identity::{data, deliver, events};
use crate::store::store;

/// An entry of the bank's ledger: its day and one of a few kinds. Many are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    day: usize,
    kind: usize,
}

/// The kinds: cents, and a text. The last one brings the balance back to where it was.
const KINDS: [(i64, &str); 4] =
    [(-250, "tram ticket"), (-700, "lunch"), (-1_130, "books"), (250, "refund")];

/// What a bank sends: entries of the ledger from one to before another, in one of several forms.
#[derive(Debug, Clone)]
struct Statement {
    range: (usize, usize),
    form: Form,
    /// Sent again, under another message.
    copy: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// Whole days, with period and balances.
    Days,
    /// A part of a day, with balances; its period is that day.
    Part,
    /// A page of a statement of whole days.
    Page { number: usize, of: (usize, usize) },
}

#[derive(Debug)]
struct Ledger(Vec<Entry>);

impl Ledger {
    fn balance(&self, upto: usize) -> i64 {
        100_000 + self.0[..upto].iter().map(|entry| KINDS[entry.kind].0).sum::<i64>()
    }

    fn write(&self, statement: &Statement) -> String {
        let Statement { range, form, copy } = statement;
        let whole = if let Form::Page { of, .. } = form { of } else { range };
        let mut id = format!("{}-{}", whole.0, whole.1);
        if *form == Form::Part {
            id.insert(0, 'P');
        }
        let mut text = format!(
            "<Document><BkToCstmrStmt><GrpHdr><MsgId>{id}/{range:?}/{copy}</MsgId></GrpHdr><Stmt><Id>{id}</Id>"
        );
        if let Form::Page { number, .. } = form {
            _ = write!(text, "<StmtPgntn><PgNb>{number}</PgNb></StmtPgntn>");
        }
        _ = write!(text, "<ElctrncSeqNb>{id}</ElctrncSeqNb>");
        let days = self.0[whole.0..whole.1].iter().map(|entry| entry.day + 1);
        let (first, last) = (days.clone().min().unwrap(), days.max().unwrap());
        _ = write!(
            text,
            "<FrToDt><FrDt>2026-03-{first:02}</FrDt><ToDt>2026-03-{last:02}</ToDt></FrToDt>\
             <Acct><Id><IBAN>DE1</IBAN></Id></Acct>"
        );
        for (kind, at) in [("OPBD", whole.0), ("CLBD", whole.1)] {
            _ = write!(
                text,
                "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{}</Amt>\
                 <CdtDbtInd>CRDT</CdtDbtInd></Bal>",
                cents(self.balance(at))
            );
        }
        for entry in &self.0[range.0..range.1] {
            let (amount, what) = KINDS[entry.kind];
            let direction = if amount < 0 { "DBIT" } else { "CRDT" };
            _ = write!(
                text,
                "<Ntry><Amt Ccy=\"EUR\">{}</Amt><CdtDbtInd>{direction}</CdtDbtInd><Sts>BOOK</Sts>\
                 <BookgDt><Dt>2026-03-{:02}</Dt></BookgDt><AcctSvcrRef>NONREF</AcctSvcrRef>\
                 <AddtlNtryInf>{what}</AddtlNtryInf></Ntry>",
                cents(amount.abs()),
                entry.day + 1
            );
        }
        text + "</Stmt></BkToCstmrStmt></Document>"
    }

    /// The entries from the start of one day to the end of another, if there are any.
    fn days(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let start = self.0.iter().position(|entry| entry.day >= from)?;
        let end = self.0.iter().filter(|entry| entry.day <= to).count();
        (start < end).then_some((start, end))
    }
}

fn cents(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn ledger(kinds: usize) -> impl Strategy<Value = Ledger> {
    let entry = (0..3usize, 0..kinds).prop_map(|(day, kind)| Entry { day, kind });
    prop::collection::vec(entry, 1..10).prop_map(|mut entries| {
        entries.sort_by_key(|entry| entry.day);
        Ledger(entries)
    })
}

/// A statement, drawn by numbers that the ledger gives a meaning.
fn drawn(ledger: &Ledger, (form, from, length, copy): (u8, usize, usize, u8)) -> Vec<Statement> {
    let (to, one) = ((from + length).min(2), |range, form| Statement { range, form, copy });
    match form {
        0 => ledger.days(from, to).map(|range| one(range, Form::Days)).into_iter().collect(),
        // A day in two parts.
        1 => {
            let Some((start, end)) = ledger.days(from, from) else { return Vec::new() };
            let middle = start + (end - start) / 2;
            let parts = [(start, middle), (middle, end)].into_iter().filter(|(a, b)| a < b);
            parts.map(|range| one(range, Form::Part)).collect()
        }
        _ => {
            let Some(of) = ledger.days(from, to) else { return Vec::new() };
            let middle = of.0 + (of.1 - of.0) / 2;
            let pages = [(of.0, middle), (middle, of.1)].into_iter().zip(1..);
            let pages = pages.filter(|((a, b), _)| a < b);
            pages.map(|(range, number)| one(range, Form::Page { number, of })).collect()
        }
    }
}

fn draws() -> impl Strategy<Value = Vec<(u8, usize, usize, u8)>> {
    prop::collection::vec((0..3u8, 0..3usize, 0..3usize, 0..2u8), 1..7)
}

/// Delivers statements in this order, and returns how many entries of each kind were delivered, how many
/// events there are, and how many warnings.
fn run(ledger: &Ledger, statements: &[Statement]) -> (Counts, Counts, u64) {
    let (store, mapping) = (store(), Mapping::builtin("camt.053").unwrap());
    let (mut delivered, mut warnings) = (BTreeSet::new(), 0);
    for (n, statement) in statements.iter().enumerate() {
        let name = format!("{n}.xml");
        let (tally, heard) = deliver(&store, &mapping, &name, &ledger.write(statement));
        let refused: Vec<_> =
            heard.rejects.iter().filter(|r| r.reason.code() != "balance_mismatch").collect();
        assert!(refused.is_empty(), "{refused:?}");
        warnings += tally.warnings;
        delivered.extend(statement.range.0..statement.range.1);
    }
    let (mut truth, mut found) = (Counts::new(), Counts::new());
    for at in delivered {
        let Entry { day, kind } = ledger.0[at];
        *truth.entry((format!("2026-03-{:02}", day + 1), KINDS[kind].1.to_owned())).or_default() +=
            1;
    }
    for event in events(&store) {
        let data = data(&event);
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        *found.entry((text("booking_date"), text("additional_info"))).or_default() += 1;
    }
    (truth, found, warnings)
}

/// Entries by day and kind.
type Counts = BTreeMap<(String, String), u64>;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever a bank sends, in any order and again, no entry is lost. If the balance never comes back to
    /// where it was, the headers decide everything, or the run says that they do not.
    #[test]
    fn no_delivered_entry_is_lost_and_none_is_doubled_in_silence(
        ledger in ledger(4),
        draws in draws(),
        order in any::<prop::sample::Index>(),
    ) {
        let mut statements: Vec<_> = draws.iter().flat_map(|draw| drawn(&ledger, *draw)).collect();
        if !statements.is_empty() {
            let by = order.index(statements.len());
            statements.rotate_left(by);
        }
        let (truth, found, warnings) = run(&ledger, &statements);
        for (kind, count) in &truth {
            let kept = found.get(kind).copied().unwrap_or(0);
            prop_assert!(kept >= *count, "lost {kind:?}: {kept} of {count}; {statements:?}");
        }
        let comes_back = ledger.0.iter().any(|entry| entry.kind == 3);
        if warnings == 0 && !comes_back {
            prop_assert_eq!(found, truth, "{:?}", statements);
        }
    }
}
