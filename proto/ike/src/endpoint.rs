//! The one door in and the one queue out.
//!
//! ```text
//!   Datagram ─ version ─┬─ 1 ─► v1::receive
//!                       └─ 2 ─► v2::receive ─┬─ first request of a peer ─► a new IKE SA
//!                                            ├─ SPIs of an IKE SA ─ take out ─► its phase ─ put back
//!                                            └─ neither ─► INVALID_IKE_SPI, at a limited rate
//!   Command, DataPlane, Done ─► the IKE SA concerned, or a new one
//!   Timer ─► every IKE SA whose time has come
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_crypto::{CryptoProvider, SecureRandom};
#[cfg(feature = "ikev1")]
use ravelin_types::Carrier;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, Flow};
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::SaId;
use ravelin_types::{IkeSpi, Instant, Secret, Spi, Way};
use ravelin_wire::ike::header::Header;

use crate::address::pool::PoolView;
use crate::config::Config;
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::exchanging::Again;
use crate::explain::{Failure, Part};
use crate::gateways;
use crate::host_names;
use crate::ike_sa::IkeSa;
use crate::input::{Command, Datagram, Input, Outcome};
#[cfg(feature = "ikev2")]
use crate::limits;
use crate::live::Live;
use crate::output::{Deadline, DownReason, OpId, Output};
use crate::question::Answer;
use crate::secrets::IkeSecrets;
#[cfg(feature = "ikev1")]
use crate::v1;
#[cfg(feature = "ikev2")]
use crate::v2;
use crate::view::{Counters, HostNameView, IkeSaView};
use crate::want::Want;

/// All IKE SAs of one host.
pub struct Endpoint {
    pub(crate) core: Core,
}

impl Endpoint {
    /// An endpoint without SAs.
    pub fn new(config: Arc<Config>, crypto: CryptoProvider, rng: Box<dyn SecureRandom>, now: Instant) -> Self {
        Endpoint { core: Core::new(config, crypto, rng, now) }
    }

    /// The endpoint, with 32 random octets that stay the same however often it is made anew: by them a peer learns at once when
    /// this host has lost its IKE SAs (RFC 6290). Without them peers get no tokens, and find it out by silence. No two hosts that
    /// are in use at one time may have the same (RFC 6290 §9.2).
    #[must_use]
    pub fn with_crash_secret(mut self, secret: Secret) -> Self {
        #[cfg(feature = "ikev2")]
        {
            self.core.crash_secret = Some(secret);
        }
        #[cfg(not(feature = "ikev2"))]
        drop(secret);
        self
    }

    /// The endpoint, which has strangers solve puzzles of up to so many bits (14 to [`limits::PUZZLE_BITS`]) while there are very
    /// many half-open IKE SAs (RFC 8019).
    #[must_use]
    pub fn with_puzzles(mut self, bits: u8) -> Self {
        #[cfg(feature = "ikev2")]
        {
            self.core.hardest_puzzle = Some(bits.clamp(limits::PUZZLE_EASIEST, limits::PUZZLE_BITS));
        }
        #[cfg(not(feature = "ikev2"))]
        let _ = bits;
        self
    }

    /// Takes one input. Nonsense from peers is counted and dropped, never returned.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        self.core.now = self.core.now.max(now);
        match input {
            Input::Datagram(datagram) => self.datagram(datagram),
            Input::Command(command) => self.command(command),
            Input::DataPlane(event) => self.data_plane(event),
            Input::Done(op, Outcome::Applied(result)) => {
                if let (Some(id), Err(error)) = (self.core.installed(op), result) {
                    self.not_installed(id, &error);
                }
            }
            Input::Done(op, Outcome::Answered(answer)) => self.answered(op, answer),
            #[cfg(feature = "ikev2")]
            Input::Done(op, Outcome::Opened(local)) => self.opened(op, local),
            #[cfg(feature = "ikev2")]
            Input::Closed(way) => self.closed(way),
            // IKEv1 has no connections.
            #[cfg(not(feature = "ikev2"))]
            Input::Done(_, Outcome::Opened(_)) | Input::Closed(_) => {}
            Input::Timer => self.timer(),
        }
        self.core.table.settle();
    }

    /// The next decision; call until it says [`Output::Wait`].
    pub fn poll(&mut self) -> Output {
        self.core.pop().unwrap_or_else(|| {
            let sas = self.core.table.next_timer().map(|(at, _)| Deadline { at, timer: "IKE SA" });
            let names = self.core.hosts.due().map(|at| Deadline { at, timer: "names of hosts" });
            Output::Wait(sas.into_iter().chain(names).min_by_key(|deadline| deadline.at))
        })
    }

    /// The next decision if it is an operation for the data plane: whoever hands one over may take those behind it along.
    pub fn poll_apply(&mut self) -> Option<(OpId, Box<DataPlaneOp>)> {
        self.core.pop_apply()
    }

    /// Every IKE SA, half-open ones included.
    pub fn ike_sas(&self) -> Vec<IkeSaView> {
        self.core.table.iter().map(|sa| sa.view(&self.core.addresses)).collect()
    }

    /// The IKE SAs with this remote.
    pub fn ike_sas_of(&self, remote: &str) -> Vec<IkeSaView> {
        self.core.table.with_remote(remote).into_iter().filter_map(|spi| self.ike_sa(spi)).collect()
    }

    /// Whether there is an IKE SA, with this remote if one is named.
    pub fn has_ike_sa(&self, remote: Option<&str>) -> bool {
        remote.map_or_else(|| self.core.table.len() > 0, |name| self.core.table.has_remote(name))
    }

    /// The IKE SA with this SPI of ours.
    pub fn ike_sa(&self, spi: IkeSpi) -> Option<IkeSaView> {
        self.core.table.get(spi).map(|sa| sa.view(&self.core.addresses))
    }

    /// The IKE SA that holds the Child SA with this inbound SPI.
    pub fn ike_sa_of(&self, inbound: Spi) -> Option<IkeSaView> {
        self.ike_sa(self.core.table.owner(inbound)?)
    }

    /// The remote of the IKE SA with this SPI of ours, and its [`IkeSaView::serial`].
    pub fn remote_of(&self, spi: IkeSpi) -> Option<(&str, u64)> {
        self.core.table.get(spi).map(|sa| (sa.remote_name(), sa.ends.serial))
    }

    /// Our SPI of the IKE SA that a message with this header belongs to, whichever way it goes. The flag that says who sent it
    /// is of IKEv2 alone.
    pub fn own_spi(&self, header: &Header) -> Option<IkeSpi> {
        let ours = |own: IkeSpi, initiator: bool| {
            let ends = &self.core.table.get(own)?.ends;
            let same = ends.spi_i == header.initiator_spi && [header.responder_spi, IkeSpi::ZERO].contains(&ends.spi_r);
            (ends.initiator == initiator && same).then_some(own)
        };
        ours(header.initiator_spi, true).or_else(|| ours(header.responder_spi, false))
    }

    /// What opens the messages of the IKE SA with this SPI of ours: for an operator who asked to read them. `None` too while
    /// there are no keys yet.
    pub fn secrets(&self, spi: IkeSpi) -> Option<IkeSecrets> {
        self.core.table.get(spi)?.secrets()
    }

    /// The pools of internal addresses, by name, with who has which.
    pub fn pools(&self) -> Vec<PoolView> {
        self.core.addresses.pools()
    }

    /// The names of hosts in the configuration, and where they lead.
    pub fn host_names(&self) -> Vec<HostNameView> {
        self.core.hosts.view()
    }

    /// What was dropped, and why.
    pub fn counters(&self) -> Counters {
        self.core.counters
    }

    fn datagram(&mut self, datagram: Datagram<'_>) {
        let Ok((header, _)) = Header::parse(datagram.data) else {
            self.core.counters.malformed += 1;
            return;
        };
        #[cfg(feature = "ikev2")]
        if v2::receive::is_answer_otherwise(&header, &datagram, &mut self.core) {
            return;
        }
        match header.version.major() {
            #[cfg(feature = "ikev1")]
            1 if datagram.carrier == Carrier::Udp => v1::receive(datagram, &mut self.core),
            #[cfg(feature = "ikev2")]
            2.. => v2::receive::receive(header, datagram, &mut self.core),
            // RFC 7296 §2.5: what we do not speak is passed over.
            _ => self.core.counters.version += 1,
        }
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Configure(config) => self.core.configure(config),
            Command::Initiate(policy) => self.want(policy, None, None),
            Command::InitiateIke(remote) => self.want_ike(&remote),
            Command::RekeyIke(remote) => self.core.with_remote(&remote, |sa, _, _| sa.rekey()),
            Command::RekeyChild(policy) => self.core.each(|sa, _, _| {
                children_of(sa, Some(policy)).into_iter().for_each(|spi| sa.rekey_child(spi));
            }),
            Command::TerminateIke(remote) => self.terminate_ike(remote.as_deref()),
            Command::TerminateChild(policy) => {
                self.core.hosts.forget_wants(policy);
                self.core.each(|sa, _, _| {
                    sa.forget_wants(policy);
                    children_of(sa, policy).into_iter().for_each(|spi| sa.delete_child(spi, DownReason::Command));
                });
            }
            Command::RekeyIkeSa(spi) => self.core.with_ike(spi, |sa, _, _| sa.rekey()),
            Command::ReauthenticateIkeSa(spi) => self.core.with_ike(spi, |sa, _, core| sa.reauthenticate(core.now)),
            Command::RekeyChildSa(inbound) => self.core.with_owner(inbound, |sa| sa.rekey_child(inbound)),
            Command::TerminateIkeSa(spi) => self.close_ike(spi),
            Command::TerminateChildSa(inbound) => {
                self.core.with_owner(inbound, |sa| sa.delete_child(inbound, DownReason::Command));
            }
            Command::Redirect(spi, to) => self.core.with_ike(spi, |sa, _, _| sa.redirect(to)),
            Command::CheckLiveness(remote) => self.core.with_remote(&remote, |sa, _, core| sa.check_liveness(core)),
            Command::Addresses(host) => {
                self.core.host = host;
                self.core.each(|sa, ends, core| sa.host_changed(ends, core));
            }
            Command::Alive(inbound) => self.alive(inbound),
        }
    }

    fn data_plane(&mut self, event: DataPlaneEvent) {
        match event {
            DataPlaneEvent::Acquire { policy, flow, processor } => self.want(policy, Some(flow), processor),
            DataPlaneEvent::SoftExpire(id) | DataPlaneEvent::Lost(id) => {
                self.core.with_child(id, |sa, _, inbound, core| sa.child_aged(inbound, core));
            }
            DataPlaneEvent::HardExpire(id) => {
                self.core.with_child(id, |sa, _, inbound, _| sa.delete_child(inbound, DownReason::Expired));
            }
            DataPlaneEvent::Idle(id) => {
                self.core.with_child(id, |sa, _, inbound, core| sa.child_idle(inbound, id.direction, core.now));
            }
            DataPlaneEvent::Used(id) => self.core.with_child(id, |sa, _, _, core| sa.sent(core)),
            DataPlaneEvent::PeerMoved { id, src, src_port } => self.core.with_child(id, |sa, ends, _, core| {
                let from = SocketAddr::new(src, src_port.unwrap_or(ends.peer.port()));
                sa.alive(core.now);
                sa.follow(ends, from, core);
            }),
            DataPlaneEvent::OutsideSelectors { id, packet } => {
                self.core.with_child(id, |sa, ends, inbound, core| sa.outside_selectors(inbound, packet, ends, core));
            }
        }
    }

    /// A Child SA is wanted: from the IKE SA that is there, from the one that is being made, or from a new one.
    fn want(&mut self, policy: PolicyId, flow: Option<Flow>, processor: Option<u32>) {
        let Some(child) = self.core.policy(policy) else { return };
        let want = Want { processor, ..Want::new(&child, flow) };
        let Some(remote) = self.core.remote(&child.remote) else {
            self.core.failed(no_remote(child.remote.clone(), want));
            return;
        };
        let spis = self.core.table.with_remote(&remote.name);
        let serial = |spi: &IkeSpi, usable: fn(&IkeSa) -> bool| {
            let fitting = |sa: &&IkeSa| usable(sa) && want.fits(&child, &remote, sa.ends.local.ip(), sa.ends.peer.ip());
            self.core.table.get(*spi).filter(fitting).map(|sa| (sa.ends.serial, *spi))
        };
        let newest = |usable: fn(&IkeSa) -> bool| spis.iter().filter_map(|spi| serial(spi, usable)).max();
        let established = newest(IkeSa::is_active);
        let begun = newest(IkeSa::is_begun);
        if let Some((_, spi)) = established {
            self.core.with_ike(spi, |sa, _, _| sa.want(want));
        } else if let Some((_, spi)) = begun {
            self.join(spi, |wants| want.add_to(wants));
        } else if self.core.hosts.join(&remote.name, want) {
            // It begins once it is known where.
        } else if remote.initiate {
            gateways::begin(&remote, vec![want.for_all()], None, &mut self.core);
        } else {
            self.core.failed(gateways::accepts_only(&remote, Some(want.policy)));
        }
    }

    /// An IKE SA is wanted for its own sake.
    fn want_ike(&mut self, name: &str) {
        let spis = self.core.table.with_remote(name);
        let is = |spi: &IkeSpi, such: fn(&IkeSa) -> bool| self.core.table.get(*spi).is_some_and(such);
        if spis.iter().any(|spi| is(spi, IkeSa::is_active)) || self.core.hosts.waits_for(name) {
            return;
        }
        if let Some(begun) = spis.iter().find(|spi| is(spi, IkeSa::is_begun)) {
            self.join(*begun, |_| ());
            return;
        }
        if let Some(remote) = self.core.remote(name).filter(|remote| remote.initiate) {
            gateways::begin(&remote, Vec::new(), None, &mut self.core);
        }
    }

    /// Somebody more waits for this IKE SA that we are beginning.
    fn join(&mut self, spi: IkeSpi, act: impl FnOnce(&mut Vec<Want>)) {
        if let Some(mut sa) = self.core.table.take(spi) {
            sa.join().map(act);
            self.core.table.insert(sa);
        }
    }

    fn terminate_ike(&mut self, remote: Option<&str>) {
        self.core.hosts.forget_remote(remote);
        let spis: Vec<IkeSpi> = match remote {
            Some(name) => self.core.table.with_remote(name),
            None => {
                self.core.exchanging.forget_first();
                self.core.table.iter().map(|sa| sa.ends.our_spi()).collect()
            }
        };
        spis.into_iter().for_each(|spi| self.close_ike(spi));
    }

    fn close_ike(&mut self, spi: IkeSpi) {
        let Some(mut sa) = self.core.table.take(spi) else { return };
        if let Some(live) = sa.live() {
            live.close(DownReason::Command);
            self.core.table.insert(sa);
            self.core.with_ike(spi, |_, _, _| ());
        } else {
            let way = sa.ends.way();
            sa.drop_silently(DownReason::Command, &mut self.core);
            self.core.close_stream(way);
        }
    }

    /// A packet arrived on an inbound SA: the peer lives, and it has the other half of the pair (RFC 7296 §2.8).
    fn alive(&mut self, inbound: Spi) {
        let Some(owner) = self.core.table.owner(inbound) else { return };
        self.core.with_ike(owner, |sa, _, core| {
            sa.alive(core.now);
            sa.children_mut().received_on(inbound, core);
        });
    }

    /// The data plane refused an SA, so the Child SA cannot be.
    fn not_installed(&mut self, id: SaId, error: &DataPlaneError) {
        self.core.with_child(id, |sa, ends, inbound, core| {
            core.take_back_up(inbound);
            let mut place = sa.place(ends);
            place.policy = sa.children().get(&inbound).map(|child| child.policy.policy.id);
            core.failed(Error::DataPlane(alloc::format!("{error}")).failure(place));
            sa.delete_child(inbound, DownReason::DataPlane);
        });
    }

    fn answered(&mut self, op: OpId, answer: Answer) {
        #[cfg(feature = "ikev2")]
        self.core.solving.remove(&op);
        let answer = match self.core.taken(op, answer) {
            Ok(again) => return self.again(again),
            Err(answer) => answer,
        };
        let Some(answer) = host_names::answered(op, answer, &mut self.core) else { return };
        let Some(sa) = self.core.asked(op).and_then(|spi| self.core.table.take(spi)) else { return };
        let way = sa.ends.way();
        let sa = sa.answered(op, answer, &mut self.core);
        self.core.put_back(way, sa);
    }

    /// A step of a key exchange was taken: what needs it happens now.
    fn again(&mut self, again: Option<Again>) {
        match again {
            Some(Again::Message(Way { local, remote, carrier }, data)) => {
                self.datagram(Datagram { local, remote, carrier, data: &data });
            }
            Some(Again::Own(spi)) => {
                if let Some(sa) = self.core.table.take(spi) {
                    let way = sa.ends.way();
                    let sa = sa.take_up(&mut self.core);
                    self.core.put_back(way, sa);
                }
            }
            None => {}
        }
        self.core.is_over();
    }

    /// A connection that an IKE SA asked for is on its way, or cannot be.
    #[cfg(feature = "ikev2")]
    fn opened(&mut self, op: OpId, local: Result<SocketAddr, String>) {
        let Some(sa) = self.core.asked(op).and_then(|spi| self.core.table.take(spi)) else { return };
        let way = sa.ends.way();
        let sa = sa.opened(local, &mut self.core);
        self.core.put_back(way, sa);
    }

    /// A connection is gone.
    #[cfg(feature = "ikev2")]
    fn closed(&mut self, way: Way) {
        let spis: Vec<IkeSpi> = self.core.table.in_stream(way).collect();
        for spi in spis {
            if let Some(sa) = self.core.table.take(spi)
                && let Some(sa) = sa.closed(&mut self.core)
            {
                self.core.table.insert(sa);
            }
        }
    }

    fn timer(&mut self) {
        for spi in self.core.table.due(self.core.now) {
            if let Some(sa) = self.core.table.take(spi) {
                let way = sa.ends.way();
                let sa = sa.timer(&mut self.core);
                self.core.put_back(way, sa);
            }
        }
        host_names::refresh(&mut self.core);
    }
}

fn children_of(sa: &dyn Live, policy: Option<PolicyId>) -> Vec<Spi> {
    let serves = |id: PolicyId| policy.is_none_or(|policy| policy == id);
    sa.children().values().filter(|child| serves(child.policy.policy.id)).map(|child| child.inbound).collect()
}

fn no_remote(name: String, want: Want) -> Failure {
    let address = want.flow.map_or(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), |flow: Flow| flow.dst);
    let part = Part::NoRemote;
    let error = Error::NoAgreement(Disagreement::new(part, vec![], vec![]));
    error.failure(Place { remote: Some(name), address, policy: Some(want.policy), exchange: "IKE_SA_INIT" })
}
