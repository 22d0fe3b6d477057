//! What the endpoint tells the operator: written down, and whoever follows it is told.

use ravelin_config::value::dns::Anchor;
use ravelin_config::value::encrypted_dns::Written;
use ravelin_ike::Event;
use ravelin_ike::address::Grant;
use ravelin_ike::explain::{Failure, Part};
use ravelin_ike::output::DownReason;
use ravelin_inbox::Progress;
use ravelin_types::Instant;
use ravelin_types::dataplane::Flow;
use ravelin_types::policy::PolicyId;

use super::Core;
use crate::daemon::listings::failures::Log;
use crate::daemon::plane::Plane;

impl<P: Plane> Core<P> {
    pub(super) fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::IkeUp { remote, spis, peer, resumed } => {
                let up = if *resumed { "is up, resumed by a ticket" } else { "is up" };
                tracing::info!("IKE SA with {remote} {up}: {} {}, the peer is {peer}", spis.0, spis.1);
            }
            Event::IkeRekeyed { remote, old, new } => {
                tracing::info!("IKE SA with {remote} was rekeyed: {} {} by {} {}", old.0, old.1, new.0, new.1);
            }
            Event::IkeMoved { remote, spis, local, peer } => {
                tracing::info!("IKE SA with {remote} has moved: {} {}, {local} to {peer}", spis.0, spis.1);
            }
            Event::IkeDown { remote, spis, reason } => {
                tracing::info!("IKE SA with {remote} is down: {} {}, {}", spis.0, spis.1, reason_text(*reason));
            }
            Event::IkeReauthenticated { remote, old, new } => {
                tracing::info!(
                    "IKE SA with {remote} was authenticated anew: {} {} by {} {}",
                    old.0,
                    old.1,
                    new.0,
                    new.1
                );
            }
            Event::GatewaySilent { remote, silent, next } => {
                tracing::warn!("{remote} does not answer at {silent}; {next} is tried");
            }
            Event::HostFound { name, addresses } => {
                let at: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                tracing::info!("{name} is at {}", at.join(", "));
                self.host_found(name, addresses, now);
            }
            Event::HostNotFound { name, why } => tracing::warn!("{name} did not resolve: {why}; it is looked up again"),
            Event::Redirected { remote, from, to } => {
                tracing::info!("{remote} sends us from {from} to {to}; the IKE SA begins anew there");
            }
            Event::Granted { remote, grant } => {
                tracing::info!("{remote} gave us {}", addresses_text(grant));
                for (domain, anchor) in grant.anchors() {
                    tracing::info!("{remote} has a DNSSEC trust anchor: {}", Anchor { domain, anchor });
                }
                for (resolver, digest) in grant.encrypted_dns() {
                    tracing::info!("{remote} has an encrypted DNS resolver: {}", Written { resolver, digest });
                }
            }
            Event::GrantEnded { remote, grant } => {
                tracing::info!("{} of {remote} are not ours any more", addresses_text(grant));
            }
            Event::ChildUp { policy, inbound, outbound } => {
                tracing::info!("SA for {} is up: in {inbound}, out {outbound}", self.policy_name(*policy));
            }
            Event::ChildRekeyed { policy, old, inbound, outbound } => {
                let name = self.policy_name(*policy);
                tracing::info!("SA for {name} was rekeyed: in {inbound}, out {outbound}, in place of {old}");
            }
            Event::ChildDown { policy, inbound, reason } => {
                let name = self.policy_name(*policy);
                tracing::info!("SA for {name} is down: in {inbound}, {}", reason_text(*reason));
                self.retry_later(*policy, *reason, now);
            }
            Event::OutsideSelectors(failure) => self.write_failure(failure, now),
            Event::Failed(failure) => {
                self.write_failure(failure, now);
                if failure.part == Part::Name {
                    self.nowhere.extend(failure.policy);
                }
                self.retry_failed(failure, now);
            }
        }
        match event {
            Event::IkeUp { spis: stands, .. } | Event::IkeRekeyed { new: stands, .. } => {
                self.plane.note_ike(*stands, Progress::Here)
            }
            Event::IkeDown { spis, .. } => self.plane.note_ike(*spis, Progress::Gone),
            _ => {}
        }
        self.note_inside(event);
        self.note_updown(event);
        self.note_session(event, now);
        self.vici_event(event, now);
        let answers = self.waiting.event(event);
        self.answer_all(answers);
    }

    /// Keeps what went wrong for who asks, and logs it.
    fn write_failure(&mut self, failure: &Failure, now: Instant) {
        match self.failures.add(failure, now) {
            Log::Write(0) => tracing::warn!("{failure}"),
            Log::Write(left_out) => tracing::warn!("{failure} ({left_out} failures before it were left out)"),
            Log::Suppress => {}
        }
    }

    /// A packet asks for an SA that cannot be negotiated: the operator is told.
    pub(super) fn acquire_seen(&self, policy: PolicyId, flow: &Flow) {
        let Some(entry) = self.model.policy_by_id(policy) else { return };
        let Some(esp) = &entry.spec.esp else { return };
        let name = &entry.spec.name;
        match self.model.find_remote(&esp.remote) {
            Err(_) => tracing::warn!("{flow} needs the policy {name}, whose remote {} is not configured", esp.remote),
            Ok(remote) if !remote.spec.initiate => {
                tracing::warn!("{flow} needs the policy {name}, whose remote {} has no -w (initiate)", esp.remote);
            }
            Ok(_) => tracing::debug!("{flow} needs the policy {name}"),
        }
    }
}

fn addresses_text(grant: &Grant) -> String {
    let prefixes = grant.prefixes.iter().map(ToString::to_string);
    grant.addresses.iter().map(ToString::to_string).chain(prefixes).collect::<Vec<_>>().join(", ")
}

pub(in crate::daemon) fn reason_text(reason: DownReason) -> &'static str {
    match reason {
        DownReason::Command => "as commanded",
        DownReason::PeerDeleted => "the peer deleted it",
        DownReason::PeerDead => "the peer does not answer",
        DownReason::PeerCrashed => "the peer has lost its state, as its token shows",
        DownReason::Expired => "its lifetime is over",
        DownReason::Redirected => "another gateway serves in place of this one",
        DownReason::Idle => "it carried nothing for a while",
        DownReason::InitialContact => "the peer has lost its state",
        DownReason::Replaced => "another took its place",
        DownReason::DataPlane => "the data plane refused it",
        DownReason::ProtocolError => "the peer broke the protocol",
    }
}
