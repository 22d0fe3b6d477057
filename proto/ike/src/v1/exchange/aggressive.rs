//! Aggressive mode (RFC 2409 §5.4): three messages, identities in clear.
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

use super::{METHOD, Material, Opening, Step, claimed, hash_payload, id_payload, psk, stranger};
use crate::config::Remote;
use crate::context::Core;
use crate::error::Error;
use crate::ike_sa::{Ends, IkeSa, Live};
use crate::input::Datagram;
use crate::limits;
use crate::nat::NAT_PORT;
use crate::v1::message::{Payloads, Secured};
use crate::v1::offer;
use crate::v1::phase::Phase;
use crate::v1::session::{Origin, Session, initial_contact};
use crate::v1::vendor::Abilities;
use crate::v1::{nat, rules};

const EXCHANGE: ExchangeType = ExchangeType::AGGRESSIVE;

/// The first message was sent.
pub(super) struct Offered {
    pub(super) suites: Vec<IkeSuite>,
    sa: Vec<u8>,
    nonce: Vec<u8>,
    private: Box<dyn KePrivate>,
}

/// The second message was sent.
pub(super) struct Answered {
    pub(super) secured: Secured,
    material: Material,
    remote: Arc<Remote>,
    /// Body of the initiator's ID payload, which HASH_I covers.
    id: Vec<u8>,
}

/// Sends the first message: `HDR, SA, KE, Ni, IDii, VID...`
pub(super) fn offer(mut opening: Opening, ends: Ends, core: &mut Core) -> Result<(), Error> {
    let Some(remote) = opening.remotes.first().cloned() else { return Ok(()) };
    let mut suites = offer::suites(&remote.proposals, &core.crypto);
    // RFC 2409 §5: the group cannot be negotiated, its value goes along.
    let group = suites.first().map(|suite| suite.ke).ok_or(Error::Misuse("the remote has no usable IKE proposal"))?;
    suites.retain(|suite| suite.ke == group);
    let alg = core.crypto.ke(group).ok_or(Error::Misuse("an algorithm is not built in"))?;
    let private = alg.generate(&mut *core.rng);
    let nonce = core.nonce();
    let mut payloads = vec![Payload::Sa(offer::sa(&suites, METHOD, remote.lifetime, &core.crypto))];
    payloads.push(Payload::Ke(Opaque(private.public().to_vec())));
    payloads.extend(Nonce::new(nonce.as_slice()).map(Payload::Nonce));
    payloads.push(Payload::Id(id_payload(&remote.local_id)));
    payloads.extend(Abilities::OURS.payloads());
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&payloads)?);
    let sa = super::main_mode::body_of_sa(&message);
    opening.step = Step::AggressiveOffered(Box::new(Offered { suites, sa, nonce, private }));
    opening.send(&ends, &[], message, core);
    core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
    Ok(())
}

/// Takes the first message and answers: `HDR, SA, KE, Nr, IDir, HASH_R, NAT-D, NAT-D, VID...`
pub(super) fn answer(
    remotes: Vec<Arc<Remote>>,
    ends: Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(), Error> {
    rules::require(payloads, rules::AGGRESSIVE_1)?;
    let identity = claimed(payloads.id()?)?;
    let known: Vec<Arc<Remote>> = remotes.iter().filter(|remote| remote.takes(&identity)).cloned().collect();
    if known.is_empty() {
        return Err(stranger(&identity, remotes.iter()));
    }
    let (agreed, answer, suited) = super::main_mode::agree(payloads.sa()?, known, core)?;
    let remote = suited.first().ok_or(Error::Misuse("no remote is configured"))?;
    let remote = remote.for_peer(ends.local.ip(), &identity);
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::Misuse("an algorithm is not built in"))?;
    let theirs = payloads.ke()?.0.clone();
    let (public, shared) = algs.ke.respond(&theirs, &mut *core.rng).map_err(|_| Error::BadPublicValue)?;
    let mut abilities = Abilities::default();
    abilities.note(payloads.all());
    let material = Material {
        agreed,
        algs,
        sa: payloads.body(PayloadType::V1_SA).to_vec(),
        nonces: (payloads.nonce()?.as_bytes().to_vec(), core.nonce()),
        publics: (theirs, public),
        shared,
    };
    let secured = material.secure(&psk(&remote), &ends)?;
    let own_id = id_payload(&remote.local_id);
    let hash = material.proof(&secured, false, &own_id.body());
    let mut reply = vec![Payload::Sa(answer), Payload::Ke(Opaque(material.publics.1.clone()))];
    reply.extend(Nonce::new(material.nonces.1.as_slice()).map(Payload::Nonce));
    reply.extend([Payload::Id(own_id), hash_payload(hash)]);
    if let Some(nat_t) = abilities.nat_t {
        reply.extend(nat::payloads(nat_t, &algs, ends.spis(), ends.local, ends.peer, remote.encap));
    }
    reply.extend(abilities.payloads());
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&reply)?);
    let id = payloads.body(PayloadType::V1_ID).to_vec();
    let mut opening = Opening {
        remotes: vec![remote.clone()],
        wants: Vec::new(),
        replaces: None,
        step: Step::AggressiveAnswered(Box::new(Answered { secured, material, remote, id })),
        abilities,
        received: Vec::new(),
        sent: Vec::new(),
        retry: None,
        expire_at: core.now + limits::HALF_OPEN_LIFETIME,
        reported: false,
    };
    // A value was computed for a stranger: not more often than it answers strangers at all.
    if !core.may_react() {
        return Ok(());
    }
    opening.send(&ends, datagram.data, message, core);
    core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
    Ok(())
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
    match (message.content, opening.step) {
        (Content::Clear(chain), Step::AggressiveOffered(offered)) => {
            let payloads = Payloads::clear(chain, datagram.data);
            let remote = opening.remotes.first().cloned()?;
            let mut abilities = opening.abilities;
            abilities.note(payloads.all());
            let ours = Ends { spi_r: header.responder_spi, local: datagram.local, ..ends.clone() };
            match conclude(&remote, &ours, &offered, abilities, &payloads, datagram, core) {
                Ok((ends, secured, identity, lifetime, last)) => {
                    opening.step = Step::AggressiveOffered(offered);
                    let Opening { wants, replaces, .. } = *opening;
                    let identities = (remote.local_id.clone(), identity);
                    let origin = Origin { remote, identities, secured, abilities, lifetime, replaces };
                    let mut session = Session::new(origin, &ends, &payloads, core);
                    core.transmit(ends.local, ends.peer, last.clone());
                    session.unconfirmed = Some(last.clone());
                    let mut session = session.with_last(datagram.data, Some(last));
                    wants.into_iter().for_each(|want| session.want(want));
                    session.go_on(ends, core)
                }
                Err(error) => {
                    opening.step = Step::AggressiveOffered(offered);
                    Some(opening.refuse(ends, &error, core))
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
                rules::require(&payloads, rules::HASH)?;
                answered.material.judge(&answered.secured, true, &payloads, &answered.id)?;
                Ok((payloads, iv))
            });
            match judged {
                Ok((payloads, iv)) => {
                    let Answered { mut secured, material, remote, .. } = *answered;
                    secured.iv = iv;
                    let mut ends = Ends { local: datagram.local, peer: datagram.remote, ..ends };
                    let spis = ends.spis();
                    let detected = nat::detect(&material.algs, spis, &payloads, datagram.local, datagram.remote);
                    ends.nat = detected.unwrap_or_default();
                    ends.nat.ours |= detected.is_some() && remote.encap;
                    let origin = Origin {
                        identities: (remote.local_id.clone(), remote.remote_id.clone()),
                        remote,
                        secured,
                        abilities: opening.abilities,
                        lifetime: material.agreed.lifetime,
                        replaces: None,
                    };
                    Session::new(origin, &ends, &payloads, core).with_last(datagram.data, None).go_on(ends, core)
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

type Concluded = (Ends, Secured, Identity, Option<core::time::Duration>, Vec<u8>);

/// Takes message 2 and makes message 3: `HDR*, HASH_I, NAT-D, NAT-D [, N(INITIAL-CONTACT)]`
fn conclude(
    remote: &Arc<Remote>,
    ends: &Ends,
    offered: &Offered,
    abilities: Abilities,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<Concluded, Error> {
    rules::require(payloads, rules::AGGRESSIVE_2)?;
    if ends.spi_r == IkeSpi::ZERO {
        return Err(Error::Violation("the responder's cookie is zero"));
    }
    let agreed = offer::answered(payloads.sa()?, &offered.suites, METHOD, &core.crypto)
        .ok_or(Error::Violation("the chosen proposal was not offered"))?;
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::Misuse("an algorithm is not built in"))?;
    let theirs = payloads.ke()?.0.clone();
    let shared = offered.private.agree(&theirs).map_err(|_| Error::BadPublicValue)?;
    let material = Material {
        agreed,
        algs,
        sa: offered.sa.clone(),
        nonces: (offered.nonce.clone(), payloads.nonce()?.as_bytes().to_vec()),
        publics: (offered.private.public().to_vec(), theirs),
        shared,
    };
    let identity = claimed(payloads.id()?)?;
    if !remote.takes(&identity) {
        return Err(stranger(&identity, core::iter::once(remote)));
    }
    let closed = remote.for_peer(ends.local.ip(), &identity);
    let mut secured = material.secure(&psk(&closed), ends)?;
    material.judge(&secured, false, payloads, payloads.body(PayloadType::V1_ID))?;
    let mut ends = ends.clone();
    let detected = nat::detect(&algs, ends.spis(), payloads, datagram.local, datagram.remote);
    ends.nat = detected.unwrap_or_default();
    ends.nat.ours |= detected.is_some() && remote.encap;
    let hash = material.proof(&secured, true, &id_payload(&remote.local_id).body());
    let mut reply = vec![hash_payload(hash)];
    if ends.nat.any() {
        // RFC 3947 §4: everything after goes to and from port 4500.
        ends.local.set_port(NAT_PORT);
        ends.peer.set_port(NAT_PORT);
    }
    if let Some(nat_t) = abilities.nat_t.filter(|_| detected.is_some()) {
        reply.extend(nat::payloads(nat_t, &algs, ends.spis(), ends.local, ends.peer, remote.encap));
    }
    reply.extend(initial_contact(&remote.name, &ends, core));
    let (message, iv) = secured.seal(&secured.iv, ends.header_v1(EXCHANGE, 0), &reply)?;
    secured.iv = iv;
    Ok((ends, secured, identity, agreed.lifetime, message))
}
