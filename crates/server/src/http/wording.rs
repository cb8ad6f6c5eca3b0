//! Errors of parsers in the words of the API.

/// What parsers say, and what a client is told instead.
const WORDS: [(&str, &str); 13] = [
    ("invalid digit found in string", "expected a whole number, 0 or more"),
    ("cannot parse integer from empty string", "expected a whole number, found nothing"),
    ("number too large to fit in target type", "the number is too large"),
    ("provided string was not `true` or `false`", "expected true or false"),
    ("Failed to deserialize query string: ", "the parameters: "),
    ("Failed to deserialize query string", "the parameters are invalid"),
    ("Invalid URL: ", "the path: "),
    (" to a `u64`", " as a whole number"),
    ("expected u64", "expected a whole number, 0 or more"),
    ("expected u32", "expected a whole number, 0 or more"),
    ("expected usize", "expected a whole number, 0 or more"),
    ("invalid type: sequence", "found an array, [...]"),
    ("invalid type: map", "found an object, {...}"),
];

/// Returns a parser's error without words that only a programmer of the server knows.
pub(super) fn plain(error: &str) -> String {
    let replace = |text: String, (from, to): &(&str, &str)| match text.contains(from) {
        true => text.replace(from, to),
        false => text,
    };
    WORDS.iter().fold(error.to_owned(), replace)
}
