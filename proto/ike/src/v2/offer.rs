//! Asking for a Child SA: what goes into the request, and what the answer comes to.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::Spi;
use ravelin_types::dataplane::Flow;
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::{ANY_PORTS, TrafficSelector, narrow};
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::v2::{AnySpi, Notify, NotifyType, OfferedProposal, Payload, Sa, Ts};
use ravelin_wire::ip::transport::has_type;

use super::message::{Payloads, selectors};
use crate::address::Inside;
use crate::child::{ChildSa, Terms};
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::nat;
use crate::negotiate::{self, ChildKe, Selectors};
use crate::want::Want;

/// RFC 3715 §2.1: AH covers the addresses that a NAT changes, and RFC 3948 carries ESP alone.
pub(crate) const AH_THROUGH_NAT: Error = Error::Misuse("AH does not pass the NAT between the two ends; use ESP");

/// Our side of a Child SA that is being asked for. Its inbound SPI is reserved; whoever drops the offer releases it.
pub(crate) struct ChildOffer {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) inbound: Spi,
    pub(crate) replaces: Option<Spi>,
    proposals: Vec<Proposal>,
    mode: Mode,
    /// TSi is our side.
    selectors: Selectors,
}

impl ChildOffer {
    /// A first Child SA for a policy.
    pub(crate) fn new(
        policy: Arc<ChildPolicy>,
        want: &Want,
        with_ke: bool,
        inside: &Inside,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<Self, Error> {
        let Action::Protect(protection) = &policy.policy.action else {
            return Err(Error::Misuse("the policy does not ask for protection"));
        };
        let mode = protection.mode;
        let (initiator, responder) = policy.selectors(inside);
        let mut selectors = Selectors { initiator, responder };
        if selectors.initiator.is_empty() {
            return Err(Error::Misuse("the peer gave us no internal address for the selectors of the policy"));
        }
        if mode == Mode::Transport {
            // RFC 7296 §2.23.1: exactly the addresses of the IKE SA.
            selectors.initiator = narrow(&[TrafficSelector::host(ends.local.ip())], &selectors.initiator);
            selectors.responder = narrow(&[TrafficSelector::host(ends.peer.ip())], &selectors.responder);
        }
        if selectors.initiator.is_empty() || selectors.responder.is_empty() {
            return Err(Error::Misuse("the selectors of the transport mode policy do not hold the addresses in use"));
        }
        match (want.flow, want.pfp) {
            // RFC 4301 §4.4.1.2: there is nothing to fill the selectors with.
            (None, pfp) if pfp.any() => return Err(Error::Misuse("the policy takes its selectors from packets")),
            (Some(flow), pfp) if pfp.any() => {
                let (local, remote) = pfp.fill(&selectors.initiator, &selectors.responder, &flow);
                selectors = Selectors { initiator: local, responder: remote };
                if selectors.initiator.is_empty() || selectors.responder.is_empty() {
                    return Err(Error::Misuse("the policy does not select the packet that asked"));
                }
            }
            _ => {}
        }
        if let Some(flow) = want.flow {
            // RFC 7296 §2.9: the packet that asked comes first.
            put_first(&mut selectors.initiator, flow.src, flow.protocol, flow.src_port);
            put_first(&mut selectors.responder, flow.dst, flow.protocol, flow.dst_port);
        }
        Self::with(policy, mode, selectors, None, with_ke, ends, core)
    }

    /// A Child SA in place of `old`, with its selectors (RFC 7296 §2.9.2).
    pub(crate) fn replacing(old: &ChildSa, ends: &Ends, core: &mut Core) -> Result<Self, Error> {
        let current = core.policy(old.policy.policy.id);
        let policy = current.unwrap_or_else(|| old.policy.clone());
        let selectors = Selectors { initiator: old.terms.local_ts.clone(), responder: old.terms.remote_ts.clone() };
        Self::with(policy, old.terms.mode, selectors, Some(old.inbound), true, ends, core)
    }

    fn with(
        policy: Arc<ChildPolicy>,
        mode: Mode,
        selectors: Selectors,
        replaces: Option<Spi>,
        with_ke: bool,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<Self, Error> {
        let proposals = negotiate::offer(&policy.proposals, with_ke, &core.crypto);
        if proposals.is_empty() {
            return Err(Error::Misuse("the policy has no usable ESP or AH proposal"));
        }
        if ends.nat.any() && proposals.iter().any(|proposal| proposal.protocol == ProtocolId::AH) {
            return Err(AH_THROUGH_NAT);
        }
        let inbound = core.child_spi(ends.our_spi());
        Ok(ChildOffer { policy, inbound, replaces, proposals, mode, selectors })
    }

    /// The same for the pair of selectors that the packet which asked is in: IKEv1 has one pair in an offer.
    pub(crate) fn for_flow(mut self, flow: Option<Flow>) -> Self {
        let Some(flow) = flow else { return self };
        let with = |selectors: &mut Vec<TrafficSelector>, address, port| {
            if let Some(at) = selectors.iter().position(|ts| ts.matches(address, flow.protocol, port)) {
                selectors.swap(0, at);
            }
        };
        with(&mut self.selectors.initiator, flow.src, flow.src_port);
        with(&mut self.selectors.responder, flow.dst, flow.dst_port);
        self
    }

    /// What is offered, best first.
    pub(crate) fn proposals(&self) -> &[Proposal] {
        &self.proposals
    }

    /// Transport or tunnel.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// The initiator's side is ours.
    pub(crate) fn selectors(&self) -> &Selectors {
        &self.selectors
    }

    /// ESP or AH. All proposals of a policy are for one of them.
    pub(crate) fn protocol(&self) -> ProtocolId {
        self.proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol)
    }

    /// The key exchange method whose value goes along, if any.
    pub(crate) fn first_ke(&self) -> Option<KeMethod> {
        negotiate::first_ke(&self.proposals)
    }

    /// Whether the offer lists the method.
    pub(crate) fn lists_ke(&self, method: KeMethod) -> bool {
        negotiate::lists_ke(&self.proposals, method)
    }

    /// `[N(USE_TRANSPORT_MODE)], [N(NON_FIRST_FRAGMENTS_ALSO)]`, where they are due.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = Payload> {
        use_transport_mode(self.mode).into_iter().chain(fragments_notify(self.mode, &self.selectors))
    }

    /// SA.
    pub(crate) fn sa(&self) -> Payload {
        sa(&self.proposals, self.inbound.into())
    }

    /// TSi, TSr.
    pub(crate) fn ts(&self) -> [Payload; 2] {
        [Payload::TsI(Ts::new(&self.selectors.initiator)), Payload::TsR(Ts::new(&self.selectors.responder))]
    }

    /// What the answer comes to. `assigned` has the addresses that came with it, where the offer was made without.
    pub(crate) fn accept(
        &self,
        payloads: &Payloads,
        exchange: ChildKe,
        assigned: Option<&Inside>,
        ends: &Ends,
        core: &Core,
    ) -> Result<Terms, Error> {
        let (answer, chosen) = answered(payloads.sa()?, &self.proposals)?;
        let outbound = answer.spi.child().filter(|spi| spi.is_usable());
        let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
        if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
            return Err(Error::Violation("the SPI of another Child SA"));
        }
        let agreed = negotiate::child(core::slice::from_ref(&answer.proposal), chosen, exchange, &core.crypto)
            .map_err(|_| Error::Violation("the chosen proposal was not offered"))?;
        let transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let mode = if transport { Mode::Transport } else { Mode::Tunnel };
        if mode != self.mode {
            let words = |mode| vec![mode_name(mode).to_string()];
            return Err(Disagreement::new(Part::Mode, words(mode), words(self.mode)).into());
        }
        let answer = Selectors { initiator: selectors(payloads.tsi()?), responder: selectors(payloads.tsr()?) };
        let mut kept = answer.clone();
        let mut original = None;
        if transport && ends.nat.any() {
            original = nat::original(&answer.responder, &answer.initiator);
            if original.is_none() {
                return Err(Error::Violation("selectors of transport mode with more than one address"));
            }
            if ends.nat.theirs {
                kept.responder = nat::substitute(&kept.responder, ends.peer.ip());
            }
            if ends.nat.ours {
                kept.initiator = nat::substitute(&kept.initiator, ends.local.ip());
            }
        }
        let beyond = |ours: &Selectors| Disagreement::new(Part::TrafficSelectors, answer.lines(), ours.lines());
        if !kept.within(&self.selectors) {
            return Err(beyond(&self.selectors).into());
        }
        if let Some(inside) = assigned {
            // RFC 7296 §2.19: of what was asked for before there was an address, the traffic of that address is left.
            let (initiator, responder) = self.policy.selectors(inside);
            let allowed = Selectors { initiator, responder };
            kept = kept.narrowed(&allowed).ok_or_else(|| beyond(&allowed))?;
        }
        Ok(Terms {
            outbound,
            suite: agreed.suite,
            ke: agreed.ke,
            mode,
            local_ts: kept.initiator,
            remote_ts: kept.responder,
            original,
            mode_declined: false,
            later_fragments: self.notifies().any(|notify| notify == later_fragments())
                && payloads.notify(NotifyType::NON_FIRST_FRAGMENTS_ALSO).is_some(),
            tfc_declined: payloads.notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED).is_some(),
            lifetime: None,
        })
    }

    /// What we offered of one part, for a report.
    pub(crate) fn lines(&self, part: Part) -> Vec<alloc::string::String> {
        match part {
            Part::TrafficSelectors => self.selectors.lines(),
            Part::Mode => vec![mode_name(self.mode).into()],
            _ => self.proposals.iter().map(ToString::to_string).collect(),
        }
    }
}

/// An SA payload of numbered proposals.
pub(crate) fn sa(proposals: &[Proposal], spi: AnySpi) -> Payload {
    let numbered = proposals.iter().zip(1u8..=u8::MAX);
    let offered =
        numbered.map(|(proposal, number)| OfferedProposal { number, spi: spi.clone(), proposal: proposal.clone() });
    Payload::Sa(Sa(offered.collect()))
}

/// The one proposal of an answer, and the one of ours that it chose.
pub(crate) fn answered<'a, 'b>(
    sa: &'a Sa,
    ours: &'b [Proposal],
) -> Result<(&'a OfferedProposal, &'b [Proposal]), Error> {
    let [answer] = sa.0.as_slice() else {
        return Err(Error::Violation("an answer with more than one proposal"));
    };
    let index = usize::from(answer.number).checked_sub(1);
    let chosen = index.and_then(|index| ours.get(index..=index));
    match chosen {
        Some(chosen) if negotiate::is_answer(&answer.proposal) => Ok((answer, chosen)),
        _ => Err(Error::Violation("the chosen proposal was not offered")),
    }
}

/// `N(USE_TRANSPORT_MODE)` for transport mode.
pub(crate) fn use_transport_mode(mode: Mode) -> Option<Payload> {
    (mode == Mode::Transport).then(|| Payload::Notify(Notify::new(NotifyType::USE_TRANSPORT_MODE, Vec::new())))
}

/// RFC 4301 §7.3: only tunnel mode carries fragments, and they only lack what selectors with ports or types ask for.
pub(crate) fn fragments_notify(mode: Mode, selectors: &Selectors) -> Option<Payload> {
    let mut all = selectors.initiator.iter().chain(&selectors.responder);
    let asks = mode == Mode::Tunnel && all.any(|ts| !ts.any_port() && !ts.is_opaque());
    asks.then(later_fragments)
}

/// `N(NON_FIRST_FRAGMENTS_ALSO)` (RFC 7296 §1.3.1).
pub(crate) fn later_fragments() -> Payload {
    Payload::Notify(Notify::new(NotifyType::NON_FIRST_FRAGMENTS_ALSO, Vec::new()))
}

/// For reports.
pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport mode",
        Mode::Tunnel => "tunnel mode",
    }
}

fn put_first(selectors: &mut Vec<TrafficSelector>, address: core::net::IpAddr, protocol: u8, port: Option<u16>) {
    if address.is_unspecified() {
        // No packet asked: these are the values of a Child SA that was there.
        return;
    }
    let host = TrafficSelector::host(address);
    let holds = |ts: &&TrafficSelector| port.is_none_or(|port| ts.matches(address, protocol, Some(port)));
    let packet = match port {
        Some(port) if !has_type(protocol) => host.with(protocol, port..=port).ok(),
        // The types of the two directions differ, so one message's would not cover its answer: all that the policy has.
        _ => host
            .with(protocol, ANY_PORTS)
            .ok()
            .and_then(|of| selectors.iter().filter(holds).find_map(|ts| ts.intersection(&of))),
    };
    if let Some(packet) = packet
        && selectors.first() != Some(&packet)
        && selectors.iter().any(|ts| ts.covers(&packet))
    {
        selectors.insert(0, packet);
    }
}
