//! IKE SA set-up against the Diffie-Hellman operations it cannot do without.
fn main() {}
