//! IKE_INTERMEDIATE: one additional key exchange each, then a post-quantum pre-shared key, and what was too long for IKE_SA_INIT,
//! between that and IKE_AUTH, from either side.
//!
//! ```text
//!   HDR, SK {KEi(n)}  -->
//!                     <--  HDR, SK {KEr(n)}          both go on with the keys that come of it
//!   HDR, SK {N(PPK_IDENTITY_KEY)}  -->
//!                     <--  HDR, SK {[N(PPK_IDENTITY)]}   the same (`feature/ppk_intermediate.rs`)
//!   HDR, SK {}  -->
//!                     <--  HDR, SK {N(SUPPORTED_AUTH_METHODS)}   where it did not fit elsewhere (`feature/auth_methods.rs`)
//! ```
//! Whoever does not finish what was agreed on in IKE_SA_INIT gets no IKE_AUTH through: its message ID and its keys are
//! others. Everything is bound to AUTH (`feature/intermediate.rs`).
//! Read RFC 9242 §3 and RFC 9370 §2.2 before changing this file.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::slice;

use ravelin_crypto::KePrivate;
use ravelin_crypto::ikev2::{IkeKeys, MessageKeys, Skeyseed};
use ravelin_types::Secret;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Chain, Ke, Message, Payload};

use super::Phase;
use super::answer_init::InitAnswered;
use super::auth;
use super::init_exchange::InitExchange;
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::extensions::Ppk;
use crate::gateways;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::retry::{Due, Retry};
use crate::sealed::Sealed;
use crate::v2::feature::auth_methods::{self, Said};
use crate::v2::feature::ppk::Ppking;
use crate::v2::feature::{intermediate, ppk, ppk_intermediate};
use crate::v2::message::{Payloads, Protection, Whole};
use crate::want::Want;

/// We sent an IKE_INTERMEDIATE request.
pub(crate) struct IntermediateRequested {
    pub(crate) remote: Arc<Remote>,
    /// What the IKE SA is for.
    pub(crate) wants: Vec<Want>,
    pub(crate) retry: Retry,
    pub(crate) init: Box<InitExchange>,
    step: Step,
}

/// What an exchange is for.
enum Step {
    /// A key exchange by this method.
    Ke(KeMethod, Arc<dyn KePrivate>),
    /// The post-quantum pre-shared key.
    Ppk(Ppk),
    /// What the responder lets us prove ourselves with (RFC 9593).
    List,
}

/// What an exchange brings into the keys.
pub(crate) enum Gain {
    /// The secret of an additional key exchange.
    Shared(Secret),
    /// What became of the post-quantum pre-shared key.
    Ppk(Option<Ppk>),
}

/// Goes on from IKE_SA_INIT, with the next additional key exchange or with IKE_AUTH.
pub(crate) fn go_on(
    ends: Ends,
    remote: Arc<Remote>,
    wants: Vec<Want>,
    mut init: Box<InitExchange>,
    core: &mut Core,
) -> Option<IkeSa> {
    let own = remote.extensions.ppk.own().filter(|_| matches!(init.ppks, Ppking::Due));
    let step = match (init.additional.get(init.done).copied(), own) {
        // Whoever goes on has seen to it that this takes no time.
        (Some(method), _) => core.generate(method).map(|ke| Step::Ke(method, ke)),
        (None, Some(own)) => Ok(Step::Ppk(own.clone())),
        (None, None) if init.list_due => Ok(Step::List),
        (None, None) => return auth::request(ends, remote, wants, init, core),
    };
    let request = step.and_then(|step| {
        let content = match &step {
            Step::Ke(method, ke) => Some(Payload::Ke(Ke { method: *method, data: ke.public().to_vec() })),
            Step::Ppk(own) => Some(ppk_intermediate::name(own, &init, ends.spis())),
            // RFC 9593 §3.1: an empty request.
            Step::List => None,
        };
        let chain = Chain::new(content.as_slice())?;
        let header = ends.header(ExchangeType::IKE_INTERMEDIATE, false, init.next_id);
        let head = intermediate::head(&header, &chain);
        init.int_auth.absorb(true, init.algs.prf, &init.keys.sk_pi, &head, chain.bytes());
        Ok((step, init.protection.seal_chain(&header, &chain, &mut *core.rng)))
    });
    match request {
        Ok((step, message)) => {
            core.send(ends.way(), &message, 0);
            let retry = Retry::new(message, remote.retransmission, core.now);
            let phase = IntermediateRequested { remote, wants, retry, init, step };
            Some(Phase::IntermediateRequested(Box::new(phase)).with(ends))
        }
        Err(error) => {
            let policy = wants.first().map(|want| want.policy);
            core.failed(error.failure(ends.place(&remote.name, "IKE_INTERMEDIATE", policy)));
            None
        }
    }
}

impl IntermediateRequested {
    pub(crate) fn handle(
        mut self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        let (protected, inner) = match self.init.open_answer(ExchangeType::IKE_INTERMEDIATE, message, datagram, core) {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => {
                core.failed(error.failure(self.place(&ends)));
                return None;
            }
            None => return Some(self.keep(ends)),
        };
        let Some(whole) = self.init.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
            return Some(self.keep(ends));
        };
        let payloads = whole.payloads();
        let peer = if ends.follows() { datagram.remote } else { ends.peer };
        let ends = Ends { peer, ..ends };
        match payloads.and_then(|payloads| self.accept(&payloads, core)) {
            Ok((gain, said)) => {
                let IntermediateRequested { remote, wants, mut init, step, .. } = *self;
                init.int_auth.absorb(false, init.algs.prf, &init.keys.sk_pr, &whole.head, &whole.content);
                if let Said::List(methods) = said {
                    init.accepts.methods = Some(methods);
                    init.list_due = false;
                }
                // Asked for once: whoever does not say it then does not say it.
                init.list_due &= !matches!(step, Step::List);
                match init.advance(gain, &ends, true) {
                    Ok(_) => go_on(ends, remote, wants, init, core),
                    Err(error) => {
                        core.failed(error.failure(ends.place(&remote.name, "IKE_INTERMEDIATE", None)));
                        None
                    }
                }
            }
            Err(Error::PutOff) => {
                self.init.protection.put_back(&header, &protected, whole, core.now);
                core.put_off_message(ends.our_spi(), &header, datagram, false);
                Some(self.keep(ends))
            }
            Err(error) => {
                core.failed(error.failure(self.place(&ends)));
                None
            }
        }
    }

    fn accept(&self, payloads: &Payloads, core: &mut Core) -> Result<(Option<Gain>, Said), Error> {
        if let Some(refusal) = payloads.refusal() {
            return Err(refusal);
        }
        let gain = match &self.step {
            Step::Ke(method, own) => {
                let ke = payloads.ke()?;
                if ke.method != *method {
                    return Err(Error::Violation("a key exchange value of another method"));
                }
                let shared = core.agree(*method, own, &ke.data)?;
                if let Some(next) = self.init.additional.get(self.init.done + 1) {
                    core.prepare(*next)?;
                }
                Some(Gain::Shared(shared))
            }
            Step::Ppk(own) => Some(Gain::Ppk(ppk_intermediate::taken(&self.remote, own, payloads)?)),
            Step::List => None,
        };
        Ok((gain, auth_methods::read(payloads)?))
    }

    pub(crate) fn timer(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        match self.retry.due(core.now) {
            Due::Later => {}
            Due::Again(message, sent) => {
                self.init.protection.sent_again(message, sent);
                core.send_again(&ends, message, sent);
            }
            Due::GiveUp => {
                let place = self.place(&ends);
                gateways::silent(&self.remote, (place, false), self.wants, ends.replaces, core);
                return None;
            }
        }
        Some(self.keep(ends))
    }

    fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::IntermediateRequested(self).with(ends)
    }

    fn place(&self, ends: &Ends) -> Place {
        ends.place(&self.remote.name, "IKE_INTERMEDIATE", self.wants.first().map(|want| want.policy))
    }
}

impl InitExchange {
    /// Takes in a request of the initiator.
    pub(crate) fn absorb_request(&mut self, whole: &Whole) {
        self.int_auth.absorb(true, self.algs.prf, &self.keys.sk_pi, &whole.head, &whole.content);
    }

    /// Goes over to the keys that come of an exchange. Returns the protection that was in use, if there is another now.
    ///
    /// RFC 9370 §2.2.2: SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr), which has the form of a rekey.
    fn advance(
        &mut self,
        gains: impl IntoIterator<Item = Gain>,
        ends: &Ends,
        initiator: bool,
    ) -> Result<Option<Protection>, Error> {
        self.next_id += 1;
        let mut made: Option<(IkeKeys, MessageKeys)> = None;
        for gain in gains {
            let nonces = self.nonces();
            let sk_d = &made.as_ref().map_or(&self.keys, |(keys, _)| keys).sk_d;
            let seed = match &gain {
                Gain::Shared(shared) => Some(Skeyseed::rekeyed(self.algs.prf, sk_d, slice::from_ref(shared), nonces)),
                Gain::Ppk(ppk) => ppk.as_ref().map(|ppk| Skeyseed::with_ppk(self.algs.prf, &ppk.secret, sk_d)),
            };
            made = seed.map(|seed| seed.derive(&self.algs, nonces, ends.spi_i, ends.spi_r)).or(made);
            match gain {
                Gain::Shared(_) => self.done += 1,
                Gain::Ppk(ppk) => self.ppks = Ppking::Settled(ppk),
            }
        }
        // The same keys go on where they are: made anew they would begin with the first IV again.
        let Some((keys, messages)) = made else { return Ok(None) };
        let protection = Protection::new(messages, &self.algs, initiator);
        let mut protection = protection.map_err(|_| Error::NOT_BUILT_IN)?;
        protection.fragments = self.protection.fragments;
        self.keys = keys;
        Ok(Some(core::mem::replace(&mut self.protection, protection)))
    }
}

/// The last IKE_INTERMEDIATE response, and how its exchange was protected.
pub(crate) struct Answered {
    /// `None`: as what comes next is.
    protection: Option<Protection>,
    response: Sealed,
    id: u32,
    /// How often the request came again.
    repeated: u32,
}

impl InitAnswered {
    /// Whether a message with this ID may be the last IKE_INTERMEDIATE request again.
    pub(crate) fn repeats(&self, message: &Message) -> bool {
        let header = message.header;
        header.exchange == ExchangeType::IKE_INTERMEDIATE
            && !header.flags.is_response()
            && self.answered.as_ref().is_some_and(|answered| answered.id == header.message_id)
    }

    /// Answers it again.
    pub(crate) fn repeat(&mut self, message: &Message, datagram: Datagram<'_>, core: &mut Core) {
        let Some((answered, protected)) = self.answered.as_mut().zip(message.protected) else { return };
        let protection = answered.protection.as_ref().unwrap_or(&self.init.protection);
        if protection.open(datagram.data, &protected).is_err() {
            core.counters.forged += 1;
            return;
        }
        core.counters.repeated += 1;
        // RFC 7383 §2.6.1: one answer for all fragments of a request.
        if protected.fragment.is_none_or(|fragment| fragment.number() == 1) {
            answered.repeated = answered.repeated.saturating_add(1);
            self.init.protection.sent_again(&answered.response, answered.repeated);
            core.send(datagram.way(), &answered.response, answered.repeated);
        }
    }

    /// `HDR, SK {[KEi(n)], [N(PPK_IDENTITY_KEY), ...]}`, opened: what the answer holds, and what comes into the keys.
    pub(crate) fn exchange(
        &mut self,
        payloads: &Payloads,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<(Vec<Payload>, Vec<Gain>), Error> {
        let (mut answer, mut gains) = (Vec::new(), Vec::new());
        let method = self.init.additional.get(self.init.done).copied();
        if let Some(method) = method {
            let ke = payloads.ke()?;
            if ke.method != method {
                return Err(Error::Violation("a key exchange value of another method"));
            }
            let (data, shared) = core.respond(method, &ke.data)?;
            answer.push(Payload::Ke(Ke { method, data }));
            gains.push(Gain::Shared(shared));
        }
        // An exchange that is not for a key exchange is for this.
        let names = method.is_none() || ppk_intermediate::names(payloads);
        if names && matches!(self.init.ppks, Ppking::Due) {
            let found = ppk_intermediate::found(payloads, &self.candidates, &self.init, ends.spis());
            if found.is_none() && self.candidates.iter().all(|remote| remote.extensions.ppk.required) {
                return Err(ppk::missing(Vec::from(["no key that is known here".into()])));
            }
            answer.extend(found.as_ref().map(ppk::identity));
            gains.push(Gain::Ppk(found));
        }
        // RFC 9593 §3.1: in the last of these exchanges, as far as we know which that is.
        let last = self.init.done + usize::from(method.is_some()) >= self.init.additional.len();
        if self.init.list_due && last {
            answer.extend(auth_methods::notify(self.candidates.iter().map(|remote| &**remote), &core.crypto));
            self.init.list_due = false;
        }
        Ok((answer, gains))
    }

    /// Sends the answer and goes over to the new keys.
    pub(crate) fn answer_intermediate(
        &mut self,
        ends: &Ends,
        (answer, gains): (Vec<Payload>, Vec<Gain>),
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Result<(), Error> {
        let init = &mut self.init;
        let id = init.next_id;
        let header = ends.header(ExchangeType::IKE_INTERMEDIATE, true, id);
        let chain = Chain::new(&answer)?;
        let head = intermediate::head(&header, &chain);
        init.int_auth.absorb(false, init.algs.prf, &init.keys.sk_pr, &head, chain.bytes());
        let response = init.protection.seal_chain(&header, &chain, &mut *core.rng);
        core.send(datagram.way(), &response, 0);
        let protection = init.advance(gains, ends, false)?;
        self.answered = Some(Answered { protection, response, id, repeated: 0 });
        Ok(())
    }
}
