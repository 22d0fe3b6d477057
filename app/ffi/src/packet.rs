//! Packets: the two calls that a stack makes for each, in the caller's buffer.

use ravelin_engine::{Disposal, Disposition, Mark, Outer, PacketBuf, Verdict};
use ravelin_types::policy::{Domain, Mode};
use ravelin_types::sa::Direction;

use crate::RvlStatus;
use crate::engine::{Engine, instant};
use crate::handle::{self, RvlHandle, call};
use crate::sys::{self, Out};
use crate::traffic::{self, RvlAddress};

/// Free bytes to have before an outbound packet.
pub const RVL_HEADROOM: usize = 128;
/// Free bytes to have behind an outbound packet.
pub const RVL_TAILROOM: usize = 64;

const _: () = assert!(RVL_HEADROOM >= ravelin_engine::HEADROOM && RVL_TAILROOM >= ravelin_engine::TAILROOM);

/// A packet somewhere inside a buffer of the caller. The engine grows and shrinks it in place, and moves `offset` and
/// `length` accordingly; it never reads or writes outside the buffer.
#[repr(C)]
pub struct RvlPacket {
    /// The buffer.
    pub buffer: *mut u8,
    /// Bytes in the buffer.
    pub capacity: usize,
    /// Where the packet begins.
    pub offset: usize,
    /// Bytes of the packet.
    pub length: usize,
    /// Whose SPD decides about it, 0 where there is only one. What was opened is in the domain of its SA's policy.
    pub domain: u16,
    /// 0 for a packet that the engine has not seen. Keep it with the packet: it is how a packet that is offered again is
    /// not protected twice.
    pub mark: u32,
}

/// The policy that was applied to a packet, and so what to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RvlVerdict {
    /// Go on with the packet, which is as it was.
    Bypass = 0,
    /// Throw the packet away; `RvlResult.reason` says why.
    Drop = 1,
    /// Outbound: send the packet, fragmented if need be. Inbound: begin IP processing anew with the inner packet.
    SecureTunnel = 2,
    /// Outbound: send the packet, fragmented if need be. Inbound: go on with the packet.
    SecureTransport = 3,
    /// Outbound: keep the packet, which is as it was, and offer it again once there is an SA, or throw it away. An event
    /// has asked for the SA.
    Hold = 4,
    /// Outbound: once protected the packet, which is as it was, would be too long for its path. Cut it into fragments of
    /// at most `RvlResult.fragment_size` bytes and offer each.
    Fragment = 5,
    /// Outbound: too long for its path, and not to be cut. The buffer has an ICMP message to its sender: take it as if it
    /// had arrived.
    TooBig = 6,
}

/// What became of a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RvlResult {
    /// The policy applied.
    pub verdict: RvlVerdict,
    /// With `Drop` and `Hold` the error that corresponds, or 0 where nothing is wrong (a policy, a keepalive).
    pub reason: RvlStatus,
    /// With `Hold`, the policy that waits for an SA.
    pub policy: u32,
    /// With `Fragment`, the most bytes of a fragment.
    pub fragment_size: u16,
    /// Outbound, protected: source of the outer header.
    pub source: RvlAddress,
    /// Outbound, protected: destination of the outer header, by which to route.
    pub destination: RvlAddress,
    /// Outbound, protected in UDP: the ports, else 0.
    pub source_port: u16,
    /// See `source_port`.
    pub destination_port: u16,
    /// Outbound, protected: where ESP begins in the packet.
    pub esp_offset: usize,
}

/// Decides about a packet that leaves, and protects it where its policy says so. To be called for every packet, after
/// its IP header is complete or, if it is forwarded, after its TTL was decremented, and before it is routed. Give it
/// `RVL_HEADROOM` and `RVL_TAILROOM`.
///
/// # Safety
/// `packet` and `result` are null or point to such structs, and `buffer` has `capacity` bytes that nobody else uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_encapsulate(
    engine: RvlHandle,
    packet: *mut RvlPacket,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { process(engine, Direction::Outbound, packet, now, result) }
}

/// Decides about a packet that arrived for this host: opens it where it is protected, and checks that it was where it
/// should be. To be called for every packet, after its header was checked, its fragments put together and its options
/// done, and before it is handed to the upper layer.
///
/// # Safety
/// As [`rvl_encapsulate`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_decapsulate(
    engine: RvlHandle,
    packet: *mut RvlPacket,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    // SAFETY: the caller's promise.
    unsafe { process(engine, Direction::Inbound, packet, now, result) }
}

/// What the SPD says about a packet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct RvlDisposition {
    /// What would become of the packet, as far as the SPD decides it.
    pub verdict: RvlVerdict,
    /// With `Drop` the error that corresponds, or 0 where a policy wants it so.
    pub reason: RvlStatus,
    /// 1 when a policy decides.
    pub has_policy: u8,
    /// The policy that decides.
    pub policy: u32,
}

/// Tells what would become of a clear packet that is to leave, or that has arrived, by the policies alone. Nothing is
/// done with the packet, and nothing is counted.
///
/// # Safety
/// As [`rvl_encapsulate`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rvl_get_policy(
    engine: RvlHandle,
    direction: u32,
    packet: *const RvlPacket,
    disposition: *mut RvlDisposition,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (packet, out) = unsafe { (sys::read(packet)?, Out::new(disposition)?) };
        // SAFETY: the caller's promise.
        let buffer = unsafe { sys::slice(packet.buffer.cast_const(), packet.capacity)? };
        let end = packet.offset.checked_add(packet.length).ok_or(RvlStatus::BadParam)?;
        let bytes = buffer.get(packet.offset..end).ok_or(RvlStatus::BadParam)?;
        let direction = traffic::direction(direction)?;
        let Disposition { policy, action } = handle::with(engine, |engine: &mut Engine| {
            let engine = engine.engine();
            Ok(match direction {
                Direction::Outbound => engine.outbound.lookup(bytes, Domain(packet.domain)),
                Direction::Inbound => engine.inbound.lookup(bytes, Domain(packet.domain)),
            })
        })?;
        let (verdict, reason) = match action {
            Disposal::Protect(Mode::Tunnel) => (RvlVerdict::SecureTunnel, RvlStatus::Ok),
            Disposal::Protect(Mode::Transport) => (RvlVerdict::SecureTransport, RvlStatus::Ok),
            Disposal::Bypass => (RvlVerdict::Bypass, RvlStatus::Ok),
            Disposal::Discard(reason) => (RvlVerdict::Drop, reason.code().map_or(RvlStatus::Ok, RvlStatus::from)),
        };
        let policy_number = policy.map_or(0, |policy| policy.0);
        out.set(RvlDisposition { verdict, reason, has_policy: policy.is_some().into(), policy: policy_number });
        Ok(())
    })
}

/// # Safety
/// As [`rvl_encapsulate`].
unsafe fn process(
    engine: RvlHandle,
    direction: Direction,
    packet: *mut RvlPacket,
    now: u64,
    result: *mut RvlResult,
) -> RvlStatus {
    call(|| {
        // SAFETY: the caller's promise.
        let (packet, result) = unsafe { (sys::write(packet)?, Out::new(result)?) };
        // SAFETY: the caller's promise.
        let buffer = unsafe { sys::slice_mut(packet.buffer, packet.capacity)? };
        let end = packet.offset.checked_add(packet.length).ok_or(RvlStatus::BadParam)?;
        let pkt = PacketBuf::new(buffer, packet.offset..end).ok_or(RvlStatus::BadParam)?;
        let mut pkt = pkt.with_mark(mark(packet.mark)?).in_domain(Domain(packet.domain));
        let verdict =
            handle::with(engine, |engine: &mut Engine| Ok(engine.process(direction, &mut pkt, instant(now))))?;
        let range = pkt.range();
        (packet.offset, packet.length) = (range.start, range.len());
        (packet.domain, packet.mark) = (pkt.domain().0, mark_number(pkt.mark()));
        result.set(RvlResult::new(verdict, pkt.mark()));
        Ok(())
    })
}

pub(crate) fn mark(number: u32) -> Result<Mark, RvlStatus> {
    [
        Mark::None,
        Mark::Sealed(Mode::Tunnel),
        Mark::Sealed(Mode::Transport),
        Mark::Opened(Mode::Tunnel),
        Mark::Opened(Mode::Transport),
    ]
    .into_iter()
    .find(|mark| mark_number(*mark) == number)
    .ok_or(RvlStatus::BadParam)
}

pub(crate) fn mark_number(mark: Mark) -> u32 {
    match mark {
        Mark::None => 0,
        Mark::Sealed(Mode::Tunnel) => 1,
        Mark::Sealed(Mode::Transport) => 2,
        Mark::Opened(Mode::Tunnel) => 3,
        Mark::Opened(Mode::Transport) => 4,
    }
}

impl RvlResult {
    pub(crate) fn new(verdict: Verdict, mark: Mark) -> Self {
        let secured = match mark {
            Mark::Sealed(Mode::Transport) | Mark::Opened(Mode::Transport) => RvlVerdict::SecureTransport,
            _ => RvlVerdict::SecureTunnel,
        };
        let mut result = RvlResult {
            verdict: RvlVerdict::Bypass,
            reason: verdict.code().map_or(RvlStatus::Ok, RvlStatus::from),
            policy: 0,
            fragment_size: 0,
            source: RvlAddress::NONE,
            destination: RvlAddress::NONE,
            source_port: 0,
            destination_port: 0,
            esp_offset: 0,
        };
        match verdict {
            Verdict::Bypass => {}
            // No SA of this interface has AGGFRAG payloads.
            Verdict::Drop(_) | Verdict::Taken => result.verdict = RvlVerdict::Drop,
            Verdict::Fragment(size) => (result.verdict, result.fragment_size) = (RvlVerdict::Fragment, size),
            Verdict::TooBig => result.verdict = RvlVerdict::TooBig,
            Verdict::Deliver => result.verdict = secured,
            Verdict::Hold(policy) => (result.verdict, result.policy) = (RvlVerdict::Hold, policy.0),
            Verdict::Send(Outer { src, dst, encap, esp_at, .. }) => {
                result.verdict = secured;
                (result.source, result.destination) = (src.into(), dst.into());
                if let Some(encap) = encap {
                    (result.source_port, result.destination_port) = (encap.src_port, encap.dst_port);
                }
                result.esp_offset = esp_at;
            }
        }
        result
    }
}
