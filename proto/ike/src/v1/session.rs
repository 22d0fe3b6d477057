//! An ISAKMP SA after phase 1: what arrives goes to its exchange; what we have to do waits in `tasks` (task.rs) for the end of
//! the input that asked for it.
//!
//! Read RFC 2409 §5.5 to §5.7 and RFC 2408 §4.3 before changing this file.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_crypto::ikev1::Iv;
use ravelin_types::identity::Identity;
use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::{IkeSpi, Instant, Spi};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v1::{AnySpi, Content, Doi, Message, Notify, NotifyType, Payload};

use super::exchange::informational;
use super::exchange::informational::Probe;
use super::exchange::quick_mode::{self, Exchange, Later};
use super::exchange::transaction::{self, Transaction};
use super::gate::{Arrival, Gate};
use super::ipsec;
use super::message::{Payloads, Secured};
use super::task::Task;
use super::vendor::Abilities;
use crate::children::Children;
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Place, no_answer};
use crate::extensions::Unique;
use crate::gateways;
use crate::ike_sa::{self, Ends, IkeSa, down, make_room};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
use crate::output::{DownReason, Event};
use crate::retry::Due;
use crate::silence::Silence;
use crate::v1::phase::Phase;
use crate::view::IkeSaView;
use crate::want::Want;

/// Phase 1 is over.
pub(crate) struct Session {
    pub(crate) remote: Arc<Remote>,
    /// Ours and the peer's.
    pub(crate) identities: (Identity, Identity),
    pub(crate) secured: Secured,
    pub(crate) abilities: Abilities,
    pub(crate) children: Children,
    /// Quick modes by message ID, and for a while those that are over.
    pub(crate) exchanges: BTreeMap<u32, Exchange>,
    /// Message IDs that the peer has used: none is used twice.
    used: VecDeque<u32>,
    /// XAuth and mode config, by message ID.
    pub(crate) transactions: BTreeMap<u32, Transaction>,
    pub(crate) gate: Gate,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) stage: Stage,
    /// Our SPI of the ISAKMP SA that took its place, and its Child SAs.
    heir: Option<IkeSpi>,
    pub(crate) rekey_at: Option<Instant>,
    expire_at: Option<Instant>,
    pub(super) silence: Silence,
    /// When an unprotected message last made us ask.
    pub(super) hinted: Option<Instant>,
    pub(crate) probe: Option<Probe>,
    pub(crate) probe_number: u32,
    /// What was put off about Child SAs, and until when.
    pub(crate) later: Vec<(Instant, Spi, Later)>,
    /// The last message of phase 1 that we received, and what we answered.
    last: (Vec<u8>, Option<Vec<u8>>),
    /// The last message of phase 1, sent again with our own until the peer shows that it had it: in aggressive mode it has
    /// no answer.
    pub(crate) unconfirmed: Option<Vec<u8>>,
}

/// How long it will be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In use.
    Active,
    /// Another is being made in its place.
    Rekeying,
    /// Another took its place.
    Replaced,
    /// It is to be deleted.
    Closing(DownReason),
}

/// What an ISAKMP SA is made from.
pub(crate) struct Origin {
    pub(crate) remote: Arc<Remote>,
    pub(crate) identities: (Identity, Identity),
    pub(crate) secured: Secured,
    pub(crate) abilities: Abilities,
    /// What the initiator wanted.
    pub(crate) lifetime: Option<Duration>,
    /// Our SPI of the one that it takes the place of.
    pub(crate) replaces: Option<IkeSpi>,
}

impl Session {
    /// The SA stands. `payloads` are those of the peer's last message of phase 1.
    pub(crate) fn new(origin: Origin, ends: &Ends, payloads: &Payloads, core: &mut Core) -> Box<Self> {
        let Origin { remote, identities, secured, abilities, lifetime, replaces } = origin;
        make_room(&remote.name, &identities.1, ends.peer.ip(), core);
        let configured = Some(remote.lifetime).filter(|lifetime| !lifetime.is_zero());
        // Both ends keep the shorter one.
        let announced = ipsec::announced(payloads.notifies(), true);
        let lifetime = [configured, lifetime, announced].into_iter().flatten().min();
        let initial_contact = obeys(&remote) && payloads.notify(NotifyType::INITIAL_CONTACT).is_some();
        let mut session = Box::new(Session {
            rekey_at: lifetime.map(|lifetime| core.now + core.jittered(lifetime - lifetime / 10)),
            expire_at: lifetime.map(|lifetime| core.now + lifetime),
            remote,
            identities,
            secured,
            abilities,
            children: Children::default(),
            exchanges: BTreeMap::new(),
            transactions: BTreeMap::new(),
            gate: Gate::Open,
            used: VecDeque::new(),
            tasks: VecDeque::new(),
            stage: Stage::Active,
            heir: None,
            silence: Silence::new(core.now),
            hinted: None,
            probe: None,
            probe_number: 0,
            later: Vec::new(),
            last: (Vec::new(), None),
            unconfirmed: None,
        });
        session.begin_gate(Arrival { initial_contact, replaces }, ends, core);
        session
    }

    /// Notes the last message of phase 1, and what answered it, for when it comes again.
    pub(crate) fn with_last(mut self: Box<Self>, received: &[u8], answer: Option<Vec<u8>>) -> Box<Self> {
        self.last = (received.to_vec(), answer);
        self
    }

    /// INITIAL-CONTACT: whatever else we hold with these identities is left over from before the peer's crash
    /// (RFC 2407 §4.6.3.3).
    pub(super) fn forget_others(&mut self, ends: &Ends, core: &mut Core) {
        self.drop_others(ends, core);
        self.announce(ends, core);
    }

    fn drop_others(&self, ends: &Ends, core: &mut Core) {
        let others: Vec<IkeSpi> = self.others(ends, core).map(Ends::our_spi).collect();
        for spi in others {
            if let Some(sa) = core.table.take(spi) {
                sa.drop_silently(DownReason::InitialContact, core);
            }
        }
    }

    /// The same said after phase 1, as that allows, too: what was taken over from others goes with them.
    pub(crate) fn first_contact(&mut self, ends: &Ends, core: &mut Core) {
        if !obeys(&self.remote) {
            return;
        }
        if let Gate::Login(_, arrival) = &mut self.gate {
            arrival.initial_contact = true;
            return;
        }
        self.drop_others(ends, core);
        let inherited = self.children.values().filter(|child| child.is_older_than(ends.created));
        for inbound in inherited.map(|child| child.inbound).collect::<Vec<_>>() {
            self.children.take_down(inbound, DownReason::InitialContact, core);
        }
    }

    /// The peer ends it so long from now at the latest (RFC 2407 §4.6.3.1).
    pub(crate) fn shorten(&mut self, lifetime: Duration, core: &mut Core) {
        let expire_at = core.now + lifetime;
        if self.stage == Stage::Active && self.expire_at.is_none_or(|at| expire_at < at) {
            self.expire_at = Some(expire_at);
            self.rekey_at = Some(core.now + core.jittered(lifetime - lifetime / 10));
        }
    }

    /// Child SAs outlive the ISAKMP SA that made them: the newest holds them all.
    pub(super) fn inherit(&mut self, ends: &Ends, replaces: Option<IkeSpi>, core: &mut Core) {
        let mut rekeyed = None;
        // The same identity at another place may be another host: a name that many share, perhaps behind one NAT.
        let same_place =
            |other: &Ends| other.peer.ip() == ends.peer.ip() && (!ends.nat.theirs || other.peer == ends.peer);
        let here = |other: &&Ends| same_place(other) || replaces == Some(other.our_spi());
        let others: Vec<IkeSpi> = self.others(ends, core).filter(here).map(Ends::our_spi).collect();
        for spi in others {
            let Some(sa) = core.table.take(spi) else { continue };
            let IkeSa { ends: old_ends, phase } = sa;
            let ike_sa::Phase::V1(Phase::Session(mut old)) = phase else {
                core.table.insert(IkeSa { ends: old_ends, phase });
                continue;
            };
            if !matches!(old.stage, Stage::Closing(_) | Stage::Replaced) {
                rekeyed = Some(old_ends.spis());
            }
            core.addresses.pass_on(old_ends.our_spi(), ends.our_spi());
            old.children.values().for_each(|child| child.pass_on(ends.our_spi(), core));
            self.children.append(&mut old.children);
            self.later.append(&mut old.later);
            self.tasks.extend(old.tasks.drain(..).filter(|task| !matches!(task, Task::Rekey | Task::Probe)));
            old.rekey_at = None;
            old.heir = Some(ends.our_spi());
            if matches!(old.stage, Stage::Active | Stage::Rekeying) {
                // Deleted before the peer has moved the Child SAs, it would take them with it.
                let ours = replaces == Some(spi);
                old.stage = Stage::Replaced;
                old.expire_at =
                    Some(core.now + if ours { limits::V1_RETIREMENT } else { limits::REPLACED_IKE_LIFETIME });
            }
            if let Some(sa) = old.go_on(old_ends, core) {
                core.table.insert(sa);
            }
        }
        match rekeyed {
            Some(old) => {
                let remote = self.remote.name.clone();
                core.event(Event::IkeRekeyed { remote, old, new: ends.spis() });
            }
            None => self.announce(ends, core),
        }
    }

    /// Where a peer is to have one alone, those that it has elsewhere are deleted: it may have another address by now and have nothing to
    /// say of what it had at the one of before.
    pub(super) fn replace_others(&self, ends: &Ends, core: &mut Core) {
        if self.remote.extensions.unique != Unique::Replace {
            return;
        }
        let usable = |spi: &IkeSpi| match core.table.get(*spi).map(|sa| &sa.phase) {
            Some(ike_sa::Phase::V1(Phase::Session(other))) => other.is_usable(),
            _ => false,
        };
        let others: Vec<IkeSpi> = self.others(ends, core).map(Ends::our_spi).filter(usable).collect();
        for spi in others {
            core.with_ike(spi, |sa, _, _| sa.close(DownReason::Replaced));
        }
    }

    /// The other, older ISAKMP SAs with these identities.
    fn others<'a>(&'a self, ends: &'a Ends, core: &'a Core) -> impl Iterator<Item = &'a Ends> {
        let of_v1 = |sa: &IkeSa| matches!(sa.phase, ike_sa::Phase::V1(Phase::Session(_)));
        let same = move |sa: &&IkeSa| of_v1(sa) && sa.is_between(&self.identities);
        let with = core.table.with_peer(&self.remote.name, &self.identities.1).filter(same);
        with.map(|sa| &sa.ends).filter(|other| other.serial < ends.serial)
    }

    /// What took its place in the end.
    fn heir(&self, core: &Core) -> Option<IkeSpi> {
        let mut heir = self.heir?;
        while let Some(ike_sa::Phase::V1(Phase::Session(session))) = core.table.get(heir).map(|sa| &sa.phase)
            && let Some(next) = session.heir
        {
            heir = next;
        }
        Some(heir)
    }

    /// The session that holds the Child SAs: this one, or what took its place while something was under way here.
    pub(crate) fn holder<'a>(&'a self, core: &'a Core) -> &'a Session {
        let heir = self.heir(core).and_then(|spi| core.table.get(spi));
        match heir.map(|sa| &sa.phase) {
            Some(ike_sa::Phase::V1(Phase::Session(heir))) => heir,
            _ => self,
        }
    }

    /// Does something with that session, whose SPI it hears.
    pub(crate) fn with_holder(
        &mut self,
        ends: &Ends,
        core: &mut Core,
        act: impl FnOnce(&mut Session, IkeSpi, &mut Core),
    ) {
        match self.heir(core).and_then(|spi| core.table.take(spi)) {
            Some(IkeSa { ends, phase: ike_sa::Phase::V1(Phase::Session(mut heir)) }) => {
                act(&mut heir, ends.our_spi(), core);
                core.table.insert(Phase::Session(heir).with(ends));
            }
            other => {
                act(self, ends.our_spi(), core);
                other.into_iter().for_each(|sa| core.table.insert(sa));
            }
        }
    }

    pub(super) fn announce(&self, ends: &Ends, core: &mut Core) {
        let (remote, peer) = (self.remote.name.clone(), self.identities.1.clone());
        core.event(Event::IkeUp { remote, spis: ends.spis(), peer, resumed: false });
    }

    /// Whether Child SAs can be made under it.
    pub(crate) fn is_usable(&self) -> bool {
        matches!(self.stage, Stage::Active | Stage::Rekeying)
    }

    /// For listings.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.stage {
            Stage::Active => "ESTABLISHED",
            Stage::Rekeying => "REKEYING",
            Stage::Replaced => "REKEYED",
            Stage::Closing(_) => "DELETING",
        }
    }

    /// For listings.
    pub(crate) fn describe(&self, view: &mut IkeSaView) {
        view.rekey_at = self.rekey_at;
        view.children = self.children.views();
    }

    /// Takes a message that carries the cookies of this SA. `None`: the SA is gone.
    pub(crate) fn handle(
        mut self: Box<Self>,
        mut ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let header = message.header;
        if matches!(header.exchange, ExchangeType::IDENTITY_PROTECTION | ExchangeType::AGGRESSIVE) {
            match &self.last {
                (received, answer) if received == datagram.data => {
                    core.counters.repeated += 1;
                    if let Some(answer) = answer {
                        let ends = (datagram.local, datagram.remote);
                        core.transmit_v1(ends, answer.clone(), self.abilities, limits::V1_REPEAT);
                    }
                }
                _ => core.counters.unexpected += 1,
            }
            return self.go_on(ends, core);
        }
        let Content::Encrypted(first) = message.content else {
            core.counters.forged += 1;
            self.doubt(core);
            return self.go_on(ends, core);
        };
        match header.exchange {
            _ if header.message_id == 0 => core.counters.unexpected += 1,
            ExchangeType::TRANSACTION => transaction::handle(&mut self, &mut ends, header, first, datagram, core),
            ExchangeType::QUICK_MODE if !self.is_admitted() => core.counters.unexpected += 1,
            ExchangeType::QUICK_MODE => {
                quick_mode::handle(&mut self, &mut ends, header, first, datagram, core);
            }
            ExchangeType::INFORMATIONAL_V1 => {
                if let Some(reason) = informational::handle(&mut self, &mut ends, header, first, datagram, core) {
                    self.end(&ends, reason, core);
                    return None;
                }
            }
            _ => core.counters.unexpected += 1,
        }
        self.go_on(ends, core)
    }

    /// Whether the peer may begin an exchange with this message ID; notes it if so.
    pub(crate) fn fresh(&mut self, message_id: u32) -> bool {
        if self.used.contains(&message_id) {
            return false;
        }
        if self.used.len() >= limits::V1_MESSAGE_IDS {
            self.used.pop_front();
        }
        self.used.push_back(message_id);
        true
    }

    /// The message with this ID, the last that was new, is put off.
    pub(crate) fn forget_id(&mut self, message_id: u32) {
        self.used.retain(|used| *used != message_id);
    }

    /// The first message of an exchange that the peer begins, which is told by a payload that such a message has and no other, and
    /// the IV of the next; `None`: it does not verify, is of another exchange, or its message ID was there before.
    pub(crate) fn open_first(
        &mut self,
        ends: &mut Ends,
        (id, its): (u32, PayloadType),
        first: PayloadType,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<(Payloads, Iv)> {
        let iv = self.secured.exchange_iv(id);
        let Some(opened) = self.secured.open_hashed(&iv, first, id, &[], datagram.data) else {
            core.counters.forged += 1;
            return None;
        };
        // RFC 2409 §5.5: no hash is over the type of the exchange. Under another one a message must not use up its ID.
        if opened.0.count(its) == 0 {
            core.counters.unexpected += 1;
            return None;
        }
        if !self.fresh(id) {
            core.counters.repeated += 1;
            return None;
        }
        self.hear(ends, datagram, core);
        Some(opened)
    }

    /// The peer sent something new that verifies.
    pub(crate) fn hear(&mut self, ends: &mut Ends, datagram: Datagram<'_>, core: &mut Core) {
        self.silence = Silence::new(core.now);
        self.probe = None;
        self.unconfirmed = None;
        self.follow(ends, datagram.remote, core);
    }

    /// A Child SA sends, whether or not its peer did.
    pub(crate) fn send_on(&mut self, inbound: Spi, core: &mut Core) {
        if let Some(child) = self.children.get_mut(&inbound) {
            child.send(core);
        }
    }

    /// Where something failed.
    pub(crate) fn place_of(&self, ends: &Ends, exchange: &'static str, policy: Option<PolicyId>) -> Place {
        ends.place(&self.remote.name, exchange, policy)
    }

    /// Sends a message again, and the last one of phase 1 with it as long as that may be lost.
    pub(crate) fn send_again(&self, ends: &Ends, message: Vec<u8>, sent: u32, core: &mut Core) {
        if let Some(unconfirmed) = &self.unconfirmed {
            core.transmit_v1((ends.local, ends.peer), unconfirmed.clone(), self.abilities, sent);
        }
        core.transmit_v1((ends.local, ends.peer), message, self.abilities, sent);
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        let exchanges = self.exchanges.values().map(Exchange::deadline).min();
        let transactions = self.transactions.values().map(Transaction::deadline).min();
        let later = self.later.iter().map(|(at, ..)| *at).min();
        let alive = match &self.probe {
            Some(probe) => Some(probe.retry.at()),
            None => self.silence.deadline(self.remote.liveness).filter(|_| self.can_probe()),
        };
        [exchanges, transactions, self.gate.deadline(), later, alive, self.rekey_at, self.expire_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn timer(mut self: Box<Self>, ends: Ends, core: &mut Core) -> Option<IkeSa> {
        let answered = quick_mode::timer(&mut self, &ends, core) && transaction::timer(&mut self, &ends, core);
        if !answered || !self.probe_due(&ends, core) {
            self.dead(&ends, core);
            return None;
        }
        self.gate_due(&ends, core);
        quick_mode::later(&mut self, &ends, core);
        if self.rekey_at.is_some_and(|at| at <= core.now) {
            self.rekey_at = None;
            if core.current(&self.remote).is_some_and(|remote| remote.initiate) {
                self.rekey();
            }
        }
        if self.expire_at.is_some_and(|at| at <= core.now) {
            self.expire_at = None;
            let reason = if self.stage == Stage::Replaced { DownReason::Replaced } else { DownReason::Expired };
            self.stage = Stage::Closing(reason);
        }
        let peer = (&*self.remote.name, &self.identities.1);
        if self.can_probe() && self.silence.is_too_long(self.remote.liveness, &ends, peer, &self.children, core) {
            self.check_liveness(core);
        }
        self.go_on(ends, core)
    }

    /// Whether the peer can be asked now if it is alive. It can where it has said so (RFC 3706 §5.1).
    pub(super) fn can_probe(&self) -> bool {
        self.abilities.dpd && self.probe.is_none() && self.stage == Stage::Active
    }

    /// Repeats what asks whether the peer is alive. False: it is not.
    fn probe_due(&mut self, ends: &Ends, core: &mut Core) -> bool {
        let Some(mut probe) = self.probe.take() else { return true };
        match probe.retry.due(core.now) {
            Due::Later => {}
            Due::Again(..) => informational::send_probe(self, ends, probe.number, core),
            Due::GiveUp => return false,
        }
        self.probe = Some(probe);
        true
    }

    /// The peer does not answer any more. Whoever waits for a Child SA gets another try, with a new ISAKMP SA.
    fn dead(self: Box<Self>, ends: &Ends, core: &mut Core) {
        let mut wants: Vec<Want> = Vec::new();
        self.exchanges.values().filter_map(Exchange::want).for_each(|want| want.add_to(&mut wants));
        for task in &self.tasks {
            if let Task::Create(want) = task {
                want.add_to(&mut wants);
            }
        }
        core.failed(no_answer(self.place_of(ends, "Informational", None)));
        let remote = self.remote.clone();
        self.end(ends, DownReason::PeerDead, core);
        gateways::dead(&remote, wants, core);
    }

    /// Ends it here, without a word to the peer.
    pub(crate) fn end(mut self: Box<Self>, ends: &Ends, reason: DownReason, core: &mut Core) {
        for (_, exchange) in core::mem::take(&mut self.exchanges) {
            exchange.abandon(reason, core);
        }
        self.children.take_all_down(reason, core);
        down(ends, &self.remote.name, reason, core);
    }
}

/// Whether a peer that says INITIAL-CONTACT has its way.
fn obeys(remote: &Remote) -> bool {
    remote.extensions.unique != Unique::Never
}

/// `N(INITIAL-CONTACT)`, if it is true (RFC 2407 §4.6.3.3).
pub(crate) fn initial_contact(remote: &Remote, ends: &Ends, core: &Core) -> Option<Payload> {
    let alone = obeys(remote) && !core.table.has_remote(&remote.name);
    alone.then(|| about_ike(ends, NotifyType::INITIAL_CONTACT, Vec::new()))
}

/// A notification about the ISAKMP SA itself, which its cookies name.
pub(crate) fn about_ike(ends: &Ends, kind: NotifyType, data: Vec<u8>) -> Payload {
    let cookies = [ends.spi_i.0.to_be_bytes(), ends.spi_r.0.to_be_bytes()].concat();
    Payload::Notify(Notify { doi: Doi::IPSEC, protocol: ProtocolId::IKE, spi: AnySpi::Other(cookies), kind, data })
}
