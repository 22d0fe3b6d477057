//! The exchanges of IKEv1, one file each, and what those of phase 1 have in common.
//!
//! ```text
//!   phase 1   main_mode.rs    HDR, SA -->   <-- HDR, SA   HDR, KE, Ni -->   <-- HDR, KE, Nr
//!                             HDR*, IDii, HASH_I -->   <-- HDR*, IDir, HASH_R
//!             aggressive.rs   HDR, SA, KE, Ni, IDii -->   <-- HDR, SA, KE, Nr, IDir, HASH_R   HDR*, HASH_I -->
//!             proof.rs        HASH, or with certificates CERT, SIG; asking.rs waits for who signs and judges
//!   phase 2   quick_mode.rs   HDR*, HASH(1), SA, Ni [, KE], IDci, IDcr -->
//!                             <-- HDR*, HASH(2), SA, Nr [, KE], IDci, IDcr   HDR*, HASH(3) -->
//!             informational.rs   HDR*, HASH(1), N or D -->
//!   between   transaction.rs   HDR*, HASH, ATTR -->   <-- HDR*, HASH, ATTR: xauth.rs, mode_config.rs
//! ```
//! Whoever began repeats what is not answered. A responder of phase 1 never does by itself: it answers each message
//! once, and again when that message comes again, so nobody can use it to flood others.
//! Read RFC 2409 §5 and RFC 2408 §5.1 before changing this folder.

pub(crate) mod aggressive;
mod asking;
pub(crate) mod informational;
pub(crate) mod main_mode;
pub(crate) mod mode_config;
mod proof;
pub(crate) mod quick_mode;
pub(crate) mod transaction;
pub(crate) mod xauth;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::identity::Identity;
use ravelin_types::proposal::IkeSuite;
use ravelin_types::{IkeSpi, Instant};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v1::{AnySpi, Chain, Content, Doi, Id, Message, Notify, NotifyType, Payload, emit};

use self::asking::Asking;
use self::proof::Material;
use super::message::{Payloads, Secured};
use super::offer::{self as proposals, Agreed};
use super::vendor::Abilities;
use crate::config::{IkeVersion, Remote, V1};
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::gateways;
use crate::host_names;
use crate::ike_sa::{self, Ends, IkeSa};
use crate::input::Datagram;
use crate::limits;
use crate::nat::{IKE_PORT, NAT_PORT};
use crate::output::OpId;
use crate::question::Answer;
use crate::retry::{Due, Retry};
use crate::sa_table::InitKey;
use crate::sealed::Sealed;
use crate::v1::phase::Phase;
use crate::want::Want;

/// Phase 1 is under way.
pub(crate) struct Opening {
    /// The remote, or those that the peer may turn out to be, likeliest first; never empty.
    pub(crate) remotes: Vec<Arc<Remote>>,
    /// What the SA is for.
    pub(crate) wants: Vec<Want>,
    /// Our SPI of the ISAKMP SA that this one takes the place of.
    pub(crate) replaces: Option<IkeSpi>,
    step: Step,
    abilities: Abilities,
    /// The message of the peer that was handled last.
    received: Vec<u8>,
    /// Our last message.
    sent: Vec<u8>,
    /// Its repetition, where we began.
    retry: Option<Retry>,
    expire_at: Instant,
    /// A failure was reported; those of unprotected messages are reported once to each who waits.
    reported: bool,
}

/// Which message was sent last, with what is needed to judge the next.
enum Step {
    /// Nothing yet: that of aggressive mode has our value, which may take long to make (`exchanging.rs`).
    Begun,
    /// Main mode, 1.
    MainOffered { suites: Vec<IkeSuite>, sa: Vec<u8> },
    /// Main mode, 2.
    MainChosen { agreed: Agreed, sa: Vec<u8> },
    /// Main mode, 3.
    MainValueSent(Box<main_mode::ValueSent>),
    /// Main mode, 4.
    MainValueAnswered(Box<Material>),
    /// Main mode, 5.
    MainIdSent(Box<(Arc<Remote>, Secured, Material)>),
    /// Aggressive mode, 1.
    AggressiveOffered(Box<aggressive::Offered>),
    /// Aggressive mode, 2.
    AggressiveAnswered(Box<aggressive::Answered>),
    /// Somebody outside signs or judges.
    Asking(Box<Asking>),
    /// Taken out while it is dealt with.
    Handled,
}

impl Opening {
    /// Name of the likeliest remote.
    pub(crate) fn remote_name(&self) -> &str {
        self.remotes.first().map_or("", |remote| &remote.name)
    }

    /// [`IkeSa::join`](crate::ike_sa::IkeSa::join)
    pub(crate) fn join(&mut self) -> &mut Vec<Want> {
        self.reported = false;
        &mut self.wants
    }

    /// For listings.
    pub(crate) fn state_name(&self) -> &'static str {
        match &self.step {
            Step::Begun | Step::AggressiveOffered(_) | Step::AggressiveAnswered(_) => "AGGRESSIVE",
            Step::Asking(asking) if asking.turn.is_aggressive() => "AGGRESSIVE",
            _ => "MAIN_MODE",
        }
    }

    /// For listings.
    pub(crate) fn suite(&self) -> Option<IkeSuite> {
        match &self.step {
            Step::Begun | Step::MainOffered { .. } | Step::AggressiveOffered(_) | Step::Handled => None,
            Step::MainChosen { agreed, .. } => Some(agreed.suite),
            Step::MainValueSent(sent) => Some(sent.agreed.suite),
            Step::MainValueAnswered(material) => Some(material.agreed.suite),
            Step::MainIdSent(sent) => Some(sent.1.suite),
            Step::AggressiveAnswered(answered) => Some(answered.secured.suite),
            Step::Asking(asking) => Some(asking.keyed.secured.suite),
        }
    }

    /// What was agreed on, once there are keys.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        match &self.step {
            Step::MainIdSent(sent) => Some(&sent.1),
            Step::AggressiveAnswered(answered) => Some(&answered.secured),
            Step::Asking(asking) => Some(&asking.keyed.secured),
            _ => None,
        }
    }

    /// Name of the exchange in reports.
    fn exchange_name(&self) -> &'static str {
        match self.state_name() {
            "AGGRESSIVE" => "Aggressive Mode",
            _ => "Main Mode",
        }
    }

    fn exchange(&self) -> ExchangeType {
        match self.state_name() {
            "AGGRESSIVE" => ExchangeType::AGGRESSIVE,
            _ => ExchangeType::IDENTITY_PROTECTION,
        }
    }

    /// Whether we began it.
    pub(crate) fn is_ours(&self) -> bool {
        self.retry.is_some()
    }

    pub(crate) fn deadline(&self) -> Instant {
        match &self.step {
            Step::Asking(asking) => asking.expire_at,
            Step::Begun => self.expire_at,
            _ => self.retry.as_ref().map_or(self.expire_at, Retry::at),
        }
    }

    /// The answer to a question of it. `None`: the SA is gone.
    pub(crate) fn answered(self: Box<Self>, ends: Ends, op: OpId, answer: Answer, core: &mut Core) -> Option<IkeSa> {
        asking::answered(self, ends, op, answer, core)
    }

    /// Our value is there.
    pub(crate) fn take_up(self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if !matches!(self.step, Step::Begun) {
            return Some(self.keep(ends));
        }
        let place = self.place(&ends);
        if let Err(error) = aggressive::offer(*self, ends, core) {
            core.failed(error.failure(place));
        }
        None
    }

    /// It ends here, without a word to the peer.
    pub(crate) fn abandon(&self, core: &mut Core) {
        if let Step::Asking(asking) = &self.step {
            asking.withdraw(core);
        }
    }

    /// Takes a message that carries the cookies of this SA. `None`: the SA is gone.
    pub(crate) fn handle(
        mut self: Box<Self>,
        ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        if let Step::Asking(asking) = &mut self.step {
            asking.wait(header, datagram, core);
            return Some(self.keep(ends));
        }
        if header.exchange == ExchangeType::INFORMATIONAL_V1 {
            return Some(self.told(ends, message.content, datagram, core));
        }
        if datagram.data == self.received {
            core.counters.repeated += 1;
            // RFC 2408 §5.1: a responder repeats its answer when the question comes again, and at no other time.
            if !ends.initiator {
                let ends = (datagram.local, datagram.remote);
                core.transmit_v1(ends, self.sent.clone(), self.abilities, limits::V1_REPEAT);
            }
            return Some(self.keep(ends));
        }
        if header.exchange != self.exchange() || header.message_id != 0 {
            core.counters.unexpected += 1;
            return Some(self.keep(ends));
        }
        match self.step {
            Step::AggressiveOffered(_) | Step::AggressiveAnswered(_) => {
                aggressive::handle(self, ends, message, datagram, core)
            }
            _ => main_mode::handle(self, ends, message, datagram, core),
        }
    }

    pub(crate) fn timer(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        if let Step::Asking(asking) = &self.step {
            let waits = core.now < asking.expire_at;
            if !waits {
                asking.overdue(&self, &ends, core);
            }
            return waits.then(|| self.keep(ends));
        }
        if let Step::Begun = self.step {
            let waits = core.now < self.expire_at;
            if !waits {
                let error = Error::Misuse("nobody computed our value for the key exchange in time");
                core.failed(error.failure(self.place(&ends)));
            }
            return waits.then(|| self.keep(ends));
        }
        let Some(retry) = &mut self.retry else {
            return (core.now < self.expire_at).then(|| self.keep(ends));
        };
        match retry.due(core.now) {
            Due::Later => {}
            Due::Again(message, sent) => {
                let message = message.first().to_vec();
                core.transmit_v1((ends.local, ends.peer), message, self.abilities, sent);
            }
            Due::GiveUp => {
                let place = self.place(&ends);
                if let Some(remote) = self.remotes.first() {
                    gateways::silent(remote, (place, self.reported), self.wants, self.replaces, core);
                }
                return None;
            }
        }
        Some(self.keep(ends))
    }

    /// An informational message before the peer has proved who it is: it proves nothing, but the operator may want to
    /// know (history rows 13, 15, 30, 39).
    fn told(mut self: Box<Self>, ends: Ends, content: Content, datagram: Datagram<'_>, core: &mut Core) -> IkeSa {
        let Content::Clear(chain) = content else {
            core.counters.forged += 1;
            return self.keep(ends);
        };
        let payloads = Payloads::clear(chain, datagram.data);
        let error = payloads.notifies().find(|notify| notify.kind.is_error()).map(|notify| notify.kind);
        match error.filter(|_| ends.initiator && datagram.remote.ip() == ends.peer.ip()) {
            Some(kind) => {
                if let Some(retry) = &mut self.retry {
                    retry.hurry();
                }
                let error = match self.remotes.first() {
                    Some(remote) => asking::refusal(remote, kind),
                    None => Error::RefusedV1(kind),
                };
                self.report(&ends, &error, core);
            }
            None => core.counters.unexpected += 1,
        }
        self.keep(ends)
    }

    fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::Opening(self).with(ends)
    }

    fn place(&self, ends: &Ends) -> Place {
        let policy = self.wants.first().map(|want| want.policy);
        ends.place(self.remote_name(), self.exchange_name(), policy)
    }

    /// Tells the operator, once.
    fn report(&mut self, ends: &Ends, error: &Error, core: &mut Core) {
        if !self.reported {
            self.reported = true;
            let offered = || match &self.step {
                Step::MainOffered { suites, .. } => suites.iter().map(proposals::suite_line).collect(),
                Step::AggressiveOffered(offered) => offered.suites.iter().map(proposals::suite_line).collect(),
                _ => Vec::new(),
            };
            core.failed(error.failure_with_offer(self.place(ends), |_| offered()));
        }
    }

    /// Counts a message that is no step of the exchange, and goes on waiting for one that is; or keeps one until its key
    /// exchange is done.
    fn refuse(
        mut self: Box<Self>,
        ends: Ends,
        error: &Error,
        (header, datagram): (&Header, Datagram<'_>),
        core: &mut Core,
    ) -> IkeSa {
        match error {
            Error::PutOff => core.put_off_message(ends.our_spi(), header, datagram, !ends.initiator),
            error => {
                core.counters.malformed += 1;
                // RFC 2408 §5.7: the peer is told of a value that is none, once, since anybody can have sent it.
                if matches!(error, Error::BadPublicValue) && !self.reported && core.may_react() {
                    tell(*header, error.notify_v1(), datagram, core);
                }
                self.report(&ends, error, core);
            }
        }
        self.keep(ends)
    }

    /// Sends the next message and waits for the answer to it.
    fn send(&mut self, ends: &Ends, received: &[u8], message: Vec<u8>, core: &mut Core) {
        self.received = received.to_vec();
        self.sent = message.clone();
        if let Some(retry) = &mut self.retry {
            let schedule = self.remotes.first().map(|remote| remote.retransmission).unwrap_or_default();
            *retry = Retry::new(Sealed::whole(message.clone()), schedule, core.now);
        }
        core.transmit_v1((ends.local, ends.peer), message, self.abilities, 0);
    }
}

/// Begins phase 1 with `remote` for what is wanted, in the place of another ISAKMP SA if need be.
pub(crate) fn begin(remote: Arc<Remote>, wants: Vec<Want>, replaces: Option<IkeSpi>, core: &mut Core) {
    let place = Place {
        remote: Some(remote.name.clone()),
        address: remote.remote,
        policy: wants.first().map(|want| want.policy),
        exchange: if is_aggressive(&remote) { "Aggressive Mode" } else { "Main Mode" },
    };
    let begun = Ends::begin(&remote, None, core).and_then(|ends| offer(remote, wants, replaces, ends, core));
    if let Err(error) = begun {
        core.failed(error.failure(place));
    }
}

/// Begins phase 1 in the place of the ISAKMP SA with these ends, where its peer is.
pub(crate) fn replace(remote: Arc<Remote>, old: &Ends, core: &mut Core) {
    let place = old.place(&remote.name, if is_aggressive(&remote) { "Aggressive Mode" } else { "Main Mode" }, None);
    let begun = old.anew(&remote, core).and_then(|ends| offer(remote, Vec::new(), Some(old.our_spi()), ends, core));
    if let Err(error) = begun {
        core.failed(error.failure(place));
    }
}

fn is_aggressive(remote: &Remote) -> bool {
    matches!(remote.version, IkeVersion::V1(V1 { aggressive: true, .. }))
}

/// Sends the first message.
fn offer(
    remote: Arc<Remote>,
    wants: Vec<Want>,
    replaces: Option<IkeSpi>,
    ends: Ends,
    core: &mut Core,
) -> Result<(), Error> {
    let aggressive = is_aggressive(&remote);
    let suites = proposals::suites(&remote.proposals, &core.crypto);
    if suites.is_empty() {
        return Err(Error::Misuse(
            "nothing of the remote's IKE proposals has a number in IKEv1: name other algorithms, or use IKEv2",
        ));
    }
    let retry = Retry::new(Sealed::whole(Vec::new()), remote.retransmission, core.now);
    let opening = Opening {
        remotes: vec![remote],
        wants,
        replaces,
        step: Step::Begun,
        abilities: Abilities::default(),
        received: Vec::new(),
        sent: Vec::new(),
        retry: Some(retry),
        expire_at: core.now + limits::ANSWER,
        reported: false,
    };
    match aggressive {
        true => aggressive::offer(opening, ends, core),
        false => main_mode::offer(opening, ends, core),
    }
}

/// Takes the first message of a phase 1 that belongs to no SA.
pub(crate) fn respond(message: Message, datagram: Datagram<'_>, core: &mut Core) {
    let header = message.header;
    let Content::Clear(chain) = message.content else {
        core.counters.malformed += 1;
        return;
    };
    if header.message_id != 0 || header.initiator_spi == IkeSpi::ZERO {
        core.counters.malformed += 1;
        return;
    }
    let key: InitKey = (header.initiator_spi, Arc::from((core.crypto.sha1)(&[datagram.data])));
    if let Some(spi) = core.table.begun_by(&key) {
        repeat(spi, datagram, core);
        return;
    }
    if core.exchanging.has(&key) {
        core.counters.repeated += 1;
        return;
    }
    let aggressive = header.exchange == ExchangeType::AGGRESSIVE;
    let payloads = Payloads::clear(chain, datagram.data);
    let place = Place {
        remote: core.remote_name(datagram.remote.ip()),
        address: datagram.remote.ip(),
        policy: None,
        exchange: if aggressive { "Aggressive Mode" } else { "Main Mode" },
    };
    let remotes = candidates(aggressive, &payloads, datagram, core);
    if remotes.is_err() && host_names::hint(core) {
        // The peer asks again, and then it is known whether it is one of ours.
        return;
    }
    let answered = remotes.and_then(|remotes| {
        let (from, waiting) = (datagram.remote.ip(), core.exchanging.strangers());
        let half_open = core.table.half_open().total() + waiting.total();
        let from = core.table.half_open().from(from) + waiting.from(from);
        let full = half_open >= limits::V1_HALF_OPEN || core.table.len() >= limits::IKE_SAS;
        if full || from >= limits::HALF_OPEN_PER_ADDRESS {
            core.counters.refused_half_open += 1;
            return Ok(());
        }
        let ends = Ends { init_key: Some(key.clone()), ..Ends::answer(header.initiator_spi, datagram, core) };
        match aggressive {
            true => aggressive::answer(remotes, ends, &payloads, datagram, core),
            false => main_mode::choose(remotes, ends, &payloads, datagram, core),
        }
    });
    if let Err(Error::PutOff) = answered {
        return core.put_off_first(key, datagram);
    }
    if let Err(error) = answered {
        // One answer to one message, at a limited rate and no longer than it (history rows 18, 71).
        if core.may_react() {
            core.failed(error.failure(place));
            tell(header, error.notify_v1(), datagram, core);
        } else {
            core.counters.malformed += 1;
        }
    }
}

/// The first message came again.
fn repeat(spi: IkeSpi, datagram: Datagram<'_>, core: &mut Core) {
    let sent = core.table.get(spi).and_then(|sa| match &sa.phase {
        ike_sa::Phase::V1(Phase::Opening(opening)) if opening.received == datagram.data => {
            Some((opening.sent.clone(), opening.abilities))
        }
        _ => None,
    });
    match sent {
        Some((sent, abilities)) => {
            core.counters.repeated += 1;
            core.transmit_v1((datagram.local, datagram.remote), sent, abilities, limits::V1_REPEAT);
        }
        None => core.counters.unexpected += 1,
    }
}

/// The remotes at this address that we answer in this mode, the exact ones before those for any address.
fn candidates(
    aggressive: bool,
    payloads: &Payloads,
    datagram: Datagram<'_>,
    core: &Core,
) -> Result<Vec<Arc<Remote>>, Error> {
    let (local, from) = (datagram.local.ip(), datagram.remote.ip());
    let mode = |remote: &&Arc<Remote>| matches!(&remote.version, IkeVersion::V1(v1) if v1.aggressive == aggressive);
    let answers = |exact| {
        let all = core.remotes.near(from).filter(mode);
        all.filter(move |remote| remote.answers(local, from, &core.hosts) == Some(exact))
    };
    let mut found: Vec<Arc<Remote>> = answers(true).chain(answers(false)).cloned().collect();
    found.truncate(limits::V1_CANDIDATES);
    if found.is_empty() {
        let theirs = payloads.sa().map(|sa| proposals::lines(sa, &core.crypto)).unwrap_or_default();
        let ours =
            vec![alloc::format!("no remote for IKEv1 in {} mode", if aggressive { "aggressive" } else { "main" })];
        return Err(Disagreement::new(Part::NoRemote, theirs, ours).into());
    }
    Ok(found)
}

/// `HDR, N`: an error that nobody vouches for, about a message that came in clear.
fn tell(header: Header, kind: NotifyType, datagram: Datagram<'_>, core: &mut Core) {
    let notify = Notify {
        doi: Doi::IPSEC,
        protocol: ravelin_types::proposal::ProtocolId::IKE,
        spi: AnySpi::None,
        kind,
        data: Vec::new(),
    };
    let answer = Header {
        version: Version::V1,
        exchange: ExchangeType::INFORMATIONAL_V1,
        flags: Flags::NONE,
        message_id: 0,
        ..header
    };
    if let Ok(chain) = Chain::new([&Payload::Notify(notify)]) {
        let message = emit(&answer, &chain);
        if message.len() <= datagram.data.len() {
            core.transmit(datagram.way(), message);
        }
    }
}

/// An identity as phase 1 carries it.
fn id_payload(identity: &Identity) -> Id {
    Id { kind: identity.kind(), protocol: 0, port: 0, data: identity.data() }
}

/// The identity that a peer claims.
fn claimed(id: &Id) -> Result<Identity, Error> {
    // RFC 2407 §4.6.2: zero, or the port of IKE.
    if !matches!((id.protocol, id.port), (0, 0) | (17, 0 | IKE_PORT | NAT_PORT)) {
        return Err(Error::Violation("an identity with a port in phase 1"));
    }
    Identity::parse(id.kind, &id.data).ok_or(Error::Violation("an address that does not have the length of its type"))
}

/// The peer is not whom the configuration expects.
fn stranger<'a>(identity: &Identity, expected: impl Iterator<Item = &'a Arc<Remote>>) -> Error {
    let ours = expected.map(|remote| remote.peer_words()).collect();
    Error::Authentication(Disagreement::new(Part::Identity, vec![identity.to_string()], ours))
}

/// The remote with nothing open, for a peer that has not said who it is: with a pre-shared key the identity that we expect
/// must do, or else its address (RFC 2409 §5.4).
fn expected(remote: &Arc<Remote>, ends: &Ends) -> Arc<Remote> {
    let (local, address) = (ends.local.ip(), ends.peer.ip().into());
    let named = remote.for_peer(local, remote.asked_for().unwrap_or(&address));
    if named.local_auth.is_usable() { named } else { remote.for_peer(local, &address) }
}
