//! Puzzles: under load a stranger has to show that it spent time before an IKE SA begins.
//!
//! ```text
//!   HDR(A,0), SAi1, KEi, Ni                     -->
//!                             <--  HDR(A,0), N(COOKIE), N(PUZZLE, prf, bits)
//!   HDR(A,0), N(COOKIE), PS, SAi1, KEi, Ni      -->           four keys, of the cookie
//!                             <--  HDR(A,B), SAr1, KEr, Nr, [N(PUZZLE, prf, bits)]
//!   HDR, [PS], SK {IDi, AUTH, SAi2, TSi, TSr}   -->           four keys, of Nr and SPIr
//! ```
//! We ask in IKE_SA_INIT alone: keys are derived with its answer, so a forged IKE_AUTH request costs us no more than any other
//! message. As initiator we solve both. The responder keeps nothing: how hard the puzzle was is in the cookie. Peers that know
//! no puzzles draw lots. Who presents a ticket, or comes from the address of a peer that is here, is no stranger.
//! Read RFC 8019 §4 to §7 and §10 before changing this file.

use ravelin_types::transform::{PrfId, Transform};
use ravelin_wire::ike::v2::{Notify, NotifyType};

use super::cookie::Vouched;
use crate::context::Core;
use crate::limits;
use crate::puzzle::Puzzle;
use crate::v2::message::Payloads;

/// Bits from one level of load to the next.
const STEP: u8 = 2;
/// Of 256 peers that know no puzzles so many are served at the lowest level.
const LOTS: u32 = 64;

/// How high the load is, by the half-open IKE SAs; `None`: no puzzles are needed.
fn level(half_open: usize) -> Option<u32> {
    (half_open / limits::PUZZLE_THRESHOLD).checked_ilog2()
}

/// The puzzle of a stranger, and its prf, unless the request is served. `cookie` is what came with it and was made here.
pub(crate) fn due(
    payloads: &Payloads,
    cookie: Option<(&[u8], Vouched)>,
    half_open: usize,
    core: &Core,
) -> Option<(PrfId, u8)> {
    let (hardest, level) = (core.hardest_puzzle?, level(half_open)?);
    let bits = (u32::from(limits::PUZZLE_EASIEST) + u32::from(STEP) * level).min(hardest.into()) as u8;
    // RFC 8019 §7.1.1.2: without one in common there will be no IKE SA either.
    let prf = offered(payloads).find(|prf| core.crypto.prf(*prf).is_some())?;
    let given = cookie.filter(|(_, vouched)| vouched.bits > 0);
    let served = given.is_some_and(|(text, vouched)| {
        let puzzle = Puzzle { prf, text: text.to_vec(), bits: vouched.bits };
        let solved = payloads.ps().is_ok_and(|solution| puzzle.is_solved_by(solution, &core.crypto));
        // RFC 8019 §7.1.5: the load may have risen a little meanwhile. RFC 8019 §7.1: who does not solve it takes part in a
        // lottery, but not without a cookie.
        solved && vouched.bits + STEP >= bits || u32::from(vouched.lot) < LOTS >> level
    });
    (!served).then_some((prf, bits))
}

/// The functions in an offer.
fn offered(payloads: &Payloads) -> impl Iterator<Item = PrfId> {
    let proposals = payloads.sa().ok().into_iter().flat_map(|sa| &sa.0);
    proposals.flat_map(|offered| &offered.proposal.transforms).filter_map(|transform| match transform {
        Transform::Prf(prf) => Some(*prf),
        _ => None,
    })
}

/// `N(PUZZLE, prf, bits)` (RFC 8019 §8.1)
pub(crate) fn notify((prf, bits): (PrfId, u8)) -> Notify {
    let [high, low] = prf.0.to_be_bytes();
    Notify::new(NotifyType::PUZZLE, [high, low, bits])
}

/// The puzzle that a responder gives; `None`: none, or nothing that is one.
pub(crate) fn given(payloads: &Payloads, text: &[&[u8]]) -> Option<Puzzle> {
    let data = &payloads.notify(NotifyType::PUZZLE)?.data;
    let [high, low, bits] = *<&[u8; 3]>::try_from(data.as_slice()).ok()?;
    // RFC 8019 §7.1.1.1: the harder, the better our chance.
    let bits = if bits == 0 { limits::PUZZLE_OWN_CHOICE } else { bits };
    Some(Puzzle { prf: PrfId(u16::from_be_bytes([high, low])), text: text.concat(), bits })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_harder_the_load_the_harder_the_puzzle() {
        let levels = [0, 255, 256, 511, 512, 1024, 2048, limits::HALF_OPEN].map(level);
        assert_eq!(levels, [None, None, Some(0), Some(0), Some(1), Some(2), Some(3), Some(4)]);
    }
}
