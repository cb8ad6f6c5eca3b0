//! `/errors`: the description of each code, which the `type` of a problem points to.

use std::fmt::Write;

/// The document that describes every code.
const DOCUMENT: &str = include_str!("../../../../docs/errors.md");

/// Returns the page, with an anchor for each code.
pub(super) fn page() -> String {
    let mut page = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
                    <title>Leftfold: errors</title>\n<h1>Errors</h1>\n<dl>\n"
        .to_owned();
    for row in DOCUMENT.lines().filter_map(|line| line.strip_prefix("| `")) {
        let mut cells = row.split(" | ").map(|cell| cell.trim_end_matches(" |"));
        let (code, wrong, todo) = (cells.next(), cells.next(), cells.next());
        let code = code.unwrap_or_default().trim_end_matches('`');
        let [wrong, todo] = [wrong, todo].map(|text| escaped(text.unwrap_or_default()));
        _ = writeln!(page, "<dt id=\"{code}\"><code>{code}</code></dt>\n<dd>{wrong}. {todo}.</dd>");
    }
    page.push_str("</dl>\n");
    page
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('`', "")
}

#[cfg(test)]
mod tests {
    #[test]
    fn has_an_anchor_for_every_code() {
        let page = super::page();
        for code in crate::codes::CODES {
            assert!(page.contains(&format!("<dt id=\"{}\">", code.code)), "{}", code.code);
        }
    }
}
