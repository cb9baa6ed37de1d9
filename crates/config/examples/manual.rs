//! Prints `docs/configuration.md`.

fn main() {
    print!("{}", config::manual::manual());
}
