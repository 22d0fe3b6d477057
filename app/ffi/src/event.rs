//! What an engine reports.

use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::sa::SaId;

use crate::RvlStatus;
use crate::engine::Engine;
use crate::handle::{self, RvlHandle, call};
use crate::sys::Out;
use crate::traffic::{self, RvlAddress};

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RvlEventKind {
    /// A packet of the flow `source`, `destination`, `protocol`, `source_port`, `destination_port` needs an SA for
    /// `policy`.
    Acquire = 0,
    /// The SA `direction`, `spi`, `destination` is to be replaced soon.
    SoftExpire = 1,
    /// That SA is out of use.
    HardExpire = 2,
    /// An authentic packet of that inbound SA came from the new address `source` and port `source_port`.
    PeerMoved = 3,
    /// That SA carried nothing for the time that its lifetime gives.
    Idle = 4,
    /// A packet used that SA after a silence; an endpoint that follows the engine wants to know.
    Used = 5,
    /// A packet of that inbound SA was dropped, because it is not within the SA's selectors; an endpoint that follows the engine
    /// tells the peer.
    OutsideSelectors = 6,
}

/// An event. What its kind does not name is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RvlEvent {
    /// What happened.
    pub kind: RvlEventKind,
    /// The policy.
    pub policy: u32,
    /// `RVL_OUTBOUND` or `RVL_INBOUND`.
    pub direction: u32,
    /// The label of the SA.
    pub spi: u32,
    /// An address.
    pub source: RvlAddress,
    /// An address; with an SA its receiver's.
    pub destination: RvlAddress,
    /// Next layer protocol.
    pub protocol: u8,
    /// Port, 0 where the packet shows none.
    pub source_port: u16,
    /// See `source_port`.
    pub destination_port: u16,
}

/// Takes the oldest event off the queue; `Empty` when there is none.
///
/// # Safety
/// `event` is null or points to such a struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_poll_event(engine: RvlHandle, event: *mut RvlEvent) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(event)? };
        let event = handle::with(engine, |engine: &mut Engine| engine.poll_event().ok_or(RvlStatus::Empty))?;
        out.set(event.into());
        Ok(())
    })
}

impl From<DataPlaneEvent> for RvlEvent {
    fn from(event: DataPlaneEvent) -> Self {
        let none = RvlEvent {
            kind: RvlEventKind::Acquire,
            policy: 0,
            direction: 0,
            spi: 0,
            source: RvlAddress::NONE,
            destination: RvlAddress::NONE,
            protocol: 0,
            source_port: 0,
            destination_port: 0,
        };
        let of_sa = |kind, id: SaId| RvlEvent {
            kind,
            direction: traffic::number(id.direction),
            spi: id.spi.0,
            destination: id.dst.into(),
            ..none
        };
        match event {
            DataPlaneEvent::Acquire { policy, flow, .. } => RvlEvent {
                policy: policy.0,
                source: flow.src.into(),
                destination: flow.dst.into(),
                protocol: flow.protocol,
                source_port: flow.src_port.unwrap_or(0),
                destination_port: flow.dst_port.unwrap_or(0),
                ..none
            },
            DataPlaneEvent::SoftExpire(id) => of_sa(RvlEventKind::SoftExpire, id),
            DataPlaneEvent::HardExpire(id) | DataPlaneEvent::Lost(id) => of_sa(RvlEventKind::HardExpire, id),
            DataPlaneEvent::Idle(id) => of_sa(RvlEventKind::Idle, id),
            DataPlaneEvent::Used(id) => of_sa(RvlEventKind::Used, id),
            DataPlaneEvent::OutsideSelectors { id, .. } => of_sa(RvlEventKind::OutsideSelectors, id),
            DataPlaneEvent::PeerMoved { id, src, src_port } => RvlEvent {
                source: src.into(),
                source_port: src_port.unwrap_or(0),
                ..of_sa(RvlEventKind::PeerMoved, id)
            },
        }
    }
}
