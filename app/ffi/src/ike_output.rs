//! What an IKE endpoint says, as C sees it.

use ravelin_ike::Event;
use ravelin_types::policy::PolicyId;

use crate::ike::RvlEndpoint;
use crate::packet::RvlAddress;

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
        // The remotes of this interface ask for no internal addresses, have one address each and follow to no other.
        Event::Granted { remote, .. }
        | Event::GrantEnded { remote, .. }
        | Event::GatewaySilent { remote, .. }
        | Event::Redirected { remote, .. } => ike(RvlIkeEvent::None, remote),
        Event::ChildUp { policy, inbound, outbound } => child(RvlIkeEvent::ChildUp, policy, inbound.0, outbound.0),
        Event::ChildRekeyed { policy, inbound, outbound, .. } => {
            child(RvlIkeEvent::ChildRekeyed, policy, inbound.0, outbound.0)
        }
        Event::ChildDown { policy, inbound, .. } => child(RvlIkeEvent::ChildDown, policy, inbound.0, 0),
        Event::Failed(failure) => (RvlIkeOutput { event: RvlIkeEvent::Failed, ..output }, failure.to_string()),
    }
}
