//! Characters that a terminal or a reader of logs does not show as they are.

/// Returns whether a character can change what is shown around it: control characters, of which some begin
/// a terminal's commands, the separators of lines and paragraphs, and what turns the direction of text.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Returns text with each unprintable character as `\uXXXX`, which means the same in a string of JSON.
pub fn escape_unprintable(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_unprintable(c) {
            true => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => escaped.push(c),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_the_display_is_escaped_and_nothing_else() {
        let plain = "Zoë's order-1 \"a\\b\" \u{1f600} e\u{301}";
        assert_eq!(escape_unprintable(plain), plain);
        for c in
            ["\0", "\n", "\r", "\u{1b}", "\u{7f}", "\u{9b}", "\u{2028}", "\u{202e}", "\u{2069}"]
        {
            let text = format!("a{c}b");
            let escaped = escape_unprintable(&text);
            assert!(!escaped.contains(is_unprintable), "{escaped}");
            assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(), text);
        }
    }
}
