//! Asking for a Child SA, in either version: what is offered.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_crypto::KePrivate;
use ravelin_types::dataplane::{DataPlaneOp, Flow};
use ravelin_types::options::Processors;
use ravelin_types::policy::{Action, Mode};
use ravelin_types::proposal::{Proposal, ProtocolId, Suite};
use ravelin_types::selector::{ANY_PORTS, Side, TrafficSelector, narrow};
use ravelin_types::transform::KeMethod;
use ravelin_types::{Cpi, Spi};
use ravelin_wire::ip::transport::has_type;

use super::{ChildSa, ipcomp};
use crate::address::Inside;
use crate::config::ChildPolicy;
use crate::context::Core;
use crate::error::Error;
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::nat;
use crate::negotiate::{self, Selectors};
use crate::want::Want;

/// RFC 3715 §2.1: AH covers the addresses that a NAT changes, and RFC 3948 carries ESP alone.
pub(crate) const AH_THROUGH_NAT: Error = Error::Misuse("AH does not pass the NAT between the two ends; use ESP");

/// Our side of a Child SA that is being asked for. Its inbound SPI is reserved; whoever drops the offer releases it.
pub(crate) struct ChildOffer {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) inbound: Spi,
    pub(crate) replaces: Option<Spi>,
    /// What it is for, unless it replaces another.
    pub(crate) want: Option<Want>,
    /// Which of our processors shall send on it; others than all where the peer is told that there are several (RFC 9611).
    pub(crate) processors: Processors,
    /// The label of compressed packets that the peer is told (RFC 3173 §3.3).
    pub(crate) cpi: Option<Cpi>,
    /// The key exchange method whose value goes along, and that value.
    pub(crate) ke: Option<(KeMethod, Arc<dyn KePrivate>)>,
    /// Whether AGGFRAG payloads are asked for (RFC 9347 §5.1).
    #[cfg(feature = "ikev2")]
    pub(crate) aggfrag: bool,
    /// Selectors of the Child SA that it shall be like.
    sibling: Option<Selectors>,
    proposals: Arc<[Proposal]>,
    mode: Mode,
    /// TSi is our side.
    selectors: Selectors,
}

/// The key exchange of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfferedKe {
    /// The methods of the policy, and a value of the first one.
    First,
    /// The same, with a value of the one that the peer asked for where that is among them.
    Asked(KeMethod),
    /// None: the keys come from those of the IKE SA.
    #[cfg(feature = "ikev2")]
    None,
}

impl OfferedKe {
    /// Of what is offered.
    fn method(self, proposals: &[Proposal]) -> Option<KeMethod> {
        match self {
            OfferedKe::Asked(method) if negotiate::lists_ke(proposals, method) => Some(method),
            _ => negotiate::first_ke(proposals),
        }
    }
}

impl ChildOffer {
    /// A first Child SA for a policy. [`Error::PutOff`], as of the others, while its value is being made.
    pub(crate) fn new(
        policy: Arc<ChildPolicy>,
        want: &Want,
        ke: OfferedKe,
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
            return Err(Error::Misuse(
                "the peer gave us no internal address for the selectors of the policy: ask for one of their family (ike remote --vip), and see its pool",
            ));
        }
        if mode == Mode::Transport {
            // RFC 7296 §2.23.1: exactly the addresses of the IKE SA.
            selectors.initiator = narrow(&[TrafficSelector::host(ends.local.ip())], &selectors.initiator);
            selectors.responder = narrow(&[TrafficSelector::host(ends.peer.ip())], &selectors.responder);
        }
        if selectors.initiator.is_empty() || selectors.responder.is_empty() {
            return Err(Error::Misuse(
                "the selectors of the transport mode policy do not hold the addresses in use: name the two ends, or use tunnel mode",
            ));
        }
        match (want.flow, want.pfp) {
            // RFC 4301 §4.4.1.2: there is nothing to fill the selectors with.
            (None, pfp) if pfp.any() => {
                return Err(Error::Misuse(
                    "the policy takes its selectors from packets (--pfp): send one that it protects",
                ));
            }
            (Some(flow), pfp) if pfp.any() => {
                let (local, remote) = pfp.fill(&selectors.initiator, &selectors.responder, &flow);
                selectors = Selectors { initiator: local.into(), responder: remote.into() };
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
        let processors = protection.options.processors;
        let proposals = proposals(&policy, ke, None, core)?;
        let offer = Self::with(policy, mode, selectors, proposals, ke, ends, core)?;
        Ok(ChildOffer { want: Some(*want), processors, ..offer })
    }

    /// One more like `first`, for a processor. RFC 9611 §3: it has the same properties.
    pub(crate) fn beside(
        first: &ChildSa,
        want: &Want,
        ke: OfferedKe,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<Self, Error> {
        let own = Selectors { initiator: first.terms.local_ts.clone(), responder: first.terms.remote_ts.clone() };
        let mut selectors = own.clone();
        if let Some(flow) = want.flow {
            // RFC 9611 §4: as with any other.
            put_first(&mut selectors.initiator, flow.src, flow.protocol, flow.src_port);
            put_first(&mut selectors.responder, flow.dst, flow.protocol, flow.dst_port);
        }
        let proposals = proposals(&first.policy, ke, Some(&first.terms.suite), core)?;
        let offer = Self::with(first.policy.clone(), first.terms.mode, selectors, proposals, ke, ends, core)?;
        let processors = want.processor.map_or(Processors::Each, Processors::One);
        Ok(ChildOffer { want: Some(*want), processors, sibling: Some(own), ..offer })
    }

    /// A Child SA in place of `old`, with its selectors (RFC 7296 §2.9.2).
    pub(crate) fn replacing(old: &ChildSa, ke: OfferedKe, ends: &Ends, core: &mut Core) -> Result<Self, Error> {
        let current = core.policy(old.policy.policy.id);
        let policy = current.unwrap_or_else(|| old.policy.clone());
        let mut selectors = Selectors { initiator: old.terms.local_ts.clone(), responder: old.terms.remote_ts.clone() };
        if old.terms.mode == Mode::Transport {
            nat::see(ends, &mut selectors.initiator, &mut selectors.responder);
        }
        let proposals = proposals(&policy, ke, None, core)?;
        let offer = Self::with(policy, old.terms.mode, selectors, proposals, ke, ends, core)?;
        Ok(ChildOffer { replaces: Some(old.inbound), processors: old.terms.processors, ..offer })
    }

    fn with(
        policy: Arc<ChildPolicy>,
        mode: Mode,
        selectors: Selectors,
        proposals: Arc<[Proposal]>,
        ke: OfferedKe,
        ends: &Ends,
        core: &mut Core,
    ) -> Result<Self, Error> {
        let ah = !policy.ah.is_empty() || proposals.iter().any(|proposal| proposal.protocol == ProtocolId::AH);
        if ends.nat.any() && ah {
            return Err(AH_THROUGH_NAT);
        }
        let ke = match ke.method(&proposals) {
            Some(method) => Some((method, core.generate(method)?)),
            None => None,
        };
        let inbound = core.child_spi(ends.our_spi());
        // RFC 7296 §2.8: who answers may send as soon as it has answered, before we have the SA.
        core.apply(DataPlaneOp::OfferSa(inbound));
        Ok(ChildOffer {
            policy,
            inbound,
            replaces: None,
            want: None,
            processors: Processors::All,
            cpi: None,
            ke,
            #[cfg(feature = "ikev2")]
            aggfrag: false,
            sibling: None,
            proposals,
            mode,
            selectors,
        })
    }

    /// The same with a label of compressed packets, where there is to be one.
    pub(crate) fn compressing(mut self, core: &mut Core) -> Self {
        if ipcomp::wanted(&self.policy, core) {
            self.cpi = ipcomp::label(self.inbound, core);
        }
        self
    }

    /// The same for the pair of selectors that the packet which asked is in: IKEv1 has one pair in an offer.
    pub(crate) fn for_flow(mut self, flow: Option<Flow>) -> Self {
        let Some(flow) = flow else { return self };
        let with = |selectors: &mut Side, address, port| {
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

    /// Whether an answer's selectors are those that it must have.
    pub(crate) fn is_like_its_sibling(&self, selectors: &Selectors) -> bool {
        self.sibling.as_ref().is_none_or(|sibling| sibling == selectors)
    }

    /// ESP or AH. All proposals of a policy are for one of them.
    pub(crate) fn protocol(&self) -> ProtocolId {
        self.proposals.first().map_or(ProtocolId::ESP, |proposal| proposal.protocol)
    }

    /// The key exchange method whose value goes along, if any.
    pub(crate) fn sent_ke(&self) -> Option<KeMethod> {
        self.ke.as_ref().map(|(method, _)| *method)
    }

    /// Whether the offer lists the method.
    pub(crate) fn lists_ke(&self, method: KeMethod) -> bool {
        negotiate::lists_ke(&self.proposals, method)
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

/// What the policy offers, like the Child SA of this suite where that is there already.
fn proposals(policy: &ChildPolicy, ke: OfferedKe, like: Option<&Suite>, core: &Core) -> Result<Arc<[Proposal]>, Error> {
    let with_ke = matches!(ke, OfferedKe::First | OfferedKe::Asked(_));
    let proposals = core.offer(&policy.proposals, with_ke);
    if proposals.is_empty() {
        return Err(Error::Misuse("the policy has no usable ESP or AH proposal"));
    }
    let Some(suite) = like else { return Ok(proposals) };
    let mut alike = proposals.to_vec();
    negotiate::keep_to(&mut alike, suite);
    if alike.is_empty() {
        return Err(Error::Misuse(
            "the policy has other algorithms than its first Child SA: terminate that one (ike terminate --child)",
        ));
    }
    Ok(alike.into())
}

/// For reports.
pub(crate) fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Transport => "transport mode",
        Mode::Tunnel => "tunnel mode",
    }
}

fn put_first(selectors: &mut Side, address: core::net::IpAddr, protocol: u8, port: Option<u16>) {
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
