//! The names of indices.

/// The longest name, in bytes.
const MOST_BYTES: usize = 255;
/// What both engines refuse in a name.
const FORBIDDEN: [char; 12] = ['\\', '/', '*', '?', '"', '<', '>', '|', ' ', ',', '#', ':'];

/// Checks the name of an index. One that begins with a dot is refused, because such indices are the cluster's own.
pub(super) fn check_index_name(name: &str) -> Result<(), String> {
    let is_fit = (1..=MOST_BYTES).contains(&name.len())
        && !name.starts_with(['.', '-', '_', '+'])
        && !name.contains(FORBIDDEN)
        && !name.contains(char::is_control)
        && name.to_lowercase() == name;
    match is_fit {
        true => Ok(()),
        false => Err(format!(
            "{name:?} is no name of an index: expected 1 to {MOST_BYTES} bytes of small letters, digits, - and _ that \
             begin with a letter or a digit"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_cluster_refuses_are_refused() {
        for name in ["orders", "orders-2026.11", "7", "bücher", "a_b+c"] {
            assert_eq!(check_index_name(name), Ok(()), "{name}");
        }
        let long = "x".repeat(256);
        for name in [
            "", ".", "..", ".kibana", "_all", "-a", "+a", "Orders", "a/b", "a,b", "a*", "a\nb",
            &long,
        ] {
            assert!(check_index_name(name).is_err(), "{name}");
        }
    }
}
