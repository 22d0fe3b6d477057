//! The messages by which an administrator's program sets up the SPD (document 003 §3.12): what `IPSecAdminAddBypassPolicy`,
//! `IPSecAdminAddDropPolicy` and `IPSecAdminAddPolicy` of the original send.
//!
//! ```text
//!  traffic ─► bypass / discard / protect ─► Request::emit(Module::ADMIN, ...) ─► keying socket ─► answer ─► number
//! ```

use core::net::IpAddr;

use ravelin_types::ErrorCode;
use ravelin_types::policy::{Domain, Mode, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::mgmt::{Endpoint, Header, PolicyAction, PolicyBody, PolicyFlags, Reply, Request, parse_answer};

/// What a policy is about, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Source of outbound packets, with protocol and ports.
    pub source: TrafficSelector,
    /// Destination of outbound packets.
    pub destination: TrafficSelector,
    /// Next layer protocol, 0 for any.
    pub protocol: u8,
    /// 1 (`SP_PRIORITY_HIGHEST`) to 7 (`SP_PRIORITY_LOWEST`), or a priority itself.
    pub priority: u32,
}

/// Lets traffic pass in the clear.
pub fn bypass(traffic: &Traffic) -> Request {
    request(traffic, PolicyAction::BYPASS, PolicyFlags::default(), None)
}

/// Drops traffic.
pub fn discard(traffic: &Traffic) -> Request {
    request(traffic, PolicyAction::DROP, PolicyFlags::default(), None)
}

/// Protects traffic, by SAs with `remote` whose keys the program brings.
pub fn protect(traffic: &Traffic, mode: Mode, remote: IpAddr, flags: PolicyFlags) -> Request {
    let action = match mode {
        Mode::Tunnel => PolicyAction::SECURE_TUNNEL,
        Mode::Transport => PolicyAction::SECURE_TRANSPORT,
    };
    request(traffic, action, flags, Some(remote))
}

fn request(traffic: &Traffic, action: PolicyAction, flags: PolicyFlags, remote: Option<IpAddr>) -> Request {
    Request::AddPolicy(PolicyBody {
        id: PolicyId(0),
        action,
        protocol: traffic.protocol,
        domain: Domain::default(),
        flags,
        priority: traffic.priority,
        source: (&traffic.source).into(),
        destination: (&traffic.destination).into(),
        remote: Endpoint(remote),
        local: Endpoint(None),
        replay_window: 0,
    })
}

/// The number of the policy, by the answer to one of these requests.
///
/// # Errors
/// Why the policy was refused; [`ErrorCode::BadParam`] for what is no such answer.
pub fn answer(message: &[u8]) -> Result<PolicyId, ErrorCode> {
    let (header, data) = Header::parse(message).map_err(|_| ErrorCode::BadParam)?;
    match parse_answer(&header, data) {
        Ok(Ok(Reply::AddPolicy(number))) => Ok(number.0),
        Ok(Err(status)) => Err(status.error().unwrap_or(ErrorCode::BadParam)),
        _ => Err(ErrorCode::BadParam),
    }
}
