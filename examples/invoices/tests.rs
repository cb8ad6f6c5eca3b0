//! The output matches the README.

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::invoices::story);
    for line in [
        "accepted: 200 requests, 0 of them repeated",
        "accepted: 200 requests, 200 of them repeated",
        "followed: 164 done, 36 refused, each once",
        "answered: refused: only 100 cents are due",
        "answered: 1 event(s)",
    ] {
        assert!(output.lines().any(|text| text == line), "{line:?} is missing in:\n{output}");
    }
}

#[test]
fn events_match_their_golden_samples() {
    use leftfold_examples::invoices::Billing;
    leftfold::golden!(
        "invoices/golden",
        [
            Billing::Issued { customer: "1".into(), cents: 5 },
            Billing::Paid { cents: 5 },
            Billing::Cancelled,
        ]
    );
}
