//! Being asked for a Child SA: the answer to an offer, and its payloads.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use ravelin_types::options::Processors;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{KeMethod, Transform};
use ravelin_types::{Cpi, Identity, Spi};
use ravelin_wire::ike::v2::{Notify, NotifyType, OfferedProposal, Payload, Sa, Ts};

use super::feature::{aggfrag, ipcomp, resources, virtual_link};
use super::message::{Payloads, selectors};
use super::offer::{fragments_notify, later_fragments, use_transport_mode};
use crate::child::answer::{Found, Wanted, candidates, find, more_possible};
use crate::child::offer::AH_THROUGH_NAT;
use crate::child::{ChildSa, Terms, ipcomp as compression};
use crate::children::Children;
use crate::config::{ChildPolicy, Remote};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::negotiate::{self, ChildKe, Selectors};
use crate::view::Labels;

/// What we answer to an offer of a Child SA.
pub(crate) struct ChildAnswer {
    pub(crate) policy: Arc<ChildPolicy>,
    pub(crate) terms: Terms,
    number: u8,
    transforms: Vec<Transform>,
    /// The label of compressed packets that the peer has told, where we take its offer up.
    compression: Option<Cpi>,
    /// There are several of these Child SAs, and the peer says so.
    has_siblings: bool,
    /// Of what was narrowed more is acceptable on a Child SA of its own.
    more_possible: bool,
}

impl ChildAnswer {
    /// Judges the offer of the peer `with` of a remote. `old` is the Child SA it shall replace. The policy goes into
    /// `policy` once it is known.
    pub(crate) fn to(
        payloads: &Payloads,
        (remote, peer): (&Remote, &Identity),
        old: Option<&ChildSa>,
        exchange: ChildKe,
        ends: &Ends,
        core: &Core,
        policy: &mut Option<PolicyId>,
    ) -> Result<Self, Error> {
        let wanted = Wanted::new(payloads, ends)?;
        let inside = virtual_link::inside(payloads, exchange, ends, remote, core);
        let policies = match old {
            Some(old) => {
                *policy = Some(old.policy.policy.id);
                vec![core.policy(old.policy.policy.id).unwrap_or_else(|| old.policy.clone())]
            }
            None => candidates(remote, peer, core),
        };
        let found = find(&policies, &wanted, &inside, ends)?;
        old.map_or(Ok(()), |old| wanted.replaces(old, &found, ends))?;
        let more_possible = old.is_none() && more_possible(&found, &policies, &wanted, &inside, ends);
        *policy = Some(found.policy.policy.id);

        let sa = payloads.sa()?;
        let with_ke = exchange != ChildKe::None;
        let ours = core.offer(&found.policy.proposals, with_ke);
        let agreed = negotiate::child(&sa.0, &ours, exchange, &core.crypto)?;
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
        let processors = old.map_or(Processors::All, |old| old.terms.processors);
        let compression = ipcomp::offered(payloads).filter(|cpi| {
            compression::wanted(&found.policy, core) && !core.table.cpis.is_sent_to(ends.peer.ip(), *cpi)
        });
        let aggfrag = aggfrag::agreed(payloads, &found.policy, core)?;
        let later_fragments = asked && fragments_notify(found.mode, &found.selectors).is_some();
        Ok(ChildAnswer {
            policy: found.policy,
            terms: Terms {
                outbound,
                suite: agreed.suite,
                ke: agreed.ke,
                additional: agreed.additional,
                mode: found.mode,
                local_ts: found.selectors.responder,
                remote_ts: found.selectors.initiator,
                original: if transport { wanted.original } else { None },
                mode_declined: wanted.transport && !transport,
                tfc_declined: wanted.tfc_declined,
                lifetime: None,
                later_fragments,
                // RFC 9611 §3: a rekey stays with the resource, whether or not it is said again.
                processors,
                ipcomp: None,
                aggfrag,
            },
            number: *number,
            transforms: agreed.transforms,
            compression,
            has_siblings: processors != Processors::All && resources::is_said(payloads),
            more_possible,
        })
    }

    /// The same where the Child SA replaces none, and may be one of several beside `children` (RFC 9611).
    pub(crate) fn beside(mut self, children: &Children, payloads: &Payloads, core: &Core) -> Result<Self, Error> {
        if resources::is_said(payloads) {
            self.terms.processors = resources::assigned(&self.policy, &self.terms, children, core)?;
            self.has_siblings = self.terms.processors != Processors::All;
        }
        Ok(self)
    }

    /// Our SPI, and `[N(USE_TRANSPORT_MODE)], [N(USE_AGGFRAG)], [N(NON_FIRST_FRAGMENTS_ALSO)], [N(IPCOMP_SUPPORTED)],
    /// [N(SA_RESOURCE_INFO)], SA`
    pub(crate) fn head(&mut self, ends: &Ends, core: &mut Core) -> (Spi, Vec<Payload>) {
        let inbound = core.child_spi(ends.our_spi());
        let cpis = self.compression.and_then(|outbound| Some((compression::label(inbound, core)?, outbound)));
        self.terms.ipcomp = cpis.map(|(inbound, outbound)| Labels { inbound, outbound: Some(outbound) });
        let proposal =
            Proposal { protocol: self.terms.suite.protocol(), transforms: core::mem::take(&mut self.transforms) };
        let sa = Payload::Sa(Sa(vec![OfferedProposal { number: self.number, spi: inbound.into(), proposal }]));
        let fragments = self.terms.later_fragments.then(later_fragments);
        let siblings = self.has_siblings.then(resources::notify);
        let aggfrag = self.terms.aggfrag.map(|_| aggfrag::notify());
        let modes = use_transport_mode(self.terms.mode).into_iter().chain(aggfrag).chain(fragments);
        let compression = cpis.map(|(inbound, _)| ipcomp::notify(inbound));
        (inbound, modes.chain(compression).chain(siblings).chain([sa]).collect())
    }

    /// `TSi, TSr, [N(ADDITIONAL_TS_POSSIBLE)]`
    pub(crate) fn ts(&self) -> impl Iterator<Item = Payload> {
        let ts = [Payload::TsI(Ts::new(&self.terms.remote_ts)), Payload::TsR(Ts::new(&self.terms.local_ts))];
        let more = || Payload::Notify(Notify::new(NotifyType::ADDITIONAL_TS_POSSIBLE, []));
        ts.into_iter().chain(self.more_possible.then(more))
    }
}

impl Wanted {
    fn new(payloads: &Payloads, ends: &Ends) -> Result<Self, Error> {
        let transport = payloads.notify(NotifyType::USE_TRANSPORT_MODE).is_some();
        let sent = Selectors { initiator: selectors(payloads.tsi()?), responder: selectors(payloads.tsr()?) };
        let tfc_declined = payloads.notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED).is_some();
        Ok(Self::of(transport, sent, None, tfc_declined, ends))
    }

    /// RFC 7296 §2.9.2: what takes the place of a Child SA carries what that one carries, whoever has narrower selectors now.
    fn replaces(&self, old: &ChildSa, found: &Found, ends: &Ends) -> Result<(), Error> {
        let used = Selectors { initiator: old.terms.remote_ts.clone(), responder: old.terms.local_ts.clone() };
        // With the addresses of now, where a NAT has changed them since.
        let used = Wanted::of(found.mode == Mode::Transport, used, None, false, ends);
        let used = used.in_mode(found.mode);
        if used.within(&found.selectors) {
            return Ok(());
        }
        let ours = [("in use", used), ("the new one would have", &found.selectors)];
        let ours = ours.map(|(what, selectors)| format!("{what}: {}", selectors.lines().join(", ")));
        Err(Disagreement::new(Part::Narrower, self.in_mode(found.mode).lines(), ours.to_vec()).into())
    }
}

/// The method of the peer's KE payload, if there is one.
pub(crate) fn sent_ke(payloads: &Payloads) -> Option<KeMethod> {
    payloads.ke().ok().map(|ke| ke.method)
}
