//! What the messages act on: the policies and SAs of a host.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_crypto::CryptoProvider;
use ravelin_types::ErrorCode;
use ravelin_types::dataplane::{Flow, SaStatus};
use ravelin_types::policy::{Domain, Policy, PolicyId};
use ravelin_types::sa::{SaId, SaParams};

/// Where the keys of a policy come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keying {
    /// From our own IKE, or there are none: bypass and discard.
    Own,
    /// From a program behind the management messages.
    Program {
        /// They are the same at every start (`SP_KEYNEG_MANUAL`), which some algorithms do not survive.
        manual: bool,
        /// SAs have AH.
        ah: bool,
        /// SAs have ESP.
        esp: bool,
    },
}

/// What happened to the SPD or the SAD, by a message or not: the applications are told of it.
#[derive(Clone, Debug)]
pub enum Change {
    /// A policy was added.
    PolicyAdded(Box<Policy>, Keying),
    /// A policy is gone.
    PolicyDeleted(PolicyId),
    /// A session is gone: what received in it and, where it was there, what sent.
    SessionDeleted(Box<SaParams>, Option<Box<SaParams>>),
}

/// The SPD and SAD.
pub trait World {
    /// The policy of this number.
    fn policy(&self, id: PolicyId) -> Option<(Policy, Keying)>;

    /// The policy with the next number after this one.
    fn policy_after(&self, id: PolicyId) -> Option<(Policy, Keying)>;

    /// The policy that decides about outbound packets of this flow.
    fn lookup(&self, domain: Domain, flow: &Flow) -> Option<(Policy, Keying)>;

    /// Adds a policy, under its number or, where that is 0, under one that was never used; the number.
    ///
    /// # Errors
    /// [`ErrorCode::Exist`] when the number is or was in use, or what the data plane says.
    fn add_policy(&mut self, policy: Policy, keying: Keying) -> Result<PolicyId, ErrorCode>;

    /// Removes a policy and its SAs.
    ///
    /// # Errors
    /// [`ErrorCode::PolicyNotFound`], or [`ErrorCode::BadParam`] for one that must stay.
    fn delete_policy(&mut self, id: PolicyId) -> Result<(), ErrorCode>;

    /// Removes every policy that may be removed, and its SAs.
    ///
    /// # Errors
    /// What the data plane says.
    fn flush_policies(&mut self) -> Result<(), ErrorCode>;

    /// The SAs in force.
    fn sas(&mut self) -> Vec<SaStatus>;

    /// Installs one direction of an SA.
    ///
    /// # Errors
    /// What the data plane says.
    fn add_sa(&mut self, params: SaParams) -> Result<(), ErrorCode>;

    /// Removes SAs, whoever keyed them.
    fn delete_sas(&mut self, ids: &[SaId]);

    /// No SA will come for an acquire: packets that wait for it are of no use, and the next one may ask again.
    fn acquire_failed(&mut self, id: PolicyId);

    /// The address from which packets to `remote` leave.
    fn source_towards(&mut self, remote: IpAddr) -> Option<IpAddr>;

    /// What the data plane can protect with.
    fn crypto(&self) -> CryptoProvider;

    /// A random number, for SPIs.
    fn random(&mut self) -> u32;

    /// What has changed since the last call, in order.
    fn changes(&mut self) -> Vec<Change>;
}
