//! CREATE_CHILD_SA for a Child SA.
//!
//! ```text
//!   HDR, SK {[N(REKEY_SA)], [N(USE_TRANSPORT_MODE)], SA, Ni, [KEi], TSi, TSr}  -->
//!                     <--  HDR, SK {[N(USE_TRANSPORT_MODE)], SA, Nr, [KEr], TSi, TSr}
//!                     <--  HDR, SK {N(error)}
//! ```
//! What is particular to a rekey is in `rekey_child`.
//! Read RFC 7296 §1.3.1, §2.9, §2.17 and §2.25.1 before changing this file.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::{ChildAlgs, KeyMat, Nonces};
use ravelin_crypto::{KePrivate, PrfAlg};
use ravelin_types::pfp::Pfp;
use ravelin_types::proposal::Suite;
use ravelin_types::transform::KeMethod;
use ravelin_types::{Secret, Spi};
use ravelin_wire::ike::v2::{Ke, Nonce, NotifyType, Payload};

use super::rekey_child::{self, Collision};
use super::{After, Exchange, Open, Task, What};
use crate::address::Inside;
use crate::child::offer::{ChildOffer, mode_name};
use crate::child::{Agreement, ChildSa, ChildState};
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
    nonce: Vec<u8>,
    ke: Option<(KeMethod, Box<dyn KePrivate>)>,
}

impl CreateChild {
    /// A Child SA for a policy.
    pub(crate) fn request(
        task: Task,
        policy: Arc<ChildPolicy>,
        want: &Want,
        inside: &Inside,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Exchange, Vec<Payload>), Error> {
        let offer = ChildOffer::new(policy, want, true, inside, ends, core)?;
        Ok(Self::with(task, offer, Vec::new(), core))
    }

    /// A Child SA in place of `old`.
    pub(crate) fn rekey_request(
        task: Task,
        old: &mut ChildSa,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Exchange, Vec<Payload>), Error> {
        let offer = ChildOffer::replacing(old, ends, core)?;
        old.state = ChildState::Rekeying;
        Ok(Self::with(task, offer, vec![rekey_child::notify(old)], core))
    }

    fn with(task: Task, offer: ChildOffer, mut payloads: Vec<Payload>, core: &mut Core) -> (Exchange, Vec<Payload>) {
        let method = task.ke.filter(|method| offer.lists_ke(*method)).or_else(|| offer.first_ke());
        let ke = method.and_then(|method| Some((method, core.crypto.ke(method)?.generate(&mut *core.rng))));
        let nonce = core.nonce();
        payloads.extend(offer.notifies());
        payloads.push(offer.sa());
        payloads.extend(Nonce::new(nonce.as_slice()).map(Payload::Nonce));
        payloads
            .extend(ke.as_ref().map(|(method, ke)| Payload::Ke(Ke { method: *method, data: ke.public().to_vec() })));
        payloads.extend(offer.ts());
        (
            Exchange::CreateChild(Box::new(CreateChild {
                task,
                offer,
                collision: None,
                deleted: Vec::new(),
                nonce,
                ke,
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
        self: Box<Self>,
        sa: &mut Established,
        ends: &Ends,
        payloads: Result<Payloads, Error>,
        core: &mut Core,
    ) -> After {
        let refusal = payloads.as_ref().ok().and_then(Payloads::refusal);
        if let Some(Error::Refused(kind, data)) = refusal {
            core.table.release(self.offer.inbound);
            return self.refused(kind, data, sa, ends, core);
        }
        match payloads.and_then(|payloads| self.accept(&payloads, sa, ends, core)) {
            Ok((agreement, _)) if self.deleted.contains(&agreement.terms.outbound) => {
                core.table.release(self.offer.inbound);
                // RFC 7296 §2.8.1: with a collision the peer's rekey has done what ours was for.
                if self.collision.is_none() {
                    self.failed(&Error::Withdrawn, sa, ends, core);
                }
            }
            Ok((agreement, lowest)) => match self.offer.replaces {
                Some(old) => rekey_child::finish(old, self.collision, agreement, &lowest, sa, ends, core),
                None => {
                    let child = ChildSa::install(agreement, ends, true, core);
                    sa.children.add(child, None, core);
                }
            },
            Err(error) => {
                // RFC 7296 §2.21: no error goes back for a response, but the peer's half has to be cleaned up.
                sa.delete_unborn(&self.offer);
                self.failed(&error, sa, ends, core);
            }
        }
        After::Stay
    }

    /// The agreement, and the lower of the two nonces.
    fn accept(
        &self,
        payloads: &Payloads,
        sa: &Established,
        ends: &Ends,
        core: &Core,
    ) -> Result<(Agreement, Vec<u8>), Error> {
        rules::require(payloads, rules::CHILD)?;
        let sent = self.ke.as_ref().map(|(method, _)| *method);
        let terms = self.offer.accept(payloads, ChildKe::Fresh(sent), None, ends, core)?;
        let shared = match (&self.ke, terms.ke) {
            (_, None) => None,
            (Some((method, private)), Some(chosen)) if *method == chosen && payloads.ke()?.method == chosen => {
                Some(private.agree(&payloads.ke()?.data).map_err(|_| Error::BadPublicValue)?)
            }
            _ => return Err(Error::Violation("a key exchange method without our value of it")),
        };
        let nonce_r = payloads.nonce()?.as_bytes();
        let nonces = Nonces { initiator: &self.nonce, responder: nonce_r };
        let keymat = keymat(core, sa.algs.prf, &sa.sk_d, &terms.suite, shared.as_ref(), nonces)?;
        let agreement = Agreement {
            policy: self.offer.policy.clone(),
            inbound: self.offer.inbound,
            terms,
            initiator: true,
            keymat,
            replaces: self.offer.replaces,
        };
        Ok((agreement, self.nonce.as_slice().min(nonce_r).to_vec()))
    }

    fn refused(
        self: Box<Self>,
        kind: NotifyType,
        data: Vec<u8>,
        sa: &mut Established,
        ends: &Ends,
        core: &mut Core,
    ) -> After {
        if self.collision.is_some() {
            // RFC 7296 §2.8.1: the peer's rekey has done what ours was for.
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
            (NotifyType::TEMPORARY_FAILURE, _) => match self.task.clone().later(core) {
                Some(task) => {
                    sa.add_task(task);
                    return After::Stay;
                }
                // RFC 7296 §2.25: the two sides are out of step for good.
                None => sa.close(DownReason::ProtocolError),
            },
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
    let rekeying_ike = matches!(&sa.open, Some(Open { exchange: Exchange::RekeyIke(_), .. }));
    // RFC 7296 §2.25.2: what would be created now might be left behind with the old IKE SA.
    if sa.stage != Stage::Active || rekeying_ike {
        return Err(Error::Temporary);
    }
    rules::require(payloads, rules::CHILD)?;
    let old = rekey_child::asked(sa, payloads)?;
    sa.room(core)?;
    let sent = sent_ke(payloads);
    let replaced = old.and_then(|old| sa.children.get(&old));
    let (with, replaced) = ((&*sa.remote, &sa.identities.1), replaced.map(Box::as_ref));
    let answer = ChildAnswer::to(payloads, with, replaced, ChildKe::Fresh(sent), ends, core, place)?;
    let exchanged = match answer.terms.ke {
        None => None,
        Some(method) => {
            let alg = core.crypto.ke(method).ok_or(Error::Misuse("an algorithm is not built in"))?;
            let (public, shared) =
                alg.respond(&payloads.ke()?.data, &mut *core.rng).map_err(|_| Error::BadPublicValue)?;
            Some((Ke { method, data: public }, shared))
        }
    };
    let nonce_i = payloads.nonce()?.as_bytes();
    let nonce_r = core.nonce();
    let nonces = Nonces { initiator: nonce_i, responder: &nonce_r };
    let shared = exchanged.as_ref().map(|(_, shared)| shared);
    let keymat = keymat(core, sa.algs.prf, &sa.sk_d, &answer.terms.suite, shared, nonces)?;

    let inbound = core.child_spi(ends.our_spi());
    let mut reply = answer.head(inbound);
    reply.extend(Nonce::new(nonce_r.as_slice()).map(Payload::Nonce));
    reply.extend(exchanged.map(|(ke, _)| Payload::Ke(ke)));
    reply.extend(answer.ts());
    let ChildAnswer { policy, terms, .. } = answer;
    let agreement = Agreement { policy, inbound, terms, initiator: false, keymat, replaces: old };
    // RFC 7296 §2.8: after a rekey the old Child SA sends until the peer shows that it has the new one.
    let child = ChildSa::install(agreement, ends, old.is_none(), core);
    sa.children.add(child, old, core);
    if let Some(old) = old {
        rekey_child::answered(old, inbound, nonce_i.min(&nonce_r), sa);
    }
    Ok(reply)
}

/// Keys of a Child SA.
pub(crate) fn keymat(
    core: &Core,
    prf: &dyn PrfAlg,
    sk_d: &Secret,
    suite: &Suite,
    shared: Option<&Secret>,
    nonces: Nonces<'_>,
) -> Result<KeyMat, Error> {
    let algs = ChildAlgs::find(&core.crypto, suite).ok_or(Error::Misuse("an algorithm is not built in"))?;
    Ok(KeyMat::derive(prf, sk_d, &algs, shared, nonces))
}

/// The peer asked for transport mode, got tunnel mode and did not want it.
pub(crate) fn mode_declined() -> Error {
    use ravelin_types::policy::Mode;
    let words = |mode| vec![mode_name(mode).into()];
    Error::NoAgreement(Disagreement::new(Part::Mode, words(Mode::Transport), words(Mode::Tunnel)))
}
