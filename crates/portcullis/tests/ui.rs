//! What the compiler says of mistakes with `#[gateway]` and `#[derive(EventError)]`.
//!
//! Each file in `ui` is a program that does not compile, and beside it stands what a user reads
//! then. `TRYBUILD=overwrite cargo test --package portcullis --test ui` writes that anew.

#[test]
fn mistakes_are_told_where_they_are_with_a_remedy() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
