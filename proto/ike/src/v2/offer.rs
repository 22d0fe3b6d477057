//! Asking for a Child SA: the payloads of the request, and what the answer comes to.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::options::Processors;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::Proposal;
use ravelin_wire::ike::v2::{AnySpi, Notify, NotifyType, OfferedProposal, Payload, Sa, Ts};

use super::feature::{aggfrag, ipcomp, resources};
use super::message::{Payloads, selectors};
use crate::address::Inside;
use crate::child::Terms;
use crate::child::offer::{ChildOffer, mode_name};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::nat;
use crate::negotiate::{self, ChildKe, Selectors};
use crate::view::Labels;

impl ChildOffer {
    /// The same with what the data plane can do besides, where the policy asks for it: AGGFRAG payloads, and a label of
    /// compressed packets.
    pub(crate) fn carried(mut self, core: &mut Core) -> Self {
        self.aggfrag = aggfrag::wanted(&self.policy, core).is_some();
        self.compressing(core)
    }

    /// `[N(USE_TRANSPORT_MODE)], [N(USE_AGGFRAG)], [N(NON_FIRST_FRAGMENTS_ALSO)], [N(IPCOMP_SUPPORTED)], [N(SA_RESOURCE_INFO)]`,
    /// where they are due.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = Payload> {
        // RFC 9611 §3: a rekey stays with the resource without a word.
        let siblings = self.processors != Processors::All && self.replaces.is_none();
        let modes = use_transport_mode(self.mode()).into_iter().chain(self.aggfrag.then(aggfrag::notify));
        let compression = self.cpi.map(ipcomp::notify);
        modes
            .chain(fragments_notify(self.mode(), self.selectors()))
            .chain(compression)
            .chain(siblings.then(resources::notify))
    }

    /// SA.
    pub(crate) fn sa(&self) -> Payload {
        sa(self.proposals(), self.inbound.into())
    }

    /// TSi, TSr.
    pub(crate) fn ts(&self) -> [Payload; 2] {
        [Payload::TsI(Ts::new(&self.selectors().initiator)), Payload::TsR(Ts::new(&self.selectors().responder))]
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
        let (answer, chosen) = answered(payloads.sa()?, self.proposals())?;
        let outbound = answer.spi.child().filter(|spi| spi.is_usable());
        let outbound = outbound.ok_or(Error::Violation("the chosen proposal has no usable SPI"))?;
        if core.table.outbound_to(ends.peer.ip(), outbound).is_some() {
            return Err(Error::Violation("the SPI of another Child SA"));
        }
        let agreed = negotiate::child(core::slice::from_ref(&answer.proposal), chosen, exchange, &core.crypto)
            .map_err(|_| Error::Violation("the chosen proposal was not offered"))?;
        let transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let mode = if transport { Mode::Transport } else { Mode::Tunnel };
        if mode != self.mode() {
            let words = |mode| vec![mode_name(mode).to_string()];
            return Err(Disagreement::new(Part::Mode, words(mode), words(self.mode())).into());
        }
        let aggfrag = aggfrag::accepted(payloads, &self.policy, self.aggfrag, core)?;
        let mut kept = said(payloads)?;
        let mut original = None;
        if transport && ends.nat.any() {
            original = nat::original(&kept.responder, &kept.initiator);
            if original.is_none() {
                return Err(Error::Violation("selectors of transport mode with more than one address"));
            }
            nat::see(ends, &mut kept.initiator, &mut kept.responder);
        }
        let beyond = |ours: &Selectors| match said(payloads) {
            Ok(theirs) => Disagreement::new(Part::TrafficSelectors, theirs.lines(), ours.lines()).into(),
            Err(error) => error,
        };
        if !kept.within(self.selectors()) {
            return Err(beyond(self.selectors()));
        }
        if let Some(inside) = assigned {
            // RFC 7296 §2.19: of what was asked for before there was an address, the traffic of that address is left.
            let (initiator, responder) = self.policy.selectors(inside);
            let allowed = Selectors { initiator, responder };
            kept = kept.narrowed(&allowed).ok_or_else(|| beyond(&allowed))?;
        }
        if self.replaces.is_some() && !self.selectors().within(&kept) {
            // RFC 7296 §2.9.2: what the old one carries would be dropped.
            return Err(Disagreement::new(Part::Narrower, kept.lines(), self.selectors().lines()).into());
        }
        if !self.is_like_its_sibling(&kept) {
            return Err(beyond(self.selectors()));
        }
        let ipcomp = self.cpi.zip(ipcomp::accepted(payloads)).map(|(inbound, told)| Labels {
            inbound,
            outbound: Some(told).filter(|cpi| !core.table.cpis.is_sent_to(ends.peer.ip(), *cpi)),
        });
        let told = self.replaces.is_some() || resources::is_said(payloads);
        Ok(Terms {
            outbound,
            suite: agreed.suite,
            ke: agreed.ke,
            additional: agreed.additional,
            mode,
            local_ts: kept.initiator,
            remote_ts: kept.responder,
            original,
            mode_declined: false,
            later_fragments: self.notifies().any(|notify| notify == later_fragments())
                && payloads.notify(NotifyType::NON_FIRST_FRAGMENTS_ALSO).is_some(),
            tfc_declined: payloads.notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED).is_some(),
            lifetime: None,
            processors: if told { self.processors } else { Processors::All },
            ipcomp,
            aggfrag,
        })
    }
}

/// The selectors of an answer.
fn said(payloads: &Payloads) -> Result<Selectors, Error> {
    Ok(Selectors { initiator: selectors(payloads.tsi()?), responder: selectors(payloads.tsr()?) })
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
