//! The output matches the README; waiting is tested without a store.

#[test]
fn the_output_matches_the_readme() {
    let output = crate::output_of(leftfold_examples::cart::story);
    for line in [
        "4 commands came before their carts and were stashed",
        "in the cart: []",
        "create: done, 1 event(s)",
        "check out: done, 1 event(s)",
        "add rum: refused: the cart is checked out",
        r#"in the cart: ["tea", "milk", "sugar"]"#,
        "for a cart that never came: expired",
    ] {
        assert!(output.lines().any(|text| text == line), "{line:?} is missing in:\n{output}");
    }
}

#[test]
fn all_commands_but_create_wait_for_the_cart() {
    use leftfold::given;
    use leftfold_examples::cart::{AtCart, Shop, Wish};

    let add = || AtCart { cart: "cart-1".into(), wish: Wish::AddItem { item: "tea".into() } };
    assert!(given([Shop::CheckedOut; 0]).waits(add()).is_some());
    let created = given([Shop::Created { customer: "ann".into() }]);
    assert_eq!(created.waits(add()), None);
    assert_eq!(created.when(add()), Ok(vec![Shop::ItemAdded { item: "tea".into() }]));
}
