//! The output matches the README; decisions are tested without a store.

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::bank::story);
    for line in [
        "Ann's fourth account: refused: an owner has at most three accounts",
        "1,001 cents of 1,000: refused: the account has only 1000 cents",
        "the second writer: wrong_version: stream account-0 was expected to end with version 1, \
         but its last version is 2",
        "the first append again: the same answer, true",
        "the same command again: the same answer, true",
        "after 200 transfers the accounts have 6000 cents",
        "of 20 ordered transfers 15 were completed, 4 returned, 1 refused; the accounts have 12000 cents",
    ] {
        assert!(output.lines().any(|text| text == line), "{line:?} is missing in:\n{output}");
    }
}

#[test]
fn decisions_can_be_tested_without_a_store() {
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
fn events_match_their_golden_samples() {
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
