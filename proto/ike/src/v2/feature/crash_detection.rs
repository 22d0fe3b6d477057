//! Quick crash detection: each side gives the other a token that nobody else can make. After a crash it shows that token to
//! whoever still asks on the IKE SA that it lost, and the other begins anew at once instead of waiting for answers.
//!
//! ```text
//!   HDR, SK {IDi, AUTH, N(QCD_TOKEN), SAi2, TSi, TSr}  -->
//!                             <--  HDR, SK {IDr, AUTH, N(QCD_TOKEN), SAr2, TSi, TSr}
//!   HDR, SK {SA, Ni, KEi}     -->                                another IKE SA has other tokens
//!                             <--  HDR, SK {SA, Nr, KEr, N(QCD_TOKEN)}
//!   HDR, SK {N(QCD_TOKEN)}    -->                                on the new one, by whoever began the rekey
//!   ...  the responder crashed ...
//!   HDR, SK {...}             -->
//!                             <--  HDR, N(INVALID_IKE_SPI), N(QCD_TOKEN)
//! ```
//! A token is a function of the two SPIs, under a secret that outlives the process: `prf(secret, SPIi | SPIr)`. Whoever shows one
//! in the clear gives the IKE SA away, so nobody gets that of an IKE SA which is here or about to be.
//! Read RFC 6290 §4, §5, §8.1 and §9 before changing this file.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use ravelin_types::proposal::ProtocolId;
use ravelin_types::transform::PrfId;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::header::Header;
use ravelin_wire::ike::v2::{AnySpi, Notify, NotifyType, Payload};
use subtle::{Choice, ConstantTimeEq};

use crate::bucket::Bucket;
use crate::config::{IkeVersion, Remote};
use crate::context::Core;
use crate::gateways;
use crate::ike_sa::Ends;
use crate::input::Datagram;
use crate::limits;
use crate::output::DownReason;
use crate::v2::exchange::Exchange;
use crate::v2::feature::reauthentication;
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};

/// Octets of our tokens: the least that RFC 6290 §5 has, so that the answer with one is hardly longer than any request.
const LEN: usize = 16;
/// Octets of a token that we keep (RFC 6290 §5).
const LENGTHS: RangeInclusive<usize> = 16..=128;

/// `N(QCD_TOKEN)` for the IKE SA with these SPIs, where the remote is to have one.
pub(crate) fn give(remote: &Remote, spis: (IkeSpi, IkeSpi), core: &Core) -> Option<Payload> {
    let token = if remote.extensions.crash_detection { make(spis, core) } else { None };
    token.map(Payload::Notify)
}

/// `N(QCD_TOKEN)` for a peer that asks on an IKE SA which is not here, if one at its address is to have tokens: RFC 6290 §9.3,
/// strangers get none, and the SPIs of IKE SAs to come are random.
pub(crate) fn show(header: &Header, datagram: Datagram<'_>, core: &Core) -> Option<Notify> {
    let spis = (header.initiator_spi, header.responder_spi);
    let (own, from) = (datagram.local.ip(), datagram.remote.ip());
    let takes = |remote: &Remote| {
        let there = remote.is_at(from, &core.hosts) || remote.answers(own, from, &core.hosts).is_some();
        remote.version == IkeVersion::V2 && remote.extensions.crash_detection && there
    };
    let known = core.remotes.near(from).any(|remote| takes(remote));
    (known && !lives(spis, core)).then(|| make(spis, core)).flatten()
}

/// RFC 6290 §9.2: whether one of these is our SPI of an IKE SA, or will be, whatever else the message says.
fn lives(spis: (IkeSpi, IkeSpi), core: &Core) -> bool {
    [spis.0, spis.1].into_iter().any(|spi| core.table.get(spi).is_some() || core.table.comes(spi))
}

/// The token of this pair; `None`: nobody gave us a secret, or there is no such prf.
fn make(spis: (IkeSpi, IkeSpi), core: &Core) -> Option<Notify> {
    let secret = core.crash_secret.as_ref()?;
    // The same whatever else the provider has: it is made again by another process. RFC 6290 §9.1: who has some of them can
    // guess no other.
    let prf = core.crypto.prf(PrfId::HMAC_SHA2_256)?;
    let mut token = vec![0; prf.output_len()];
    prf.prf(secret.expose(), &[&spis.0.0.to_be_bytes(), &spis.1.0.to_be_bytes()], &mut token);
    token.truncate(LEN);
    // RFC 6290 §4.1: of the protocol of IKE, without an SPI.
    let (protocol, spi, kind) = (ProtocolId::IKE, AnySpi::None, NotifyType::QUICK_CRASH_DETECTION);
    Some(Notify { protocol, spi, kind, data: token })
}

/// The token that the peer gives in a message that verified, where its remote has any.
pub(crate) fn given(remote: &Remote, payloads: &Payloads) -> Option<Secret> {
    let token = payloads.notify(NotifyType::QUICK_CRASH_DETECTION).filter(|_| remote.extensions.crash_detection)?;
    LENGTHS.contains(&token.data.len()).then(|| Secret::from(token.data.as_slice()))
}

/// `HDR, SK {N(QCD_TOKEN)}`
pub(crate) fn request(remote: &Remote, ends: &Ends, core: &Core) -> Option<(Exchange, Vec<Payload>)> {
    give(remote, ends.spis(), core).map(|token| (Exchange::CrashToken, vec![token]))
}

/// The token of the peer of an IKE SA.
#[derive(Default)]
pub(crate) struct Held {
    token: Option<Secret>,
    /// Messages in which somebody may show it.
    shown: Bucket<{ limits::CRASH_TOKENS_PER_SECOND }>,
}

impl Held {
    /// Keeps it in the place of the one before (RFC 6290 §4.4), if there is one.
    pub(crate) fn keep(&mut self, given: Option<Secret>) {
        if given.is_some() {
            self.token = given;
        }
    }

    /// Whether an unprotected message shows it.
    pub(crate) fn is_shown(&mut self, payloads: &Payloads, core: &mut Core) -> bool {
        let Some(token) = &self.token else { return false };
        let mut shown =
            payloads.notifies().filter(|notify| notify.kind == NotifyType::QUICK_CRASH_DETECTION).peekable();
        if shown.peek().is_none() {
            return false;
        }
        // RFC 6290 §8.1: not at any rate.
        if !self.shown.take(core.now) {
            core.counters.rate_limited += 1;
            return false;
        }
        // RFC 6290 §4.5: of several generations of a secret.
        let same = shown.take(limits::CRASH_TOKENS).map(|notify| notify.data.ct_eq(token.expose()));
        let same = bool::from(same.fold(Choice::from(0), |any, one| any | one));
        core.counters.refused_tokens += u64::from(!same);
        same
    }
}

/// The peer has shown its token: RFC 6290 §3, the IKE SA is gone without a word, and what it was there for begins anew at once.
pub(crate) fn crashed(sa: Box<Established>, ends: &Ends, core: &mut Core) {
    let mut wants = sa.waited_for();
    reauthentication::in_use(&sa).for_each(|want| want.add_to(&mut wants));
    let remote = sa.remote.clone();
    // A peer that crashes all the time waits for packets.
    let lasted = core.now.since(ends.created) >= limits::CRASH_PAUSE;
    let again = sa.stage == Stage::Active && lasted && !wants.is_empty();
    let reason = sa.closed_for().unwrap_or(DownReason::PeerCrashed);
    sa.end(ends, reason, core);
    if let Some(remote) = core.current(&remote).filter(|remote| again && remote.initiate) {
        gateways::begin(&remote, wants, None, core);
    }
}
