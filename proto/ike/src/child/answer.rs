//! Being asked for a Child SA, in either version: which policy it falls under, and what of the offer that policy takes.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Identity;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode};
use ravelin_types::sa::OriginalAddresses;
use ravelin_types::selector::{TrafficSelector, narrow};
use ravelin_wire::ip::transport::has_ports;

use super::offer::mode_name;
use crate::address::Inside;
use crate::config::{ChildPolicy, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::nat;
use crate::negotiate::Selectors;

/// What the peer wants, in the two readings of RFC 7296 §2.23.1.
pub(crate) struct Wanted {
    pub(crate) transport: bool,
    pub(crate) tfc_declined: bool,
    /// As sent.
    sent: Selectors,
    /// With the addresses as we see them, for transport mode, where these are others.
    seen: Option<Selectors>,
    pub(crate) original: Option<OriginalAddresses>,
}

impl Wanted {
    /// `told` has the peer's own addresses where it says them apart from the selectors, as with IKEv1.
    pub(crate) fn of(
        transport: bool,
        sent: Selectors,
        told: Option<OriginalAddresses>,
        tfc_declined: bool,
        ends: &Ends,
    ) -> Self {
        let (mut seen, mut original) = (None, None);
        if transport && ends.nat.any() {
            original = told.or_else(|| nat::original(&sent.initiator, &sent.responder));
            let seen = seen.insert(sent.clone());
            nat::see(ends, &mut seen.responder, &mut seen.initiator);
        }
        Wanted { transport, tfc_declined, sent, seen, original }
    }

    /// The selectors as they are judged in this mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> &Selectors {
        match mode {
            Mode::Transport => self.seen.as_ref().unwrap_or(&self.sent),
            Mode::Tunnel => &self.sent,
        }
    }
}

/// The policy that an offer falls under, and what of the offer it takes.
pub(crate) struct Found {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) mode: Mode,
    pub(crate) selectors: Selectors,
}

/// The policies of a remote that this peer may use, in the order in which the SPD consults them. RFC 4301 §4.4.1.1: the
/// name of an entry is matched with the identity that the peer proved to have.
pub(crate) fn candidates(remote: &Remote, peer: &Identity, core: &Core) -> Vec<Arc<ChildPolicy>> {
    core.policies_of(&remote.name).iter().filter(|child| child.is_for(peer)).cloned().collect()
}

/// The policy for what is wanted: the mode asked for comes before the other, and within a mode a policy that takes the
/// initiator's first selectors, the packet that asked, before one that does not (RFC 7296 §2.9).
pub(crate) fn find(
    policies: &[Arc<ChildPolicy>],
    wanted: &Wanted,
    inside: &Inside,
    ends: &Ends,
) -> Result<Found, Error> {
    let mut best: Option<(u8, Found)> = None;
    let mut mode_differs = false;
    let mut not_single = false;
    for policy in policies {
        let Action::Protect(protection) = &policy.policy.action else { continue };
        let mode = protection.mode;
        let (offered, allowed) = (wanted.in_mode(mode), allowed_in(mode, policy, inside, ends));
        let Some(mut selectors) = offered.narrowed(&allowed) else { continue };
        if protection.pfp.any() {
            match filled(protection.pfp, offered, &allowed) {
                Some(filled) => selectors = filled,
                None => {
                    not_single = true;
                    continue;
                }
            }
        }
        let rank = match (mode, wanted.transport) {
            // RFC 7296 §1.3.1: without the notify it is tunnel mode, which this policy does not permit.
            (Mode::Transport, false) => {
                mode_differs = true;
                continue;
            }
            (Mode::Transport, true) | (Mode::Tunnel, false) => 0,
            // RFC 7296 §1.3.1: declined by leaving the notify out of the answer.
            (Mode::Tunnel, true) => 2,
        };
        let rank = rank + u8::from(!selectors.covers_first(offered));
        if best.as_ref().is_none_or(|(other, _)| rank < *other) {
            best = Some((rank, Found { policy: policy.clone(), mode, selectors }));
        }
    }
    best.map(|(_, found)| found).ok_or_else(|| {
        let words = |mode| vec![mode_name(mode).to_string()];
        if not_single {
            let ours = vec!["each flow on a Child SA of its own".to_string()];
            return Error::NotSingle(Disagreement::new(Part::TrafficSelectors, wanted.sent.lines(), ours));
        }
        Error::NoAgreement(match mode_differs {
            true => Disagreement::new(Part::Mode, words(Mode::Tunnel), words(Mode::Transport)),
            false => {
                let protected = policies.iter().filter(|policy| matches!(policy.policy.action, Action::Protect(_)));
                let ours = protected.flat_map(|policy| allowed(policy, inside).lines()).collect();
                Disagreement::new(Part::TrafficSelectors, wanted.sent.lines(), ours)
            }
        })
    })
}

/// Whether the offer was narrowed to what was found, and some more of it would be acceptable on another Child SA alone
/// (RFC 7296 §2.9).
pub(crate) fn more_possible(
    found: &Found,
    policies: &[Arc<ChildPolicy>],
    wanted: &Wanted,
    inside: &Inside,
    ends: &Ends,
) -> bool {
    let offered = wanted.in_mode(found.mode);
    let is_more = |policy: &ChildPolicy| match &policy.policy.action {
        Action::Protect(protection) if protection.mode == found.mode => {
            let part = offered.narrowed(&allowed_in(found.mode, policy, inside, ends));
            part.is_some_and(|part| !part.within(&found.selectors))
        }
        _ => false,
    };
    !offered.within(&found.selectors) && policies.iter().any(|policy| is_more(policy))
}

/// Whether the policy does with plain tunnel mode: not where it wants IP-TFS (RFC 9347), to hide what is sent and when.
pub(crate) fn plain_tunnel(policy: &ChildPolicy) -> Result<(), Error> {
    match policy.aggfrag().and_then(|aggfrag| aggfrag.rate) {
        None => Ok(()),
        Some(_) => {
            let ours = vec!["packets of one length at a constant rate (IP-TFS)".to_string()];
            Err(Disagreement::new(Part::Mode, vec![mode_name(Mode::Tunnel).to_string()], ours).into())
        }
    }
}

/// What a policy that populates selectors from packets takes of an offer: for the packet that comes first in it
/// (RFC 7296 §2.9), with what is filled from it in place of the policy's own values. `None`: the offer is not because
/// of a packet, or the packet is not within the policy.
fn filled(pfp: Pfp, offered: &Selectors, allowed: &Selectors) -> Option<Selectors> {
    let (initiator, responder) = (offered.initiator.get(..1)?, offered.responder.get(..1)?);
    let flow = pfp.values(responder, initiator)?;
    if pfp.fills_ports()
        && has_ports(flow.protocol)
        && (pfp.local_port && flow.src_port.is_none() || pfp.remote_port && flow.dst_port.is_none())
    {
        return None;
    }
    let (responder, initiator) = pfp.fill(&allowed.responder, &allowed.initiator, &flow);
    offered.narrowed(&Selectors { initiator: initiator.into(), responder: responder.into() })
}

/// The selectors of a policy in a mode: transport mode is between the two hosts.
fn allowed_in(mode: Mode, policy: &ChildPolicy, inside: &Inside, ends: &Ends) -> Selectors {
    let mut allowed = allowed(policy, inside);
    if mode == Mode::Transport {
        allowed.initiator = narrow(&[TrafficSelector::host(ends.peer.ip())], &allowed.initiator);
        allowed.responder = narrow(&[TrafficSelector::host(ends.local.ip())], &allowed.responder);
    }
    allowed
}

/// The selectors of a policy, the peer's side first.
fn allowed(policy: &ChildPolicy, inside: &Inside) -> Selectors {
    let (responder, initiator) = policy.selectors(inside);
    Selectors { initiator, responder }
}
