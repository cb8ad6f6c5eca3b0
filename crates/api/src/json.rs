/// The most nested arrays and objects in the JSON of an event. Common readers refuse much deeper ones: a
/// page that contains one would be unreadable for them.
pub const MAX_JSON_DEPTH: usize = 128;

/// Whether a media type is JSON, or one that is written in JSON.
pub fn is_json_type(media_type: &str) -> bool {
    let name = media_type.split(';').next().unwrap_or("").trim();
    name.eq_ignore_ascii_case("application/json") || name.to_ascii_lowercase().ends_with("+json")
}

/// Whether JSON has more nested arrays and objects than [`MAX_JSON_DEPTH`]. Bytes that are not JSON may get
/// any answer.
pub fn is_too_deep(json: &[u8]) -> bool {
    // Most events have fewer brackets than that.
    let opened = |byte: &&u8| matches!(byte, b'{' | b'[');
    json.iter().filter(opened).count() > MAX_JSON_DEPTH && depth(json) > MAX_JSON_DEPTH
}

fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_nested_arrays_and_objects_outside_of_text() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(nested(128).as_bytes()) && is_too_deep(nested(129).as_bytes()));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(129), "}".repeat(129));
        assert!(is_too_deep(objects.as_bytes()));
        let wide = format!("[{}]", vec!["{}"; 1_000].join(","));
        assert!(!is_too_deep(wide.as_bytes()));
        for text in [r#""[""#.repeat(200), format!("\"\\\"{}\"", "[".repeat(200))] {
            assert!(!is_too_deep(text.as_bytes()), "{text}");
        }
        assert!(!is_too_deep("]".repeat(500).as_bytes()));
    }
}
