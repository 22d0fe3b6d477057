//! What a remote does beyond RFC 7296, each by itself and off unless it is asked for.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::RangeInclusive;
use core::str::FromStr;
use core::time::Duration;

use ravelin_types::Secret;

/// The extensions of one remote.
#[derive(Clone, Debug, Default)]
pub struct Extensions {
    /// The IKE SA and its tunnels follow either side to other addresses (RFC 4555). Ours changes only where the remote
    /// leaves it open.
    pub mobike: bool,
    /// IKE and ESP in TCP (RFC 9329), when we begin.
    pub tcp: Option<Tcp>,
    /// Whether IKE SAs begin without a Child SA (RFC 6023).
    pub childless: Childless,
    /// How long it is good that both sides have proved who they are; after it the side that began makes another IKE SA (RFC
    /// 7296 §2.8.3), and the other tells it when that is (RFC 4478). Of IKEv2.
    pub reauth: Option<Duration>,
    /// How long after it should have been rekeyed, or both sides should have proved anew who they are, an IKE SA ends; `None`: a
    /// tenth of its lifetime, and a grace of our own. Of IKEv2.
    pub over_time: Option<Duration>,
    /// What becomes of the IKE SAs that a peer has with us when it makes another.
    pub unique: Unique,
    /// Gateways that send their peers to others (RFC 5685).
    pub redirect: Redirect,
    /// Tickets with which an IKE SA whose peer fell silent goes on without another proof (RFC 5723): as initiator we ask for
    /// one, as responder we give it.
    pub resumption: bool,
    /// Each side learns at once that the other has lost its state (RFC 6290): tokens are given, where the endpoint has a secret
    /// for them, and taken. Of IKEv2.
    pub crash_detection: bool,
    /// The peer is told by which methods it may prove itself (RFC 9593). What it says of that is heeded without. Of IKEv2.
    pub announce: bool,
    /// Whether both sides prove the whole of IKE_SA_INIT. Of IKEv2.
    pub full_transcript: FullTranscript,
    /// Post-quantum pre-shared keys, mixed into the keys of the IKE SA.
    pub ppk: Ppks,
    /// The peer may be a cluster whose members take over from each other (RFC 6311). Of IKEv2.
    pub cluster: bool,
    /// How many requests of the peer are taken at once, and at most sent where it takes more than one (RFC 7296 §2.3). 0 is 1.
    /// Of IKEv2.
    pub window: u32,
}

/// When an IKE SA that we begin goes in TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// The port on which the peer listens.
    pub port: u16,
    /// At once; else only when there is no answer in UDP.
    pub at_once: bool,
}

/// What is done about gateways that stand in for each other (RFC 5685). Of IKEv2.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirect {
    /// As initiator: the addresses to which the peer may send us; none: we do not follow.
    pub follow: Vec<RangeInclusive<IpAddr>>,
    /// As responder: send peers that follow there, unless they have come to that address.
    pub to: Option<NewGateway>,
    /// Who sent us to where we are now.
    pub(crate) from: Option<IpAddr>,
}

impl Redirect {
    /// What is configured.
    pub fn new(follow: Vec<RangeInclusive<IpAddr>>, to: Option<NewGateway>) -> Self {
        Redirect { follow, to, from: None }
    }
}

/// A gateway to which a peer is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewGateway {
    /// By its address.
    Address(IpAddr),
    /// By its name, which the peer looks up: 1 to 255 octets of letters, digits, `-` and `.`.
    Name(String),
}

/// What is written is neither an address nor a name in the DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoGateway;

impl fmt::Display for NoGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected the address of a gateway, or its name")
    }
}

impl core::error::Error for NoGateway {}

impl FromStr for NewGateway {
    type Err = NoGateway;

    fn from_str(text: &str) -> Result<Self, NoGateway> {
        if let Ok(address) = text.parse() {
            return is_a_host(address).then_some(NewGateway::Address(address)).ok_or(NoGateway);
        }
        let allowed = text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-.".contains(&octet));
        // A bad address is no name.
        let named = text.bytes().any(|octet| octet.is_ascii_alphabetic());
        (allowed && named && text.len() <= 255).then(|| NewGateway::Name(text.into())).ok_or(NoGateway)
    }
}

impl fmt::Display for NewGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NewGateway::Address(address) => address.fmt(f),
            NewGateway::Name(name) => f.write_str(name),
        }
    }
}

/// Whether a host can have this address.
pub(crate) fn is_a_host(address: IpAddr) -> bool {
    !address.is_unspecified() && !address.is_multicast() && address != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Whether IKE SAs begin without a Child SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Childless {
    /// In neither role.
    #[default]
    Never,
    /// As responder; as initiator when no Child SA is wanted.
    Allow,
    /// As responder; as initiator wherever the peer permits it.
    Prefer,
    /// Always, in both roles.
    Force,
}

/// Whether AUTH is about both messages of IKE_SA_INIT (draft-ietf-ipsecme-ikev2-downgrade-prevention-08), or about the prover's own
/// as in RFC 7296 §2.15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FullTranscript {
    /// About the prover's own.
    Never,
    /// About both, where the peer does that.
    #[default]
    Allow,
    /// About both, or there is no IKE SA.
    Require,
}

/// How many IKE SAs a peer may have, told by the identity that it proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unique {
    /// Any number, even if one says that it is the only one.
    Never,
    /// Any number; one that says that it is the only one (INITIAL_CONTACT) replaces the others.
    #[default]
    No,
    /// The newest replaces the others.
    Replace,
    /// Another is refused as long as there is one with another address or port of the peer, unless it says that it is the only one.
    Keep,
}

/// In which exchange a post-quantum pre-shared key comes into the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PpkIn {
    /// In IKE_INTERMEDIATE where the peer does that, else in IKE_AUTH.
    #[default]
    Either,
    /// In IKE_AUTH (RFC 8784), which leaves what is said there to a quantum computer of tomorrow; not beside EAP.
    Auth,
    /// In IKE_INTERMEDIATE (RFC 9867), before anything is said of who the two are.
    Intermediate,
}

/// The post-quantum pre-shared keys of a remote (RFC 8784, RFC 9867).
#[derive(Clone, Debug, Default)]
pub struct Ppks {
    /// The PPK_ID of the one that we use when we initiate, without its type; `None`: none.
    pub id: Option<Vec<u8>>,
    /// Whether there is no IKE SA without one.
    pub required: bool,
    /// Where it is named.
    pub exchange: PpkIn,
    /// Those that we know.
    pub keys: Arc<[Ppk]>,
}

/// A post-quantum pre-shared key.
#[derive(Clone, Debug)]
pub struct Ppk {
    /// Its PPK_ID, without its type.
    pub id: Vec<u8>,
    /// The key; it should have 32 random octets or more.
    pub secret: Secret,
}

impl Ppks {
    /// The key of this PPK_ID.
    pub(crate) fn find(&self, id: &[u8]) -> Option<&Ppk> {
        self.keys.iter().find(|ppk| ppk.id == id)
    }

    /// The key that we use when we initiate.
    pub(crate) fn own(&self) -> Option<&Ppk> {
        self.find(self.id.as_deref()?)
    }
}
