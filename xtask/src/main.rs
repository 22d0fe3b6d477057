//! (binary root)
fn main() {}
