//! What can go wrong inside an exchange, by cause, and the two ways out: [`Error::notify`] is what the peer hears,
//! [`Error::failure`] is what the operator reads.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use ravelin_types::Spi;
use ravelin_types::policy::PolicyId;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::error::{Malformed, Unfit};
use ravelin_wire::ike::header::{ExchangeType, PayloadType};
use ravelin_wire::ike::v1;
use ravelin_wire::ike::v2::{Notify, NotifyType};
use ravelin_wire::ip::quoted_flow;

use crate::config::Remote;
use crate::explain::{Failure, Gap, Means, Part};
use crate::limits;

/// Why an exchange cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Error {
    /// Bytes that are not payloads.
    Malformed(Malformed),
    /// A payload type that must be understood and is not.
    CriticalPayload(PayloadType),
    /// The peer broke the protocol.
    Violation(&'static str),
    /// It answered by this exchange, and was asked in another.
    Astray(ExchangeType),
    /// The policies do not meet.
    NoAgreement(Disagreement),
    /// The policy wants a Child SA for each flow, and the offer is for more.
    NotSingle(Disagreement),
    /// There is no internal address for the peer.
    NoAddress(Disagreement),
    /// The peer asks for no internal address, and it has to.
    NoRequest,
    /// The peer sent a key exchange value of another method than the chosen one.
    WrongKe(KeMethod),
    /// The peer's key exchange value is no valid element.
    BadPublicValue,
    /// The peer did not prove who it is.
    Authentication(Disagreement),
    /// A step of a key exchange takes long and is being taken elsewhere (`exchanging.rs`): neither the peer nor the operator
    /// hears of it.
    PutOff,
    /// Not now.
    Temporary,
    /// The Child SA to be rekeyed is not there.
    NoSuchChild(ProtocolId, Spi),
    /// The series of key exchanges to be continued is not there.
    NoState,
    /// The ticket is not good here, or not any more.
    Ticket,
    /// No more Child SAs on this IKE SA.
    Full,
    /// No more Child SAs for single resources with these selectors.
    FullOfResources,
    /// The peer answered with this error.
    Refused(NotifyType, Vec<u8>),
    /// The peer answered with this error of IKEv1.
    RefusedV1(v1::NotifyType),
    /// The peer says this of the last message of a quick mode, and may not have the Child SA that came of it, or of one in its place.
    Untold { kind: v1::NotifyType, inbound: Spi, again: bool },
    /// The peer deleted the Child SA at once, and its delete overtook its answer.
    Withdrawn,
    /// There is no connection for IKE in TCP.
    NoStream(String),
    /// The data plane said no.
    DataPlane(String),
    /// The configuration changed under the exchange, or does not permit it.
    Misuse(&'static str),
}

/// What did not meet: each side's lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disagreement {
    /// The part of the negotiation.
    pub(crate) part: Part,
    /// What the peer offered.
    pub(crate) theirs: Vec<String>,
    /// What we have configured.
    pub(crate) ours: Vec<String>,
    /// Where both are proposals.
    pub(crate) gaps: Vec<Gap>,
}

impl Disagreement {
    /// Keeps at most [`limits::REPORT_LINES`] lines of the peer's, each cut to [`limits::REPORT_LINE`] characters.
    pub(crate) fn new(part: Part, theirs: Vec<String>, ours: Vec<String>) -> Self {
        let mut theirs = theirs;
        theirs.truncate(limits::REPORT_LINES);
        for line in &mut theirs {
            if let Some((at, _)) = line.char_indices().nth(limits::REPORT_LINE) {
                line.truncate(at);
            }
        }
        Disagreement { part, theirs, ours, gaps: Vec::new() }
    }
}

/// Where an exchange failed, for the report.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The configured peer.
    pub(crate) remote: Option<String>,
    /// Its address.
    pub(crate) address: IpAddr,
    /// The policy the exchange was for.
    pub(crate) policy: Option<PolicyId>,
    /// Name of the exchange.
    pub(crate) exchange: &'static str,
}

impl Error {
    /// What was agreed on is not there: neither offered nor chosen by the lists of the provider.
    pub(crate) const NOT_BUILT_IN: Error = Error::Misuse("an algorithm is not built in");

    /// What the peer is told in the response to its request (RFC 7296 §2.21, §3.10.1).
    pub(crate) fn notify(&self) -> Notify {
        let plain = |kind| Notify::new(kind, Vec::new());
        match self {
            Error::Malformed(_) | Error::Violation(_) | Error::Astray(_) | Error::BadPublicValue => {
                plain(NotifyType::INVALID_SYNTAX)
            }
            Error::CriticalPayload(kind) => Notify::new(NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD, vec![kind.0]),
            Error::NoAgreement(disagreement) => plain(match disagreement.part {
                // RFC 7296 §2.23.1: an SPD entry of the other mode counts as no entry for these selectors.
                Part::TrafficSelectors | Part::Narrower | Part::Mode => NotifyType::TS_UNACCEPTABLE,
                _ => NotifyType::NO_PROPOSAL_CHOSEN,
            }),
            Error::NotSingle(_) => plain(NotifyType::SINGLE_PAIR_REQUIRED),
            Error::NoAddress(_) => plain(NotifyType::INTERNAL_ADDRESS_FAILURE),
            Error::NoRequest => plain(NotifyType::FAILED_CP_REQUIRED),
            Error::WrongKe(method) => Notify::new(NotifyType::INVALID_KE_PAYLOAD, method.0.to_be_bytes().to_vec()),
            // RFC 7296 §2.21.2: whatever the cause, this is all the peer learns.
            Error::Authentication(_) => plain(NotifyType::AUTHENTICATION_FAILED),
            Error::Temporary | Error::PutOff => plain(NotifyType::TEMPORARY_FAILURE),
            Error::NoSuchChild(protocol, spi) => Notify::about(*protocol, *spi, NotifyType::CHILD_SA_NOT_FOUND),
            Error::NoState => plain(NotifyType::STATE_NOT_FOUND),
            Error::Ticket => plain(NotifyType::TICKET_NACK),
            Error::Full => plain(NotifyType::NO_ADDITIONAL_SAS),
            // RFC 9611 §6: not NO_ADDITIONAL_SAS, which would be about other selectors too.
            Error::FullOfResources => plain(NotifyType::TS_MAX_QUEUE),
            Error::Refused(..)
            | Error::RefusedV1(_)
            | Error::Untold { .. }
            | Error::Withdrawn
            | Error::Misuse(_)
            | Error::DataPlane(_)
            | Error::NoStream(_) => plain(NotifyType::NO_PROPOSAL_CHOSEN),
        }
    }

    /// The peer's certificate or signature is not accepted: why, by each of the remotes that it may be of.
    pub(crate) fn unproven<'a>(refusals: impl IntoIterator<Item = (String, &'a str)>) -> Self {
        let trusted = |(why, remote)| (why, format!("what is trusted for remote {remote}"));
        let (theirs, ours) = refusals.into_iter().map(trusted).unzip();
        Error::Authentication(Disagreement::new(Part::Certificate, theirs, ours))
    }

    /// The peer, which says this, does not believe who we are.
    pub(crate) fn not_believed(said: impl ToString, remote: &Remote) -> Self {
        let part = Part::NotBelieved(remote.local_auth.means());
        let ours = vec![
            format!("we are {}, by {}", remote.local_id, remote.local_auth.words()),
            format!("the peer shall be {}", remote.peer_words()),
        ];
        Error::Authentication(Disagreement::new(part, vec![said.to_string()], ours))
    }

    /// EAP did not succeed: what the other side said, or what we found.
    pub(crate) fn eap(theirs: Option<String>, ours: Option<String>) -> Self {
        Error::Authentication(Disagreement::new(Part::Eap, theirs.into_iter().collect(), ours.into_iter().collect()))
    }

    /// Our own key does not serve, or nobody judged the peer's.
    pub(crate) fn credential(why: String) -> Self {
        Error::Authentication(Disagreement::new(Part::Configuration, vec![], vec![why]))
    }

    /// What the peer is told with IKEv1 (RFC 2408 §3.14.1).
    pub(crate) fn notify_v1(&self) -> v1::NotifyType {
        match self {
            Error::Malformed(_) | Error::Violation(_) | Error::Astray(_) => v1::NotifyType::PAYLOAD_MALFORMED,
            Error::CriticalPayload(_) => v1::NotifyType::INVALID_PAYLOAD_TYPE,
            Error::BadPublicValue | Error::WrongKe(_) => v1::NotifyType::INVALID_KEY_INFORMATION,
            Error::Authentication(_) => v1::NotifyType::AUTHENTICATION_FAILED,
            Error::NoAgreement(disagreement) => match disagreement.part {
                Part::TrafficSelectors | Part::Mode => v1::NotifyType::INVALID_ID_INFORMATION,
                _ => v1::NotifyType::NO_PROPOSAL_CHOSEN,
            },
            Error::NotSingle(_) => v1::NotifyType::INVALID_ID_INFORMATION,
            _ => v1::NotifyType::NO_PROPOSAL_CHOSEN,
        }
    }

    /// Whether both sides drop the IKE SA without a word more (RFC 7296 §2.21.3).
    pub(crate) fn is_fatal(&self) -> bool {
        match self {
            Error::Malformed(_) | Error::Violation(_) | Error::BadPublicValue | Error::Authentication(_) => true,
            Error::Refused(kind, _) => {
                *kind == NotifyType::INVALID_SYNTAX || *kind == NotifyType::AUTHENTICATION_FAILED
            }
            _ => false,
        }
    }

    /// The operator's line.
    pub(crate) fn failure(&self, place: Place) -> Failure {
        let (part, theirs, ours) = match self {
            Error::NoAgreement(d) | Error::NotSingle(d) | Error::NoAddress(d) | Error::Authentication(d) => {
                (d.part, d.theirs.clone(), d.ours.clone())
            }
            Error::NoRequest => (Part::InternalAddress, vec!["asks for no address".into()], vec![]),
            Error::Malformed(what) => (Part::Protocol, vec![what.to_string()], vec![]),
            Error::Violation(what) => (Part::Protocol, vec![(*what).into()], vec![]),
            Error::Astray(kind) => {
                (Part::Protocol, vec![format!("answers as {kind}, and was asked as {}", place.exchange)], vec![])
            }
            Error::CriticalPayload(kind) => {
                (Part::Protocol, vec![format!("payload {kind} with the critical bit, which is not known here")], vec![])
            }
            Error::WrongKe(method) => (Part::KeyExchange, vec![], vec![method.to_string()]),
            Error::BadPublicValue => {
                (Part::Protocol, vec!["a public value that is no valid element of its group".into()], vec![])
            }
            Error::Temporary | Error::PutOff => {
                (Part::Refused, vec![NotifyType::TEMPORARY_FAILURE.to_string()], vec![])
            }
            Error::NoSuchChild(_, spi) => (Part::Refused, vec![format!("rekeying of unknown SPI {spi}")], vec![]),
            Error::NoState => (Part::Refused, vec!["a key exchange that nothing here waits for".into()], vec![]),
            Error::Ticket => (Part::Refused, vec!["a ticket that is not good here".into()], vec![]),
            Error::Full => (
                Part::Limit,
                vec![],
                vec![format!(
                    "{} Child SAs per IKE SA, {} per remote",
                    limits::CHILDREN_PER_IKE_SA,
                    limits::CHILDREN_PER_REMOTE
                )],
            ),
            Error::FullOfResources => {
                (Part::Limit, vec![], vec![format!("{} Child SAs of the same selectors", limits::RESOURCES)])
            }
            Error::Refused(kind, data) => (refused_part(*kind, &place), vec![describe(*kind, data)], vec![]),
            Error::RefusedV1(kind) => (refused_part_v1(*kind, &place), vec![kind.to_string()], vec![]),
            Error::Untold { kind, inbound, again } => {
                let what = if *again { "is deleted" } else { "is negotiated anew" };
                let ours = format!("the SA in {inbound}, which the peer may not have, {what}");
                (Part::Refused, vec![format!("{kind} to our last message")], vec![ours])
            }
            Error::Withdrawn => (Part::Refused, vec!["deleted the Child SA at once".into()], vec![]),
            Error::NoStream(why) => (Part::NoAnswer, vec![], vec![format!("no TCP connection: {why}")]),
            Error::DataPlane(what) => (Part::DataPlane, vec![], vec![what.clone()]),
            Error::Misuse(what) => (Part::Configuration, vec![], vec![(*what).into()]),
        };
        let gaps = match self {
            Error::NoAgreement(d) => d.gaps.clone(),
            _ => Vec::new(),
        };
        Failure {
            remote: place.remote,
            address: place.address,
            policy: place.policy,
            exchange: place.exchange,
            part,
            theirs,
            ours,
            gaps,
            advice: advice(part).into(),
        }
    }

    /// Adds what we offered to an error that only holds what the peer said.
    pub(crate) fn failure_with_offer(&self, place: Place, offered: impl FnOnce(Part) -> Vec<String>) -> Failure {
        let mut failure = self.failure(place);
        if failure.ours.is_empty() {
            failure.ours = offered(failure.part);
        }
        failure
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::Malformed(malformed)
    }
}

impl From<Disagreement> for Error {
    fn from(disagreement: Disagreement) -> Self {
        Error::NoAgreement(disagreement)
    }
}

impl From<Unfit> for Error {
    fn from(_: Unfit) -> Self {
        Error::Misuse("the configuration does not fit into a message: name fewer algorithms and selectors")
    }
}

/// The part that an error notify of the peer is about.
fn refused_part(kind: NotifyType, place: &Place) -> Part {
    match kind {
        // RFC 7296 §3.10.1: none of the offered suites was acceptable. Only an exchange for a policy offers ESP ones.
        NotifyType::NO_PROPOSAL_CHOSEN if place.exchange != "IKE_SA_INIT" && place.policy.is_some() => {
            Part::ChildProposal
        }
        NotifyType::NO_PROPOSAL_CHOSEN => Part::IkeProposal,
        NotifyType::TS_UNACCEPTABLE | NotifyType::SINGLE_PAIR_REQUIRED => Part::TrafficSelectors,
        NotifyType::INTERNAL_ADDRESS_FAILURE | NotifyType::FAILED_CP_REQUIRED => Part::InternalAddress,
        NotifyType::INVALID_KE_PAYLOAD => Part::KeyExchange,
        NotifyType::NO_ADDITIONAL_SAS | NotifyType::TS_MAX_QUEUE => Part::Limit,
        NotifyType::INVALID_SYNTAX | NotifyType::UNSUPPORTED_CRITICAL_PAYLOAD => Part::Protocol,
        NotifyType::INVALID_MAJOR_VERSION => Part::Role,
        _ => Part::Refused,
    }
}

fn refused_part_v1(kind: v1::NotifyType, place: &Place) -> Part {
    match kind {
        v1::NotifyType::NO_PROPOSAL_CHOSEN | v1::NotifyType::ATTRIBUTES_NOT_SUPPORTED => match place.exchange {
            "Quick Mode" => Part::ChildProposal,
            _ => Part::IkeProposal,
        },
        v1::NotifyType::INVALID_ID_INFORMATION if place.exchange == "Quick Mode" => Part::TrafficSelectors,
        v1::NotifyType::INVALID_ID_INFORMATION => Part::Identity,
        v1::NotifyType::INVALID_KEY_INFORMATION => Part::KeyExchange,
        _ => Part::Refused,
    }
}

fn describe(kind: NotifyType, data: &[u8]) -> String {
    match (kind, data) {
        (NotifyType::INVALID_KE_PAYLOAD, [high, low]) => {
            format!("{kind}, wants {}", KeMethod(u16::from_be_bytes([*high, *low])))
        }
        _ => kind.to_string(),
    }
}

fn advice(part: Part) -> &'static str {
    match part {
        Part::NoRemote => "add a remote for this address, or correct the address of the one meant",
        Part::Role => "let one side's remote initiate and the other side's accept, both with the same version of IKE",
        Part::IkeProposal | Part::ChildProposal => "give both sides a proposal in common",
        Part::KeyExchange => "give both sides a key exchange method in common",
        Part::TrafficSelectors => "make the selectors of the two policies overlap, mirrored",
        Part::Narrower => "give both sides the selectors in use, or end the Child SA: ike terminate --child",
        Part::Mode => "give both policies the same mode",
        Part::InternalAddress => "give the server's remote a pool with addresses left, and let the client ask for one",
        Part::Identity => "make the identity expected here the one that the peer sends",
        Part::Authentication => "check that both sides have the same pre-shared key and identities",
        Part::Method => "let one side prove what the other expects of it",
        Part::NotBelieved(means) => match means {
            Means::SharedKey => "see its log: check that both sides have the same pre-shared key and identities",
            Means::Certificate => {
                "see its log: whether it trusts an authority above our certificate, whether that is in force by its clock, \
                 not revoked and for our identity, and whether it expects a certificate"
            }
            Means::PublicKey => "see its log: whether it has our public key, for our identity, and expects one",
            Means::Eap => "see its log: check the user, his password or certificate, and the methods of both sides",
            Means::Nothing => "give this side a proof of who it is, or let the peer take anybody",
        },
        Part::Login => "check the user and the password of both sides",
        Part::Eap => "check the user, his password or certificate, and the methods of both sides",
        Part::Certificate => "mend the certificate or what is asked of it, or trust its authority: ce x509",
        Part::Transcript => {
            "let the peer do it (draft-ietf-ipsecme-ikev2-downgrade-prevention), or do not require it: --full-transcript allow"
        }
        Part::Ppk => "give both sides the same key under the same name, or require it on neither",
        Part::Rounds => {
            "give each side as many rounds as the other side has it prove (--then-own, --then-peer, local-2, remote-2)"
        }
        Part::Name => "correct the name, or see that this host reaches its DNS servers; it is looked up again",
        Part::NoAnswer => "check that the peer runs, and that UDP ports 500 and 4500 reach it",
        Part::Configuration => "correct the remote or the policy on this side",
        Part::Refused => "see the log of the peer",
        Part::Protocol => "report this with a capture: one of the two implementations is in error",
        Part::DataPlane => "see what the data plane says",
        Part::OutsideSelectors => {
            "see that both sides have the same selectors for the SA, and that nothing rewrites the addresses of packets before \
             they are protected"
        }
        Part::Limit => "raise the limit, or close what is not needed",
    }
}

/// The peer never answered.
pub(crate) fn no_answer(place: Place) -> Failure {
    Error::NoAgreement(Disagreement::new(Part::NoAnswer, vec![], vec![])).failure(place)
}

/// What is to be said of a packet, of which this is the start, that was dropped because its SA is not for it: by the peer,
/// or here. `selectors` are those of the SA, from whoever sent the packet to the other.
pub(crate) fn outside_selectors(place: Place, by_peer: bool, start: &[u8], selectors: String) -> Failure {
    let flow = quoted_flow(start).map_or_else(|| "a packet that it does not show".into(), |flow| flow.to_string());
    let (said, ours) = match by_peer {
        true => (format!("{}: it dropped {flow}", NotifyType::INVALID_SELECTORS), format!("sends {selectors}")),
        false => (format!("sent {flow}"), format!("takes {selectors}")),
    };
    Error::NoAgreement(Disagreement::new(Part::OutsideSelectors, vec![said], vec![ours])).failure(place)
}
