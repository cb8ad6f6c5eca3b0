//! The story.

#[test]
fn the_story_ends_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::invoices::story(dir.path(), &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    for line in [
        "accepted: 200 requests, 0 of them known",
        "accepted: 200 requests, 200 of them known",
        "followed: 164 done, 36 refused, each once",
        "answered: refused: only 100 cents are due",
        "answered: 1 event(s)",
    ] {
        assert!(told.lines().any(|said| said == line), "{line:?} is missing in:\n{told}");
    }
}

#[test]
fn stored_events_can_be_read_for_ever() {
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
