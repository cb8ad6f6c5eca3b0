use super::super::request::AppendRequest;
use super::*;
use crate::access::Origin;
use crate::limits::{Client, Pool};

fn client() -> Client {
    Client::new(&Origin::default(), None)
}

/// The code of the error that a body meets. It does not end well: what comes after the limit is not
/// JSON, so only a parser that stops there does not complain about that.
fn code(body: &str) -> &'static str {
    parse_object::<AppendRequest>(body.as_bytes()).unwrap_err().code
}

#[test]
fn parsing_stops_at_the_limit_of_events() {
    let event = r#"{"stream":"a","type":"T"},"#;
    assert_eq!(code(&format!("{{\"events\":[{}!", event.repeat(EVENTS + 1))), "too_many_events");
    assert_eq!(code(&format!("{{\"events\":[{}!", event.repeat(3))), "body_invalid");
}

#[test]
fn parsing_stops_at_the_limits_of_tags() {
    let event = |tags: usize| {
        format!(
            "{{\"stream\":\"a\",\"type\":\"T\",\"tags\":[{}\"a=b\"]}},",
            "\"a=b\",".repeat(tags - 1)
        )
    };
    let many = format!("{{\"events\":[{{\"tags\":[{}!", "\"a=b\",".repeat(TAGS_OF_EVENT + 1));
    assert_eq!(code(&many), "too_many_tags");
    let all = event(TAGS_OF_EVENT).repeat(TAGS / TAGS_OF_EVENT + 1);
    assert_eq!(code(&format!("{{\"events\":[{all}!")), "too_many_tags");
}

#[test]
fn parsing_stops_at_the_limits_of_conditions_and_queries() {
    for (list, element) in [
        ("expect", r#"{"stream":"a","expected":"any"},"#),
        ("none_after", r#"{"query":"*"},"#),
        ("checkpoints", r#"{"name":"a","to":""},"#),
    ] {
        let body = format!("{{\"{list}\":[{}!", element.repeat(CONDITIONS + 1));
        assert_eq!(code(&body), "too_many_conditions", "{list}");
    }
    let query = format!("{{\"query\":\"{}\"}},", "x".repeat(64 << 10));
    let body = format!("{{\"none_after\":[{}!", query.repeat(QUERY_BYTES / (64 << 10) + 1));
    assert_eq!(code(&body), "query_too_large");
}

#[test]
fn nothing_of_another_shape_is_taken_in() {
    // The rest is not JSON, so whatever read the value to its end would complain about that.
    for (body, expected) in [
        (r#"{"events":[{"tags":[{!"#, "expected a tag"),
        (r#"{"events":[{"tags":[["a","b","c",!"#, "expected a tag"),
        (r#"{"expect":[{"expected":[!"#, "expected any, no-stream"),
    ] {
        let problem = parse_object::<AppendRequest>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code, "body_invalid");
        assert!(problem.to_json().contains(expected), "{}", problem.to_json());
    }
    let deep = format!("{{\"events\":{}", "[".repeat(100_000));
    assert_eq!(code(&deep), "body_invalid");
}

/// A body of events, so small that a hundred times its bytes are needed to parse it.
fn tiny_events(count: usize) -> String {
    let event = r#"{"stream":"a","type":"T"}"#;
    format!("{{\"events\":[{}{event}]}}", format!("{event},").repeat(count - 1))
}

#[test]
fn memory_for_elements_is_reserved_while_they_are_parsed() {
    let bodies = Pool::new(16 << 20, 100);
    let parse = |body: &str| {
        parse::<AppendRequest>(body.as_bytes(), Reservation::of(bodies.clone(), client()))
            .map(|(_, reservation)| reservation)
    };
    let tags = "\"a=b\",".repeat(9_999);
    let element = |list: &str, element: &str| {
        format!("{{\"{list}\":[{}{element}]}}", format!("{element},").repeat(9_999))
    };
    for body in [
        tiny_events(10_000),
        format!(r#"{{"events":[{{"stream":"a","type":"T","tags":[{tags}"a=b"]}}]}}"#),
        element("expect", r#"{"stream":"","expected":0}"#),
        element("none_after", r#"{"query":""}"#),
        element("checkpoints", r#"{"name":"","to":""}"#),
    ] {
        let reservation = parse(&body).unwrap();
        let reserved = bodies.taken();
        assert!(reserved > 10_000 * 150, "{reserved} for {}", &body[..40]);
        drop(reservation);
        assert_eq!(bodies.taken(), 0);
    }
}

#[test]
fn parsing_stops_when_the_memory_is_reserved_by_others() {
    let bodies = Pool::new(1_600 << 10, 100);
    let parse = |body: &str| {
        parse::<AppendRequest>(body.as_bytes(), Reservation::of(bodies.clone(), client()))
    };
    // What comes after the elements is not JSON.
    let refused = parse(&tiny_events(10_000).replace("]}", "!")).err().unwrap();
    assert_eq!(refused.code, "server_overloaded");
    assert_eq!(bodies.taken(), 0);
    assert!(parse(&tiny_events(1_000)).is_ok());
}
