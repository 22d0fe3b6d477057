//! Why a negotiation failed, in words an operator can act on.

use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::Proposal;
use ravelin_types::transform::TransformType;

use crate::limits::REPORT_LINES;

/// A failed exchange: where, what did not meet, and what each side had to offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The configured peer, when it is known.
    pub remote: Option<String>,
    /// Its address; the unspecified one where that is not known.
    pub address: IpAddr,
    /// The policy the exchange was for.
    pub policy: Option<PolicyId>,
    /// `IKE_SA_INIT`, `IKE_AUTH`, ...
    pub exchange: &'static str,
    /// What did not meet.
    pub part: Part,
    /// What the peer offered or said, one line each; empty when it did not tell.
    pub theirs: Vec<String>,
    /// What we offered or have configured, one line each.
    pub ours: Vec<String>,
    /// Of what the two sides have nothing in common, where both are known.
    pub gaps: Vec<Gap>,
    /// What to do.
    pub advice: String,
}

/// One type of transform of which the two sides have none in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The type.
    pub kind: TransformType,
    /// What the peer has of it; empty for none.
    pub theirs: Vec<String>,
    /// What we have.
    pub ours: Vec<String>,
}

/// What is missing between the two proposals that come closest.
pub(crate) fn gaps(offered: &[impl AsRef<Proposal>], ours: &[Proposal]) -> Vec<Gap> {
    let pairs = offered
        .iter()
        .map(AsRef::as_ref)
        .take(REPORT_LINES)
        .flat_map(|theirs| ours.iter().map(move |own| (theirs, own)));
    let pairs = pairs.filter(|(theirs, own)| theirs.protocol == own.protocol);
    pairs.map(|(theirs, own)| between(theirs, own)).min_by_key(Vec::len).unwrap_or_default()
}

fn between(theirs: &Proposal, own: &Proposal) -> Vec<Gap> {
    let kinds: BTreeSet<TransformType> =
        theirs.transforms.iter().chain(&own.transforms).map(|transform| transform.kind()).collect();
    let of = |proposal: &Proposal, kind| -> Vec<String> {
        let all = proposal.transforms.iter().filter(|transform| transform.kind() == kind);
        all.take(REPORT_LINES).map(ToString::to_string).collect()
    };
    let mut gaps: Vec<Gap> = Vec::new();
    for kind in kinds {
        let common = theirs.transforms.iter().any(|it| it.kind() == kind && own.transforms.contains(it));
        // Whether there is an integrity algorithm follows from the ciphers.
        let follows = kind == TransformType::INTEG && gaps.iter().any(|gap| gap.kind == TransformType::ENCR);
        if !common && !follows {
            gaps.push(Gap { kind, theirs: of(theirs, kind), ours: of(own, kind) });
        }
    }
    gaps
}

/// The part of a negotiation that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No remote is configured for this address and version.
    NoRemote,
    /// The remote is configured not to take part in this role.
    Role,
    /// IKE proposals have nothing in common.
    IkeProposal,
    /// The key exchange method or its value.
    KeyExchange,
    /// Proposals of ESP or AH have nothing in common.
    ChildProposal,
    /// Traffic selectors have nothing in common.
    TrafficSelectors,
    /// A Child SA would carry less than the one that it is to replace (RFC 7296 §2.9.2).
    Narrower,
    /// Transport or tunnel mode, or how packets go in a tunnel (RFC 9347).
    Mode,
    /// Internal addresses: none is left, or one side does not ask for any or give any.
    InternalAddress,
    /// The peer's identity is not the expected one.
    Identity,
    /// The pre-shared keys differ.
    Authentication,
    /// One side proves who it is in another way than the other expects.
    Method,
    /// The peer does not believe who we are; it does not say why (RFC 7296 §2.21.2).
    NotBelieved(Means),
    /// One side has more to prove than the other knows of, or less (RFC 4739).
    Rounds,
    /// A user's name and password (XAuth) are not accepted.
    Login,
    /// The peer does not prove the whole of IKE_SA_INIT.
    Transcript,
    /// There is no post-quantum pre-shared key that both sides have.
    Ppk,
    /// An EAP conversation did not come to a good end, for the reason in `theirs` or `ours`.
    Eap,
    /// A certificate or a signature is not accepted, for the reason in `theirs`, or the peer does not accept ours.
    Certificate,
    /// Nobody can say where the host of a name is, for the reason in `ours`.
    Name,
    /// No answer.
    NoAnswer,
    /// The configuration of this side cannot be carried out, for the reason in `ours`.
    Configuration,
    /// The peer refused for another reason, named in `theirs`.
    Refused,
    /// The peer broke the protocol.
    Protocol,
    /// The data plane refused the SA.
    DataPlane,
    /// A packet was not within the selectors of its SA, as the peer says in `theirs`, or as was found here. Nothing has failed: the
    /// SA stays.
    OutsideSelectors,
    /// A bound on half-open or established SAs is reached.
    Limit,
}

/// What we prove who we are with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// A pre-shared key.
    SharedKey,
    /// A certificate.
    Certificate,
    /// A public key without a certificate.
    PublicKey,
    /// A user's name, by EAP.
    Eap,
    /// Nothing (RFC 7619).
    Nothing,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::NoRemote => "no remote is configured for the peer",
            Part::Role => "the remote is configured for another role or version",
            Part::IkeProposal => "the IKE proposals have no algorithm set in common",
            Part::KeyExchange => "the key exchange failed",
            Part::Transcript => "the peer does not prove the whole of IKE_SA_INIT, or somebody between the two says so",
            Part::Ppk => "the post-quantum pre-shared keys do not meet",
            Part::ChildProposal => "the proposals for the Child SA have no algorithm set in common",
            Part::TrafficSelectors => "the traffic selectors have nothing in common",
            Part::Narrower => "the new Child SA would have narrower selectors than the one that it is to replace",
            Part::Mode => "the two sides want different modes of the Child SA",
            Part::InternalAddress => "no internal address was assigned",
            Part::Identity => "the peer is not who the configuration expects",
            Part::Authentication => "the peers do not have the same pre-shared key",
            Part::Method => "one side proves who it is in another way than the other expects",
            Part::NotBelieved(Means::SharedKey) => "the peer does not take our pre-shared key, or not for our identity",
            Part::NotBelieved(Means::Certificate) => "the peer does not take our certificate, or not for our identity",
            Part::NotBelieved(Means::PublicKey) => "the peer does not take our public key, or not for our identity",
            Part::NotBelieved(Means::Eap) => "the peer does not take our login by EAP, or not from our identity",
            Part::NotBelieved(Means::Nothing) => "the peer does not take us without a proof of who we are",
            Part::Rounds => "the two do not prove themselves in the same number of rounds",
            Part::Login => "the user's login is not accepted",
            Part::Eap => "EAP did not succeed",
            Part::Certificate => "a certificate or its signature is not accepted",
            Part::Name => "the peer's name leads nowhere",
            Part::NoAnswer => "the peer does not answer",
            Part::Configuration => "the configuration here cannot be carried out",
            Part::Refused => "the peer refused",
            Part::Protocol => "the peer broke the protocol",
            Part::DataPlane => "the data plane refused the SA",
            Part::OutsideSelectors => "a packet was not within the selectors of its SA",
            Part::Limit => "a limit was reached",
        })
    }
}

impl fmt::Display for Failure {
    /// One line: `IKE_SA_INIT with swan (192.0.2.2): the IKE proposals ...; theirs: ...; ours: ...; advice`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with ", self.exchange)?;
        match &self.remote {
            // Where it is nobody knows.
            Some(name) if self.address.is_unspecified() => f.write_str(name)?,
            Some(name) => write!(f, "{name} ({})", self.address)?,
            None => write!(f, "{}", self.address)?,
        }
        write!(f, ": {}", self.part)?;
        for (title, lines) in [("theirs", &self.theirs), ("ours", &self.ours)] {
            if !lines.is_empty() {
                write!(f, "; {title}: {}", lines.join(" | "))?;
            }
        }
        if !self.advice.is_empty() {
            write!(f, "; {}", self.advice)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use ravelin_types::proposal::ProtocolId;
    use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, Transform};

    #[test]
    fn the_closest_two_proposals_are_compared() {
        let proposal =
            |transforms: &[Transform]| Proposal { protocol: ProtocolId::IKE, transforms: transforms.to_vec() };
        let (gcm, cbc) = (Transform::Encr(EncrId::AES_GCM_16, Some(128)), Transform::Encr(EncrId::AES_CBC, Some(128)));
        let (sha, prf) = (Transform::Integ(IntegId::HMAC_SHA2_256_128), Transform::Prf(PrfId::HMAC_SHA2_256));
        let [small, large] = [KeMethod::MODP1024, KeMethod::MODP3072].map(Transform::Ke);
        let ours = [proposal(&[gcm, prf, large]), proposal(&[cbc, sha, prf, large])];
        let found = gaps(&[proposal(&[cbc, sha, prf, small])], &ours);
        assert_eq!(
            found,
            [Gap { kind: TransformType::KE, theirs: vec!["MODP1024".into()], ours: vec!["MODP3072".into()] }]
        );
        // What follows from another difference is none of its own.
        let found = gaps(&[proposal(&[cbc, sha, prf, large])], &ours[..1]);
        assert_eq!(found.iter().map(|gap| gap.kind).collect::<Vec<_>>(), [TransformType::ENCR]);
        assert!(gaps(&ours[..0], &ours).is_empty());
    }
}
