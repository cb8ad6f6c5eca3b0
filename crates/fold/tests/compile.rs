//! What the compiler says to a newcomer. `TRYBUILD=overwrite` writes the messages anew.

#[test]
fn the_compiler_says_what_is_missing() {
    trybuild::TestCases::new().compile_fail("tests/compile/*.rs");
}
