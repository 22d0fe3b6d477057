//! The engine against the Linux kernel, with keys set by hand: every algorithm, mode and family in turn.
//!
//! ```text
//!  rows.rs    what is tried: one row a protocol with its algorithms, in our words and in the kernel's
//!  place.rs   modes and families: who sends from where
//!  kernel.rs  the peer: `ip xfrm` in the guest
//!  link.rs    our side: an engine on a raw link, and echo requests as payload
//! ```
//! One echo that comes back shows four things: the kernel opens what we sealed, and we open what it sealed, with the
//! payload unchanged each time. The kernel's policies want protection both ways, and it must count every packet on its
//! SAs and no error.

use anyhow::{Context, Result, ensure};

mod kernel;
mod link;
mod place;
mod rows;

use crate::guest::Guest;
use link::Link;
use place::Place;
use rows::Row;

/// One combination.
pub struct Combination {
    /// How it is called: `matrix-esp-aes128gcm16-transport-4`.
    pub name: String,
    row: &'static Row,
    place: Place,
    extended: bool,
}

/// Every combination; without `full`, each row once, and each place once with the first row.
pub fn combinations(full: bool) -> Vec<Combination> {
    let places = Place::all();
    let mut all = Vec::new();
    for (at, row) in rows::ROWS.iter().enumerate() {
        for (index, place) in places.iter().enumerate() {
            for extended in [false, true] {
                let once = index == at % places.len() && extended == (at % 2 == 1);
                if full || once || (at == 0 && !extended) {
                    let sequence = if extended { "-esn" } else { "" };
                    let name = format!("matrix-{}-{place}{sequence}", row.name);
                    all.push(Combination { name, row, place: *place, extended });
                }
            }
        }
    }
    all
}

/// What the guest needs once for all combinations.
///
/// # Errors
/// When a line fails in the guest.
pub fn prepare(guest: &Guest) -> Result<()> {
    kernel::prepare(guest)
}

/// Tries one combination with every provider that has its algorithms.
///
/// # Errors
/// The first thing that was not as it must be.
pub fn run(combination: &Combination, guest: &Guest) -> Result<()> {
    let Combination { row, place, extended, .. } = combination;
    let providers: Vec<_> = rows::providers().into_iter().filter(|provider| row.served_by(provider)).collect();
    ensure!(!providers.is_empty(), "no provider has the algorithms");
    for provider in providers {
        kernel::install(guest, row, *place, *extended)?;
        let mut link = Link::new(row, *place, *extended, provider)?;
        let exchanged = link.exchange().and_then(|packets| kernel::check(guest, packets));
        exchanged.with_context(|| format!("with the provider {}", provider.name))?;
    }
    Ok(())
}
