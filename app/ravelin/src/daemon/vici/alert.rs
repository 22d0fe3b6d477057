//! The event `alert`: what went wrong, by strongSwan's words for it.

use ravelin_control::Message;
use ravelin_ike::explain::{Failure, Part};
use ravelin_ike::output::DownReason;
use ravelin_ike::view::IkeSaView;
use ravelin_types::Instant;
use ravelin_wire::ike::v2::NotifyType;

use super::show;
use crate::daemon::core::{Core, Said};
use crate::daemon::plane::Plane;

/// The type of a failed exchange. `None`: strongSwan has no alert for it.
fn of_failure(failure: &Failure) -> Option<&'static str> {
    Some(match failure.part {
        Part::IkeProposal | Part::KeyExchange => "proposal-mismatch-ike",
        Part::ChildProposal | Part::Mode => "proposal-mismatch-child",
        Part::TrafficSelectors | Part::Narrower => "ts-mismatch",
        Part::InternalAddress => "vip-failure",
        Part::Identity
        | Part::Authentication
        | Part::Method
        | Part::NotBelieved(_)
        | Part::Rounds
        | Part::Login
        | Part::Ppk
        | Part::Transcript
        | Part::Eap
        | Part::Certificate => {
            let refused = NotifyType::AUTHENTICATION_FAILED.to_string();
            let by_peer = failure.theirs.iter().any(|line| line.contains(&refused));
            if by_peer { "local-auth-failed" } else { "peer-auth-failed" }
        }
        Part::NoAnswer if ["IKE_SA_INIT", "Main Mode", "Aggressive Mode"].contains(&failure.exchange) => {
            "peer-init-unreachable"
        }
        Part::Name => "peer-addr-failed",
        Part::NoAnswer => "retransmit-send-timeout",
        Part::DataPlane => "install-child-sa-failed",
        Part::Protocol => "parse-error-body",
        Part::NoRemote | Part::Role | Part::Configuration | Part::Refused | Part::OutsideSelectors | Part::Limit => {
            return None;
        }
    })
}

/// The type of an IKE SA's end.
fn of_end(reason: DownReason) -> Option<&'static str> {
    match reason {
        DownReason::Expired => Some("ike-sa-expired"),
        DownReason::PeerDead => Some("retransmit-send-timeout"),
        _ => None,
    }
}

impl<P: Plane> Core<P> {
    /// An exchange failed. Which IKE SA it was is not known: most never came to be.
    pub(super) fn alert_failure(&mut self, failure: &Failure) {
        if let Some(kind) = of_failure(failure) {
            self.alert(kind, None);
        }
    }

    /// An IKE SA came to its end.
    pub(super) fn alert_end(&mut self, reason: DownReason, view: &IkeSaView, now: Instant) {
        if let Some(kind) = of_end(reason) {
            let mut sa = Message::new();
            sa.put_section(&view.remote, show::ike_sa(view, now));
            self.alert(kind, Some(sa));
        }
    }

    fn alert(&mut self, kind: &str, sa: Option<Message>) {
        if !self.vici.awaited.contains("alert") {
            return;
        }
        let mut message = Message::new().with("type", kind);
        if let Some(sa) = sa {
            message.put_section("ike-sa", sa);
        }
        self.said.push(Said::Event("alert", message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_words_that_clients_know() {
        let failure = |part: Part, exchange: &'static str, theirs: &str| Failure {
            remote: None,
            address: [192, 0, 2, 1].into(),
            policy: None,
            exchange,
            part,
            theirs: vec![theirs.to_owned()],
            ours: Vec::new(),
            gaps: Vec::new(),
            advice: String::new(),
        };
        let refused = NotifyType::AUTHENTICATION_FAILED.to_string();
        for (part, exchange, theirs, kind) in [
            (Part::IkeProposal, "IKE_SA_INIT", "", Some("proposal-mismatch-ike")),
            (Part::Authentication, "IKE_AUTH", refused.as_str(), Some("local-auth-failed")),
            (Part::Login, "XAuth", refused.as_str(), Some("local-auth-failed")),
            (Part::Login, "XAuth", "XAuth as fqdn:a", Some("peer-auth-failed")),
            (Part::Certificate, "IKE_AUTH", "expired", Some("peer-auth-failed")),
            (Part::NoAnswer, "IKE_SA_INIT", "", Some("peer-init-unreachable")),
            (Part::NoAnswer, "CREATE_CHILD_SA", "", Some("retransmit-send-timeout")),
            (Part::Limit, "IKE_SA_INIT", "", None),
        ] {
            assert_eq!(of_failure(&failure(part, exchange, theirs)), kind, "{part}");
        }
        assert_eq!((of_end(DownReason::Expired), of_end(DownReason::Command)), (Some("ike-sa-expired"), None));
    }
}
