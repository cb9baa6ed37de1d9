//! The manual page is what the tables say.

#[test]
fn the_page_is_up_to_date() {
    let page = include_str!("../../../docs/configuration.md");
    let remedy = "cargo run -p monedula-config --example manual > docs/configuration.md";
    assert!(page == config::manual::manual(), "run: {remedy}");
}
