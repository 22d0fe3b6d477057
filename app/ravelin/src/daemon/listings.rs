//! What the daemon tells those who ask, each listing in a file of its own, and the failures that it remembers for them.

pub mod certificates;
pub mod failures;
pub mod flows;
pub mod interfaces;
pub mod pools;
pub mod report;
pub mod why;
