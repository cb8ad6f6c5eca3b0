//! The story, and the rule without a store.

#[test]
fn the_story_ends_as_the_readme_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Vec::new();
    leftfold_examples::cart::story(dir.path(), &mut told).unwrap();
    let told = String::from_utf8(told).unwrap();
    for line in [
        "4 commands came before their carts and were put aside",
        "in the cart: []",
        "create: done, 1 event(s)",
        "check out: done, 1 event(s)",
        "add rum: refused: the cart is checked out",
        r#"in the cart: ["tea", "milk", "sugar"]"#,
        "for a cart that never came: expired",
    ] {
        assert!(told.lines().any(|said| said == line), "{line:?} is missing in:\n{told}");
    }
}

#[test]
fn only_creating_needs_no_cart() {
    use leftfold::given;
    use leftfold_examples::cart::{AtCart, Shop, Wish};

    let add = || AtCart { cart: "cart-1".into(), wish: Wish::AddItem { item: "tea".into() } };
    assert!(given([Shop::CheckedOut; 0]).waits(add()).is_some());
    let created = given([Shop::Created { customer: "ann".into() }]);
    assert_eq!(created.waits(add()), None);
    assert_eq!(created.when(add()), Ok(vec![Shop::ItemAdded { item: "tea".into() }]));
}
