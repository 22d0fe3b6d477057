//! What the records of an account say (RFC 2866).

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::ops::Add;

use ravelin_eap::relay::Admission;
use ravelin_ike::output::DownReason;
use ravelin_ike::view::IkeSaView;
use ravelin_radius::{Attribute, Request};
use ravelin_radius_client::Record;
use ravelin_types::dataplane::SaStatus;
use ravelin_types::sa::{Direction, SaId};
use ravelin_types::{Instant, Spi};

use super::Session;

/// RFC 2865 §5.41: no port that one could touch.
const VIRTUAL: u32 = 5;
/// RFC 2865 §5.6.
const FRAMED: u32 = 2;
/// RFC 2866 §5.6: the user proved himself to the server.
const BY_RADIUS: u32 = 1;

/// Which record it is (RFC 2866 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Start,
    /// RFC 2869 §2.1.
    Update,
    Stop(Cause),
}

/// Why a session ended (RFC 2866 §5.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    UserRequest,
    LostCarrier,
    IdleTimeout,
    SessionTimeout,
    AdminReset,
    AdminReboot,
    NasError,
    NasRequest,
    UserError,
}

impl Cause {
    /// Why an IKE SA that went down for this reason did.
    pub(super) fn of(reason: Option<DownReason>, stopping: bool) -> Cause {
        match reason {
            _ if stopping => Cause::AdminReboot,
            None | Some(DownReason::Command) => Cause::AdminReset,
            Some(DownReason::PeerDeleted) => Cause::UserRequest,
            Some(DownReason::PeerDead | DownReason::PeerCrashed | DownReason::InitialContact) => Cause::LostCarrier,
            Some(DownReason::Idle) => Cause::IdleTimeout,
            Some(DownReason::Expired | DownReason::Redirected | DownReason::Replaced) => Cause::NasRequest,
            Some(DownReason::DataPlane) => Cause::NasError,
            Some(DownReason::ProtocolError) => Cause::UserError,
        }
    }

    fn number(self) -> u32 {
        match self {
            Cause::UserRequest => 1,
            Cause::LostCarrier => 2,
            Cause::IdleTimeout => 4,
            Cause::SessionTimeout => 5,
            Cause::AdminReset => 6,
            Cause::AdminReboot => 7,
            Cause::NasError => 9,
            Cause::NasRequest => 10,
            Cause::UserError => 17,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::UserRequest => "User Request",
            Cause::LostCarrier => "Lost Carrier",
            Cause::IdleTimeout => "Idle Timeout",
            Cause::SessionTimeout => "Session Timeout",
            Cause::AdminReset => "Admin Reset",
            Cause::AdminReboot => "Admin Reboot",
            Cause::NasError => "NAS Error",
            Cause::NasRequest => "NAS Request",
            Cause::UserError => "User Error",
        })
    }
}

/// What SAs carried: from the user, and to him.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    input: (u64, u64),
    output: (u64, u64),
}

impl Traffic {
    /// Of an inbound SA and its outbound one.
    fn of_pair(from: &SaStatus, to: Option<&SaStatus>) -> Traffic {
        let counted = |sa: &SaStatus| (sa.counters.bytes, sa.counters.packets);
        Traffic { input: counted(from), output: to.map_or((0, 0), counted) }
    }

    pub(super) fn packets(self) -> u64 {
        self.input.1 + self.output.1
    }
}

/// SAs and their counters, found by name.
pub(super) struct Counted {
    /// Their SPIs are ours, and each is of one.
    inbound: BTreeMap<Spi, SaStatus>,
    outbound: BTreeMap<SaId, SaStatus>,
}

impl Counted {
    /// What the inbound SA with this SPI and its outbound one have carried.
    pub(super) fn of(&self, inbound: Spi) -> Traffic {
        let from = self.inbound.get(&inbound);
        from.map_or(Traffic::default(), |from| Traffic::of_pair(from, self.outbound.get(&from.params.twin())))
    }
}

impl FromIterator<SaStatus> for Counted {
    fn from_iter<T: IntoIterator<Item = SaStatus>>(sas: T) -> Self {
        let (inbound, outbound): (Vec<SaStatus>, Vec<SaStatus>) =
            sas.into_iter().partition(|sa| sa.params.direction == Direction::Inbound);
        Counted {
            inbound: inbound.into_iter().map(|sa| (sa.params.spi, sa)).collect(),
            outbound: outbound.into_iter().map(|sa| (sa.params.id(), sa)).collect(),
        }
    }
}

impl Add for Traffic {
    type Output = Traffic;

    fn add(self, more: Traffic) -> Traffic {
        let sum = |one: (u64, u64), other: (u64, u64)| (one.0 + other.0, one.1 + other.1);
        Traffic { input: sum(self.input, more.input), output: sum(self.output, more.output) }
    }
}

/// What every record of a session says: who, from where, at whose door.
pub(super) fn head(view: &IkeSaView, admission: &Admission, id: &str) -> Request {
    let mut head = Request::default();
    head.add(Attribute::USER_NAME, &admission.user);
    head.add(Attribute::ACCT_SESSION_ID, id.as_bytes());
    head.add(Attribute::NAS_IDENTIFIER, &admission.name);
    let (own, peer) = (view.local.ip(), view.peer.ip());
    match own {
        IpAddr::V4(own) => head.add(Attribute::NAS_IP_ADDRESS, &own.octets()),
        IpAddr::V6(own) => head.add(Attribute::NAS_IPV6_ADDRESS, &own.octets()),
    }
    head.add_number(Attribute::NAS_PORT_TYPE, VIRTUAL);
    head.add_number(Attribute::SERVICE_TYPE, FRAMED);
    head.add_number(Attribute::ACCT_AUTHENTIC, BY_RADIUS);
    head.add(Attribute::CALLED_STATION_ID, own.to_string().as_bytes());
    head.add(Attribute::CALLING_STATION_ID, peer.to_string().as_bytes());
    for address in &view.inside.1 {
        match address {
            IpAddr::V4(address) => head.add(Attribute::FRAMED_IP_ADDRESS, &address.octets()),
            IpAddr::V6(address) => head.add(Attribute::FRAMED_IPV6_ADDRESS, &address.octets()),
        }
    }
    // RFC 2865 §5.25: as it came.
    admission.authorization.class.iter().for_each(|class| head.add(Attribute::CLASS, class));
    head
}

impl Session {
    /// A record about now.
    pub(super) fn record(&self, status: Status, traffic: Option<Traffic>, now: Instant) -> Record {
        let mut request = self.head.clone();
        let (number, name) = match status {
            Status::Start => (1, "Start"),
            Status::Stop(_) => (2, "Stop"),
            Status::Update => (3, "Interim-Update"),
        };
        request.add_number(Attribute::ACCT_STATUS_TYPE, number);
        if let Some(Traffic { input, output }) = traffic {
            let lasted = now.since(self.begun.unwrap_or(now)).as_secs();
            request.add_number(Attribute::ACCT_SESSION_TIME, lasted.try_into().unwrap_or(u32::MAX));
            octets(&mut request, [Attribute::ACCT_INPUT_OCTETS, Attribute::ACCT_INPUT_GIGAWORDS], input.0);
            octets(&mut request, [Attribute::ACCT_OUTPUT_OCTETS, Attribute::ACCT_OUTPUT_GIGAWORDS], output.0);
            request.add_number(Attribute::ACCT_INPUT_PACKETS, input.1 as u32);
            request.add_number(Attribute::ACCT_OUTPUT_PACKETS, output.1 as u32);
        }
        if let Status::Stop(cause) = status {
            request.add_number(Attribute::ACCT_TERMINATE_CAUSE, cause.number());
        }
        Record {
            session: self.id.clone(),
            about: format!("the record {name} of {}", self.name()),
            update: status == Status::Update,
            request,
            aaa: self.admission.aaa.clone(),
        }
    }
}

/// The low half and, where there is one, the high half of a count (RFC 2869 §2.1).
fn octets(request: &mut Request, [low, high]: [Attribute; 2], count: u64) {
    request.add_number(low, count as u32);
    if count >> 32 > 0 {
        request.add_number(high, (count >> 32) as u32);
    }
}
