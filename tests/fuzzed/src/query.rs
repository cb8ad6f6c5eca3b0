//! The text of a query: a parsed query is the same after it was printed and parsed again.

use leftfold_api::Query;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(query) = text.parse::<Query>() else { return };
    let printed = query.to_string();
    let again = printed.parse::<Query>();
    assert_eq!(again.as_ref(), Ok(&query), "{text:?} is printed as {printed:?}");
    assert_eq!(again.unwrap().to_string(), printed);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "*",
        "category:order type:OrderPlaced,OrderPaid tag:customer=42 not stream:Integration*",
        "stream:\"a b\",\"c,d\"* or (type:A or type:B) (tag:x=1 or not correlation:abc)",
        "not (stream:a stream:b)",
        "time:2026-03-01T00:00:00Z..2026-03-02 index:big-orders",
        "stream:\"say \\\"x\\\"\"",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
