//! What an IKE endpoint says, as C sees it.

use std::net::{IpAddr, SocketAddr};

use ravelin_ike::Event;
use ravelin_ike::address::link::Prefix;
use ravelin_ike::address::pool::Attribute;
use ravelin_ike::address::{CfgValue, Grant};
use ravelin_ike::config::{Gateway, Reach};
use ravelin_types::policy::PolicyId;
use ravelin_wire::ike::v2::CfgAttributeType;

use crate::traffic::{RvlAddress, RvlEndpoint};

/// RFC 7296 §2.
const IKE_PORT: u16 = 500;

/// The kind of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RvlIkeOutputKind {
    /// Nothing more to do until an input comes or `deadline` passes; `UINT64_MAX` for none.
    Wait = 0,
    /// Send the datagram in the buffer from `local` to `remote`.
    Transmit = 1,
    /// An event; the buffer has the name of the peer where there is one, or what went wrong. No zero byte ends it.
    Event = 2,
    /// Send the packet in the buffer to the RADIUS server `remote`, from the UDP socket `socket` that the caller has for this server
    /// alone; what arrives there is for `rvl_ike_radius_receive`.
    Radius = 3,
    /// Look up the name of a host in the buffer, which no zero byte ends, and say with `rvl_ike_host_found` where it leads.
    LookUp = 4,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RvlIkeEvent {
    /// The output is no event.
    None = 0,
    /// An IKE SA is there.
    IkeUp = 1,
    /// An IKE SA replaced another.
    IkeRekeyed = 2,
    /// An IKE SA is gone, and its other SAs with it.
    IkeDown = 3,
    /// SAs for `policy` are in the engine.
    ChildUp = 4,
    /// SAs for `policy` replaced others.
    ChildRekeyed = 5,
    /// SAs for `policy` are gone.
    ChildDown = 6,
    /// An exchange failed; the text says what did not meet.
    Failed = 7,
    /// An IKE SA goes on between other addresses; those are `local` and `remote` of the output.
    IkeMoved = 8,
    /// The peer gave internal addresses to this host, for the packets of policies whose source is `internal`: they are to be there
    /// before the first SA is. Behind the name of the peer the text has a line for each attribute (RFC 7296 §3.15.1), its
    /// name and its value: `INTERNAL_IP4_ADDRESS 10.3.0.1`, `INTERNAL_IP4_DNS 10.1.0.53`, `INTERNAL_IP4_SUBNET 10.1.0.0/16`,
    /// `INTERNAL_DNS_DOMAIN example.org`; values of other kinds are hexadecimal digits.
    Granted = 9,
    /// The IKE SA that they came with is gone. The text is as with `GRANTED`; another one may have come with the same.
    GrantEnded = 10,
    /// The peer is sought at another of its addresses, `remote`, because the last one does not answer or says so; no address where
    /// it is a name that is looked up.
    OtherGateway = 11,
    /// Where a name leads is known, or has changed. The text is the name, and a line for each address.
    HostFound = 12,
    /// A name leads nowhere: it was asked for and not found. The text is the name.
    HostNotFound = 13,
    /// A packet of SAs for `policy` was not within their selectors, here or at the peer, which said so; the text says which. The SAs
    /// stay.
    OutsideSelectors = 14,
}

/// One output of an endpoint. What its kind does not name is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RvlIkeOutput {
    /// What it is.
    pub kind: RvlIkeOutputKind,
    /// Bytes in the buffer.
    pub length: usize,
    /// Where a datagram is sent from.
    pub local: RvlEndpoint,
    /// Where it is sent to.
    pub remote: RvlEndpoint,
    /// When to call `rvl_ike_timer`.
    pub deadline: u64,
    /// The number of a socket to a RADIUS server, below `RVL_RADIUS_SOCKETS`.
    pub socket: u32,
    /// Which event.
    pub event: RvlIkeEvent,
    /// The policy of an event.
    pub policy: u32,
    /// SPI of the inbound SA of an event.
    pub inbound: u32,
    /// SPI of the outbound SA of an event.
    pub outbound: u32,
}

impl RvlIkeOutput {
    pub(crate) fn new(kind: RvlIkeOutputKind) -> Self {
        let nowhere = RvlEndpoint { address: RvlAddress::NONE, port: 0 };
        RvlIkeOutput {
            kind,
            length: 0,
            local: nowhere,
            remote: nowhere,
            deadline: 0,
            socket: 0,
            event: RvlIkeEvent::None,
            policy: 0,
            inbound: 0,
            outbound: 0,
        }
    }
}

/// An event and its text.
pub(crate) fn event(event: &Event) -> (RvlIkeOutput, String) {
    let output = RvlIkeOutput::new(RvlIkeOutputKind::Event);
    let ike = |event, remote: &String| (RvlIkeOutput { event, ..output }, remote.clone());
    let child = |event, policy: &PolicyId, inbound, outbound| {
        (RvlIkeOutput { event, policy: policy.0, inbound, outbound, ..output }, String::new())
    };
    match event {
        Event::IkeUp { remote, .. } => ike(RvlIkeEvent::IkeUp, remote),
        Event::IkeRekeyed { remote, .. } | Event::IkeReauthenticated { remote, .. } => {
            ike(RvlIkeEvent::IkeRekeyed, remote)
        }
        Event::IkeMoved { remote, local, peer, .. } => {
            let output =
                RvlIkeOutput { event: RvlIkeEvent::IkeMoved, local: (*local).into(), remote: (*peer).into(), ..output };
            (output, remote.clone())
        }
        Event::IkeDown { remote, .. } => ike(RvlIkeEvent::IkeDown, remote),
        Event::Granted { remote, grant } => {
            (RvlIkeOutput { event: RvlIkeEvent::Granted, ..output }, granted(remote, grant))
        }
        Event::GrantEnded { remote, grant } => {
            (RvlIkeOutput { event: RvlIkeEvent::GrantEnded, ..output }, granted(remote, grant))
        }
        Event::GatewaySilent { remote, next: Reach::At(Gateway { address: to, .. }), .. }
        | Event::Redirected { remote, to, .. } => {
            let to = SocketAddr::new(*to, IKE_PORT).into();
            (RvlIkeOutput { event: RvlIkeEvent::OtherGateway, remote: to, ..output }, remote.clone())
        }
        Event::GatewaySilent { remote, next: Reach::Named(_), .. } => ike(RvlIkeEvent::OtherGateway, remote),
        Event::HostFound { name, addresses } => {
            let text = addresses.iter().fold(name.to_string(), |text, address| format!("{text}\n{address}"));
            (RvlIkeOutput { event: RvlIkeEvent::HostFound, ..output }, text)
        }
        Event::HostNotFound { name, .. } => {
            (RvlIkeOutput { event: RvlIkeEvent::HostNotFound, ..output }, name.to_string())
        }
        Event::ChildUp { policy, inbound, outbound } => child(RvlIkeEvent::ChildUp, policy, inbound.0, outbound.0),
        Event::ChildRekeyed { policy, inbound, outbound, .. } => {
            child(RvlIkeEvent::ChildRekeyed, policy, inbound.0, outbound.0)
        }
        Event::ChildDown { policy, inbound, .. } => child(RvlIkeEvent::ChildDown, policy, inbound.0, 0),
        Event::OutsideSelectors(failure) => {
            let policy = failure.policy.map_or(0, |policy| policy.0);
            (RvlIkeOutput { event: RvlIkeEvent::OutsideSelectors, policy, ..output }, failure.to_string())
        }
        Event::Failed(failure) => (failed(), failure.to_string()),
    }
}

/// Something went wrong, as a text says.
pub(crate) fn failed() -> RvlIkeOutput {
    RvlIkeOutput { event: RvlIkeEvent::Failed, ..RvlIkeOutput::new(RvlIkeOutputKind::Event) }
}

/// A line for the peer, and one for each thing that it gave.
fn granted(remote: &str, grant: &Grant) -> String {
    let address = |address: &IpAddr| (CfgAttributeType::address(address.is_ipv4()), address.to_string());
    let attribute = |Attribute { kind, value }: &Attribute| {
        let value = match value {
            CfgValue::Address(address) => address.to_string(),
            CfgValue::Subnet(first, length) => format!("{first}/{length}"),
            CfgValue::Domain(name) => name.clone(),
            other => other.emit().iter().map(|octet| format!("{octet:02x}")).collect(),
        };
        (*kind, value)
    };
    let prefix = |prefix: &Prefix| (CfgAttributeType::INTERNAL_IP6_PREFIX, prefix.to_string());
    let told = grant.prefixes.iter().map(prefix).chain(grant.attributes.iter().map(attribute));
    let lines = grant.addresses.iter().map(address).chain(told);
    lines.fold(remote.to_owned(), |text, (kind, value)| format!("{text}\n{kind} {value}"))
}
