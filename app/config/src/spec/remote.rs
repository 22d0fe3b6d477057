//! What `ike remote`, a connection, or an account asks for.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ravelin_ike::config::{IdPattern, IkeVersion, Internal, Liveness, Retransmission};
use ravelin_pki::{Demand, Restrictions};
use ravelin_types::if_id::IfIds;
use ravelin_types::proposal::Proposal;
use ravelin_types::{HostName, Identity};

use super::{EapSpec, ExtensionSpec, PeerBy, RoundsSpec};
use crate::papers::{Believed, Signer};
use crate::value::host::Host;

/// Addresses of one remote: more than anybody has gateways for one destination.
pub(crate) const GATEWAYS: usize = 8;

/// A remote as an operator described it; the key is still in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSpec {
    /// Unique among the remotes.
    pub name: String,
    /// The version of IKE; a name may have one remote of each.
    pub version: IkeVersion,
    /// Our address towards it; `None`: any, or one to which a name of ours leads.
    pub local: Option<IpAddr>,
    /// Names of ours, which stand for the addresses to which they lead.
    pub own_names: Vec<HostName>,
    /// Who it is on the network.
    pub endpoint: Host,
    /// Where it, or another gateway in its place, is reached when there is no answer; in this order.
    pub alternates: Vec<Host>,
    /// Who we say we are.
    pub own_id: Identity,
    /// Who it must say it is.
    pub peer_id: Identity,
    /// Whom we take for the peer, in place of `peer_id`.
    pub peers: Option<IdPattern>,
    /// Where the pre-shared key is, as written; `None`: among the secrets that were loaded.
    pub secret_file: Option<PathBuf>,
    /// In order of preference.
    pub proposals: Vec<Proposal>,
    /// Whether we may start.
    pub initiate: bool,
    /// Whether we answer.
    pub accept: bool,
    /// Age at which the IKE SA is rekeyed.
    pub lifetime: Duration,
    /// How requests are repeated.
    pub retransmission: Retransmission,
    /// When to ask whether it is alive.
    pub liveness: Liveness,
    /// How long a user of it may take to log in.
    pub login_time: Duration,
    /// Whether ESP travels in UDP even where there is no NAT.
    pub encap: bool,
    /// Internal addresses that one side gives to the other.
    pub internal: Internal,
    /// The numbers of virtual interfaces of the policies that leave them to the IKE SA.
    pub if_ids: IfIds,
    /// What it does beyond RFC 7296.
    pub extensions: ExtensionSpec,
    /// The certificates, where the two authenticate by signatures, or one of them does and the other by EAP or a login.
    pub signature: Option<SignatureSpec>,
    /// Who proves nothing (RFC 7619), whatever the other does.
    pub null: NullSides,
    /// EAP, where one of the two is a user.
    pub eap: Option<EapSpec>,
    /// What the two prove after that.
    pub rounds: RoundsSpec,
    /// A login after phase 1 of IKEv1.
    pub xauth: Option<XauthSpec>,
    /// What only a loaded connection can say.
    pub loaded: Option<LoadedSpec>,
}

/// Who of the two proves nothing of who it is (RFC 7619).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NullSides {
    /// We.
    pub own: bool,
    /// The peer.
    pub peer: bool,
}

/// Who logs in by XAuth, and where the passwords are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XauthSpec {
    /// The peer, as one of the users of a file, or of the secrets that were loaded.
    Users(Option<PathBuf>),
    /// The peer, as this user alone, with a password among the secrets that were loaded.
    User(String),
    /// We, as the user of a file.
    LoginFile(PathBuf),
    /// We, as this user with a password among the secrets that were loaded.
    Login(String),
}

/// The certificates of a remote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignatureSpec {
    /// Sent to the peer in this order; the first one is our own.
    pub own: Vec<PathBuf>,
    /// The one that the peer must use; without it any that a trusted authority issued.
    pub peer: Option<PathBuf>,
    /// We say that we are the subject of our certificate, not `own_id`.
    pub own_subject: bool,
    /// The peer must be the subject of its certificate, not `peer_id`.
    pub peer_subject: bool,
    /// Which certificates must be known not to be revoked.
    pub revocation: Revocation,
    /// By which schemes we sign.
    pub own_restrictions: Restrictions,
    /// Which keys and signatures of the peer are accepted.
    pub peer_restrictions: Restrictions,
}

/// What must be known about revocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Revocation {
    /// Nothing, but what is known to be revoked is refused.
    #[default]
    Relaxed,
    /// That a certificate is not revoked which says where that is to be learnt.
    Ifuri,
    /// That no certificate is.
    Strict,
}

impl From<Revocation> for Demand {
    fn from(demand: Revocation) -> Self {
        match demand {
            Revocation::Relaxed => Demand::Relaxed,
            Revocation::Ifuri => Demand::IfUri,
            Revocation::Strict => Demand::Strict,
        }
    }
}

/// What a connection says beyond what `ike remote` can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadedSpec {
    /// Our addresses, as written.
    pub local_addrs: Vec<String>,
    /// The peer's, as written.
    pub remote_addrs: Vec<String>,
    /// Our addresses at which a peer is answered; empty: as `local` says.
    pub at: Vec<RangeInclusive<IpAddr>>,
    /// Addresses from which a peer is answered; empty: `endpoint` alone.
    pub from: Vec<RangeInclusive<IpAddr>>,
    /// We say that we are the address at which the peer reaches us, not `own_id`.
    pub own_address: bool,
    /// What we sign with, if we do.
    pub signs: Option<Signer>,
    /// Whose signature is believed, if the peer signs.
    pub believes: Option<Believed>,
}

impl RemoteSpec {
    /// Where it is sought, in the order in which that is tried.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        std::iter::once(&self.endpoint).chain(&self.alternates)
    }

    /// Where this host is towards it, as far as that is said.
    pub fn own_hosts(&self) -> impl Iterator<Item = Host> {
        self.local.map(Host::Address).into_iter().chain(self.own_names.iter().cloned().map(Host::Name))
    }

    /// Its addresses, as far as they were written.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.hosts().filter_map(Host::address)
    }

    /// The names of the RADIUS servers that know its users.
    pub fn server_names(&self) -> impl Iterator<Item = &HostName> {
        let rounds = self.rounds.peer.iter().filter_map(|round| match &round.by {
            PeerBy::Eap(eap, _) => Some(eap),
            _ => None,
        });
        self.eap.iter().chain(rounds).flat_map(|eap| eap.radius.names())
    }

    /// The names that have to be looked up for it.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.hosts().filter_map(Host::name).chain(&self.own_names).chain(self.server_names())
    }

    /// The files of its keys, certificates and passwords.
    pub(crate) fn files(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let signature =
            self.signature.iter_mut().flat_map(|signature| signature.own.iter_mut().chain(&mut signature.peer));
        let login = self.xauth.iter_mut().filter_map(|xauth| match xauth {
            XauthSpec::Users(file) => file.as_mut(),
            XauthSpec::LoginFile(file) => Some(file),
            XauthSpec::User(_) | XauthSpec::Login(_) => None,
        });
        let more = login.chain(&mut self.extensions.ppk_file).chain(self.rounds.files());
        self.secret_file.iter_mut().chain(signature).chain(more)
    }
}
