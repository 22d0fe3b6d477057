//! IKE_FOLLOWUP_KE: the additional key exchanges of a CREATE_CHILD_SA exchange, one each, from either side.
//!
//! ```text
//!   HDR, SK {SA, Ni, KEi(0)}                            -->                      CREATE_CHILD_SA
//!                  <--  HDR, SK {SA, Nr, KEr(0), N(ADDITIONAL_KEY_EXCHANGE, link1)}
//!   HDR, SK {KEi(1), N(ADDITIONAL_KEY_EXCHANGE, link1)} -->                      IKE_FOLLOWUP_KE
//!                  <--  HDR, SK {KEr(1), N(ADDITIONAL_KEY_EXCHANGE, link2)}
//!   HDR, SK {KEi(2), N(ADDITIONAL_KEY_EXCHANGE, link2)} -->
//!                  <--  HDR, SK {KEr(2)}                                         the SA comes to be with this
//! ```
//! The link is the responder's own business: here the message ID of the request before. A responder whose initiator falls
//! silent forgets what it promised, and says STATE_NOT_FOUND to whoever comes later. Two sides that rekey at once decide by
//! the nonces of CREATE_CHILD_SA, when there is nothing yet to delete: the loser just stops.
//! Read RFC 9370 §2.2.4 before changing this file.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_types::transform::KeMethod;
use ravelin_types::{IkeSpi, Instant, Secret, Spi};
use ravelin_wire::ike::v2::{Ke, Notify, NotifyType, Payload};

use super::What;
use super::create_child::{self, PromisedChild};
use super::rekey_ike::{self, PromisedIke};
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::Ends;
use crate::limits;
use crate::v2::message::Payloads;
use crate::v2::phase::established::Established;
use crate::v2::rules;

const OTHER_METHOD: Error = Error::Violation("a key exchange value of another method");

/// The key exchanges of the initiator.
pub(crate) struct Rounds {
    /// The one whose request is open.
    open: Option<(KeMethod, Arc<dyn KePrivate>)>,
    /// Those after it.
    left: Vec<KeMethod>,
    /// What those before it gave, in order.
    pub(crate) shared: Vec<Secret>,
}

impl Rounds {
    /// After the response to CREATE_CHILD_SA, which gave the first secret where it had a key exchange. Beside it is the next
    /// request; `None`: no other follows.
    pub(crate) fn begin(
        methods: &[KeMethod],
        shared: Option<Secret>,
        payloads: &Payloads,
        core: &mut Core,
    ) -> Result<(Self, Option<Vec<Payload>>), Error> {
        let mut rounds = Rounds { open: None, left: methods.to_vec(), shared: shared.into_iter().collect() };
        let request = rounds.next(payloads, core)?;
        Ok((rounds, request))
    }

    /// `HDR, SK {KEr(n), [N(ADDITIONAL_KEY_EXCHANGE)]}`: what comes next, as with [`Rounds::begin`]. An error changes nothing.
    pub(crate) fn answered(&mut self, payloads: &Payloads, core: &mut Core) -> Result<Option<Vec<Payload>>, Error> {
        let ke = payloads.ke()?;
        let (method, private) = self.open.as_ref().filter(|(method, _)| *method == ke.method).ok_or(OTHER_METHOD)?;
        let secret = core.agree(*method, private, &ke.data)?;
        let request = self.next(payloads, core)?;
        self.shared.push(secret);
        Ok(request)
    }

    /// `HDR, SK {KEi(n), N(ADDITIONAL_KEY_EXCHANGE)}`, with the notify of the response before.
    fn next(&mut self, payloads: &Payloads, core: &mut Core) -> Result<Option<Vec<Payload>>, Error> {
        let Some(method) = self.left.first().copied() else { return Ok(None) };
        let link = payloads.notify(NotifyType::ADDITIONAL_KEY_EXCHANGE).cloned();
        let link = link.ok_or(Error::Violation("no ADDITIONAL_KEY_EXCHANGE where a key exchange is to follow"))?;
        let ke = core.generate(method)?;
        let request = vec![Payload::Ke(Ke { method, data: ke.public().to_vec() }), Payload::Notify(link)];
        self.left.remove(0);
        self.open = Some((method, ke));
        Ok(Some(request))
    }
}

/// What the responder owes once the key exchanges are done.
pub(crate) struct Promise {
    link: u32,
    left: Vec<KeMethod>,
    shared: Vec<Secret>,
    /// The initiator has fallen silent by then.
    pub(crate) until: Instant,
    what: Promised,
}

/// An SA that is agreed on.
pub(crate) enum Promised {
    /// A Child SA.
    Child(Box<PromisedChild>),
    /// An IKE SA in place of this one.
    Ike(Box<PromisedIke>),
}

impl Promise {
    /// Whether a task of ours has to wait for what becomes of it: two of one thing at once would only collide, and what is
    /// changed now about Child SAs might be left behind with the old IKE SA.
    pub(crate) fn holds(&self, what: &What) -> bool {
        match (&self.what, what) {
            (Promised::Child(child), What::RekeyChild(spi)) => child.replaces == Some(*spi),
            (Promised::Ike(_), What::Create(_) | What::RekeyChild(_) | What::DeleteChild(..) | What::RekeyIke) => true,
            _ => false,
        }
    }

    /// Our SPI of the IKE SA that it is about.
    pub(crate) fn heir(&self) -> Option<IkeSpi> {
        match &self.what {
            Promised::Ike(promised) => Some(promised.spis.1),
            Promised::Child(_) => None,
        }
    }

    /// Takes it back.
    pub(crate) fn forget(self, core: &mut Core) {
        if let Promised::Child(child) = self.what {
            core.table.release(child.inbound);
        }
    }

    /// The answer to the initiator's next value.
    fn exchange(&mut self, payloads: &Payloads, core: &mut Core) -> Result<Payload, Error> {
        let ke = payloads.ke()?;
        let method = self.left.first().copied().filter(|method| *method == ke.method).ok_or(OTHER_METHOD)?;
        let (data, shared) = core.respond(method, &ke.data)?;
        self.left.remove(0);
        self.shared.push(shared);
        Ok(Payload::Ke(Ke { method, data }))
    }
}

impl Established {
    /// Whether one more promise may be made.
    pub(crate) fn room_for_promise(&self) -> Result<(), Error> {
        if self.promises.len() < limits::FOLLOW_UPS { Ok(()) } else { Err(Error::Temporary) }
    }

    /// Promises what these key exchanges lead to; the notify goes into the response.
    pub(crate) fn promise(
        &mut self,
        what: Promised,
        left: Vec<KeMethod>,
        shared: Option<Secret>,
        core: &Core,
    ) -> Payload {
        self.put_promise(Promise { link: 0, left, shared: shared.into_iter().collect(), until: core.now, what }, core)
    }

    fn put_promise(&mut self, promise: Promise, core: &Core) -> Payload {
        // No two requests of one IKE SA have the same number.
        let link = self.window.answering();
        self.promises.push(Promise { link, until: core.now + limits::FOLLOW_UP_WAIT, ..promise });
        Payload::Notify(Notify::new(NotifyType::ADDITIONAL_KEY_EXCHANGE, link.to_be_bytes()))
    }

    /// Whether the peer is rekeying this IKE SA and has key exchanges left.
    pub(crate) fn promised_ike(&self) -> bool {
        self.promises.iter().any(|promise| matches!(promise.what, Promised::Ike(_)))
    }

    /// The peer lost a collision over this IKE SA and goes no further.
    pub(crate) fn forget_promised_ike(&mut self) {
        self.promises.retain(|promise| !matches!(promise.what, Promised::Ike(_)));
    }

    /// The same over the Child SA that was to become the one with this inbound SPI.
    pub(crate) fn forget_promised_child(&mut self, inbound: Spi, core: &mut Core) {
        let is_it = |promise: &mut Promise| matches!(&promise.what, Promised::Child(child) if child.inbound == inbound);
        self.promises.extract_if(.., is_it).for_each(|promise| promise.forget(core));
    }

    /// Takes back what the peer has not asked for in time.
    pub(crate) fn forget_promises(&mut self, core: &mut Core) {
        let now = core.now;
        self.promises.extract_if(.., |promise| promise.until <= now).for_each(|promise| promise.forget(core));
    }
}

/// The peer asks for the next key exchange.
pub(crate) fn respond(
    sa: &mut Established,
    ends: &Ends,
    payloads: &Payloads,
    core: &mut Core,
) -> Result<Vec<Payload>, Error> {
    rules::require(payloads, rules::FOLLOW_UP)?;
    let link = payloads.notify(NotifyType::ADDITIONAL_KEY_EXCHANGE);
    let link = link.ok_or(Error::Violation("IKE_FOLLOWUP_KE without ADDITIONAL_KEY_EXCHANGE"))?;
    let at = sa.promises.iter().position(|promise| link.data == promise.link.to_be_bytes()).ok_or(Error::NoState)?;
    let mut promise = sa.promises.remove(at);
    let answer = match promise.exchange(payloads, core) {
        Ok(answer) => answer,
        Err(Error::PutOff) => {
            sa.promises.insert(at, promise);
            return Err(Error::PutOff);
        }
        Err(error) => {
            promise.forget(core);
            return Err(error);
        }
    };
    if !promise.left.is_empty() {
        return Ok(vec![answer, sa.put_promise(promise, core)]);
    }
    match promise.what {
        Promised::Child(child) => create_child::keep_promise(*child, &promise.shared, sa, ends, core)?,
        Promised::Ike(ike) => rekey_ike::keep_promise(*ike, &promise.shared, sa, ends, core)?,
    }
    Ok(vec![answer])
}
