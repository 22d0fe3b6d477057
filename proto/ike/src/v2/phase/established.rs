//! An IKE SA after the initial exchanges: what arrives is verified, counted and handed to `exchange`; what we have to
//! do waits in `tasks` for the window.
//!
//! ```text
//!   datagram ─ verify ─ request ─ window ─► exchange::respond ─► response, kept for repetition
//!                     └ response ─ open request? ─► exchange::response ─► next task
//! ```
//! Read RFC 7296 §2.1 to §2.4, §2.21.3 and §2.25 before changing this file.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_crypto::ikev2::IkeAlgs;
use ravelin_eap::relay::Admission;
use ravelin_types::{Carrier, Identity, IkeSpi, Instant, Way};
use ravelin_wire::ike::header::{ExchangeType, Header};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload, Protected};

use super::Phase;
use crate::child::offer::ChildOffer;
use crate::children::Children;
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::ike_sa::{Ends, IkeSa, down, make_room};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
use crate::output::{DownReason, Event};
use crate::silence::Silence;
use crate::v2::exchange::follow_up::Promise;
use crate::v2::exchange::ticket::Ticket;
use crate::v2::exchange::{self, After, Exchange, Open, Task, What};
use crate::v2::feature::cluster::Cluster;
use crate::v2::feature::crash_detection::{self, Held};
use crate::v2::feature::mobike::Mobike;
use crate::v2::feature::reauthentication::{self, Authenticated};
use crate::v2::feature::redirect::Redirects;
use crate::v2::feature::window_size;
use crate::v2::keying::Keying;
use crate::v2::message::{Payloads, Protection, Whole};
use crate::v2::window::{Arrival, MessageWindow};
use crate::view::IkeSaView;

/// Both sides are authenticated.
pub(crate) struct Established {
    pub(crate) remote: Arc<Remote>,
    /// Ours and the peer's.
    pub(crate) identities: (Identity, Identity),
    pub(crate) keying: Keying,
    pub(crate) algs: IkeAlgs,
    /// Where both sides move (RFC 4555).
    pub(crate) mobike: Option<Mobike>,
    /// What is done when another member of the peer takes over (RFC 6311).
    pub(crate) cluster: Cluster,
    /// Whether the one who began it goes to another gateway when told to (RFC 5685).
    pub(crate) redirect: Option<Redirects>,
    /// The ticket with which it can be resumed (RFC 5723).
    pub(crate) ticket: Ticket,
    /// The token by which the peer shows that it crashed (RFC 6290).
    pub(crate) crash: Held,
    pub(crate) protection: Protection,
    pub(crate) window: MessageWindow,
    /// Our requests without a response, in the order of their message IDs.
    pub(crate) open: Vec<Open>,
    /// What waits for the window, in order.
    pub(crate) tasks: VecDeque<Task>,
    /// What the peer gets when it has done the additional key exchanges that were agreed on.
    pub(crate) promises: Vec<Promise>,
    pub(crate) children: Children,
    pub(crate) stage: Stage,
    pub(crate) rekey_at: Option<Instant>,
    pub(crate) expire_at: Option<Instant>,
    pub(crate) authenticated: Authenticated,
    /// What a server elsewhere says of the session, where that let it begin.
    pub(crate) admission: Option<Arc<Admission>>,
    pub(crate) silence: Silence,
    /// Until when Child SAs of ours wait for a sign that the peer has our answer (RFC 7296 §2.8).
    pub(crate) unheard_until: Option<Instant>,
    /// When an unprotected message last made us ask.
    pub(crate) hinted: Option<Instant>,
    /// Our SPI of the IKE SA that both sides are rekeying, when the peer made this one and who inherits is open.
    pub(crate) contested: Option<IkeSpi>,
}

/// How long it will be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// In use.
    Active,
    /// Another took its place; nothing but its deletion is left to do.
    Replaced,
    /// Our request to delete it is open or waits.
    Closing,
}

/// What an IKE SA is made from.
pub(crate) struct Origin {
    pub(crate) remote: Arc<Remote>,
    pub(crate) identities: (Identity, Identity),
    pub(crate) keying: Keying,
    pub(crate) algs: IkeAlgs,
    pub(crate) mobike: Option<Mobike>,
    pub(crate) cluster: Cluster,
    pub(crate) redirect: Option<Redirects>,
}

impl Established {
    pub(crate) fn new(
        origin: Origin,
        ends: &Ends,
        protection: Protection,
        window: MessageWindow,
        core: &mut Core,
    ) -> Self {
        let Origin { remote, identities, keying, algs, mobike, cluster, redirect } = origin;
        make_room(&remote.name, &identities.1, ends.peer.ip(), core);
        let lifetime = remote.lifetime;
        let bounded = !lifetime.is_zero();
        Established {
            rekey_at: bounded.then(|| core.now + core.jittered(lifetime)),
            expire_at: bounded.then(|| core.now + lifetime + remote.extensions.over_time.unwrap_or(lifetime / 10)),
            authenticated: Authenticated::default(),
            admission: None,
            remote,
            identities,
            keying,
            algs,
            mobike,
            cluster,
            redirect,
            ticket: Ticket::None,
            crash: Held::default(),
            protection,
            window,
            open: Vec::new(),
            tasks: VecDeque::new(),
            promises: Vec::new(),
            children: Children::default(),
            stage: Stage::Active,
            silence: Silence::new(core.now),
            unheard_until: None,
            hinted: None,
            contested: None,
        }
    }

    /// What our open requests are for.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = &Exchange> {
        self.open.iter().map(|open| &open.exchange)
    }

    /// The same, to be changed.
    pub(crate) fn exchanges_mut(&mut self) -> impl Iterator<Item = &mut Exchange> {
        self.open.iter_mut().map(|open| &mut open.exchange)
    }

    /// Says that the IKE SA stands.
    pub(crate) fn announce(&self, ends: &Ends, resumed: bool, core: &mut Core) {
        core.tickets.forget(&self.remote.name);
        core.event(Event::IkeUp {
            remote: self.remote.name.clone(),
            spis: ends.spis(),
            peer: self.identities.1.clone(),
            resumed,
        });
    }

    /// For listings.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.stage {
            Stage::Active => "ESTABLISHED",
            Stage::Replaced => "REKEYED",
            Stage::Closing => "DELETING",
        }
    }

    pub(crate) fn describe(&self, view: &mut IkeSaView) {
        view.additional = self.keying.additional.clone();
        view.ppk = self.keying.ppk;
        view.full_transcript = self.keying.full_transcript;
        view.follows = self.redirect == Some(Redirects::Sends);
        view.mobike = self.mobike.is_some();
        view.peer_addresses = self.mobike.as_ref().map_or_else(Vec::new, |mobike| mobike.theirs.clone());
        view.rekey_at = self.rekey_at;
        view.reauth_at = self.authenticated.again.or(self.authenticated.until);
        view.admission = self.admission.clone();
        view.children = self.children.views();
    }

    /// Whether it is there to be used.
    pub(crate) fn is_usable(&self) -> bool {
        self.stage == Stage::Active
    }

    pub(crate) fn handle(
        mut self: Box<Self>,
        mut ends: Ends,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<IkeSa> {
        let Some(protected) = message.protected else {
            return self.unprotected(ends, Payloads(message.payloads), core);
        };
        let Ok(inner) = self.protection.open(datagram.data, &protected) else {
            core.counters.forged += 1;
            return Some(self.keep(ends));
        };
        let header = message.header;
        let informs = header.exchange == ExchangeType::INFORMATIONAL;
        let after = if header.flags.is_response() {
            let answers = |open: &Open| open.id() == Some(header.message_id);
            if !self.open.iter().any(answers) {
                core.counters.outside_window += 1;
                return Some(self.keep(ends));
            }
            let Some(whole) = self.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
                return Some(self.keep(ends));
            };
            let Some(at) = self.open.iter().position(answers) else { return Some(self.keep(ends)) };
            let Open { exchange, request } = self.open.remove(at);
            self.hear(&mut ends, datagram.way(), core);
            // Under this message ID no other answer will come.
            let payloads = match exchange.kind() == header.exchange {
                true => whole.payloads(),
                false => Err(Error::Astray(header.exchange)),
            };
            self.learn(payloads.as_ref().ok().filter(|_| informs));
            exchange::response(exchange, &mut self, &mut ends, payloads, core).unwrap_or_else(|exchange| {
                self.open.insert(at, Open { exchange: *exchange, request });
                self.put_off(&ends, &header, (&protected, whole), datagram, core)
            })
        } else {
            let asked = self.cluster.takeover(&header, protected.first, &inner);
            if let Some(asked) = asked.filter(|_| protected.fragment.is_none()) {
                return self.synchronize(asked, ends, datagram, core);
            }
            match self.window.arrived(header.message_id) {
                Arrival::New => {}
                // RFC 7383 §2.6.1: of a request in fragments the first alone asks for the answer again.
                Arrival::Repeated => {
                    core.counters.repeated += 1;
                    if protected.fragment.is_none_or(|fragment| fragment.number() == 1)
                        && let Some((response, times)) = self.window.repeat(header.message_id)
                    {
                        self.protection.sent_again(response, times);
                        core.send(datagram.way(), response, times);
                    }
                    return Some(self.keep(ends));
                }
                Arrival::Outside => {
                    core.counters.outside_window += 1;
                    return Some(self.keep(ends));
                }
            }
            let Some(whole) = self.protection.whole(datagram.data, &header, &protected, inner, core.now) else {
                return Some(self.keep(ends));
            };
            self.window.answer(header.message_id);
            self.hear(&mut ends, datagram.way(), core);
            let payloads = whole.payloads();
            if let Ok(payloads) = &payloads {
                exchange::rekey_ike::settle_contest(&mut self, &ends, payloads, core);
            }
            self.learn(payloads.as_ref().ok().filter(|_| informs));
            match self.request(&mut ends, header, payloads, datagram, core) {
                Some(after) => after,
                None => self.put_off(&ends, &header, (&protected, whole), datagram, core),
            }
        };
        match after {
            After::Stay => self.go_on(ends, core),
            After::End(reason) => {
                self.end(&ends, reason, core);
                None
            }
        }
    }

    /// RFC 6290 §4.4: the peer may say at any time by which token it would show that it crashed.
    pub(crate) fn learn(&mut self, payloads: Option<&Payloads>) {
        self.crash.keep(payloads.and_then(|payloads| crash_detection::given(&self.remote, payloads)));
    }

    /// Our SPIs of IKE SAs that are about to take its place.
    pub(crate) fn heirs(&self) -> impl Iterator<Item = IkeSpi> {
        let asked = self.exchanges().filter_map(|open| match open {
            Exchange::RekeyIke(open) => Some(open.spi),
            _ => None,
        });
        asked.chain(self.promises.iter().filter_map(Promise::heir))
    }

    /// The message comes again when its key exchange is done; it has changed nothing.
    fn put_off(
        &mut self,
        ends: &Ends,
        header: &Header,
        (protected, whole): (&Protected, Whole),
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> After {
        self.protection.put_back(header, protected, whole, core.now);
        core.put_off_message(ends.our_spi(), header, datagram, false);
        After::Stay
    }

    /// Answers a request, come what may (RFC 7296 §2.21.3). `None`: not yet.
    fn request(
        &mut self,
        ends: &mut Ends,
        header: Header,
        payloads: Result<Payloads, Error>,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<After> {
        let kind = header.exchange;
        let mut place = self.place(ends, exchange::name(kind));
        let answered =
            payloads.and_then(|payloads| exchange::respond(kind, self, ends, &payloads, datagram, &mut place, core));
        if let Err(Error::PutOff) = answered {
            return None;
        }
        let (answer, after) = answered.unwrap_or_else(|error| {
            let quiet = matches!(error, Error::Temporary | Error::NoSuchChild(..) | Error::WrongKe(_) | Error::NoState);
            if !quiet {
                core.failed(error.failure(place));
            }
            let after = if error.is_fatal() { After::End(DownReason::ProtocolError) } else { After::Stay };
            (Vec::from([Payload::Notify(error.notify())]), after)
        });
        let header = ends.header(kind, true, header.message_id);
        Some(match self.protection.seal(&header, &answer, &mut *core.rng) {
            Ok(response) => {
                core.send(datagram.way(), &response, 0);
                self.window.answered(response);
                after
            }
            Err(unfit) => {
                core.failed(Error::from(unfit).failure(self.place(ends, exchange::name(kind))));
                After::End(DownReason::ProtocolError)
            }
        })
    }

    /// An unprotected message proves nothing unless it shows the token of the peer; INVALID_IKE_SPI and INVALID_SPI are
    /// hints that the peer lost its state (RFC 7296 §2.21.4).
    pub(crate) fn unprotected(mut self: Box<Self>, ends: Ends, payloads: Payloads, core: &mut Core) -> Option<IkeSa> {
        if self.crash.is_shown(&payloads, core) {
            crash_detection::crashed(self, &ends, core);
            return None;
        }
        core.counters.forged += 1;
        let hints = [NotifyType::INVALID_IKE_SPI, NotifyType::INVALID_SPI];
        if payloads.notifies().any(|notify| hints.contains(&notify.kind)) {
            self.doubt(core);
        }
        self.go_on(ends, core)
    }

    /// The peer sent something new that verifies.
    pub(crate) fn hear(&mut self, ends: &mut Ends, by: Way, core: &mut Core) {
        self.silence = Silence::new(core.now);
        self.found();
        reauthentication::heard(self, core);
        if by.carrier == Carrier::Tcp {
            self.follow_stream(ends, by, core);
        } else if self.mobike.is_none() {
            // RFC 4555 §3.8: with MOBIKE a message says where its sender is, or says nothing of it.
            self.follow(ends, by.remote, core);
        }
    }

    /// Follows a peer whose NAT gave it a new address (RFC 7296 §2.23).
    pub(crate) fn follow(&mut self, ends: &mut Ends, from: SocketAddr, core: &mut Core) {
        // A mapping of a NAT has one address family; what comes in the other was sent on by somebody else.
        let same_family = from.is_ipv4() == ends.peer.is_ipv4();
        if from == ends.peer || !same_family || !ends.follows() {
            return;
        }
        if self.children.may_go_to(from.ip(), core) {
            ends.peer = from;
            self.children.follow(ends, core);
        }
    }

    /// Has the peer delete a Child SA that it made and we could not.
    pub(crate) fn delete_unborn(&mut self, offer: &ChildOffer) {
        let what = What::DeleteChild(offer.protocol(), offer.inbound, DownReason::ProtocolError);
        self.tasks.push_front(Task::new(what));
    }

    /// Hands Child SAs and waiting tasks to the IKE SA that takes the place of this one.
    pub(crate) fn hand_over(&mut self, ends: &Ends, heir: &mut Established, heir_ends: &Ends, core: &mut Core) {
        heir.contested = None;
        if self.stage == Stage::Replaced {
            return;
        }
        self.promises.drain(..).for_each(|promise| promise.forget(core));
        core.addresses.pass_on(ends.our_spi(), heir_ends.our_spi());
        for child in self.children.values() {
            child.pass_on(heir_ends.our_spi(), core);
        }
        // RFC 4478 §2: the time limit applies to the new IKE SA.
        heir.authenticated = core::mem::take(&mut self.authenticated);
        self.pass_on_ticket(heir, core);
        heir.children.append(&mut self.children);
        // What waited for a value of ours asks for it anew.
        heir.tasks.extend(self.tasks.drain(..).filter(|task| task.what.survives_rekey()).map(Task::taken_up));
        for open in self.exchanges() {
            if let Exchange::Addresses(open) = open {
                heir.add_task(Task::new(open.what.clone()));
            }
        }
        // RFC 7296 §1.3.2: it begins with one.
        if window_size::wanted(&heir.remote) > 1 {
            heir.add_task(Task::new(What::Window));
        }
        // RFC 6290 §4.3: who answered gave its token with the answer.
        if heir_ends.initiator && heir.remote.extensions.crash_detection {
            heir.add_task(Task::new(What::CrashToken));
        }
        self.stage = Stage::Replaced;
        self.rekey_at = None;
        self.expire_at = Some(core.now + limits::REPLACED_IKE_LIFETIME);
        core.event(Event::IkeRekeyed { remote: self.remote.name.clone(), old: ends.spis(), new: heir_ends.spis() });
    }

    /// Where something failed.
    pub(crate) fn place(&self, ends: &Ends, exchange: &'static str) -> Place {
        ends.place(&self.remote.name, exchange, None)
    }

    /// Ends it here, without a word to the peer.
    pub(crate) fn end(mut self: Box<Self>, ends: &Ends, reason: DownReason, core: &mut Core) {
        for open in core::mem::take(&mut self.open) {
            exchange::abandon(open.exchange, &mut self, ends, core);
        }
        self.end_ticket(reason, core);
        self.children.take_all_down(reason, core);
        self.promises.drain(..).for_each(|promise| promise.forget(core));
        for task in &self.tasks {
            // An SPI of a Child SA that only the peer has is still reserved.
            if let What::DeleteChild(_, spi, _) = task.what {
                core.table.release(spi);
            }
        }
        down(ends, &self.remote.name, reason, core);
    }

    pub(crate) fn keep(self: Box<Self>, ends: Ends) -> IkeSa {
        Phase::Established(self).with(ends)
    }
}
