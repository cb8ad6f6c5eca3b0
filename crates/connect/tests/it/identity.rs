//! Which entries of bank statements are one, and which are several.

use leftfold_api::{Query, Read, Recorded};
use leftfold_connect::{Doubt, IngestObserver, Mapping, Reject, Source, Tally, Warning, ingest};
use leftfold_store::Embedded;
use serde_json::Value;

use crate::store::store;

#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) rejects: Vec<Reject>,
    pub(crate) warnings: Vec<Warning>,
}

impl IngestObserver for Heard {
    fn on_reject(&mut self, reject: &Reject) -> std::io::Result<()> {
        self.rejects.push(reject.clone());
        Ok(())
    }

    fn on_warning(&mut self, warning: &Warning) -> std::io::Result<()> {
        self.warnings.push(warning.clone());
        Ok(())
    }
}

/// Ingests a text as a file of this name; returns the counts of new and repeated records and warnings.
pub(crate) fn deliver(
    store: &Embedded,
    mapping: &Mapping,
    name: &str,
    text: &str,
) -> (Tally, Heard) {
    let mut heard = Heard::default();
    let done = ingest(store, mapping, source(name), text.as_bytes(), &mut heard).unwrap();
    assert!(done.read.complete, "{:?}", heard.rejects);
    assert_eq!(done.tally.warnings, heard.warnings.len() as u64);
    (done.tally, heard)
}

pub(crate) fn source(name: &str) -> Source<'_> {
    Source { name, ..Source::default() }
}

fn camt() -> Mapping {
    Mapping::builtin("camt.053").unwrap()
}

macro_rules! case {
    ($name:literal) => {
        ($name, include_str!(concat!("../fixtures/identity/", $name)))
    };
}

/// A file's name and text.
type File<'a> = (&'a str, &'a str);
/// New records, repeats and warnings.
type Counts = (u64, u64, u64);

/// Ingests files in their order, and then each again, under another name and under its own. The first time
/// each has these new and repeated records and warnings; later all of its records are repeats.
fn check(files: &[(File<'_>, Counts)]) -> Embedded {
    let (store, mapping) = (store(), camt());
    for ((name, text), expected) in files {
        let (tally, heard) = deliver(&store, &mapping, name, text);
        let found = (tally.ingested, tally.repeated, tally.warnings);
        assert_eq!(found, *expected, "{name}: {heard:?}");
        assert_eq!(tally.rejected, 0, "{name}: {heard:?}");
    }
    for ((name, text), (new, repeated, _)) in files {
        for name in [*name, "renamed.xml"] {
            let (tally, _) = deliver(&store, &mapping, name, text);
            assert_eq!((tally.ingested, tally.repeated), (0, new + repeated), "{name} again");
            assert_eq!(tally.rejected, 0);
        }
    }
    store
}

pub(crate) fn events(store: &Embedded) -> Vec<Recorded> {
    let (mut all, mut read) = (Vec::new(), Read::forward(Query::All));
    loop {
        let page = store.blocking().read(read).unwrap();
        all.extend(page.events);
        if !page.more {
            return all;
        }
        read = Read::forward(Query::All).after(page.cursor);
    }
}

pub(crate) fn data(event: &Recorded) -> Value {
    serde_json::from_slice(&event.data()).unwrap()
}

#[test]
fn two_equal_entries_of_a_statement_are_two() {
    check(&[(case!("nonref-identical.xml"), (2, 0, 0))]);
    check(&[(case!("identical-noref.xml"), (2, 0, 0))]);
    check(&[(case!("nonref-different.xml"), (3, 0, 0))]);
}

#[test]
fn a_reference_that_a_bank_uses_twice_loses_no_entry() {
    check(&[(case!("same-ref-different-amount.xml"), (2, 0, 0))]);
}

#[test]
fn a_constant_statement_id_loses_no_day() {
    check(&[(case!("const-id-day1.xml"), (2, 0, 0)), (case!("const-id-day2.xml"), (2, 0, 0))]);
}

#[test]
fn an_equal_entry_on_a_page_without_number_is_kept_and_reported() {
    check(&[(case!("pages-1.xml"), (2, 0, 0)), (case!("pages-2.xml"), (2, 0, 1))]);
    check(&[(case!("pages-2.xml"), (2, 0, 0)), (case!("pages-1.xml"), (2, 0, 1))]);
}

#[test]
fn entries_of_overlapping_statements_are_the_same() {
    // Only the order of the entries shows that the statements overlap, and that is said.
    for [a, b] in [
        [case!("overlap-a.xml"), case!("overlap-b.xml")],
        [case!("overlap-noref-a.xml"), case!("overlap-noref-b.xml")],
    ] {
        check(&[(a, (4, 0, 0)), (b, (2, 2, 1))]);
        check(&[(b, (4, 0, 0)), (a, (2, 2, 1))]);
    }
}

#[test]
fn a_pending_entry_its_booking_and_a_reversal_are_events_of_their_own() {
    let (pending, booked) = (case!("pending-booked-a.xml"), case!("pending-booked-b.xml"));
    for store in [
        check(&[(pending, (1, 0, 0)), (booked, (1, 0, 0))]),
        check(&[(case!("reversal.xml"), (2, 0, 0))]),
    ] {
        let events = events(&store);
        assert!(events[0].correlation().unwrap().starts_with("DE00000000000000000001/R"));
        assert_eq!(events[0].correlation(), events[1].correlation(), "they are linked");
    }
}

#[test]
fn an_entry_is_kept_whole_whatever_is_wrong_below_it() {
    for (case, amount) in
        [(case!("single-tx-other-amount.xml"), "4500.00"), (case!("batch-charges.xml"), "95.00")]
    {
        let store = check(&[(case, (1, 0, 1))]);
        let events = events(&store);
        assert_eq!(data(&events[0])["amount"], amount);
        let metadata: Value = serde_json::from_slice(&events[0].metadata()).unwrap();
        assert_eq!(metadata["warnings"][0], Doubt::PartsDiffer.code());
    }
}

#[test]
fn a_status_is_kept_as_the_bank_says_it() {
    let store = check(&[(case!("status-other.xml"), (4, 0, 0))]);
    let found: Vec<_> = events(&store)
        .iter()
        .map(|event| (event.event_type().to_owned(), data(event)["status"].clone()))
        .collect();
    let expected = [
        ("EntryFuture", Value::from("FUTR")),
        ("EntryReported", Value::from("OK")),
        ("EntryReported", Value::Null),
        ("EntryBooked", Value::from("BOOK")),
    ];
    assert_eq!(found, expected.map(|(kind, status)| (kind.to_owned(), status)));
}

#[test]
fn where_an_entry_came_from_is_metadata() {
    let store = check(&[(case!("nonref-identical.xml"), (2, 0, 0))]);
    let metadata: Value = serde_json::from_slice(&events(&store)[1].metadata()).unwrap();
    assert_eq!(metadata["file"], "nonref-identical.xml");
    assert_eq!((&metadata["line"], &metadata["index"]), (&Value::from(8), &Value::from(2)));
    assert_eq!(metadata["statement"]["statement"], "S1");
    assert_eq!(metadata["statement"]["opening"], "5 EUR");
}

/// Makes a statement of one account from its header and its entries.
fn statement(message: &str, header: &str, entries: &[(&str, &str, &str)]) -> String {
    let entry = |(reference, amount, text): &(&str, &str, &str)| {
        format!(
            "<Ntry><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts>\
             <BookgDt><Dt>2026-03-01</Dt></BookgDt><AcctSvcrRef>{reference}</AcctSvcrRef><NtryDtls><TxDtls>\
             <RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
        )
    };
    let entries: String = entries.iter().map(entry).collect();
    format!(
        "<Document><BkToCstmrStmt><GrpHdr><MsgId>{message}</MsgId></GrpHdr><Stmt>{header}{entries}</Stmt>\
         </BkToCstmrStmt></Document>"
    )
}

const ACCOUNT: &str = "<Acct><Id><IBAN>DE1</IBAN></Id></Acct>";

fn balances(opening: &str, closing: &str) -> String {
    let balance = |kind: &str, amount: &str| {
        format!(
            "<Bal><Tp><CdOrPrtry><Cd>{kind}</Cd></CdOrPrtry></Tp><Amt Ccy=\"EUR\">{amount}</Amt>\
             <CdtDbtInd>CRDT</CdtDbtInd></Bal>"
        )
    };
    balance("OPBD", opening) + &balance("CLBD", closing)
}

/// A period of hours of a day.
fn period(from: u64, to: u64) -> String {
    let time = |hour: u64| format!("2026-03-{:02}T{:02}:00:00", 1 + hour / 24, hour % 24);
    format!("<FrToDt><FrDtTm>{}</FrDtTm><ToDtTm>{}</ToDtTm></FrToDt>", time(from), time(to))
}

const TICKET: (&str, &str, &str) = ("NONREF", "2.50", "tram ticket");

#[test]
fn equal_entries_of_statements_that_follow_each_other_add_up() {
    let morning = format!("<Id>1</Id>{}{ACCOUNT}{}", period(0, 12), balances("5.00", "2.50"));
    let evening = format!("<Id>2</Id>{}{ACCOUNT}{}", period(12, 20), balances("2.50", "0.00"));
    let day = format!("<Id>3</Id>{}{ACCOUNT}{}", period(0, 24), balances("5.00", "0.00"));
    let morning = statement("a", &morning, &[TICKET]);
    let evening = statement("b", &evening, &[TICKET]);
    // The statement of the whole day begins where the first of them begins, and ends with the second.
    let day = statement("c", &day, &[TICKET, TICKET]);
    let (morning, evening, day) = (("1", &*morning), ("2", &*evening), ("3", &*day));
    check(&[(morning, (1, 0, 0)), (evening, (1, 0, 0)), (day, (0, 2, 0))]);
    check(&[(evening, (1, 0, 0)), (day, (1, 1, 0)), (morning, (0, 1, 0))]);
    check(&[(day, (2, 0, 0)), (evening, (0, 1, 0)), (morning, (0, 1, 0))]);
}

#[test]
fn equal_entries_on_numbered_pages_add_up() {
    let page = |n: u64| {
        format!(
            "<Id>1</Id><StmtPgntn><PgNb>{n}</PgNb><LastPgInd>{}</LastPgInd></StmtPgntn>{ACCOUNT}{}",
            n == 2,
            balances("9.00", "1.50")
        )
    };
    let one = statement("a", &page(1), &[TICKET, TICKET]);
    let two = statement("b", &page(2), &[TICKET]);
    for pages in [[(&one, 2), (&two, 1)], [(&two, 1), (&one, 2)]] {
        let files = pages.map(|(text, count)| (("page", &**text), (count, 0, 0)));
        // Neither page's balance holds alone.
        let (store, mapping) = (store(), camt());
        for ((name, text), (new, ..)) in files.iter().chain(&files) {
            let (tally, _) = deliver(&store, &mapping, name, text);
            assert_eq!(tally.ingested + tally.repeated, *new);
        }
        assert_eq!(events(&store).len(), 3);
    }
}

#[test]
fn a_statement_that_is_sent_again_is_recognised_by_its_balances() {
    let header = format!("<Id>1</Id>{ACCOUNT}{}", balances("5.00", "2.50"));
    let (first, again) = (statement("a", &header, &[TICKET]), statement("b", &header, &[TICKET]));
    check(&[(("1", &first), (1, 0, 0)), (("2", &again), (0, 1, 0))]);
    // Without balances nothing tells it from another page.
    let header = format!("<Id>1</Id>{ACCOUNT}");
    let (first, again) = (statement("a", &header, &[TICKET]), statement("b", &header, &[TICKET]));
    check(&[(("1", &first), (1, 0, 0)), (("2", &again), (1, 0, 1))]);
}

#[test]
fn the_same_reference_with_another_text_is_a_correction() {
    // The second statement is of two days, of which the first is one.
    let header = |id: u64| {
        let to = format!("<ToDtTm>2026-03-0{}T00:00:00</ToDtTm>", id + 1);
        format!("<Id>{id}</Id><FrToDt><FrDtTm>2026-03-01T00:00:00</FrDtTm>{to}</FrToDt>{ACCOUNT}")
    };
    let first = statement("a", &header(1), &[("R1", "7.00", "rent"), ("R1", "7.00", "garage")]);
    let other =
        statement("b", &header(2), &[("R1", "7.00", "garage"), ("R1", "7.00", "rent, March")]);
    let (store, mapping) = (store(), camt());
    let (tally, _) = deliver(&store, &mapping, "1", &first);
    assert_eq!((tally.ingested, tally.corrected), (2, 0));
    for n in 0..2 {
        let (tally, heard) = deliver(&store, &mapping, "2", &other);
        let expected = if n == 0 { (1, 1, 1) } else { (0, 2, 0) };
        assert_eq!((tally.ingested, tally.repeated, tally.corrected), expected, "{heard:?}");
        let (tally, _) = deliver(&store, &mapping, "1", &first);
        assert_eq!((tally.ingested, tally.repeated), (0, 2));
    }
    let events = events(&store);
    let correction = events.last().unwrap();
    assert_eq!(correction.event_type(), "EntryCorrected");
    assert_eq!(correction.causation(), Some(&*events[0].id().to_string()));
}

const TICKETS: &str = r#"
name = "bank"
format = "csv"
zone = "Europe/Berlin"
stream = "account-1"
data = ["day", "text", "amount"]
event = { type = "EntryBooked", time = "day" }
id = { kinds = [["day", "amount", "text"]] }
csv = { delimiter = ";" }
[field]
day = { path = "date", type = "date", format = "%d.%m.%Y", required = true }
text = { path = "text" }
amount = { path = "amount", type = "decimal", decimal_separator = ",", required = true }
"#;

#[test]
fn equal_lines_of_an_export_are_counted() {
    let mapping = Mapping::parse(TICKETS).unwrap();
    let (_, march) = case!("identical-lines.csv");
    let store = store();
    let next = format!("{march}02.03.2026;coffee;-3,00\n");
    let first = "date;text;amount\n01.03.2026;tram ticket;-2,50\n";
    for (text, new, repeated) in [(first, 1, 0), (march, 2, 1), (&next, 1, 3), (march, 0, 3)] {
        for name in ["export.csv", "export(1).csv"] {
            let (tally, _) = deliver(&store, &mapping, name, text);
            let again = name != "export.csv";
            let expected = if again { (0, new + repeated) } else { (new, repeated) };
            assert_eq!(
                (tally.ingested, tally.repeated, tally.rejected),
                (expected.0, expected.1, 0)
            );
        }
    }
    assert_eq!(events(&store).len(), 4);
}

#[test]
fn a_file_of_another_kind_says_what_it_is() {
    let report = case!("overlap-a.xml").1.replace("BkToCstmrStmt", "BkToCstmrAcctRpt");
    let report = report.replace("<Stmt>", "<Rpt>").replace("</Stmt>", "</Rpt>");
    for (text, outline) in [
        (&*report, "Document/BkToCstmrAcctRpt/GrpHdr"),
        ("<?xml version=\"1.0\"?><hello/>", "hello."),
    ] {
        let (tally, heard) = deliver(&store(), &camt(), "other.xml", text);
        assert_eq!((tally.ingested, tally.rejected), (0, 1));
        assert_eq!(heard.rejects[0].reason.code(), "nothing_found");
        assert!(heard.rejects[0].message.contains(outline), "{:?}", heard.rejects);
        let allowed = Source { may_be_empty: true, ..source("other.xml") };
        let done = ingest(&store(), &camt(), allowed, text.as_bytes(), &mut Heard::default());
        assert_eq!(done.unwrap().tally, Tally::default());
    }
    let (tally, _) = deliver(&store(), &Mapping::builtin("camt.052").unwrap(), "52", &report);
    assert_eq!((tally.ingested, tally.rejected), (4, 0));
    // A statement without entries is one of the right kind.
    let empty = statement("m", &format!("<Id>1</Id>{ACCOUNT}"), &[]);
    assert_eq!(deliver(&store(), &camt(), "empty.xml", &empty).0, Tally::default());
}

#[test]
fn ingests_at_the_same_time_take_each_entry_once() {
    let header = |id: &str| {
        let period = period(0, if id == "a" { 24 } else { 48 });
        format!("<Id>{id}</Id>{period}{ACCOUNT}{}", balances("3000.00", "0.00"))
    };
    let texts: Vec<_> = (0..1_200).map(|n| format!("ticket {}", n % 400)).collect();
    let entries: Vec<_> = texts.iter().map(|text| ("NONREF", "2.50", text.as_str())).collect();
    // The same entries under another header: the periods say that the two overlap.
    let statements = ["a", "b"].map(|id| statement(id, &header(id), &entries));
    let store = store();
    std::thread::scope(|threads| {
        for (name, text) in [("1", &statements[0]), ("2", &statements[1]), ("3", &statements[0])] {
            let store = &store;
            threads.spawn(move || {
                let (tally, _) = deliver(store, &camt(), name, text);
                assert_eq!((tally.ingested + tally.repeated, tally.rejected), (1_200, 0));
            });
        }
    });
    assert_eq!(events(&store).len(), 1_200);
}

#[test]
fn nothing_overtakes_what_waits_for_the_end_of_its_statement() {
    let header = |id: &str| format!("<Id>{id}</Id>{ACCOUNT}");
    let texts: Vec<_> = (0..1_300).map(|n| format!("entry {n}")).collect();
    let mut entries: Vec<_> = texts.iter().map(|text| ("NONREF", "1.00", text.as_str())).collect();
    entries[0] = TICKET;
    entries[700] = TICKET;
    let first = statement("a", &header("a"), &[TICKET]);
    // Undecided beside the first: its two tickets are in different batches.
    let second = statement("b", &header("b"), &entries);
    let store = check(&[(("1", &first), (1, 0, 0)), (("2", &second), (1_300, 0, 1))]);
    assert_eq!(events(&store).len(), 1_301);
}

#[test]
fn more_records_may_wait_than_one_query_asks_for() {
    let header = |id: &str| format!("<Id>{id}</Id>{ACCOUNT}");
    let texts: Vec<_> = (0..1_500).map(|n| format!("entry {n}")).collect();
    let entries: Vec<_> = texts.iter().map(|text| ("NONREF", "1.00", text.as_str())).collect();
    let twice: Vec<_> = entries.iter().chain(&entries).copied().collect();
    let short = statement("a", &header("a"), &entries);
    let long = statement("b", &header("b"), &twice);
    // The second statement begins as the first one does, so that is in it.
    check(&[(("1", &short), (1_500, 0, 0)), (("2", &long), (1_500, 1_500, 1))]);
}

#[test]
fn statements_with_equal_headers_in_one_file_are_told_apart() {
    let one = format!("<Stmt><Id>1</Id>{ACCOUNT}");
    let text = statement("a", &format!("<Id>1</Id>{ACCOUNT}"), &[TICKET]);
    let (start, end) = text.split_once("<Stmt>").unwrap();
    let body = end.strip_suffix("</BkToCstmrStmt></Document>").unwrap();
    assert!(text.contains(&one));
    let text = format!("{start}<Stmt>{body}<Stmt>{body}</BkToCstmrStmt></Document>");
    check(&[(("twice", &text), (2, 0, 1))]);
}

/// A mapping of statements that name neither a message nor a page.
const PLAIN: &str = r#"
name = "plain"
format = "xml"
stream = "account-1"
data = ["text"]
event = { type = "Booked", time = "day" }
id = { kinds = [["day", "text"]] }
statement = { id = "statement" }
[xml]
record = "bank/list/entry"
group = "bank/list"
[field]
statement = { path = "group:name" }
text = { path = "text", required = true }
day = { path = "day", type = "date", required = true }
"#;

fn plain(entries: &[&str]) -> String {
    let entry = |text: &&str| format!("<entry><day>2026-03-01</day><text>{text}</text></entry>");
    let entries: String = entries.iter().map(entry).collect();
    format!("<bank><list><name>constant</name>{entries}</list></bank>")
}

/// Delivers lists of entries with equal headers, each under a name of its own; each time it has these new and
/// repeated records and warnings. Then all of them are delivered again, and are repeats.
fn check_plain(lists: &[(&[&str], Counts)]) {
    let (store, mapping) = (store(), Mapping::parse(PLAIN).unwrap());
    for (at, (entries, expected)) in lists.iter().enumerate() {
        let (tally, heard) = deliver(&store, &mapping, &format!("{at}.xml"), &plain(entries));
        let found = (tally.ingested, tally.repeated, tally.warnings);
        assert_eq!(found, *expected, "{at}: {heard:?}");
    }
    for (at, (entries, _)) in lists.iter().enumerate() {
        for name in [format!("{at}.xml"), "renamed.xml".to_owned()] {
            let (tally, heard) = deliver(&store, &mapping, &name, &plain(entries));
            let found = (tally.ingested, tally.repeated, tally.warnings);
            assert_eq!(found, (0, entries.len() as u64, 0), "{name} again: {heard:?}");
        }
    }
}

#[test]
fn a_list_without_a_message_is_the_same_if_its_entries_stand_at_the_same_places() {
    check_plain(&[(&["ticket"], (1, 0, 0)), (&["ticket"], (0, 1, 0))]);
    check_plain(&[(&["ticket", "ticket"], (2, 0, 0)), (&["ticket", "ticket"], (0, 2, 0))]);
    // It goes on, or is another one: nothing tells, and the run says so.
    check_plain(&[(&["ticket"], (1, 0, 0)), (&["ticket", "lunch"], (1, 1, 1))]);
    // The same header on another list.
    check_plain(&[(&["ticket", "lunch"], (2, 0, 0)), (&["books", "ticket"], (2, 0, 1))]);
    let three: [(&[&str], Counts); 3] = [
        (&["ticket"], (1, 0, 0)),
        (&["books", "ticket"], (2, 0, 1)),
        (&["lunch", "coffee", "ticket"], (3, 0, 1)),
    ];
    check_plain(&three);
}

#[test]
fn a_long_list_without_a_message_is_taken_once() {
    // More than may wait, and as many of one kind in several batches.
    let texts: Vec<_> = (0..12_000).map(|n| format!("entry {}", n.min(11_000))).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let new = texts.len() as u64;
    check_plain(&[(&texts, (new, 0, 0)), (&texts, (0, new, 0))]);
    // Another one, of which only the first entry after a batch is known.
    let last = |first: &str| {
        let texts = (0..500).map(|n| format!("{first} {n}"));
        texts.chain(["ticket".to_owned()]).collect::<Vec<_>>()
    };
    let [one, two] = [last("one"), last("two")];
    let [one, two] = [&one, &two].map(|l| l.iter().map(String::as_str).collect::<Vec<_>>());
    check_plain(&[(&one, (501, 0, 0)), (&two, (500, 1, 1))]);
    // Interrupted, and read again from another place.
    let (store, mapping) = (store(), Mapping::parse(PLAIN).unwrap());
    for (count, name) in [(500, "a"), (700, "b"), (new, "c")] {
        let same = vec!["ticket"; count as usize];
        let (tally, _) = deliver(&store, &mapping, name, &plain(&same));
        assert_eq!(tally.ingested + tally.repeated, count);
        assert_eq!(events(&store).len() as u64, count);
    }
}

#[test]
fn a_header_or_a_detail_that_cannot_be_read_refuses_no_entry() {
    let header = format!("<Id>1</Id><FrToDt><FrDtTm>soon</FrDtTm></FrToDt>{ACCOUNT}");
    let text = statement("a", &header, &[("R&#10;1", "1.00", "x")]);
    let text = text.replace("<AcctSvcrRef>", "<ValDt><Dt>2026-02-30</Dt></ValDt><AcctSvcrRef>");
    let (tally, heard) = deliver(&store(), &camt(), "x", &text);
    assert_eq!((tally.ingested, tally.rejected), (1, 0), "{heard:?}");
    assert_eq!(heard.warnings[0].doubt.code(), "unreadable_field");
    let long = "R".repeat(2_000);
    let text = statement("a", &format!("<Id>1</Id>{ACCOUNT}"), &[(&long, "2.00", "y")]);
    let (tally, heard) = deliver(&store(), &camt(), "x", &text);
    assert_eq!((tally.ingested, tally.rejected), (1, 0), "{heard:?}");
    // A balance with more places than any number has.
    let header =
        format!("<Id>1</Id>{ACCOUNT}{}", balances(&format!("0.{}", "0".repeat(70_000)), "1"));
    let (tally, _) = deliver(&store(), &camt(), "x", &statement("a", &header, &[TICKET]));
    assert_eq!((tally.ingested, tally.rejected), (1, 0));
}

/// An entry in each format, all of which occur twice in their file.
const OTHER_FORMATS: [(&str, &str); 4] = [
    (
        "mt940",
        ":20:S\n:25:A\n:28C:4/1\n:60F:C240130EUR9,\n:61:240131D1,NMSC\n:61:240131D1,NMSC\n:62F:C240131EUR7,\n-\n",
    ),
    (
        "mt942",
        ":20:S\n:25:A\n:28C:4/1\n:34F:EUR0,\n:13D:2401311200+0100\n:61:240131D1,NMSC\n:61:240131D1,NMSC\n-\n",
    ),
    (
        "ofx",
        "<OFX><STMTRS><CURDEF>EUR<BANKACCTFROM><ACCTID>A</BANKACCTFROM><BANKTRANLIST>\
         <STMTTRN><DTPOSTED>20240131<TRNAMT>-1<FITID>0</STMTTRN>\
         <STMTTRN><DTPOSTED>20240131<TRNAMT>-1<FITID>0</STMTTRN></BANKTRANLIST></STMTRS></OFX>",
    ),
    (
        "pain.001",
        "<Document><CstmrCdtTrfInitn><GrpHdr><MsgId>M</MsgId></GrpHdr><PmtInf><ReqdExctnDt>2024-01-31</ReqdExctnDt>\
         <DbtrAcct><Id><IBAN>A</IBAN></Id></DbtrAcct>\
         <CdtTrfTxInf><Amt><InstdAmt Ccy=\"EUR\">1</InstdAmt></Amt></CdtTrfTxInf>\
         <CdtTrfTxInf><Amt><InstdAmt Ccy=\"EUR\">1</InstdAmt></Amt></CdtTrfTxInf></PmtInf></CstmrCdtTrfInitn></Document>",
    ),
];

#[test]
fn equal_entries_of_other_formats_are_kept_and_the_same_file_again_adds_none() {
    for (name, text) in OTHER_FORMATS {
        let (store, mapping) = (store(), Mapping::builtin(name).unwrap());
        for (file, counts) in [("a", (2, 0)), ("a", (0, 2)), ("b", (0, 2))] {
            let (tally, heard) = deliver(&store, &mapping, file, text);
            assert_eq!((tally.ingested, tally.repeated), counts, "{name} {file} {heard:?}");
            assert_eq!((tally.rejected, tally.warnings), (0, 0), "{name} {file} {heard:?}");
        }
    }
}

#[test]
fn equal_entries_of_the_next_statement_of_mt940_are_new() {
    let (_, first) = OTHER_FORMATS[0];
    let (store, mapping) = (store(), Mapping::builtin("mt940").unwrap());
    let later = first.replace(":62F:C240131EUR7", ":62F:C240131EUR5");
    let page = later.replace("4/1", "4/2").replace(":60F:C240130EUR9", ":60M:C240131EUR7");
    let next = later.replace("4/1", "5/1").replace(":60F:C240130EUR9", ":60F:C240131EUR7");
    for text in [first, &page, &next] {
        let (tally, heard) = deliver(&store, &mapping, "a", text);
        assert_eq!((tally.ingested, tally.warnings, tally.rejected), (2, 0, 0), "{heard:?}");
    }
}

#[test]
fn orders_of_another_message_are_new() {
    let (_, first) = OTHER_FORMATS[3];
    let (store, mapping) = (store(), Mapping::builtin("pain.001").unwrap());
    for text in [first, &first.replace("<MsgId>M<", "<MsgId>N<")] {
        let (tally, heard) = deliver(&store, &mapping, "a", text);
        assert_eq!((tally.ingested, tally.warnings), (2, 0), "{heard:?}");
    }
}
