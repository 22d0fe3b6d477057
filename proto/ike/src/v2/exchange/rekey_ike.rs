//! CREATE_CHILD_SA in place of the IKE SA itself.
//!
//! ```text
//!   HDR, SK {SA, Ni, KEi}  -->          the SPI of the new IKE SA is in the proposals
//!                          <--  HDR, SK {SA, Nr, KEr}
//!   HDR, SK {D(IKE)}       -->          on the old IKE SA, by whoever began the rekey
//! ```
//! The new IKE SA inherits all Child SAs, at the responder as soon as it answers, at the initiator when the answer
//! arrives. Both at once (RFC 7296 §2.8.2): both answer, the Child SAs stay where they are until our own response
//! arrives, and the new IKE SA made with the lowest nonce is deleted by who made it; the other inherits. Where the peer
//! deletes the old IKE SA first, it did not notice our request, and the IKE SA it made inherits. With additional key
//! exchanges (`follow_up`) the new IKE SA comes to be with the last of them.
//! Read RFC 7296 §1.3.2, §2.8.2, §2.18 and §2.25.2 before changing this file.

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_crypto::ikev2::{IkeAlgs, Nonces, Skeyseed};
use ravelin_types::proposal::{IkeSuite, Proposal, ProtocolId};
use ravelin_types::transform::KeMethod;
use ravelin_types::{IkeSpi, Secret};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Delete, Ke, Nonce, NotifyType, OfferedProposal, Payload, Sa};

use super::follow_up::{Promised, Rounds};
use super::{After, Exchange, Task, What};
use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::live::Live;
use crate::negotiate;
use crate::output::DownReason;
use crate::v2::feature::crash_detection;
use crate::v2::keying::Keying;
use crate::v2::message::{Payloads, Protection};
use crate::v2::phase::Phase;
use crate::v2::phase::established::{Established, Origin, Stage};
use crate::v2::window::MessageWindow;
use crate::v2::{offer, rules};

/// Our request for a new IKE SA is open.
pub(crate) struct RekeyIke {
    task: Task,
    /// Our SPI of the new IKE SA.
    pub(crate) spi: IkeSpi,
    offers: Arc<[Proposal]>,
    method: KeMethod,
    ke: Arc<dyn KePrivate>,
    nonce: Arc<[u8]>,
    collision: Option<Collision>,
    /// What was agreed on, while additional key exchanges go on.
    agreed: Option<(Agreed, Rounds)>,
}

/// What the response came to.
struct Agreed {
    /// The peer's SPI of the new IKE SA.
    theirs: IkeSpi,
    suite: IkeSuite,
    additional: Vec<KeMethod>,
    nonce_r: Arc<[u8]>,
    /// By which the peer will show that it lost the new IKE SA.
    token: Option<Secret>,
}

/// The same with the key exchanges behind it, and the first request of those.
type Accepted = (Agreed, Rounds, Option<Vec<Payload>>);

/// What is to be done after a response.
enum Progress {
    /// To send the next request.
    Ask(Vec<Payload>),
    /// To go over to the new IKE SA. Beside it is the lower of the two nonces.
    Made(IkeSa, Vec<u8>),
}

/// The peer's rekey of the IKE SA that we are rekeying.
struct Collision {
    /// The lower nonce of its exchange.
    lowest: Vec<u8>,
    /// Our SPI of the IKE SA that it made, or will with additional key exchanges.
    made: IkeSpi,
}

impl RekeyIke {
    pub(crate) fn request(task: Task, sa: &Established, core: &mut Core) -> Result<(Exchange, Vec<Payload>), Error> {
        let unusable = Error::Misuse("the remote has no usable IKE proposal");
        let mut offers = core.offer(&sa.remote.proposals, true);
        if sa.keying.additional.is_empty() {
            // A peer that did none with IKE_SA_INIT may not know their types, and would find nothing to choose.
            offers = negotiate::without_additional(&offers).into();
        }
        // RFC 7296 §1.3.2: the group in use is the one the peer is sure to take.
        let method =
            [task.ke, Some(sa.keying.suite.ke)].into_iter().flatten().find(|m| negotiate::lists_ke(&offers, *m));
        let method = method.or_else(|| negotiate::first_ke(&offers)).ok_or(unusable)?;
        let ke = core.generate(method)?;
        let (spi, nonce) = (core.ike_spi(), core.nonce());
        let mut payloads = vec![offer::sa(&offers, spi.into())];
        payloads.extend(Nonce::new(nonce.clone()).map(Payload::Nonce));
        payloads.push(Payload::Ke(Ke { method, data: ke.public().to_vec() }));
        let exchange = RekeyIke { task, spi, offers, method, ke, nonce, collision: None, agreed: None };
        Ok((Exchange::RekeyIke(Box::new(exchange)), payloads))
    }

    /// The exchange that is open.
    pub(crate) fn kind(&self) -> ExchangeType {
        if self.is_followed_up() { ExchangeType::IKE_FOLLOWUP_KE } else { ExchangeType::CREATE_CHILD_SA }
    }

    /// Whether additional key exchanges are under way.
    fn is_followed_up(&self) -> bool {
        self.agreed.is_some()
    }

    pub(crate) fn response(
        mut self: Box<Self>,
        sa: &mut Established,
        ends: &Ends,
        payloads: Result<Payloads, Error>,
        core: &mut Core,
    ) -> Result<After, Box<Exchange>> {
        let refusal = payloads.as_ref().ok().and_then(Payloads::refusal);
        if let Some(Error::Refused(kind, data)) = refusal {
            self.refused(kind, data, sa, ends, core);
            return Ok(After::Stay);
        }
        match payloads.and_then(|payloads| self.advance(&payloads, sa, ends, core)) {
            Err(Error::PutOff) => return Err(Box::new(Exchange::RekeyIke(self))),
            Ok(Progress::Ask(request)) => return Ok(self.follow_up(request, sa, ends, core)),
            Ok(Progress::Made(made, lowest)) => self.finish(made, &lowest, sa, ends, core),
            Err(error) => {
                core.failed(error.failure(sa.place(ends, "CREATE_CHILD_SA")));
                // The peer has an IKE SA that we cannot use; a clean start is the only way to be rid of it.
                sa.close(DownReason::ProtocolError);
            }
        }
        Ok(After::Stay)
    }

    /// The old IKE SA ends or our request came to nothing: if the peer made an IKE SA meanwhile, that one inherits.
    pub(crate) fn yield_to_peer(&self, sa: &mut Established, ends: &Ends, core: &mut Core) {
        if let Some(collision) = &self.collision {
            inherit(collision.made, sa, ends, core);
        }
    }

    fn refused(&self, kind: NotifyType, data: Vec<u8>, sa: &mut Established, ends: &Ends, core: &mut Core) {
        if self.collision.is_some() {
            // RFC 7296 §2.8.2: the peer did not see ours as a rekey of something still in use.
            self.yield_to_peer(sa, ends, core);
            return;
        }
        match (kind, data.as_slice()) {
            (NotifyType::INVALID_KE_PAYLOAD, [high, low]) => {
                let method = KeMethod(u16::from_be_bytes([*high, *low]));
                if negotiate::lists_ke(&self.offers, method)
                    && let Some(task) = self.task.clone().with_ke(method)
                {
                    sa.tasks.push_front(task);
                    return;
                }
            }
            // RFC 9370 §2.2.4: STATE_NOT_FOUND means that we were too slow, and is fatal only when it does not end.
            (NotifyType::TEMPORARY_FAILURE | NotifyType::STATE_NOT_FOUND, _) => match self.task.clone().later(core) {
                Some(task) => {
                    sa.add_task(task);
                    return;
                }
                None => sa.close(DownReason::ProtocolError),
            },
            _ => sa.retry_rekey(What::RekeyIke, core),
        }
        let lines = || self.offers.iter().map(ToString::to_string).collect();
        let error = Error::Refused(kind, data);
        core.failed(error.failure_with_offer(sa.place(ends, "CREATE_CHILD_SA"), |_| lines()));
    }

    /// Sends the request for the next key exchange, unless the rekey of the peer goes before ours.
    fn follow_up(self: Box<Self>, request: Vec<Payload>, sa: &mut Established, ends: &Ends, core: &mut Core) -> After {
        if let Some(collision) = &self.collision {
            // RFC 9370 §2.2.4: there is nothing yet to delete, the loser just stops.
            let lost = self.agreed.as_ref().is_some_and(|(agreed, _)| self.lowest(agreed) < &collision.lowest[..]);
            if lost {
                self.yield_to_peer(sa, ends, core);
                return After::Stay;
            }
            sa.forget_promised_ike();
        }
        sa.ask(Exchange::RekeyIke(self), &request, ends, core)
    }

    /// The lower of the two nonces.
    fn lowest<'a>(&'a self, agreed: &'a Agreed) -> &'a [u8] {
        (&*self.nonce).min(&*agreed.nonce_r)
    }

    /// Takes in a response of CREATE_CHILD_SA or of IKE_FOLLOWUP_KE.
    fn advance(
        &mut self,
        payloads: &Payloads,
        sa: &Established,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<Progress, Error> {
        let request = match &mut self.agreed {
            Some((_, rounds)) => rounds.answered(payloads, core)?,
            None => {
                let (agreed, rounds, request) = self.accept(payloads, &sa.remote, core)?;
                self.agreed = Some((agreed, rounds));
                request
            }
        };
        if let Some(request) = request {
            return Ok(Progress::Ask(request));
        }
        let (agreed, Rounds { shared, .. }) = self.agreed.take().ok_or(Error::NoState)?;
        let lowest = self.lowest(&agreed).to_vec();
        let nonces = Nonces { initiator: &self.nonce, responder: &agreed.nonce_r };
        let spis = (self.spi, agreed.theirs);
        let (suite, additional) = (agreed.suite, agreed.additional);
        let new = New { initiator: true, spis, suite, additional, shared: &shared, nonces };
        let mut made = successor(sa, ends, new, core)?;
        if let Some(made) = made.established() {
            made.crash.keep(agreed.token);
        }
        Ok(Progress::Made(made, lowest))
    }

    fn accept(&self, payloads: &Payloads, remote: &Remote, core: &mut Core) -> Result<Accepted, Error> {
        rules::require(payloads, rules::REKEY_IKE)?;
        let (answer, chosen) = offer::answered(payloads.sa()?, &self.offers)?;
        let theirs = peer_spi(answer)?;
        let offered = core::slice::from_ref(&answer.proposal);
        let agreed = negotiate::ike(offered, chosen, Some(self.method), true, &core.crypto)?;
        let ke = payloads.ke()?;
        if agreed.ke != Some(self.method) || ke.method != self.method {
            return Err(Error::Violation("a key exchange value of another method"));
        }
        let shared = core.agree(self.method, &self.ke, &ke.data)?;
        let nonce_r = payloads.nonce()?.shared();
        let (rounds, request) = Rounds::begin(&agreed.additional, Some(shared), payloads, core)?;
        let token = crash_detection::given(remote, payloads);
        let agreed = Agreed { theirs, suite: agreed.suite, additional: agreed.additional, nonce_r, token };
        Ok((agreed, rounds, request))
    }

    fn finish(&self, mut made: IkeSa, lowest: &[u8], sa: &mut Established, ends: &Ends, core: &mut Core) {
        let lost = self.collision.as_ref().is_some_and(|collision| lowest < collision.lowest.as_slice());
        if lost {
            // RFC 7296 §2.8.2: who made the one with the lowest nonce deletes it; the peer deletes the old one.
            let IkeSa { ends: made_ends, phase } = made;
            if let ike_sa::Phase::V2(Phase::Established(mut phase)) = phase {
                phase.close(DownReason::Replaced);
                if let Some(made) = phase.go_on(made_ends, core) {
                    core.table.insert(made);
                }
            }
            self.yield_to_peer(sa, ends, core);
            return;
        }
        if let Some(collision) = &self.collision
            && let Some(mut redundant) = core.table.take(collision.made)
        {
            if let Some(phase) = redundant.established() {
                phase.stage = Stage::Replaced;
                phase.rekey_at = None;
                phase.expire_at = Some(core.now + crate::limits::REPLACED_IKE_LIFETIME);
            }
            core.table.insert(redundant);
        }
        let made_ends = made.ends.clone();
        if let Some(heir) = made.established() {
            sa.hand_over(ends, heir, &made_ends, core);
        }
        sa.close(DownReason::Replaced);
        resume(made, core);
    }
}

/// The peer asks for a new IKE SA.
pub(crate) fn respond(
    sa: &mut Established,
    ends: &Ends,
    payloads: &Payloads,
    core: &mut Core,
) -> Result<Vec<Payload>, Error> {
    let of_child =
        |open: &Exchange| matches!(open, Exchange::CreateChild(_) | Exchange::DeleteChild(_) | Exchange::Close(_));
    let child_open = sa.exchanges().any(of_child);
    // An IKE SA is not prolonged when its remote is not configured any more: it ends with its lifetime.
    if core.remotes.named(&sa.remote.name).is_empty() {
        return Err(Error::Temporary);
    }
    // RFC 9370 §2.2.4: nor when a rekey has got as far as the additional key exchanges.
    let followed_up = sa.promised_ike()
        || sa.exchanges().any(|open| matches!(open, Exchange::RekeyIke(open) if open.is_followed_up()));
    // RFC 7296 §2.25.1 and §2.25.2: not while a Child SA is being made or closed, nor while we close the IKE SA.
    if sa.stage != Stage::Active || child_open || has_collided(sa) || followed_up {
        return Err(Error::Temporary);
    }
    rules::require(payloads, rules::REKEY_IKE)?;
    let ours = core.offer(&sa.remote.proposals, true);
    let ke = payloads.ke()?;
    let agreed = negotiate::ike(&payloads.sa()?.0, &ours, Some(ke.method), true, &core.crypto)?;
    if agreed.suite.ke != ke.method {
        return Err(Error::WrongKe(agreed.suite.ke));
    }
    let chosen = payloads.sa()?.0.get(agreed.index).ok_or(Error::Violation("an SA payload without proposals"))?;
    let theirs = peer_spi(chosen)?;
    if !agreed.additional.is_empty() {
        sa.room_for_promise()?;
    }
    let (public, shared) = core.respond(ke.method, &ke.data)?;
    let nonces = (payloads.nonce()?.shared(), core.nonce());
    let spi = core.ike_spi();

    let proposal = Proposal { protocol: ProtocolId::IKE, transforms: agreed.transforms };
    let answer = OfferedProposal { number: chosen.number, spi: spi.into(), proposal };
    let mut reply = vec![Payload::Sa(Sa(vec![answer]))];
    reply.extend(Nonce::new(nonces.1.clone()).map(Payload::Nonce));
    reply.push(Payload::Ke(Ke { method: ke.method, data: public }));
    reply.extend(crash_detection::give(&sa.remote, (theirs, spi), core));
    reply.extend(sa.put_off_ticket(payloads));

    for open in sa.exchanges_mut() {
        let Exchange::RekeyIke(open) = open else { continue };
        // RFC 7296 §2.8.2: who inherits is decided when our response arrives.
        open.collision = Some(Collision { lowest: (&*nonces.0).min(&*nonces.1).to_vec(), made: spi });
    }
    let additional = agreed.additional;
    let promised = PromisedIke { spis: (theirs, spi), suite: agreed.suite, additional: additional.clone(), nonces };
    if additional.is_empty() {
        keep_promise(promised, &[shared], sa, ends, core)?;
    } else {
        reply.push(sa.promise(Promised::Ike(Box::new(promised)), additional, Some(shared), core));
    }
    Ok(reply)
}

/// An IKE SA that the peer asked for and that is agreed on.
pub(crate) struct PromisedIke {
    pub(super) spis: (IkeSpi, IkeSpi),
    suite: IkeSuite,
    additional: Vec<KeMethod>,
    /// Ni and Nr.
    nonces: (Arc<[u8]>, Arc<[u8]>),
}

/// Makes the IKE SA of these secrets.
pub(crate) fn keep_promise(
    promised: PromisedIke,
    shared: &[Secret],
    sa: &mut Established,
    ends: &Ends,
    core: &mut Core,
) -> Result<(), Error> {
    if sa.stage != Stage::Active {
        return Err(Error::NoState);
    }
    let PromisedIke { spis, suite, additional, nonces } = promised;
    let nonces = Nonces { initiator: &nonces.0, responder: &nonces.1 };
    let mut made = successor(sa, ends, New { initiator: false, spis, suite, additional, shared, nonces }, core)?;
    if has_collided(sa) {
        // Who inherits is open.
        if let Some(phase) = made.established() {
            phase.contested = Some(ends.our_spi());
        }
        core.table.insert(made);
        return Ok(());
    }
    let made_ends = made.ends.clone();
    if let Some(heir) = made.established() {
        sa.hand_over(ends, heir, &made_ends, core);
    }
    // What it inherited starts with the next timer, after the response that tells the peer of this IKE SA.
    core.table.insert(made);
    Ok(())
}

/// Whether both sides are rekeying the IKE SA and we know it.
pub(crate) fn has_collided(sa: &Established) -> bool {
    sa.exchanges().any(|open| matches!(open, Exchange::RekeyIke(open) if open.collision.is_some()))
}

/// A request arrived on an IKE SA that the peer made in a collision. Unless it deletes that IKE SA, the peer has both
/// responses and found that this one inherits, which our own response, still on its way, will confirm.
pub(crate) fn settle_contest(sa: &mut Established, ends: &Ends, payloads: &Payloads, core: &mut Core) {
    let deletes = payloads.0.iter().any(|payload| matches!(payload, Payload::Delete(Delete::Ike)));
    let Some(old) = sa.contested.filter(|_| !deletes) else { return };
    if let Some(mut old) = core.table.take(old) {
        let old_ends = old.ends.clone();
        if let Some(old) = old.established()
            && has_collided(old)
        {
            old.hand_over(&old_ends, sa, ends, core);
        }
        core.table.insert(old);
    }
    sa.contested = None;
}

/// The IKE SA with this SPI, made by the peer, takes over from `sa`.
fn inherit(made: IkeSpi, sa: &mut Established, ends: &Ends, core: &mut Core) {
    let Some(mut heir) = core.table.take(made) else { return };
    let heir_ends = heir.ends.clone();
    if let Some(heir) = heir.established() {
        sa.hand_over(ends, heir, &heir_ends, core);
    }
    resume(heir, core);
}

/// Puts an IKE SA that took over into the table and lets it get on with what it inherited.
fn resume(made: IkeSa, core: &mut Core) {
    let IkeSa { ends, phase } = made;
    if let ike_sa::Phase::V2(Phase::Established(phase)) = phase
        && let Some(made) = phase.go_on(ends, core)
    {
        core.table.insert(made);
    }
}

/// The peer's SPI in a proposal for a new IKE SA.
fn peer_spi(proposal: &OfferedProposal) -> Result<IkeSpi, Error> {
    let spi = proposal.spi.ike().filter(|spi| *spi != IkeSpi::ZERO);
    spi.ok_or(Error::Violation("a proposal for a new IKE SA without an SPI of eight octets"))
}

/// What the exchange agreed on.
struct New<'a> {
    /// Whether we began the rekey: who did is the new original initiator (RFC 7296 §1.3.2).
    initiator: bool,
    /// The new initiator's and responder's.
    spis: (IkeSpi, IkeSpi),
    suite: IkeSuite,
    additional: Vec<KeMethod>,
    shared: &'a [Secret],
    nonces: Nonces<'a>,
}

/// The new IKE SA, still without Child SAs.
fn successor(sa: &Established, ends: &Ends, new: New<'_>, core: &mut Core) -> Result<IkeSa, Error> {
    let New { initiator, spis: (spi_i, spi_r), suite, additional, shared, nonces } = new;
    let missing = Error::NOT_BUILT_IN;
    let algs = IkeAlgs::find(&core.crypto, &suite).ok_or(missing.clone())?;
    // RFC 7296 §2.18: SKEYSEED with the prf of the old IKE SA, all else with that of the new one.
    let seed = Skeyseed::rekeyed(sa.algs.prf, &sa.keying.sk_d, shared, nonces);
    let (keys, messages) = seed.derive(&algs, nonces, spi_i, spi_r);
    let mut protection = Protection::new(messages, &algs, initiator).map_err(|_| missing)?;
    protection.fragments = sa.protection.fragments;
    let serial = core.serial();
    let ends =
        Ends { spi_i, spi_r, initiator, created: core.now, serial, replaces: None, init_key: None, ..ends.clone() };
    let mut keying = Keying { suite, sk_d: keys.sk_d, ..sa.keying.clone() };
    // SK_d carries on what those before gave.
    if !additional.is_empty() {
        keying.additional = additional;
    }
    let origin = Origin {
        remote: sa.remote.clone(),
        identities: sa.identities.clone(),
        keying,
        algs,
        mobike: sa.mobike.clone(),
        cluster: sa.cluster,
        redirect: sa.redirect,
    };
    let mut established = Established::new(origin, &ends, protection, MessageWindow::default(), core);
    established.admission = sa.admission.clone();
    Ok(Phase::Established(Box::new(established)).with(ends))
}
