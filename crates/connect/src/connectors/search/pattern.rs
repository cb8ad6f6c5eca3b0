//! Patterns of names, in which a star is any text.

/// Whether a name is as a pattern says.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, pattern)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pattern = pattern;
    while let Some((part, behind)) = pattern.split_once('*') {
        let Some((_, found)) = rest.split_once(part) else { return false };
        (pattern, rest) = (behind, found);
    }
    rest.ends_with(pattern)
}

/// Whether the setting `action.auto_create_index` allows an index: `true`, `false`, or patterns of which the first that
/// matches decides.
pub(super) fn allows_creation(setting: &str, index: &str) -> bool {
    if let Ok(all) = setting.parse() {
        return all;
    }
    let patterns =
        setting.split(',').map(str::trim).map(|pattern| match pattern.strip_prefix('-') {
            Some(refused) => (false, refused),
            None => (true, pattern.strip_prefix('+').unwrap_or(pattern)),
        });
    patterns.into_iter().find(|(_, pattern)| matches(pattern, index)).is_some_and(|found| found.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (pattern, name) in [
            ("a", "a"),
            ("*", "a"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("*b*", "abc"),
            ("a*b*c", "a-b-b-c"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a*", "ba"), ("a*a", "a"), ("a*b*c", "acb"), ("", "a")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn the_first_pattern_that_matches_decides() {
        for (setting, allowed) in [
            ("true", true),
            ("false", false),
            ("+orders*", true),
            ("orders", true),
            ("-orders*,*", false),
            ("-others*, +*", true),
            ("others", false),
        ] {
            assert_eq!(allows_creation(setting, "orders"), allowed, "{setting}");
        }
    }
}
