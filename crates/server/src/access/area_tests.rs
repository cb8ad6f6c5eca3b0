use leftfold_api::{NewEvent, Recorded, Span, Timestamp};
use proptest::prelude::*;

use super::*;

fn area(text: &str) -> Area {
    Area::of(&text.parse().unwrap()).unwrap()
}

#[test]
fn a_query_is_within_an_area_if_its_form_shows_it() {
    for (granted, query, within) in [
        ("*", "type:A", true),
        ("*", "not type:A not stream:$*", true),
        ("*", "*", true),
        ("*", "not type:A", true),
        ("*", "time:2026-01-01..", true),
        ("*", "stream:*", true),
        ("*", "system:true", false),
        ("*", "type:A system:true", true),
        ("*", "not type:A system:true", false),
        ("*", "* or type:$UserAdded", false),
        ("*", "index:a", false),
        ("*", "stream:$access", false),
        ("*", "category:$access", false),
        ("*", "type:$UserAdded", false),
        ("category:order", "category:order", true),
        ("category:order", "category:order type:A", true),
        ("category:order", "(type:A or not type:B) category:order", true),
        ("category:order", "stream:order-1", true),
        ("category:order", "stream:order", true),
        ("category:order", "stream:order-1*", true),
        ("category:order", "stream:order*", false),
        ("category:order", "stream:orders-1", false),
        ("category:order", "category:order,cart", false),
        ("category:order", "category:order or type:A", false),
        ("category:order", "not not category:order", false),
        ("category:order", "type:A", false),
        ("category:order", "category:ord*", false),
        ("category:order,cart", "category:order,cart", true),
        ("category:order or category:cart", "category:cart or category:order type:A", true),
        ("stream:order*", "category:order", true),
        ("stream:order*", "category:orders*", true),
        ("stream:order-*", "category:order", false),
        ("stream:order*", "stream:order-17*", true),
        ("stream:order-1*", "stream:order*", false),
        ("stream:order-1", "stream:order-1", true),
        ("stream:order-1", "stream:order-10", false),
        ("tag:customer=1", "tag:customer=1 type:A", true),
        ("tag:customer=1", "tag:customer=1,customer=2", false),
        ("tag:customer=1", "tag:customer=1*", false),
        ("tag:customer=1", "tag:customer=1 or stream:order-1", false),
        ("tag:customer=1 or stream:order-1", "tag:customer=1 or stream:order-1", true),
    ] {
        let parsed: Query = query.parse().unwrap();
        assert_eq!(area(granted).holds(&parsed), within, "{query} within {granted}");
    }
}

#[test]
fn a_scope_is_an_or_of_what_can_be_decided() {
    for wrong in [
        "type:A",
        "category:a type:B",
        "not category:a",
        "index:x",
        "time:2026-01-01..",
        "stream:$access",
        "stream:$*",
        "category:$audit",
        "category:or*",
        "tag:customer*",
        "not *",
    ] {
        let refused = Area::of(&wrong.parse().unwrap()).unwrap_err();
        assert_eq!(refused.code, "grant_invalid", "{wrong}");
    }
}

#[test]
fn every_query_joined_with_what_is_granted_is_within_it() {
    for granted in ["*", "category:order", "stream:a* or tag:x=1", "stream:a,b"] {
        let area = area(granted);
        for query in ["*", "not type:A", "type:A or stream:$access", "time:2026-01-01.."] {
            let narrowed = query.parse::<Query>().unwrap().and(area.query());
            assert!(area.holds(&narrowed), "{narrowed}");
            let printed: Query = narrowed.to_string().parse().unwrap();
            assert!(area.holds(&printed), "{printed}");
        }
    }
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "a-b", "a-b-c", "ab", "ab-c", "a-", "-", "$", "$a", "$a-b"])
        .prop_map(str::to_owned)
}

fn values() -> impl Strategy<Value = Value> {
    let prefix = prop_oneof![names(), Just(String::new())];
    prop_oneof![names().prop_map(Value::Exactly), prefix.prop_map(Value::Prefix)]
}

fn tags() -> impl Strategy<Value = Value> {
    let pair = prop::sample::select(vec!["k=a", "k=b", "l=a"]).prop_map(str::to_owned);
    let start = prop::sample::select(vec!["k", "k=", "k=a", ""]).prop_map(str::to_owned);
    prop_oneof![pair.prop_map(Value::Exactly), start.prop_map(Value::Prefix)]
}

fn leaves() -> impl Strategy<Value = Query> {
    let field = prop::sample::select(vec![Field::Stream, Field::Category, Field::Type]);
    let span = Span { from: Some(Timestamp(0)), to: None };
    prop_oneof![
        Just(Query::All),
        Just(Query::System),
        (field, prop::collection::vec(values(), 0..3)).prop_map(|(f, v)| Query::Is(f, v)),
        prop::collection::vec(tags(), 0..3).prop_map(|v| Query::Is(Field::Tag, v)),
        names().prop_map(|name| Query::Is(Field::Correlation, vec![Value::Exactly(name)])),
        Just(Query::During(span)),
    ]
}

fn queries() -> impl Strategy<Value = Query> {
    leaves().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Query::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Query::Or),
            inner.prop_map(|query| Query::Not(Box::new(query))),
        ]
    })
}

fn grants() -> impl Strategy<Value = Query> {
    let allowed = |query: &Query| Area::of(query).is_ok();
    let some = leaves().prop_filter("a scope", allowed);
    prop::collection::vec(some, 1..3).prop_map(Query::Or)
}

/// An event as the store takes it: a user's without `$`, or one of the store's own.
fn events() -> impl Strategy<Value = Recorded> {
    let tag = prop::sample::subsequence(vec![("k", "a"), ("k", "b"), ("l", "a")], 0..3);
    let parts = (names(), names(), tag, prop::option::of(names()), -1i64..2);
    parts.prop_map(|(stream, kind, tags, correlation, time)| {
        let plain = kind.trim_start_matches('$');
        let mut event = if stream.starts_with('$') {
            NewEvent::new(format!("${plain}"), "")
        } else {
            let mut event = NewEvent::new(format!("{plain}x"), "");
            event.tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            event.correlation = correlation;
            event
        };
        event.event_time = Some(Timestamp(time));
        Recorded::from_parts(&stream, 0, 1, Timestamp(0), &event).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_local_rejects: 1_000_000,
        ..ProptestConfig::with_cases(20_000)
    })]

    #[test]
    fn what_is_within_an_area_yields_nothing_beyond_it(
        granted in grants(),
        query in queries(),
        events in prop::collection::vec(events(), 1..6),
    ) {
        let area = Area::of(&granted).unwrap();
        let narrowed = query.clone().and(area.query());
        prop_assert!(area.holds(&narrowed), "{} in {}", narrowed, granted);
        for event in events {
            let is_system = event.stream().starts_with('$');
            let granted_event = granted.matches(&event) && !is_system;
            let has = |key: &str, value: &str| event.tags().any(|tag| tag == (key, value));
            prop_assert_eq!(area.takes(event.stream(), has), granted_event);
            if area.holds(&query) && query.matches(&event) {
                prop_assert!(granted_event, "{} yields {:?} beyond {}", query, event, granted);
            }
        }
    }
}
