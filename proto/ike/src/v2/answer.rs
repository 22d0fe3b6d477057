//! Being asked for a Child SA: which policy it falls under, and what of the offer that policy takes.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::OriginalAddresses;
use ravelin_types::selector::{TrafficSelector, narrow};
use ravelin_types::transform::{KeMethod, Transform};
use ravelin_types::{Identity, Spi};
use ravelin_wire::ike::v2::{NotifyType, OfferedProposal, Payload, Sa, Ts};
use ravelin_wire::ip::transport::has_ports;

use super::message::{Payloads, selectors};
use super::offer::{AH_THROUGH_NAT, fragments_notify, later_fragments, mode_name, use_transport_mode};
use crate::address::Inside;
use crate::child::{ChildSa, Terms};
use crate::config::{ChildPolicy, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error, Place};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::nat;
use crate::negotiate::{self, ChildKe, Selectors};

/// What we answer to an offer of a Child SA.
pub(crate) struct ChildAnswer {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) terms: Terms,
    number: u8,
    transforms: Vec<Transform>,
}

impl ChildAnswer {
    /// Judges the offer of the peer `with` of a remote. `old` is the Child SA it shall replace. The policy goes into
    /// `place` once it is known.
    pub(crate) fn to(
        payloads: &Payloads,
        (remote, peer): (&Remote, &Identity),
        old: Option<&ChildSa>,
        exchange: ChildKe,
        ends: &Ends,
        core: &Core,
        place: &mut Place,
    ) -> Result<Self, Error> {
        let wanted = Wanted::new(payloads, ends)?;
        let inside = core.inside(ends, remote);
        let found = match old {
            Some(old) => {
                place.policy = Some(old.policy.policy.id);
                let current = core.policy(old.policy.policy.id).unwrap_or_else(|| old.policy.clone());
                find(&[current], &wanted, &inside, ends)
            }
            None => find(&candidates(core.policies(), (&remote.name, peer)), &wanted, &inside, ends),
        }?;
        place.policy = Some(found.policy.policy.id);

        let sa = payloads.sa()?;
        let offered: Vec<Proposal> = sa.0.iter().map(|offered| offered.proposal.clone()).collect();
        let with_ke = exchange != ChildKe::None;
        let ours = negotiate::offer(&found.policy.proposals, with_ke, &core.crypto);
        let agreed = negotiate::child(&offered, &ours, exchange, &core.crypto)?;
        if ends.nat.any() && agreed.suite.protocol() == ProtocolId::AH {
            return Err(AH_THROUGH_NAT);
        }
        let OfferedProposal { number, spi, .. } =
            sa.0.get(agreed.index).ok_or(Error::Violation("an SA payload without proposals"))?;
        let outbound = spi.child().filter(|spi| spi.is_usable());
        let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
        if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
            // The peer will choose another SPI when it tries again.
            return Err(Error::Temporary);
        }
        if let (ChildKe::Fresh(sent), Some(method)) = (exchange, agreed.ke)
            && sent != Some(method)
        {
            return Err(Error::WrongKe(method));
        }
        let transport = found.mode == Mode::Transport;
        let asked = payloads.notify(NotifyType::NON_FIRST_FRAGMENTS_ALSO).is_some();
        let later_fragments = asked && fragments_notify(found.mode, &found.selectors).is_some();
        Ok(ChildAnswer {
            policy: found.policy,
            terms: Terms {
                outbound,
                suite: agreed.suite,
                ke: agreed.ke,
                mode: found.mode,
                local_ts: found.selectors.responder,
                remote_ts: found.selectors.initiator,
                original: if transport { wanted.original } else { None },
                mode_declined: wanted.transport && !transport,
                tfc_declined: wanted.tfc_declined,
                lifetime: None,
                later_fragments,
            },
            number: *number,
            transforms: agreed.transforms,
        })
    }

    /// `[N(USE_TRANSPORT_MODE)], SA`
    pub(crate) fn head(&self, inbound: Spi) -> Vec<Payload> {
        let proposal = Proposal { protocol: self.terms.suite.protocol(), transforms: self.transforms.clone() };
        let sa = Payload::Sa(Sa(vec![OfferedProposal { number: self.number, spi: inbound.into(), proposal }]));
        let fragments = self.terms.later_fragments.then(later_fragments);
        use_transport_mode(self.terms.mode).into_iter().chain(fragments).chain([sa]).collect()
    }

    /// `TSi, TSr`
    pub(crate) fn ts(&self) -> [Payload; 2] {
        [Payload::TsI(Ts::new(&self.terms.remote_ts)), Payload::TsR(Ts::new(&self.terms.local_ts))]
    }
}

/// What the peer wants, in the two readings of RFC 7296 §2.23.1.
pub(crate) struct Wanted {
    transport: bool,
    tfc_declined: bool,
    /// As sent.
    sent: Selectors,
    /// With the addresses as we see them, for transport mode.
    seen: Selectors,
    pub(crate) original: Option<OriginalAddresses>,
}

impl Wanted {
    fn new(payloads: &Payloads, ends: &Ends) -> Result<Self, Error> {
        let transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let sent = Selectors { initiator: selectors(payloads.tsi()?), responder: selectors(payloads.tsr()?) };
        let tfc_declined = payloads.notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED).is_some();
        Ok(Self::of(transport, sent, None, tfc_declined, ends))
    }

    /// `told` has the peer's own addresses where it says them apart from the selectors, as with IKEv1.
    pub(crate) fn of(
        transport: bool,
        sent: Selectors,
        told: Option<OriginalAddresses>,
        tfc_declined: bool,
        ends: &Ends,
    ) -> Self {
        let mut seen = sent.clone();
        let mut original = None;
        if transport && ends.nat.any() {
            original = told.or_else(|| nat::original(&sent.initiator, &sent.responder));
            if ends.nat.theirs {
                seen.initiator = nat::substitute(&seen.initiator, ends.peer.ip());
            }
            if ends.nat.ours {
                seen.responder = nat::substitute(&seen.responder, ends.local.ip());
            }
        }
        Wanted { transport, tfc_declined, sent, seen, original }
    }

    /// The selectors as they are judged in this mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> &Selectors {
        match mode {
            Mode::Transport => &self.seen,
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
pub(crate) fn candidates(policies: &[Arc<ChildPolicy>], (remote, peer): (&str, &Identity)) -> Vec<Arc<ChildPolicy>> {
    let theirs = policies.iter().filter(|child| child.remote == remote && child.is_for(peer));
    let mut policies: Vec<_> = theirs.cloned().collect();
    policies.sort_by_key(|child| (child.policy.priority, child.policy.id));
    policies
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
        let mut allowed = allowed(policy, inside);
        let mode = protection.mode;
        let offered = match mode {
            Mode::Transport => {
                allowed.initiator = narrow(&[TrafficSelector::host(ends.peer.ip())], &allowed.initiator);
                allowed.responder = narrow(&[TrafficSelector::host(ends.local.ip())], &allowed.responder);
                &wanted.seen
            }
            Mode::Tunnel => &wanted.sent,
        };
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
    offered.narrowed(&Selectors { initiator, responder })
}

/// The selectors of a policy, the peer's side first.
fn allowed(policy: &ChildPolicy, inside: &Inside) -> Selectors {
    let (responder, initiator) = policy.selectors(inside);
    Selectors { initiator, responder }
}

/// The method of the peer's KE payload, if there is one.
pub(crate) fn sent_ke(payloads: &Payloads) -> Option<KeMethod> {
    payloads.ke().ok().map(|ke| ke.method)
}
