use super::super::request::AppendRequest;
use super::*;

/// The code of the error that a body meets. It does not end well: what comes after the limit is not
/// JSON, so only a parser that stops there does not complain about that.
fn code(body: &str) -> &'static str {
    parse::<AppendRequest>(body.as_bytes()).unwrap_err().code
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
        let problem = parse::<AppendRequest>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.code, "body_invalid");
        assert!(problem.to_json().contains(expected), "{}", problem.to_json());
    }
    let deep = format!("{{\"events\":{}", "[".repeat(100_000));
    assert_eq!(code(&deep), "body_invalid");
}
