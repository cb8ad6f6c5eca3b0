//! Any interleaving of the streams gives the same rows.

use leftfold_examples::composite::VIEW;
use leftfold_views::Definition;
use proptest::prelude::*;
use proptest::sample::Index;

/// The events of one stream, in its order.
type Stream = Vec<String>;

fn given(stream: &str, event_type: &str, data: String) -> String {
    format!("-- @given {stream} {event_type} {data}\n")
}

/// A customer that is renamed some times.
fn customer(id: usize, renamed: usize) -> Stream {
    let name = |version: usize| format!(r#"{{"name":"{id}.{version}"}}"#);
    let event_type = |version| if version == 0 { "CustomerRegistered" } else { "CustomerRenamed" };
    let stream = format!("customer-{id}");
    (0..=renamed).map(|version| given(&stream, event_type(version), name(version))).collect()
}

/// Takes the next event of one stream or another until none is left.
fn interleave(streams: &[Stream], choices: &[Index]) -> String {
    let mut rest: Vec<_> = streams.iter().map(|stream| stream.iter()).collect();
    let mut choices = choices.iter().cycle();
    let mut text = String::new();
    loop {
        rest.retain(|stream| stream.len() > 0);
        let Some(choice) = choices.next().filter(|_| !rest.is_empty()) else { return text };
        let next = choice.index(rest.len());
        text.extend(rest[next].next().cloned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_order_of_arrival_gives_the_same_rows(
        renamed in prop::collection::vec(0usize..3, 1..4),
        orders in prop::collection::vec((0usize..4, 0usize..3), 1..6),
        choices in prop::collection::vec(any::<Index>(), 40),
    ) {
        let mut streams: Vec<_> = (0..).zip(&renamed).map(|(id, n)| customer(id, *n)).collect();
        let mut rows = String::new();
        for (id, (customer, payments)) in orders.iter().enumerate() {
            let data = format!(r#"{{"customer":"{customer}","total":"9.90"}}"#);
            streams.push(vec![given(&format!("order-{id}"), "OrderPlaced", data)]);
            let paid = format!(r#"{{"order":"{id}","amount":"0.10"}}"#);
            let stream = format!("payment-{id}");
            streams.push(vec![given(&stream, "PaymentReceived", paid); *payments]);
            // An order may name a customer that never comes.
            let name = renamed.get(*customer);
            let name = name.map_or("null".to_owned(), |version| format!("{customer}.{version}"));
            let paid = ["0", "0.10", "0.20"][*payments];
            rows.push_str(&format!("-- {id} | {customer} | {name} | 9.90 | {paid}\n"));
        }
        let given = interleave(&streams, &choices);
        let expect = "-- @expect select * from customer_orders order by id\n";
        let text = format!("{VIEW}\n-- @test interleaved\n{given}{expect}{rows}");
        let reports = Definition::parse(&text).unwrap().check().unwrap();
        let last = reports.last().unwrap();
        prop_assert!(last.passed(), "{:#?}\n{given}", last.differences);
    }
}
