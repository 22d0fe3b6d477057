//! One IKE SA as the table holds it: its names and places, and how far it is.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ravelin_types::if_id::IfIds;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Encap;
use ravelin_types::{Carrier, Identity, IkeSpi, Instant, Way};

use crate::address::Addresses;
use crate::config::Remote;
use crate::context::Core;
use crate::error::{Error, Place};
use crate::input::Datagram;
use crate::limits;
use crate::live::Live;
#[cfg(feature = "ikev1")]
use crate::nat::NAT_PORT;
use crate::nat::{IKE_PORT, Nat};
use crate::output::{DownReason, Event, OpId};
use crate::question::Answer;
use crate::sa_table::InitKey;
use crate::secrets::IkeSecrets;
#[cfg(feature = "ikev1")]
use crate::v1;
#[cfg(feature = "ikev2")]
use crate::v2;
use crate::view::IkeSaView;
use crate::want::Want;

/// One IKE SA.
pub(crate) struct IkeSa {
    pub(crate) ends: Ends,
    pub(crate) phase: Phase,
}

/// How far it is, in its version.
pub(crate) enum Phase {
    #[cfg(feature = "ikev1")]
    V1(v1::phase::Phase),
    #[cfg(feature = "ikev2")]
    V2(v2::phase::Phase),
}

/// The same of the phase of either version.
macro_rules! either {
    ($phase:expr, $of:ident => $do:expr) => {
        match $phase {
            #[cfg(feature = "ikev1")]
            Phase::V1($of) => $do,
            #[cfg(feature = "ikev2")]
            Phase::V2($of) => $do,
        }
    };
}

impl Phase {
    /// What can be asked for things, if both sides are authenticated.
    pub(crate) fn into_live(self) -> Result<Box<dyn Live>, Phase> {
        match self {
            #[cfg(feature = "ikev1")]
            Phase::V1(v1::phase::Phase::Session(session)) => Ok(session),
            #[cfg(feature = "ikev2")]
            Phase::V2(v2::phase::Phase::Established(established)) => Ok(established),
            phase => Err(phase),
        }
    }
}

/// What every phase has: the names of the SA and where its ends are.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    pub(crate) spi_i: IkeSpi,
    /// Zero until the responder has chosen.
    pub(crate) spi_r: IkeSpi,
    /// Whether we are the original initiator.
    pub(crate) initiator: bool,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) nat: Nat,
    /// The connection between them, where there is one.
    pub(crate) stream: Option<Stream>,
    pub(crate) created: Instant,
    /// Grows from one IKE SA to the next.
    pub(crate) serial: u64,
    /// Our SPI of the IKE SA that it takes the place of, once it stands (RFC 7296 §2.8.3).
    pub(crate) replaces: Option<IkeSpi>,
    /// The request that began it, when the peer did.
    pub(crate) init_key: Option<InitKey>,
    /// The numbers of virtual interfaces that its Child SAs have, unless they have their own. An IKE SA that takes its place
    /// has the same.
    pub(crate) if_ids: IfIds,
}

/// There are [`limits::IKE_SAS`].
const FULL: Error = Error::Misuse("the limit on IKE SAs is reached: delete some, or give peers another gateway");

/// The connection that carries an IKE SA and the ESP of its Child SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Whether we open it: who began the first of the IKE SAs does, whoever rekeys it (RFC 9329 §1.2).
    pub(crate) is_ours: bool,
    /// It is gone, and not opened anew yet.
    pub(crate) is_lost: bool,
}

impl Ends {
    /// Those of an IKE SA that we begin, in UDP: from `source` where the remote does not say from which address.
    ///
    /// # Errors
    /// [`Error::Misuse`]: where the peer is is not known, or there is no room.
    pub(crate) fn begin(remote: &Remote, source: Option<IpAddr>, core: &mut Core) -> Result<Self, Error> {
        if remote.remote.is_unspecified() {
            return Err(Error::Misuse("the remote has no address to which to send: name one, or let the peer begin"));
        }
        if core.table.len() >= limits::IKE_SAS {
            return Err(FULL);
        }
        let own = own_address(remote, source, remote.remote);
        let (local, peer) = (SocketAddr::new(own, IKE_PORT), SocketAddr::new(remote.remote, IKE_PORT));
        let spis = (core.ike_spi(), IkeSpi::ZERO);
        Ok(Ends::new(spis, true, local, peer, core))
    }

    /// Those of an IKE SA that we begin in the place of this one, where its peer is: once the two have moved to port 4500 it begins
    /// there (RFC 3947 §4), and a peer behind a NAT hears nothing else.
    ///
    /// # Errors
    /// [`Error::Misuse`]: there is no room.
    #[cfg(feature = "ikev1")]
    pub(crate) fn anew(&self, remote: &Remote, core: &mut Core) -> Result<Self, Error> {
        if core.table.len() >= limits::IKE_SAS {
            return Err(FULL);
        }
        let spis = (core.ike_spi(), IkeSpi::ZERO);
        let local = SocketAddr::new(own_address(remote, None, self.peer.ip()), self.local.port());
        Ok(Ends::new(spis, true, local, self.peer, core))
    }

    /// Those of an IKE SA that the sender of this datagram begins, in UDP.
    pub(crate) fn answer(spi_i: IkeSpi, datagram: Datagram<'_>, core: &mut Core) -> Self {
        let spis = (spi_i, core.ike_spi());
        Ends::new(spis, false, datagram.local, datagram.remote, core)
    }

    fn new(
        (spi_i, spi_r): (IkeSpi, IkeSpi),
        initiator: bool,
        local: SocketAddr,
        peer: SocketAddr,
        core: &mut Core,
    ) -> Self {
        Ends {
            spi_i,
            spi_r,
            initiator,
            local,
            peer,
            nat: Nat::default(),
            stream: None,
            created: core.now,
            serial: core.serial(),
            replaces: None,
            init_key: None,
            if_ids: IfIds::default(),
        }
    }

    /// Where messages go, and how.
    pub(crate) fn way(&self) -> Way {
        let carrier = if self.stream.is_some() { Carrier::Tcp } else { Carrier::Udp };
        Way { local: self.local, remote: self.peer, carrier }
    }

    /// How ESP travels, as we send it: where IKE does (RFC 9329 §5).
    pub(crate) fn encap(&self) -> Option<Encap> {
        let Way { local, remote, carrier } = self.way();
        let shares = self.stream.is_some() || self.nat.any();
        shares.then(|| Encap { carrier, src_port: local.port(), dst_port: remote.port() })
    }

    /// RFC 3947 §4: where there is a NAT, everything after goes to and from port 4500; what began there stays at the port of the NAT.
    #[cfg(feature = "ikev1")]
    pub(crate) fn float(&mut self) {
        if self.nat.any() && self.local.port() != NAT_PORT {
            self.local.set_port(NAT_PORT);
            self.peer.set_port(NAT_PORT);
        }
    }

    /// Whether a message that verifies may lead us to another port or address of the peer (RFC 7296 §2.23).
    #[cfg(feature = "ikev2")]
    pub(crate) fn follows(&self) -> bool {
        self.stream.is_none() && self.nat.follows()
    }

    /// The SPI that we chose.
    pub(crate) fn our_spi(&self) -> IkeSpi {
        if self.initiator { self.spi_i } else { self.spi_r }
    }

    /// Both, the initiator's first.
    pub(crate) fn spis(&self) -> (IkeSpi, IkeSpi) {
        (self.spi_i, self.spi_r)
    }

    /// Where an exchange failed.
    pub(crate) fn place(&self, remote: &str, exchange: &'static str, policy: Option<PolicyId>) -> Place {
        Place { remote: Some(remote.into()), address: self.peer.ip(), policy, exchange }
    }
}

/// From which address we begin: from `source` where the remote does not say it, else from whichever the system takes.
fn own_address(remote: &Remote, source: Option<IpAddr>, peer: IpAddr) -> IpAddr {
    let unspecified = match peer {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    remote.local.or(source).or(remote.source).unwrap_or(unspecified)
}

impl IkeSa {
    /// Our SPIs of IKE SAs that are about to take its place.
    #[cfg(feature = "ikev2")]
    pub(crate) fn heirs(&self) -> impl Iterator<Item = IkeSpi> {
        let established = match &self.phase {
            Phase::V2(v2::phase::Phase::Established(phase)) => Some(phase),
            _ => None,
        };
        established.into_iter().flat_map(|phase| phase.heirs())
    }

    /// The connection that it goes over is gone. `None`: the SA is, too.
    #[cfg(feature = "ikev2")]
    pub(crate) fn closed(self, core: &mut Core) -> Option<IkeSa> {
        match self.phase {
            Phase::V2(phase) => phase.closed(self.ends, core),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => Some(IkeSa { ends: self.ends, phase: Phase::V1(phase) }),
        }
    }

    /// The connection that it asked for is on its way from `local`, or cannot be. `None`: the SA is gone, or has gone on.
    #[cfg(feature = "ikev2")]
    pub(crate) fn opened(self, local: Result<SocketAddr, String>, core: &mut Core) -> Option<IkeSa> {
        match self.phase {
            Phase::V2(phase) => phase.opened(self.ends, local, core),
            #[cfg(feature = "ikev1")]
            Phase::V1(phase) => Some(IkeSa { ends: self.ends, phase: Phase::V1(phase) }),
        }
    }

    /// Does what is due. `None`: the SA is gone.
    pub(crate) fn timer(self, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        either!(phase, of => of.timer(ends, core))
    }

    /// When [`IkeSa::timer`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        either!(&self.phase, of => of.deadline())
    }

    /// The answer to the question `op` that it asked.
    pub(crate) fn answered(self, op: OpId, answer: Answer, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        either!(phase, of => of.answered(ends, op, answer, core))
    }

    /// The step of a key exchange was taken that it waited for to go on by itself. `None`: the SA is gone, or has gone on.
    pub(crate) fn take_up(self, core: &mut Core) -> Option<IkeSa> {
        let IkeSa { ends, phase } = self;
        either!(phase, of => of.take_up(ends, core))
    }

    /// Whether a peer began it and has yet to prove who it is.
    pub(crate) fn is_half_open(&self) -> bool {
        !self.ends.initiator && either!(&self.phase, of => of.is_half_open())
    }

    /// Somebody more waits for it, while we are beginning it: what is wanted of it once it is there. What goes wrong from here on
    /// is told, whatever was told before.
    pub(crate) fn join(&mut self) -> Option<&mut Vec<Want>> {
        either!(&mut self.phase, of => of.join())
    }

    /// Whether it is there to be used.
    pub(crate) fn is_active(&self) -> bool {
        either!(&self.phase, of => of.established().is_some_and(|of| of.is_usable()))
    }

    /// Whether we are beginning it.
    pub(crate) fn is_begun(&self) -> bool {
        self.ends.initiator && either!(&self.phase, of => of.established().is_none())
    }

    /// What it can be asked for, if both sides are authenticated.
    pub(crate) fn live(&mut self) -> Option<&mut dyn Live> {
        match &mut self.phase {
            #[cfg(feature = "ikev1")]
            Phase::V1(v1::phase::Phase::Session(session)) => Some(&mut **session),
            #[cfg(feature = "ikev2")]
            Phase::V2(v2::phase::Phase::Established(established)) => Some(&mut **established),
            _ => None,
        }
    }

    /// Who the peer proved to be.
    pub(crate) fn peer(&self) -> Option<&Identity> {
        self.identities().map(|(_, peer)| peer)
    }

    /// Who we are and who the peer is, once both have proved it.
    pub(crate) fn identities(&self) -> Option<&(Identity, Identity)> {
        either!(&self.phase, of => of.established().map(|of| &of.identities))
    }

    /// Whether it is between these two.
    pub(crate) fn is_between(&self, (own, peer): &(Identity, Identity)) -> bool {
        self.identities().is_some_and(|known| known.0.is(own) && known.1.is(peer))
    }

    /// How many Child SAs it has.
    pub(crate) fn children(&self) -> usize {
        either!(&self.phase, of => of.established().map_or(0, |of| of.children.len()))
    }

    /// Name of the configured peer; of the likeliest one before it has said who it is.
    pub(crate) fn remote_name(&self) -> &str {
        either!(&self.phase, of => of.remote_name())
    }

    /// What opens its messages, once there are keys.
    pub(crate) fn secrets(&self) -> Option<IkeSecrets> {
        either!(&self.phase, of => of.secrets(&self.ends))
    }

    /// For listings.
    pub(crate) fn view(&self, addresses: &Addresses) -> IkeSaView {
        let mut view = IkeSaView {
            serial: self.ends.serial,
            remote: String::from(self.remote_name()),
            version: match &self.phase {
                #[cfg(feature = "ikev1")]
                Phase::V1(_) => 1,
                #[cfg(feature = "ikev2")]
                Phase::V2(_) => 2,
            },
            spis: self.ends.spis(),
            initiator: self.ends.initiator,
            state: either!(&self.phase, of => of.state_name()),
            local: self.ends.local,
            peer: self.ends.peer,
            carrier: self.ends.way().carrier,
            identities: self.identities().cloned(),
            suite: either!(&self.phase, of => of.suite()),
            additional: Vec::new(),
            ppk: false,
            full_transcript: false,
            mobike: false,
            follows: false,
            peer_addresses: Vec::new(),
            nat: (self.ends.nat.ours, self.ends.nat.theirs),
            inside: addresses.of(self.ends.our_spi()),
            prefixes: addresses.prefixes(self.ends.our_spi()),
            if_ids: self.ends.if_ids,
            admission: None,
            created: self.ends.created,
            rekey_at: None,
            reauth_at: None,
            children: Vec::new(),
        };
        either!(&self.phase, of => {
            if let Some(of) = of.established() {
                of.describe(&mut view);
            }
        });
        view
    }

    /// Ends it without a word to the peer.
    pub(crate) fn drop_silently(self, reason: DownReason, core: &mut Core) {
        either!(self.phase, of => of.drop_silently(&self.ends, reason, core));
    }
}

/// Says that an IKE SA is gone; the addresses that it held are, too.
pub(crate) fn down(ends: &Ends, remote: &str, reason: DownReason, core: &mut Core) {
    core.give_back(ends, remote);
    core.event(Event::IkeDown { remote: remote.into(), spis: ends.spis(), reason });
}

/// Ends the oldest IKE SA with a peer of a remote when there are too many. Of one that proved nothing, `at` is all that is
/// known.
pub(crate) fn make_room(remote: &str, peer: &Identity, at: IpAddr, core: &mut Core) {
    let nobody = *peer == Identity::Null;
    let full = match nobody {
        true => core.table.nobodies().from(at) >= limits::NOBODIES_PER_ADDRESS,
        false => core.table.with_peer(remote, peer).count() >= limits::IKE_SAS_PER_REMOTE,
    };
    if !full {
        return;
    }
    let its = core.table.with_peer(remote, peer).filter(|sa| !nobody || sa.ends.peer.ip() == at);
    let oldest = its.min_by_key(|sa| sa.ends.serial).map(|sa| sa.ends.our_spi());
    if let Some(oldest) = oldest.and_then(|spi| core.table.take(spi)) {
        oldest.drop_silently(DownReason::Replaced, core);
    }
}

/// Whether there may be one more Child SA on an IKE SA that has `children` of them, and with its peer.
pub(crate) fn room(children: usize, remote: &str, peer: &Identity, core: &Core) -> Result<(), Error> {
    if *peer == Identity::Null {
        return if children < limits::CHILDREN_PER_NOBODY { Ok(()) } else { Err(Error::Full) };
    }
    let all = children + core.table.with_peer(remote, peer).map(IkeSa::children).sum::<usize>();
    let full = children >= limits::CHILDREN_PER_IKE_SA || all >= limits::CHILDREN_PER_REMOTE;
    if full { Err(Error::Full) } else { Ok(()) }
}
