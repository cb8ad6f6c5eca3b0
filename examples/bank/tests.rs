//! The story, and decisions without a store.

#[test]
fn the_story_ends_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::bank::story(dir.path(), &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    for line in [
        "Ann's fourth account: refused: nobody has more than three accounts",
        "1,001 cents of 1,000: refused: only 1000 cents are there",
        "the second writer: wrong_version: stream account-0 was expected to end with version 1, \
         but its last version is 2",
        "the first again: the first answer, true",
        "the same command again: the first answer, true",
        "after 200 transfers 6000 cents are there",
        "of 20 ordered transfers 15 were completed, 4 returned, 1 refused; 12000 cents are there",
    ] {
        assert!(told.lines().any(|said| said == line), "{line:?} is missing in:\n{told}");
    }
}

#[test]
fn a_decision_needs_no_store() {
    use leftfold::{Event, given};
    use leftfold_examples::bank::{Bank, Refused, Transfer, Withdraw};

    let opened = || Bank::Opened { owner: "Ann".into() };
    let deposited = || Bank::Deposited { cents: 10 };
    let withdraw = |cents| Withdraw { account: "account-1".into(), cents };
    assert_eq!(
        given([opened(), deposited()]).when(withdraw(11)),
        Err(Refused::Insufficient { cents: 10 })
    );
    let transfer = Transfer { from: "account-1".into(), to: "account-2".into(), cents: 10 };
    let past = [opened().to("account-1"), deposited().to("account-1"), opened().to("account-2")];
    assert_eq!(
        given(past).when(transfer),
        Ok(vec![
            Bank::Withdrawn { cents: 10 }.to("account-1"),
            Bank::Deposited { cents: 10 }.to("account-2")
        ])
    );
}

#[test]
fn stored_events_can_be_read_for_ever() {
    use leftfold_examples::bank::Bank;
    leftfold::golden!(
        "bank/golden",
        [
            Bank::Opened { owner: "Ann".into() },
            Bank::Deposited { cents: 10 },
            Bank::Withdrawn { cents: 10 },
        ]
    );
}
