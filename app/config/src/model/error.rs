//! Why a change of the model is refused.

use std::fmt;

use ravelin_types::Identity;
use ravelin_types::policy::PolicyId;

use super::interfaces::MAX_INTERFACES;
use crate::papers::PaperError;
use crate::remark::FileError;
use crate::secret::SecretError;
use crate::value::host::Host;
use crate::value::key::KeyError;

/// Why a change is refused.
#[derive(Debug)]
pub enum ModelError {
    /// There is a policy of this name already.
    PolicyExists(String),
    /// There is a remote of this name and version already.
    RemoteExists(String, u8),
    /// The other version of the remote is the one that is initiated.
    InitiatesAlready(String),
    /// There is no such policy; the text suggests another.
    NoSuchPolicy(String, String),
    /// There is no such remote; the text suggests another.
    NoSuchRemote(String, String),
    /// The policy was not made by the operator.
    Automatic(String),
    /// A policy that is consulted before the automatic ones would catch IKE's own packets.
    CatchesIke(String),
    /// The endpoint of a policy is not the address of its remote.
    EndpointsDiffer {
        /// The policy.
        policy: String,
        /// The remote.
        remote: String,
        /// What the policy has.
        endpoint: Host,
        /// What the remote has.
        addresses: Vec<Host>,
    },
    /// No peer of its remote is one that the policy is for.
    NotForRemote {
        /// The policy.
        policy: String,
        /// The remote.
        remote: String,
        /// Who that is.
        peer: Identity,
    },
    /// There is a pool of this name already.
    PoolExists(String),
    /// There is no such pool; the text suggests another.
    NoSuchPool(String, String),
    /// Two pools have addresses in common.
    PoolsOverlap(String, String),
    /// There is no loaded connection of this name.
    NoSuchConnection(String),
    /// The name of a loaded connection is that of a remote of the command line.
    NotLoaded(String),
    /// The pre-shared key cannot be had.
    Secret(SecretError),
    /// No secret was loaded for the RADIUS servers of a remote.
    NoRadiusSecret(Host),
    /// The passwords of users cannot be had.
    Accounts(FileError),
    /// A certificate or its key cannot be had.
    Paper(PaperError),
    /// A key given by hand cannot be had.
    Key(KeyError),
    /// The number of a policy is or was in use.
    NumberUsed(PolicyId),
    /// No SA was added by hand for this traffic.
    NoSuchSa,
    /// Every number was given out.
    Full,
    /// There are as many virtual interfaces as there may be.
    Interfaces,
    /// There is a virtual interface of this name already.
    InterfaceExists(String),
    /// Another virtual interface has the number.
    IfIdTaken(u32, String),
    /// A policy uses the virtual interface.
    InterfaceUsed(String, String),
    /// There is no such virtual interface; the text suggests another.
    NoSuchInterface(String, String),
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelError::PolicyExists(name) => {
                write!(f, "there is a policy {name} already; delete it first: ipsec policy -x {name}")
            }
            ModelError::RemoteExists(name, version) => {
                write!(f, "there is a remote {name} for IKEv{version} already; delete it first: ike remote -x {name}")
            }
            ModelError::InitiatesAlready(name) => write!(
                f,
                "the remote {name} is initiated with the other version of IKE; only one of the two can have -w"
            ),
            ModelError::NoSuchPolicy(name, hint) => write!(f, "there is no policy {name}{hint}"),
            ModelError::NoSuchRemote(name, hint) => write!(f, "there is no remote {name}{hint}"),
            ModelError::Automatic(name) => {
                write!(
                    f,
                    "the policy {name} is not the operator's and cannot be deleted: IKE needs it, or the daemon was so started"
                )
            }
            ModelError::CatchesIke(name) => write!(
                f,
                "above priority 2 the policy {name} would catch the packets of IKE itself (UDP 500 and 4500); use \
                 priority 2 to 7, or a narrower source, destination or protocol"
            ),
            ModelError::EndpointsDiffer { policy, remote, endpoint, addresses } => {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the endpoint of the policy {policy}, -r {endpoint}, is not an address of its remote {remote}: -r {}",
                    addresses.join(" -r ")
                )
            }
            ModelError::NotForRemote { policy, remote, peer } => {
                write!(
                    f,
                    "the policy {policy} is not --for {peer}, who its remote {remote} is (-f): make the two say the same"
                )
            }
            ModelError::PoolExists(name) => {
                write!(f, "there is a pool {name} already; delete it first: ike pool -x {name}")
            }
            ModelError::NoSuchPool(name, hint) => write!(f, "there is no pool {name}{hint}"),
            ModelError::PoolsOverlap(name, other) => {
                write!(f, "the pools {name} and {other} have addresses in common: give one of the two others")
            }
            ModelError::NoSuchConnection(name) => write!(f, "connection '{name}' not found"),
            ModelError::NotLoaded(name) => {
                write!(f, "{name} was configured with ike remote; delete it there first: ike remote -x {name}")
            }
            ModelError::Secret(error) => error.fmt(f),
            ModelError::NoRadiusSecret(server) => write!(
                f,
                "there is no secret for the RADIUS server {server}, the first of its list: load it before, as secrets {{ \
                 ike-radius {{ id = {server}  secret = ... }} }}"
            ),
            ModelError::Accounts(error) => error.fmt(f),
            ModelError::Paper(error) => error.fmt(f),
            ModelError::Key(error) => error.fmt(f),
            ModelError::NumberUsed(id) => write!(f, "the number {} is or was that of another policy", id.0),
            ModelError::NoSuchSa => {
                f.write_str("no SA was added with ipsec addsa for this source, destination and protocol")
            }
            ModelError::InterfaceExists(name) => write!(f, "there is an interface {name} already: vti del {name}"),
            ModelError::IfIdTaken(number, name) => write!(f, "the interface {name} has the number {number} already"),
            ModelError::InterfaceUsed(name, policy) => {
                write!(
                    f,
                    "the policy {policy} uses the interface {name}: delete that first, and add it behind the interface"
                )
            }
            ModelError::NoSuchInterface(name, hint) => write!(f, "there is no interface {name}{hint}"),
            ModelError::Interfaces => {
                write!(f, "there are {MAX_INTERFACES} virtual interfaces already, and there may be no more")
            }
            ModelError::Full => f.write_str("no number is left for another policy; restart the daemon"),
        }
    }
}

impl std::error::Error for ModelError {}
