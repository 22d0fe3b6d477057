//! Aggressive mode (RFC 2409 §5.1, §5.4): three messages, identities in clear.
//!
//! With a pre-shared key the second message lets whoever has it try keys against HASH_R at leisure, and anybody gets one
//! who asks in the name of a known peer. So a remote must ask for this mode by name. An unknown identity gets the
//! same silence as a wrong proposal gets words (history rows 10, 47, 48).

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_crypto::ikev1::Algs;
use ravelin_types::IkeSpi;
use ravelin_types::identity::Identity;
use ravelin_types::proposal::IkeSuite;
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v1::{Chain, Content, Message, Nonce, Opaque, Payload, emit};

use super::asking::{self, Keyed, Turn};
use super::proof::{self, Material};
use super::xauth;
use super::{Opening, Step, claimed, id_payload, stranger};
use crate::auth::Now;
use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::v1::message::{Payloads, Secured};
use crate::v1::offer::{self, Agreed};
use crate::v1::phase::Phase;
use crate::v1::session::initial_contact;
use crate::v1::vendor::Abilities;
use crate::v1::{nat, rules};

const EXCHANGE: ExchangeType = ExchangeType::AGGRESSIVE;

/// The first message was sent.
pub(super) struct Offered {
    pub(super) suites: Vec<IkeSuite>,
    sa: Vec<u8>,
    nonce: Arc<[u8]>,
    private: Arc<dyn KePrivate>,
}

/// The second message was sent.
pub(super) struct Answered {
    pub(super) secured: Secured,
    material: Material,
    remote: Arc<Remote>,
    identity: Identity,
    /// Body of the initiator's ID payload, which HASH_I covers.
    id: Vec<u8>,
}

/// Sends the first message: `HDR, SA, KE, Ni, IDii, [CERTREQ...,] VID...`
pub(super) fn offer(mut opening: Opening, ends: Ends, core: &mut Core) -> Result<(), Error> {
    let Some(remote) = opening.remotes.first().cloned() else { return Ok(()) };
    let mut suites = offer::suites(&remote.proposals, &core.crypto);
    // RFC 2409 §5: the group cannot be negotiated, its value goes along.
    let group = suites.first().map(|suite| suite.ke).ok_or(Error::Misuse(
        "nothing of the remote's IKE proposals has a number in IKEv1: name other algorithms, or use IKEv2",
    ))?;
    suites.retain(|suite| suite.ke == group);
    let private = match core.generate(group) {
        Err(Error::PutOff) => {
            core.put_off_own(ends.our_spi());
            core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
            return Ok(());
        }
        private => private?,
    };
    let nonce = core.nonce();
    let method = proof::method(&remote, true, &core.crypto)?;
    let mut payloads = vec![Payload::Sa(offer::sa(&suites, method, remote.lifetime, &core.crypto))];
    payloads.push(Payload::Ke(Opaque(private.public().to_vec())));
    payloads.extend(Nonce::new(nonce.clone()).map(Payload::Nonce));
    payloads.push(Payload::Id(id_payload(&remote.local_id)));
    payloads.extend(proof::requests(opening.remotes.iter()));
    payloads.extend(Abilities::OURS.payloads());
    payloads.extend(xauth::of(&remote).map(|_| Abilities::xauth()));
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&payloads)?);
    let sa = super::main_mode::body_of_sa(&message);
    opening.step = Step::AggressiveOffered(Box::new(Offered { suites, sa, nonce, private }));
    opening.send(&ends, &[], message, core);
    core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
    Ok(())
}

/// Takes the first message.
pub(super) fn answer(
    remotes: Vec<Arc<Remote>>,
    ends: Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(), Error> {
    rules::require(payloads, rules::AGGRESSIVE)?;
    let identity = claimed(payloads.id()?)?;
    let known: Vec<Arc<Remote>> = remotes.iter().filter(|remote| remote.takes(&identity)).cloned().collect();
    if known.is_empty() {
        return Err(stranger(&identity, remotes.iter()));
    }
    let (agreed, _, suited) = super::main_mode::agree(payloads.sa()?, known, core)?;
    let remote = suited.first().ok_or(Error::Misuse("no remote is configured"))?;
    let remote = remote.for_peer(ends.local.ip(), &identity);
    // A value and perhaps a signature are computed for a stranger: not more often than it answers strangers at all.
    if !core.exchanging.is_again() && !core.may_react() {
        return Ok(());
    }
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::NOT_BUILT_IN)?;
    let theirs = payloads.ke()?.0.clone();
    let (public, shared) = core.respond(agreed.suite.ke, &theirs)?;
    let mut abilities = Abilities::default();
    abilities.note(payloads.all());
    let material = Material {
        agreed,
        algs,
        sa: payloads.body(PayloadType::V1_SA).to_vec(),
        nonces: (payloads.nonce()?.shared(), core.nonce()),
        publics: (theirs, public),
        shared,
    };
    let secured = material.secure(&remote, &ends)?;
    let opening = Box::new(Opening {
        remotes: vec![remote.clone()],
        wants: Vec::new(),
        replaces: None,
        step: Step::Handled,
        abilities,
        received: Vec::new(),
        sent: Vec::new(),
        retry: None,
        expire_at: core.now + limits::HALF_OPEN_LIFETIME,
        reported: false,
    });
    let peer = Some((identity, payloads.clone()));
    let keyed = Keyed::new(remote, secured, material, datagram.data, peer);
    if let Some(sa) = asking::proven(opening, ends, Turn::Aggressive2, keyed, core) {
        core.table.insert(sa);
    }
    Ok(())
}

/// Sends message 2: `HDR, SA, KE, Nr, IDir, [CERT...,] HASH_R or SIG_R, NAT-D, NAT-D, [CERTREQ...,] VID...`
pub(super) fn send_2(
    mut opening: Box<Opening>,
    ends: Ends,
    keyed: Keyed,
    proof: Payload,
    core: &mut Core,
) -> Result<IkeSa, Error> {
    let Keyed { remote, secured, material, received, peer, .. } = keyed;
    let (identity, payloads) = peer.ok_or(Error::Misuse("no remote is configured"))?;
    let Agreed { suite, method, .. } = material.agreed;
    let (_, answer) = offer::choose(payloads.sa()?, &[suite], &[method], &core.crypto).ok_or(Error::NOT_BUILT_IN)?;
    let mut reply = vec![Payload::Sa(answer), Payload::Ke(Opaque(material.publics.1.clone()))];
    reply.extend(Nonce::new(material.nonces.1.clone()).map(Payload::Nonce));
    reply.push(Payload::Id(id_payload(&remote.local_id)));
    reply.extend(proof::certificates(&remote));
    reply.push(proof);
    let abilities = opening.abilities;
    if let Some(nat_t) = abilities.nat_t {
        reply.extend(nat::payloads(nat_t, &material.algs, ends.spis(), ends.local, ends.peer, remote.encap));
    }
    reply.extend(proof::requests(opening.remotes.iter()));
    reply.extend(abilities.payloads());
    reply.extend(xauth::of(&remote).map(|_| Abilities::xauth()));
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&reply)?);
    let id = payloads.body(PayloadType::V1_ID).to_vec();
    opening.step = Step::AggressiveAnswered(Box::new(Answered { secured, material, remote, identity, id }));
    opening.send(&ends, &received, message, core);
    Ok(opening.keep(ends))
}

/// Takes messages 2 and 3.
pub(super) fn handle(
    mut opening: Box<Opening>,
    ends: Ends,
    message: Message,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Option<IkeSa> {
    let header = message.header;
    let step = core::mem::replace(&mut opening.step, Step::Handled);
    match (message.content, step) {
        (Content::Clear(chain), Step::AggressiveOffered(offered)) => {
            let payloads = Payloads::clear(chain, datagram.data);
            let remote = opening.remotes.first().cloned()?;
            let mut abilities = opening.abilities;
            abilities.note(payloads.all());
            let ours = Ends { spi_r: header.responder_spi, local: datagram.local, ..ends.clone() };
            match conclude(&remote, &ours, &offered, payloads, datagram, core) {
                Ok((ends, keyed, now)) => {
                    opening.abilities = abilities;
                    asking::judged(opening, ends, now, Turn::Aggressive2Came, keyed, core)
                }
                Err(error) => {
                    opening.step = Step::AggressiveOffered(offered);
                    Some(opening.refuse(ends, &error, (&header, datagram), core))
                }
            }
        }
        // RFC 2409 §5.4 leaves the third message in clear or encrypted to the initiator.
        (content, Step::AggressiveAnswered(answered)) => {
            let opened = match content {
                Content::Clear(chain) => Some((Payloads::clear(chain, datagram.data), answered.secured.iv.clone())),
                Content::Encrypted(first) => answered.secured.open(&answered.secured.iv, first, datagram.data),
            };
            let judged = opened.ok_or(Error::Violation("a message that this key does not open"));
            let judged = judged.and_then(|(payloads, iv)| {
                let Answered { secured, material, remote, identity, id } = &*answered;
                let now = material.judge(secured, remote, true, &payloads, (identity, id))?;
                Ok((payloads, iv, now))
            });
            match judged {
                Ok((payloads, iv, now)) => {
                    let Answered { mut secured, material, remote, identity, .. } = *answered;
                    secured.iv = iv;
                    let mut ends = Ends { local: datagram.local, peer: datagram.remote, ..ends };
                    let spis = ends.spis();
                    let detected = nat::detect(&material.algs, spis, &payloads, datagram.local, datagram.remote);
                    ends.nat = detected.unwrap_or_default();
                    ends.nat.ours |= detected.is_some() && remote.encap;
                    let peer = Some((identity, payloads));
                    let keyed = Keyed::new(remote, secured, material, datagram.data, peer);
                    asking::judged(opening, ends, now, Turn::Aggressive3Came, keyed, core)
                }
                Err(error) => {
                    core.counters.forged += 1;
                    opening.step = Step::AggressiveAnswered(answered);
                    opening.report(&ends, &error, core);
                    Some(opening.keep(ends))
                }
            }
        }
        (_, step) => {
            core.counters.unexpected += 1;
            opening.step = step;
            Some(opening.keep(ends))
        }
    }
}

/// Takes message 2: there are keys, and the peer says who it is.
fn conclude(
    remote: &Arc<Remote>,
    ends: &Ends,
    offered: &Offered,
    payloads: Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(Ends, Keyed, Now<()>), Error> {
    rules::require(&payloads, rules::AGGRESSIVE)?;
    if ends.spi_r == IkeSpi::ZERO {
        return Err(Error::Violation("the responder's cookie is zero"));
    }
    let method = proof::method(remote, true, &core.crypto)?;
    let agreed = offer::answered(payloads.sa()?, &offered.suites, method, &core.crypto)
        .ok_or(Error::Violation("the chosen proposal was not offered"))?;
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::NOT_BUILT_IN)?;
    let theirs = payloads.ke()?.0.clone();
    let shared = core.agree(agreed.suite.ke, &offered.private, &theirs)?;
    let material = Material {
        agreed,
        algs,
        sa: offered.sa.clone(),
        nonces: (offered.nonce.clone(), payloads.nonce()?.shared()),
        publics: (offered.private.public().to_vec(), theirs),
        shared,
    };
    let identity = claimed(payloads.id()?)?;
    if !remote.takes(&identity) {
        return Err(stranger(&identity, core::iter::once(remote)));
    }
    let remote = remote.for_peer(ends.local.ip(), &identity);
    let secured = material.secure(&remote, ends)?;
    let now = material.judge(&secured, &remote, false, &payloads, (&identity, payloads.body(PayloadType::V1_ID)))?;
    let mut ends = ends.clone();
    let detected = nat::detect(&algs, ends.spis(), &payloads, datagram.local, datagram.remote);
    ends.nat = detected.unwrap_or_default();
    ends.nat.ours |= detected.is_some() && remote.encap;
    ends.float();
    let peer = Some((identity, payloads));
    Ok((ends, Keyed::new(remote, secured, material, datagram.data, peer), now))
}

/// Makes message 3: `HDR*, [CERT...,] HASH_I or SIG_I, NAT-D, NAT-D [, N(INITIAL-CONTACT)]`
pub(super) fn message_3(
    abilities: Abilities,
    ends: &Ends,
    mut keyed: Keyed,
    proof: Payload,
    core: &Core,
) -> Result<(Keyed, Vec<u8>), Error> {
    let Keyed { remote, material, .. } = &keyed;
    let mut payloads = proof::certificates(remote);
    payloads.push(proof);
    let detected = keyed.peer.as_ref().is_some_and(|(_, payloads)| nat::is_detected(payloads));
    if let Some(nat_t) = abilities.nat_t.filter(|_| detected) {
        payloads.extend(nat::payloads(nat_t, &material.algs, ends.spis(), ends.local, ends.peer, remote.encap));
    }
    payloads.extend(initial_contact(remote, ends, core));
    let sealed = keyed.secured.seal(&keyed.secured.iv, ends.header_v1(EXCHANGE, 0), &payloads);
    let (message, iv) = sealed?;
    keyed.secured.iv = iv;
    Ok((keyed, message))
}
