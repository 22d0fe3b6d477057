//! The port: a smoltcp device with the engine between the stack and the link ("bump in the stack", RFC 4301 §3.3).
//!
//! ```text
//!  smoltcp ──TxToken──► frame ──► Outbound::process ──► Send, Bypass: to the link     Hold: kept     Drop: gone
//!  smoltcp ◄──RxToken── frame ◄── Inbound::process ◄── link          Deliver, Bypass: to smoltcp     Drop: gone
//! ```
//! smoltcp has chosen the Ethernet address by the clear packet's destination. The protected packet goes to the same
//! one, so the route to a network behind a peer must lead over the same next hop as the route to the peer.

use std::collections::VecDeque;
use std::ops::Range;

use ravelin_engine::{Engine, HEADROOM, Inbound, Outbound, PacketBuf, TAILROOM, Verdict};
use smoltcp::phy::{Device, DeviceCapabilities, RxToken, TxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol};

const ETHERNET: usize = EthernetFrame::<&[u8]>::header_len();
/// Packets that wait for an SA; one more pushes the oldest out.
const HELD: usize = 16;
/// Frames dropped in a row before the stack gets a turn.
const BURST: usize = 64;

/// A link with protection.
pub struct Protected<D> {
    link: D,
    engine: Engine,
    /// The frame that arrived last, behind room for the engine.
    arrived: Vec<u8>,
    leaving: Leaving,
}

/// What a frame needs on its way out.
struct Leaving {
    /// The frame, with room for the engine on both sides.
    buffer: Vec<u8>,
    /// Clear frames without an SA.
    held: VecDeque<Vec<u8>>,
}

impl<D: Device> Protected<D> {
    /// Puts `engine` over `link`, which carries Ethernet.
    pub fn new(link: D, engine: Engine) -> Self {
        let largest = link.capabilities().max_transmission_unit;
        Protected {
            arrived: vec![0; HEADROOM + largest],
            leaving: Leaving { buffer: vec![0; HEADROOM + largest + TAILROOM], held: VecDeque::new() },
            link,
            engine,
        }
    }

    /// The engine, for key management and listings.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Offers the packets on hold again, now that there is a new SA.
    pub fn release(&mut self, now: Instant) {
        for frame in std::mem::take(&mut self.leaving.held) {
            self.leaving.buffer[HEADROOM..HEADROOM + frame.len()].copy_from_slice(&frame);
            self.leaving.send(frame.len(), &mut self.engine.outbound, &mut self.link, now);
        }
    }
}

/// The engine's time; both count from the same origin.
pub fn instant(now: Instant) -> ravelin_types::Instant {
    let micros = u64::try_from(now.total_micros()).unwrap_or(0);
    ravelin_types::Instant::from_duration(std::time::Duration::from_micros(micros))
}

/// smoltcp's time.
pub fn timestamp(at: ravelin_types::Instant) -> Instant {
    Instant::from_micros(i64::try_from(at.since_origin().as_micros()).unwrap_or(i64::MAX))
}

impl<D: Device> Device for Protected<D> {
    type RxToken<'a>
        = Received<'a>
    where
        D: 'a;
    type TxToken<'a>
        = Transmit<'a, D>
    where
        D: 'a;

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = self.link.capabilities();
        // So that TCP announces segments which fit the link once they are protected.
        capabilities.max_transmission_unit -= HEADROOM + TAILROOM;
        capabilities
    }

    fn receive(&mut self, now: Instant) -> Option<(Received<'_>, Transmit<'_, D>)> {
        for _ in 0..BURST {
            let (received, _) = self.link.receive(now)?;
            let (arrived, inbound) = (&mut self.arrived, &mut self.engine.inbound);
            let clear = received.consume(|frame| {
                let place = arrived.get_mut(HEADROOM..HEADROOM + frame.len())?;
                place.copy_from_slice(frame);
                open(arrived, HEADROOM..HEADROOM + frame.len(), inbound, now)
            });
            if let Some(frame) = clear {
                let (outbound, link, leaving) = (&mut self.engine.outbound, &mut self.link, &mut self.leaving);
                return Some((Received(&self.arrived[frame]), Transmit { leaving, outbound, link, now }));
            }
        }
        None
    }

    fn transmit(&mut self, now: Instant) -> Option<Transmit<'_, D>> {
        let (outbound, link, leaving) = (&mut self.engine.outbound, &mut self.link, &mut self.leaving);
        Some(Transmit { leaving, outbound, link, now })
    }
}

/// A frame for the stack.
pub struct Received<'a>(&'a [u8]);

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Leave to send one frame.
pub struct Transmit<'a, D> {
    leaving: &'a mut Leaving,
    outbound: &'a mut Outbound,
    link: &'a mut D,
    now: Instant,
}

impl<D: Device> TxToken for Transmit<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let result = f(&mut self.leaving.buffer[HEADROOM..HEADROOM + len]);
        self.leaving.send(len, self.outbound, self.link, self.now);
        result
    }
}

impl Leaving {
    /// Sends the clear frame of `len` bytes at the buffer's [`HEADROOM`].
    fn send<D: Device>(&mut self, len: usize, outbound: &mut Outbound, link: &mut D, now: Instant) {
        let clear = HEADROOM..HEADROOM + len;
        let Some(frame) = seal(&mut self.buffer, clear.clone(), outbound, now) else { return };
        match frame {
            Sealed::Send(frame) => {
                // A link that is busy drops, as links do.
                let Some(token) = link.transmit(now) else { return };
                token.consume(frame.len(), |out| out.copy_from_slice(&self.buffer[frame]));
            }
            Sealed::Hold => {
                if self.held.len() == HELD {
                    self.held.pop_front();
                }
                self.held.push_back(self.buffer[clear].to_vec());
            }
        }
    }
}

enum Sealed {
    Send(Range<usize>),
    Hold,
}

/// Has the engine decide about the clear frame that stands at `frame` in `buffer`. `None`: it goes nowhere.
fn seal(buffer: &mut [u8], frame: Range<usize>, outbound: &mut Outbound, now: Instant) -> Option<Sealed> {
    if !carries_ip(&buffer[frame.clone()]) {
        return Some(Sealed::Send(frame));
    }
    let header: [u8; ETHERNET] = *buffer[frame.clone()].first_chunk()?;
    // The engine grows the packet over the Ethernet header, which comes back in front of what it made.
    let mut packet = PacketBuf::new(buffer, frame.start + ETHERNET..frame.end)?;
    match outbound.process(&mut packet, instant(now)) {
        Verdict::Bypass | Verdict::Send(_) => {
            let range = packet.range();
            Some(Sealed::Send(with_header(buffer, range, header)?))
        }
        Verdict::Hold(_) => Some(Sealed::Hold),
        // The engine counts what it drops. The SAs here have no MTU, so nothing is too big.
        Verdict::Deliver | Verdict::Drop(_) | Verdict::Fragment(_) | Verdict::TooBig | Verdict::Taken => None,
    }
}

/// Has the engine decide about the frame that arrived. `None`: the stack does not see it.
fn open(buffer: &mut [u8], frame: Range<usize>, inbound: &mut Inbound, now: Instant) -> Option<Range<usize>> {
    if !carries_ip(&buffer[frame.clone()]) {
        return Some(frame);
    }
    let header: [u8; ETHERNET] = *buffer[frame.clone()].first_chunk()?;
    let mut packet = PacketBuf::new(buffer, frame.start + ETHERNET..frame.end)?;
    match inbound.process(&mut packet, instant(now)) {
        Verdict::Bypass | Verdict::Deliver => {
            let range = packet.range();
            with_header(buffer, range, header)
        }
        // The others are verdicts about packets that leave.
        Verdict::Drop(_)
        | Verdict::Send(_)
        | Verdict::Hold(_)
        | Verdict::Fragment(_)
        | Verdict::TooBig
        | Verdict::Taken => None,
    }
}

/// Whether it is an Ethernet frame with an IP packet. Others (ARP) are none of IPsec's business.
fn carries_ip(frame: &[u8]) -> bool {
    EthernetFrame::new_checked(frame)
        .is_ok_and(|frame| matches!(frame.ethertype(), EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6))
}

/// Writes the Ethernet header before the packet, with the type of the packet that is there now: in tunnel mode inner and
/// outer packet may be of different families.
fn with_header(buffer: &mut [u8], packet: Range<usize>, header: [u8; ETHERNET]) -> Option<Range<usize>> {
    let version = buffer.get(packet.start)? >> 4;
    let start = packet.start.checked_sub(ETHERNET)?;
    buffer[start..packet.start].copy_from_slice(&header);
    let ethertype = if version == 6 { EthernetProtocol::Ipv6 } else { EthernetProtocol::Ipv4 };
    EthernetFrame::new_unchecked(&mut buffer[start..packet.end]).set_ethertype(ethertype);
    Some(start..packet.end)
}
