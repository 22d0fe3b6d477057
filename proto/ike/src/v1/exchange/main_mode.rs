//! Main mode (RFC 2409 §5.1, §5.4): six messages, the last two encrypted.
//!
//! The responder has the pre-shared key only by the peer's address when it needs it. So it keeps all remotes that may be
//! meant, and takes the one whose key opens the fifth message and whose peer says who it is in there; it is not who has another
//! key of his own. With certificates the identity alone decides.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_crypto::ikev1::Algs;
use ravelin_types::{Identity, IkeSpi};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v1::{Chain, Content, Message, Nonce, Opaque, Payload, Sa, emit};

use super::asking::{self, Keyed, Turn};
use super::proof::{self, Material};
use super::xauth;
use super::{Opening, Step, claimed, expected, id_payload, stranger, tell};
use crate::auth::Now;
use crate::config::{Remote, RemoteAuth};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::{Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::v1::message::{Payloads, Secured};
use crate::v1::offer::{self, Agreed};
use crate::v1::phase::Phase;
use crate::v1::session::initial_contact;
use crate::v1::vendor::Abilities;
use crate::v1::{nat, rules};

const EXCHANGE: ExchangeType = ExchangeType::IDENTITY_PROTECTION;

/// The third message was sent.
pub(super) struct ValueSent {
    pub(super) agreed: Agreed,
    algs: Algs,
    sa: Vec<u8>,
    nonce: Arc<[u8]>,
    private: Arc<dyn KePrivate>,
}

/// Sends the first message: `HDR, SA, VID...`
pub(super) fn offer(mut opening: Opening, ends: Ends, core: &mut Core) -> Result<(), Error> {
    let Some(remote) = opening.remotes.first().cloned() else { return Ok(()) };
    let suites = offer::suites(&remote.proposals, &core.crypto);
    let method = proof::method(&remote, true, &core.crypto)?;
    let sa = offer::sa(&suites, method, remote.lifetime, &core.crypto);
    let mut payloads = vec![Payload::Sa(sa)];
    payloads.extend(Abilities::OURS.payloads());
    payloads.extend(xauth::of(&remote).map(|_| Abilities::xauth()));
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&payloads)?);
    opening.step = Step::MainOffered { suites, sa: body_of_sa(&message) };
    opening.send(&ends, &[], message, core);
    core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
    Ok(())
}

/// The body of the SA payload, which is the first of the message.
pub(super) fn body_of_sa(message: &[u8]) -> Vec<u8> {
    let parsed = Message::parse(message).ok().and_then(|parsed| match parsed.content {
        Content::Clear(chain) => Some(Payloads::clear(chain, message).body(PayloadType::V1_SA).to_vec()),
        Content::Encrypted(_) => None,
    });
    parsed.unwrap_or_default()
}

/// Takes the first message and answers: `HDR, SA, VID...`
pub(super) fn choose(
    remotes: Vec<Arc<Remote>>,
    ends: Ends,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(), Error> {
    rules::require(payloads, rules::SA)?;
    let (agreed, answer, remotes) = agree(payloads.sa()?, remotes, core)?;
    let mut abilities = Abilities::default();
    abilities.note(payloads.all());
    let mut reply = vec![Payload::Sa(answer)];
    reply.extend(abilities.payloads());
    reply.extend(remotes.iter().find_map(|remote| xauth::of(remote)).map(|_| Abilities::xauth()));
    let message = emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&reply)?);
    if message.len() > datagram.data.len() {
        return Err(Error::Violation("an offer shorter than its answer"));
    }
    let mut opening = Opening {
        remotes,
        wants: Vec::new(),
        replaces: None,
        step: Step::MainChosen { agreed, sa: payloads.body(PayloadType::V1_SA).to_vec() },
        abilities,
        received: Vec::new(),
        sent: Vec::new(),
        retry: None,
        expire_at: core.now + limits::HALF_OPEN_LIFETIME,
        reported: false,
    };
    opening.send(&ends, datagram.data, message, core);
    core.table.insert(Phase::Opening(Box::new(opening)).with(ends));
    Ok(())
}

/// The first candidate's suite, the answer, and all candidates that it suits.
pub(super) fn agree(
    offered: &Sa,
    remotes: Vec<Arc<Remote>>,
    core: &Core,
) -> Result<(Agreed, Sa, Vec<Arc<Remote>>), Error> {
    let mut agreed: Option<(Agreed, Sa)> = None;
    let mut suited = Vec::new();
    let mut ours = Vec::new();
    for remote in remotes {
        let suites = offer::suites(&remote.proposals, &core.crypto);
        let Ok(method) = proof::method(&remote, false, &core.crypto) else { continue };
        match (offer::choose(offered, &suites, &[method], &core.crypto), &agreed) {
            (Some(first), None) => {
                agreed = Some(first);
                suited.push(remote);
            }
            (Some((other, _)), Some((first, _))) if (other.suite, other.method) == (first.suite, first.method) => {
                suited.push(remote);
            }
            (Some(_), Some(_)) => {}
            (None, _) => {
                ours.extend(suites.iter().map(|suite| alloc::format!("{}, {method}", offer::suite_line(suite))))
            }
        }
    }
    match agreed {
        Some((agreed, answer)) => Ok((agreed, answer, suited)),
        None => {
            ours.truncate(limits::REPORT_LINES);
            Err(Disagreement::new(Part::IkeProposal, offer::lines(offered, &core.crypto), ours).into())
        }
    }
}

/// Takes messages 2 to 6.
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
        (Content::Clear(chain), Step::MainOffered { suites, sa }) => {
            let payloads = Payloads::clear(chain, datagram.data);
            let ours = Ends { spi_r: header.responder_spi, local: datagram.local, ..ends.clone() };
            match value(&mut opening, &ours, &suites, &sa, &payloads, core) {
                Ok((sent, message)) => {
                    opening.step = Step::MainValueSent(Box::new(sent));
                    opening.send(&ours, datagram.data, message, core);
                    Some(opening.keep(ours))
                }
                Err(error) => {
                    opening.step = Step::MainOffered { suites, sa };
                    Some(opening.refuse(ends, &error, (&header, datagram), core))
                }
            }
        }
        (Content::Clear(chain), Step::MainChosen { agreed, sa }) => {
            let payloads = Payloads::clear(chain, datagram.data);
            match answer_value(&opening, &ends, &agreed, &sa, &payloads, datagram, core) {
                Ok((ends, material, message)) => {
                    opening.step = Step::MainValueAnswered(Box::new(material));
                    opening.send(&ends, datagram.data, message, core);
                    Some(opening.keep(ends))
                }
                Err(error) => {
                    opening.step = Step::MainChosen { agreed, sa };
                    Some(opening.refuse(ends, &error, (&header, datagram), core))
                }
            }
        }
        (Content::Clear(chain), Step::MainValueSent(sent)) => {
            let payloads = Payloads::clear(chain, datagram.data);
            let remote = opening.remotes.first().cloned()?;
            match identify(&remote, &ends, &sent, &payloads, datagram, core) {
                Ok((ends, keyed)) => asking::proven(opening, ends, Turn::Main5, keyed, core),
                Err(error) => {
                    opening.step = Step::MainValueSent(sent);
                    Some(opening.refuse(ends, &error, (&header, datagram), core))
                }
            }
        }
        (Content::Encrypted(first), Step::MainValueAnswered(material)) => {
            opening.step = Step::MainValueAnswered(material);
            admit(opening, ends, first, header, datagram, core)
        }
        (Content::Encrypted(first), Step::MainIdSent(sent)) => {
            opening.step = Step::MainIdSent(sent);
            conclude(opening, ends, first, datagram, core)
        }
        (_, step) => {
            core.counters.unexpected += 1;
            opening.step = step;
            Some(opening.keep(ends))
        }
    }
}

/// Takes message 2 and makes message 3: `HDR, KE, Ni, NAT-D, NAT-D [, CERTREQ...]`
fn value(
    opening: &mut Opening,
    ends: &Ends,
    suites: &[ravelin_types::proposal::IkeSuite],
    sa: &[u8],
    payloads: &Payloads,
    core: &mut Core,
) -> Result<(ValueSent, Vec<u8>), Error> {
    rules::require(payloads, rules::SA)?;
    if ends.spi_r == IkeSpi::ZERO {
        return Err(Error::Violation("the responder's cookie is zero"));
    }
    let remote = opening.remotes.first().ok_or(Error::Misuse("no remote is configured"))?;
    let method = proof::method(remote, true, &core.crypto)?;
    let agreed = offer::answered(payloads.sa()?, suites, method, &core.crypto)
        .ok_or(Error::Violation("the chosen proposal was not offered"))?;
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::NOT_BUILT_IN)?;
    opening.abilities.note(payloads.all());
    let private = core.generate(agreed.suite.ke)?;
    let nonce = core.nonce();
    let message = value_message(opening, ends, &algs, private.public(), &nonce)?;
    Ok((ValueSent { agreed, algs, sa: sa.to_vec(), nonce, private }, message))
}

/// `HDR, KE, N, NAT-D, NAT-D [, CERTREQ...]`
fn value_message(opening: &Opening, ends: &Ends, algs: &Algs, public: &[u8], nonce: &[u8]) -> Result<Vec<u8>, Error> {
    let mut payloads = vec![Payload::Ke(Opaque(public.to_vec()))];
    payloads.extend(Nonce::new(nonce).map(Payload::Nonce));
    if let Some(nat_t) = opening.abilities.nat_t {
        let pose = opening.remotes.iter().any(|remote| remote.encap);
        payloads.extend(nat::payloads(nat_t, algs, ends.spis(), ends.local, ends.peer, pose));
    }
    payloads.extend(proof::requests(opening.remotes.iter()));
    Ok(emit(&ends.header_v1(EXCHANGE, 0), &Chain::new(&payloads)?))
}

/// Takes message 3 and makes message 4.
fn answer_value(
    opening: &Opening,
    ends: &Ends,
    agreed: &Agreed,
    sa: &[u8],
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(Ends, Material, Vec<u8>), Error> {
    rules::require(payloads, rules::KE)?;
    let algs = Algs::find(&core.crypto, &agreed.suite).ok_or(Error::NOT_BUILT_IN)?;
    let theirs = payloads.ke()?.0.clone();
    let (public, shared) = core.respond(agreed.suite.ke, &theirs)?;
    let nonce = core.nonce();
    let detected = nat::detect(&algs, ends.spis(), payloads, datagram.local, datagram.remote);
    let mut ends = Ends { local: datagram.local, peer: datagram.remote, ..ends.clone() };
    ends.nat = detected.unwrap_or_default();
    ends.nat.ours |= detected.is_some() && opening.remotes.iter().any(|remote| remote.encap);
    let message = value_message(opening, &ends, &algs, &public, &nonce)?;
    let material = Material {
        agreed: *agreed,
        algs,
        sa: sa.to_vec(),
        nonces: (payloads.nonce()?.shared(), nonce),
        publics: (theirs, public),
        shared,
    };
    Ok((ends, material, message))
}

/// Takes message 4: there are keys.
fn identify(
    remote: &Arc<Remote>,
    ends: &Ends,
    sent: &ValueSent,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Result<(Ends, Keyed), Error> {
    rules::require(payloads, rules::KE)?;
    let theirs = payloads.ke()?.0.clone();
    let shared = core.agree(sent.agreed.suite.ke, &sent.private, &theirs)?;
    let material = Material {
        agreed: sent.agreed,
        algs: sent.algs,
        sa: sent.sa.clone(),
        nonces: (sent.nonce.clone(), payloads.nonce()?.shared()),
        publics: (sent.private.public().to_vec(), theirs),
        shared,
    };
    let closed = expected(remote, ends);
    let secured = material.secure(&closed, ends)?;
    let mut ends = ends.clone();
    let detected = nat::detect(&sent.algs, ends.spis(), payloads, datagram.local, datagram.remote);
    ends.nat = detected.unwrap_or_default();
    ends.nat.ours |= detected.is_some() && remote.encap;
    ends.float();
    Ok((ends, Keyed::new(closed, secured, material, datagram.data, None)))
}

/// Sends message 5: `HDR*, IDii, [CERT...,] HASH_I or SIG_I [, N(INITIAL-CONTACT)]`
pub(super) fn send_5(
    mut opening: Box<Opening>,
    ends: Ends,
    keyed: Keyed,
    proof: Payload,
    core: &mut Core,
) -> Result<IkeSa, Error> {
    let Keyed { remote, mut secured, material, received, .. } = keyed;
    let mut payloads = identity(&remote, proof);
    payloads.extend(initial_contact(&remote, &ends, core));
    let (message, iv) = secured.seal(&secured.iv, ends.header_v1(EXCHANGE, 0), &payloads)?;
    secured.iv = iv;
    opening.step = Step::MainIdSent(Box::new((remote, secured, material)));
    opening.send(&ends, &received, message, core);
    Ok(opening.keep(ends))
}

/// `ID, [CERT...,] HASH or SIG`
fn identity(remote: &Remote, proof: Payload) -> Vec<Payload> {
    let mut payloads = vec![Payload::Id(id_payload(&remote.local_id))];
    payloads.extend(proof::certificates(remote));
    payloads.push(proof);
    payloads
}

/// Takes message 5.
fn admit(
    mut opening: Box<Opening>,
    ends: Ends,
    first: PayloadType,
    header: ravelin_wire::ike::header::Header,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Option<IkeSa> {
    // The configuration may have changed since: whoever is not in it any more is nobody.
    opening.remotes = opening.remotes.iter().filter_map(|remote| core.current(remote)).collect();
    let step = core::mem::replace(&mut opening.step, Step::Handled);
    let Step::MainValueAnswered(material) = step else { return None };
    match recognise(&opening.remotes, &material, &ends, first, datagram) {
        Ok(Recognised { remote, secured, identity, payloads, now }) => {
            // The initiator moves to port 4500 with this message when there is a NAT (RFC 3947 §4).
            let ends = Ends { local: datagram.local, peer: datagram.remote, ..ends };
            let (material, peer) = (*material, Some((identity, payloads)));
            let keyed = Keyed::new(remote, secured, material, datagram.data, peer);
            asking::judged(opening, ends, now, Turn::Main5Came, keyed, core)
        }
        Err(error) => {
            opening.step = Step::MainValueAnswered(material);
            core.counters.forged += 1;
            let reported = opening.reported;
            opening.report(&ends, &error, core);
            if !reported && core.may_react() {
                tell(header, error.notify_v1(), datagram, core);
            }
            Some(opening.keep(ends))
        }
    }
}

/// Makes message 6: `HDR*, IDir, [CERT...,] HASH_R or SIG_R`
pub(super) fn message_6(ends: &Ends, mut keyed: Keyed, proof: Payload) -> Result<(Keyed, Vec<u8>), Error> {
    let payloads = identity(&keyed.remote, proof);
    let sealed = keyed.secured.seal(&keyed.secured.iv, ends.header_v1(EXCHANGE, 0), &payloads);
    let (message, iv) = sealed?;
    keyed.secured.iv = iv;
    Ok((keyed, message))
}

/// Who sent message 5.
struct Recognised {
    /// With nothing open.
    remote: Arc<Remote>,
    /// The keys, advanced past the message.
    secured: Secured,
    identity: Identity,
    payloads: Payloads,
    now: Now<()>,
}

/// The remote whose key opens the message and whose peer it comes from.
fn recognise(
    remotes: &[Arc<Remote>],
    material: &Material,
    ends: &Ends,
    first: PayloadType,
    datagram: Datagram<'_>,
) -> Result<Recognised, Error> {
    let mut refusal = None;
    for remote in remotes {
        let used = expected(remote, ends);
        let Ok(mut secured) = material.secure(&used, ends) else { continue };
        // With another key there is no telling text from noise.
        let Some((payloads, iv)) = secured.open(&secured.iv, first, datagram.data) else { continue };
        if let Err(error) = rules::require(&payloads, rules::ID) {
            refusal = refusal.or(Some(error));
            continue;
        }
        let judged = payloads.id().and_then(claimed).and_then(|identity| {
            let id = (&identity, payloads.body(PayloadType::V1_ID));
            let now = material.judge(&secured, remote, true, &payloads, id)?;
            match remote.takes(&identity) && remote.is_keyed_by(&used, &identity) {
                true => Ok((identity, now)),
                false => Err(stranger(&identity, remotes.iter())),
            }
        });
        match judged {
            Ok((identity, now)) => {
                secured.iv = iv;
                let remote = remote.for_peer(ends.local.ip(), &identity);
                return Ok(Recognised { remote, secured, identity, payloads, now });
            }
            Err(error) => refusal = Some(error),
        }
    }
    let ours = remotes.iter().map(|remote| remote.remote_auth.words(&remote.name)).collect();
    Err(refusal.unwrap_or_else(|| material.unproven(UNOPENED.into(), ours)))
}

const UNOPENED: &str = "a message that the keys do not open";

/// The next remote that a peer may be whose message 5 the last one did not believe, and whether that one does.
pub(super) fn next(opening: &Opening, ends: &Ends, turn: Turn, keyed: &Keyed) -> Option<(Arc<Remote>, Now<()>)> {
    let (identity, payloads) = keyed.peer.as_ref().filter(|_| turn == Turn::Main5Came)?;
    if keyed.refusals.len() >= limits::ALTERNATIVES {
        return None;
    }
    let mut behind = opening.remotes.iter().skip_while(|remote| remote.name != keyed.remote.name);
    let before = behind.next()?;
    // The keys are the same for all that have no pre-shared key.
    let signing = |remote: &&Arc<Remote>| matches!(remote.remote_auth, RemoteAuth::Signature(_));
    let alike = |remote: &&Arc<Remote>| remote.has_the_peers_of(before) && remote.takes(identity);
    behind.filter(signing).filter(alike).find_map(|remote| {
        let id = (identity, payloads.body(PayloadType::V1_ID));
        let now = keyed.material.judge(&keyed.secured, remote, true, payloads, id).ok()?;
        Some((remote.for_peer(ends.local.ip(), identity), now))
    })
}

/// Takes message 6.
fn conclude(
    mut opening: Box<Opening>,
    ends: Ends,
    first: PayloadType,
    datagram: Datagram<'_>,
    core: &mut Core,
) -> Option<IkeSa> {
    let step = core::mem::replace(&mut opening.step, Step::Handled);
    let Step::MainIdSent(sent) = step else { return None };
    let (remote, secured, material) = &*sent;
    let judged = secured
        .open(&secured.iv, first, datagram.data)
        .ok_or_else(|| material.unproven(UNOPENED.into(), vec![]))
        .and_then(|(payloads, iv)| {
            rules::require(&payloads, rules::ID)?;
            let identity = claimed(payloads.id()?)?;
            let id = (&identity, payloads.body(PayloadType::V1_ID));
            let now = material.judge(secured, remote, false, &payloads, id)?;
            let takes = |open: &Arc<Remote>| open.takes(&identity) && open.is_keyed_by(remote, &identity);
            match opening.remotes.first().is_some_and(takes) {
                true => Ok((payloads, iv, identity, now)),
                false => Err(stranger(&identity, opening.remotes.iter())),
            }
        });
    match judged {
        Ok((payloads, iv, identity, now)) => {
            let (remote, mut secured, material) = *sent;
            secured.iv = iv;
            let peer = Some((identity, payloads));
            let keyed = Keyed::new(remote, secured, material, datagram.data, peer);
            asking::judged(opening, ends, now, Turn::Main6Came, keyed, core)
        }
        Err(error) => {
            opening.step = Step::MainIdSent(sent);
            core.counters.forged += 1;
            opening.report(&ends, &error, core);
            Some(opening.keep(ends))
        }
    }
}
