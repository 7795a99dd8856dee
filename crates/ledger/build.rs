//! A migration that is added, and not only changed, is a reason to build the ledger anew.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
