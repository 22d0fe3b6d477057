//! CREATE_CHILD_SA for a Child SA.
//!
//! ```text
//!   HDR, SK {[N(REKEY_SA)], [N(USE_TRANSPORT_MODE)], SA, Ni, [KEi], TSi, TSr}  -->
//!                     <--  HDR, SK {[N(USE_TRANSPORT_MODE)], SA, Nr, [KEr], TSi, TSr}
//!                     <--  HDR, SK {N(error)}
//! ```
//! What is particular to a rekey is in `rekey_child`; where more key exchanges were agreed on, IKE_FOLLOWUP_KE comes after
//! (`follow_up`).
//! Read RFC 7296 §1.3.1, §2.9, §2.17 and §2.25.1 before changing this file.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::PrfAlg;
use ravelin_crypto::ikev2::{ChildAlgs, KeyMat, Nonces};
use ravelin_types::pfp::Pfp;
use ravelin_types::proposal::Suite;
use ravelin_types::transform::KeMethod;
use ravelin_types::{Secret, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Ke, Nonce, NotifyType, Payload};

use super::follow_up::{Promised, Rounds};
use super::rekey_child::{self, Collision};
use super::{After, Exchange, Task, What};
use crate::address::Inside;
use crate::child::offer::{ChildOffer, mode_name};
use crate::child::{Agreement, ChildSa, ChildState, Terms};
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::limits;
use crate::live::Live;
use crate::negotiate::ChildKe;
use crate::output::DownReason;
use crate::v2::answer::{ChildAnswer, sent_ke};
use crate::v2::feature::{reauthentication, virtual_link};
use crate::v2::message::Payloads;
use crate::v2::phase::established::{Established, Stage};
use crate::v2::rules;
use crate::want::Want;

/// Our request for a Child SA is open.
pub(crate) struct CreateChild {
    pub(crate) task: Task,
    pub(crate) offer: ChildOffer,
    /// The peer rekeyed the same Child SA meanwhile.
    pub(crate) collision: Option<Collision>,
    /// Outbound SPIs that the peer deleted meanwhile and we do not know: one of them may be in the answer, which can be
    /// overtaken by a delete on its way.
    deleted: Vec<Spi>,
    nonce: Arc<[u8]>,
    /// What was agreed on, while additional key exchanges go on.
    agreed: Option<(Agreed, Rounds)>,
}

/// What the response came to.
struct Agreed {
    terms: Terms,
    nonce_r: Arc<[u8]>,
}

/// The same with the key exchanges behind it, and the first request of those.
type Accepted = (Agreed, Rounds, Option<Vec<Payload>>);

/// What is to be done after a response.
enum Progress {
    /// To send the next request.
    Ask(Vec<Payload>),
    /// To install the Child SA. Beside it is the lower of the two nonces.
    Made(Box<Agreement>, Vec<u8>),
}

impl CreateChild {
    /// The exchange that is open.
    pub(crate) fn kind(&self) -> ExchangeType {
        if self.is_followed_up() { ExchangeType::IKE_FOLLOWUP_KE } else { ExchangeType::CREATE_CHILD_SA }
    }

    /// Whether additional key exchanges are under way.
    pub(crate) fn is_followed_up(&self) -> bool {
        self.agreed.is_some()
    }

    /// A Child SA for a policy.
    pub(crate) fn request(
        task: Task,
        policy: Arc<ChildPolicy>,
        want: &Want,
        inside: &Inside,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Exchange, Vec<Payload>), Error> {
        let offer = ChildOffer::new(policy, want, task.offered_ke(), inside, ends, core)?.carried(core);
        Ok(Self::with(task, offer, Vec::new(), ends, core))
    }

    /// One more like `first`, for a processor (RFC 9611).
    pub(crate) fn sibling_request(
        task: Task,
        first: &ChildSa,
        want: &Want,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Exchange, Vec<Payload>), Error> {
        let offer = ChildOffer::beside(first, want, task.offered_ke(), ends, core)?.carried(core);
        Ok(Self::with(task, offer, Vec::new(), ends, core))
    }

    /// A Child SA in place of `old`.
    pub(crate) fn rekey_request(
        task: Task,
        old: &mut ChildSa,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Exchange, Vec<Payload>), Error> {
        let offer = ChildOffer::replacing(old, task.offered_ke(), ends, core)?.carried(core);
        old.state = ChildState::Rekeying;
        Ok(Self::with(task, offer, vec![rekey_child::notify(old)], ends, core))
    }

    fn with(
        task: Task,
        offer: ChildOffer,
        mut payloads: Vec<Payload>,
        ends: &Ends,
        core: &mut Core,
    ) -> (Exchange, Vec<Payload>) {
        let nonce = core.nonce();
        payloads.extend(virtual_link::notify(&offer.policy, ends, core));
        payloads.extend(offer.notifies());
        payloads.push(offer.sa());
        payloads.extend(Nonce::new(nonce.clone()).map(Payload::Nonce));
        let ke = offer.ke.as_ref();
        payloads.extend(ke.map(|(method, ke)| Payload::Ke(Ke { method: *method, data: ke.public().to_vec() })));
        payloads.extend(offer.ts());
        (
            Exchange::CreateChild(Box::new(CreateChild {
                task,
                offer,
                collision: None,
                deleted: Vec::new(),
                nonce,
                agreed: None,
            })),
            payloads,
        )
    }

    /// Notes that the peer deleted a Child SA which is not there, or not yet.
    pub(crate) fn note_deleted(&mut self, outbound: Spi) {
        if self.deleted.len() < limits::EARLY_DELETES {
            self.deleted.push(outbound);
        }
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
            core.table.release(self.offer.inbound);
            return Ok(self.refused(kind, data, sa, ends, core));
        }
        match payloads.and_then(|payloads| self.advance(&payloads, sa, ends, core)) {
            Err(Error::PutOff) => return Err(Box::new(Exchange::CreateChild(self))),
            Ok(Progress::Ask(request)) => return Ok(self.follow_up(request, sa, ends, core)),
            Ok(Progress::Made(agreement, _)) if self.deleted.contains(&agreement.terms.outbound) => {
                core.table.release(self.offer.inbound);
                // RFC 7296 §2.8.1: with a collision the peer's rekey has done what ours was for.
                if self.collision.is_none() {
                    self.failed(&Error::Withdrawn, sa, ends, core);
                }
            }
            Ok(Progress::Made(agreement, lowest)) => match self.offer.replaces {
                Some(old) => rekey_child::finish(old, self.collision, *agreement, &lowest, sa, ends, core),
                None => {
                    let child = ChildSa::install(*agreement, ends, true, core);
                    sa.children.add(child, None, core);
                }
            },
            Err(error) => {
                // RFC 7296 §2.21: no error goes back for a response, but the peer's half has to be cleaned up.
                sa.delete_unborn(&self.offer);
                self.failed(&error, sa, ends, core);
            }
        }
        Ok(After::Stay)
    }

    /// Sends the request for the next key exchange, unless the rekey of the peer goes before ours.
    fn follow_up(self: Box<Self>, request: Vec<Payload>, sa: &mut Established, ends: &Ends, core: &mut Core) -> After {
        if let Some((old, collision)) = self.offer.replaces.zip(self.collision.as_ref()) {
            // RFC 9370 §2.2.4: there is nothing yet to delete, the loser just stops.
            let lost = self.agreed.as_ref().is_some_and(|(agreed, _)| self.lowest(agreed) < &collision.lowest[..]);
            if lost {
                core.table.release(self.offer.inbound);
                rekey_child::leave_to_peer(old, collision.made, sa, core);
                return After::Stay;
            }
            sa.forget_promised_child(collision.made, core);
        }
        sa.ask(Exchange::CreateChild(self), &request, ends, core)
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
                let (agreed, rounds, request) = self.accept(payloads, ends, core)?;
                self.agreed = Some((agreed, rounds));
                request
            }
        };
        if let Some(request) = request {
            return Ok(Progress::Ask(request));
        }
        let (agreed, Rounds { shared, .. }) = self.agreed.take().ok_or(Error::NoState)?;
        let nonces = Nonces { initiator: &self.nonce, responder: &agreed.nonce_r };
        let keymat = keymat(core, sa.algs.prf, &sa.keying.sk_d, &agreed.terms.suite, &shared, nonces)?;
        let lowest = self.lowest(&agreed).to_vec();
        let agreement = Agreement {
            policy: self.offer.policy.clone(),
            inbound: self.offer.inbound,
            terms: agreed.terms,
            initiator: true,
            keymat,
            replaces: self.offer.replaces,
        };
        Ok(Progress::Made(Box::new(agreement), lowest))
    }

    fn accept(&self, payloads: &Payloads, ends: &Ends, core: &mut Core) -> Result<Accepted, Error> {
        rules::require(payloads, rules::CHILD)?;
        let terms = self.offer.accept(payloads, ChildKe::Fresh(self.offer.sent_ke()), None, ends, core)?;
        let shared = match (&self.offer.ke, terms.ke) {
            (_, None) => None,
            (Some((method, private)), Some(chosen)) if *method == chosen && payloads.ke()?.method == chosen => {
                Some(core.agree(chosen, private, &payloads.ke()?.data)?)
            }
            _ => return Err(Error::Violation("a key exchange method without our value of it")),
        };
        let nonce_r = payloads.nonce()?.shared();
        let (rounds, request) = Rounds::begin(&terms.additional, shared, payloads, core)?;
        Ok((Agreed { terms, nonce_r }, rounds, request))
    }

    fn refused(
        self: Box<Self>,
        kind: NotifyType,
        data: Vec<u8>,
        sa: &mut Established,
        ends: &Ends,
        core: &mut Core,
    ) -> After {
        if let Some((old, collision)) = self.offer.replaces.zip(self.collision.as_ref()) {
            // RFC 7296 §2.8.1: the peer's rekey has done what ours was for, or will.
            rekey_child::leave_to_peer(old, collision.made, sa, core);
            return After::Stay;
        }
        let old = self.offer.replaces.and_then(|old| sa.children.get_mut(&old));
        if let Some(old) = old.filter(|old| old.state == ChildState::Rekeying) {
            old.state = ChildState::Installed;
        }
        match (kind, data.as_slice()) {
            (NotifyType::INVALID_KE_PAYLOAD, [high, low]) => {
                let method = KeMethod(u16::from_be_bytes([*high, *low]));
                if self.offer.lists_ke(method)
                    && let Some(task) = self.task.clone().with_ke(method)
                {
                    sa.tasks.push_front(task);
                    return After::Stay;
                }
            }
            // RFC 9370 §2.2.4: STATE_NOT_FOUND means that we were too slow, and is fatal only when it does not end.
            (NotifyType::TEMPORARY_FAILURE | NotifyType::STATE_NOT_FOUND, _) => match self.task.clone().later(core) {
                Some(task) => {
                    sa.add_task(task);
                    return After::Stay;
                }
                // RFC 7296 §2.25: the two sides are out of step for good.
                None => sa.close(DownReason::ProtocolError),
            },
            // RFC 9611 §3: the peer has enough of them; the first goes on.
            (NotifyType::TS_MAX_QUEUE, _) if self.offer.processors.one().is_some() => {
                core.counters.refused_resources += 1;
                return After::Stay;
            }
            (NotifyType::SINGLE_PAIR_REQUIRED, _) => {
                if let Some(want) = single(&self.task) {
                    sa.tasks.push_front(Task::new(What::Create(want)));
                    return After::Stay;
                }
            }
            (NotifyType::CHILD_SA_NOT_FOUND, _) => {
                if let Some(old) = self.offer.replaces {
                    rekey_child::not_found(old, sa, core);
                    return After::Stay;
                }
            }
            _ => {}
        }
        self.failed(&Error::Refused(kind, data), sa, ends, core);
        After::Stay
    }

    fn failed(&self, error: &Error, sa: &mut Established, ends: &Ends, core: &mut Core) {
        let mut place = sa.place(ends, "CREATE_CHILD_SA");
        place.policy = Some(self.offer.policy.policy.id);
        core.failed(error.failure_with_offer(place, |part| self.offer.lines(part)));
        if let Some(old) = self.offer.replaces
            && let Some(child) = sa.children.get_mut(&old)
            && matches!(child.state, ChildState::Rekeying | ChildState::Installed)
        {
            child.state = ChildState::Installed;
            sa.retry_rekey(What::RekeyChild(old), core);
        }
    }
}

/// RFC 7296 §2.9: the peer wants a Child SA for each flow. What to ask for then, if it was not asked for.
fn single(task: &Task) -> Option<Want> {
    match task.what {
        What::Create(want) if want.flow.is_some() && want.pfp != Pfp::ALL => Some(Want { pfp: Pfp::ALL, ..want }),
        _ => None,
    }
}

/// The peer asks for a Child SA.
pub(crate) fn respond(
    sa: &mut Established,
    ends: &Ends,
    payloads: &Payloads,
    place: &mut Place,
    core: &mut Core,
) -> Result<Vec<Payload>, Error> {
    let rekeying_ike = sa.exchanges().any(|open| matches!(open, Exchange::RekeyIke(_)));
    // RFC 7296 §2.25.2: what would be created now might be left behind with the old IKE SA.
    if sa.stage != Stage::Active || rekeying_ike || sa.promised_ike() {
        return Err(Error::Temporary);
    }
    rules::require(payloads, rules::CHILD)?;
    let old = rekey_child::asked(sa, payloads)?;
    sa.room(core)?;
    let sent = sent_ke(payloads);
    let replaced = old.and_then(|old| sa.children.get(&old));
    let (with, replaced) = ((&*sa.remote, &sa.identities.1), replaced.map(Box::as_ref));
    let answer = ChildAnswer::to(payloads, with, replaced, ChildKe::Fresh(sent), ends, core, &mut place.policy)?;
    let mut answer = if old.is_none() { answer.beside(&sa.children, payloads, core)? } else { answer };
    let exchanged = match answer.terms.ke {
        None => None,
        Some(method) => {
            let (data, shared) = core.respond(method, &payloads.ke()?.data)?;
            Some((Ke { method, data }, shared))
        }
    };
    if !answer.terms.additional.is_empty() {
        sa.room_for_promise()?;
    }
    let (ke, shared) = exchanged.unzip();
    let nonces = (payloads.nonce()?.shared(), core.nonce());

    let (inbound, mut reply) = answer.head(ends, core);
    reply.extend(Nonce::new(nonces.1.clone()).map(Payload::Nonce));
    reply.extend(ke.map(Payload::Ke));
    reply.extend(answer.ts());
    let ChildAnswer { policy, terms, .. } = answer;
    let additional = terms.additional.clone();
    let promised = PromisedChild { policy, terms, inbound, replaces: old, nonces };
    if additional.is_empty() {
        let shared: Vec<Secret> = shared.into_iter().collect();
        keep_promise(promised, &shared, sa, ends, core)?;
    } else {
        if let Some(old) = old {
            rekey_child::note_collision(old, inbound, promised.lowest(), sa);
        }
        reply.push(sa.promise(Promised::Child(Box::new(promised)), additional, shared, core));
    }
    Ok(reply)
}

/// A Child SA that the peer asked for and that is agreed on.
pub(crate) struct PromisedChild {
    policy: Arc<ChildPolicy>,
    terms: Terms,
    pub(crate) inbound: Spi,
    pub(crate) replaces: Option<Spi>,
    /// Ni and Nr.
    nonces: (Arc<[u8]>, Arc<[u8]>),
}

impl PromisedChild {
    fn lowest(&self) -> &[u8] {
        (&*self.nonces.0).min(&*self.nonces.1)
    }
}

/// Makes the Child SA of these secrets.
pub(crate) fn keep_promise(
    promised: PromisedChild,
    shared: &[Secret],
    sa: &mut Established,
    ends: &Ends,
    core: &mut Core,
) -> Result<(), Error> {
    let inbound = promised.inbound;
    let made = made(&promised, shared, sa, core).inspect_err(|_| core.table.release(inbound))?;
    let lowest = promised.lowest().to_vec();
    let PromisedChild { policy, terms, replaces, .. } = promised;
    let agreement = Agreement { policy, inbound, terms, initiator: false, keymat: made, replaces };
    let Some(old) = replaces else {
        reauthentication::answered(agreement, sa, ends, core);
        return Ok(());
    };
    // RFC 7296 §2.8: after a rekey the old Child SA sends until the peer shows that it has the new one.
    let child = ChildSa::install(agreement, ends, false, core);
    sa.children.add(child, replaces, core);
    rekey_child::answered(old, inbound, &lowest, sa);
    Ok(())
}

/// Its keys, if things still are as they were when it was promised.
fn made(promised: &PromisedChild, shared: &[Secret], sa: &Established, core: &Core) -> Result<KeyMat, Error> {
    let there = |old| sa.children.get(old).is_some_and(|old| rekey_child::is_replaceable(old));
    if sa.stage != Stage::Active || promised.replaces.as_ref().is_some_and(|old| !there(old)) {
        return Err(Error::NoState);
    }
    sa.room(core)?;
    let nonces = Nonces { initiator: &promised.nonces.0, responder: &promised.nonces.1 };
    keymat(core, sa.algs.prf, &sa.keying.sk_d, &promised.terms.suite, shared, nonces)
}

/// Keys of a Child SA.
pub(crate) fn keymat(
    core: &Core,
    prf: &dyn PrfAlg,
    sk_d: &Secret,
    suite: &Suite,
    shared: &[Secret],
    nonces: Nonces<'_>,
) -> Result<KeyMat, Error> {
    let algs = ChildAlgs::find(&core.crypto, suite).ok_or(Error::NOT_BUILT_IN)?;
    Ok(KeyMat::derive(prf, sk_d, &algs, shared, nonces))
}

/// The peer asked for transport mode, got tunnel mode and did not want it.
pub(crate) fn mode_declined() -> Error {
    use ravelin_types::policy::Mode;
    let words = |mode| vec![mode_name(mode).into()];
    Error::NoAgreement(Disagreement::new(Part::Mode, words(Mode::Transport), words(Mode::Tunnel)))
}
