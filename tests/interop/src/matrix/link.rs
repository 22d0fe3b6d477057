//! Our side: an engine, a raw link to the guest, and echo requests.

use std::io::{ErrorKind, Read};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use ravelin_crypto::CryptoProvider;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_engine::{Engine, EngineConfig, HEADROOM, PacketBuf, TAILROOM, Verdict};
use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Policy, PolicyId, Protection, Ways};
use ravelin_types::sa::{Direction, SaLookup, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ip::{Header, checksum, protocol, v4, v6};
use socket2::{Protocol, Socket, Type};

use super::place::Place;
use super::rows::Row;
use crate::lab::GUEST_WIRE;
use crate::sys;
use crate::traffic::MARKER;

/// The Ethernet address that the guest sends to, and the guest's.
pub const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 4, 0];
/// SPIs of what we send and what we receive.
pub const SPI_OUT: u32 = 0x1000_0001;
/// See [`SPI_OUT`].
pub const SPI_IN: u32 = 0x2000_0002;
/// Anti-replay window of both sides.
pub const WINDOW: u32 = 64;
/// Lengths of what an echo carries: padding of every kind, and a packet that nearly fills the link.
const LENGTHS: &[usize] = &[13, 14, 15, 16, 28, 61, 500, 1200];
/// How long an echo may take through an emulated machine.
const PATIENCE: Duration = Duration::from_secs(10);
const ETHERNET: usize = 14;
const ICMP: usize = 8;
/// Types of echo request and reply: ICMP (RFC 792) and ICMPv6 (RFC 4443 §4).
const ECHO: (u8, u8) = (8, 0);
const ECHO6: (u8, u8) = (128, 129);
const NOW: ravelin_types::Instant = ravelin_types::Instant::ZERO;

/// An engine on the guest's wire.
pub struct Link {
    engine: Engine,
    socket: Socket,
    place: Place,
}

impl Link {
    /// An engine with the SAs of one combination.
    pub fn new(row: &Row, place: Place, extended: bool, crypto: CryptoProvider) -> Result<Self> {
        let mut engine = Engine::new(EngineConfig::default(), crypto, Box::new(SystemRandom));
        for op in operations(row, place, extended).context("a row without a protocol")? {
            engine.apply(&op, NOW).with_context(|| format!("{op:?}"))?;
        }
        let protocol = Protocol::from(i32::from(sys::ALL_PROTOCOLS));
        let socket = Socket::new(socket2::Domain::PACKET, Type::RAW, Some(protocol)).context("a packet socket")?;
        let index = rustix::net::netdevice::name_to_index(&socket, GUEST_WIRE).context(GUEST_WIRE)?;
        socket.bind(&sys::interface_address(index)?)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { engine, socket, place })
    }

    /// Sends an echo request of each length and waits for each answer; how many there were.
    pub fn exchange(&mut self) -> Result<usize> {
        for (sequence, length) in LENGTHS.iter().enumerate() {
            let sequence = u16::try_from(sequence)?;
            self.send(&echo(self.place, sequence, *length)).with_context(|| format!("an echo of {length} bytes"))?;
            self.receive(sequence, *length).with_context(|| format!("an echo of {length} bytes"))?;
        }
        Ok(LENGTHS.len())
    }

    fn send(&mut self, packet: &[u8]) -> Result<()> {
        let at = ETHERNET + HEADROOM;
        let mut buffer = vec![0; at + packet.len() + TAILROOM];
        buffer[at..at + packet.len()].copy_from_slice(packet);
        let mut pkt = PacketBuf::new(&mut buffer, at..at + packet.len()).context("a buffer")?;
        let verdict = self.engine.outbound.process(&mut pkt, NOW);
        ensure!(matches!(verdict, Verdict::Send(_)), "our engine says {verdict:?}");
        let range = pkt.range();
        let ethertype: [u8; 2] = if buffer[range.start] >> 4 == 4 { [8, 0] } else { [0x86, 0xdd] };
        let frame = &mut buffer[range.start - ETHERNET..range.end];
        frame[..6].copy_from_slice(&GUEST_MAC);
        frame[6..12].copy_from_slice(&OWN_MAC);
        frame[12..14].copy_from_slice(&ethertype);
        self.socket.send(frame).context("sending")?;
        Ok(())
    }

    fn receive(&mut self, sequence: u16, length: usize) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        let mut frame = vec![0; 1 << 16];
        while Instant::now() < end {
            let count = match (&self.socket).read(&mut frame) {
                Ok(count) => count,
                Err(error) if [ErrorKind::WouldBlock, ErrorKind::Interrupted].contains(&error.kind()) => continue,
                Err(error) => return Err(error).context("receiving"),
            };
            if count < ETHERNET || frame[..6] != OWN_MAC {
                continue;
            }
            let Some(mut pkt) = PacketBuf::new(&mut frame, ETHERNET..count) else { continue };
            match self.engine.inbound.process(&mut pkt, NOW) {
                Verdict::Deliver => return check_echo(self.place, pkt.packet(), sequence, length),
                Verdict::Bypass => bail!("the kernel sent a packet in the clear: {:02x?}", pkt.packet()),
                verdict => bail!("our engine says {verdict:?}"),
            }
        }
        bail!("the kernel does not answer")
    }
}

fn operations(row: &Row, place: Place, extended: bool) -> Option<Vec<DataPlaneOp>> {
    let (ours, theirs) = place.outer();
    let options = SaOptions { short_icv: row.short_icv, ah_align64: row.align64, ..SaOptions::default() };
    let any = vec![TrafficSelector::any_v4(), TrafficSelector::any_v6()];
    let policy = Policy {
        id: PolicyId(1),
        name: "matrix".into(),
        domain: Domain::default(),
        priority: 1,
        local: any.clone(),
        remote: any.clone(),
        action: Action::Protect(Protection {
            mode: place.mode,
            local: Some(ours),
            remote: theirs,
            pfp: Pfp::NONE,
            lifetime: Lifetime::default(),
            replay_window: WINDOW,
            options,
        }),
        ways: Ways::default(),
    };
    let suite = |ah_spi| row.suite(extended, Spi(ah_spi));
    let sa = |direction, spi, pair, src, dst, suite| SaParams {
        direction,
        spi: Spi(spi),
        pair: Spi(pair),
        lookup: SaLookup::Spi,
        src,
        dst,
        mode: place.mode,
        encap: None,
        original: None,
        suite,
        keys: row.keys(direction),
        policy: policy.id,
        local_ts: any.as_slice().into(),
        remote_ts: any.as_slice().into(),
        lifetime: Lifetime::default(),
        replay_window: WINDOW,
        options,
    };
    let outbound = sa(Direction::Outbound, SPI_OUT, SPI_IN, ours, theirs, suite(SPI_OUT)?);
    let inbound = sa(Direction::Inbound, SPI_IN, SPI_OUT, theirs, ours, suite(SPI_IN)?);
    Some(vec![DataPlaneOp::AddPolicy(policy), DataPlaneOp::AddSa(outbound), DataPlaneOp::AddSa(inbound)])
}

fn payload(sequence: u16, length: usize) -> impl Iterator<Item = u8> {
    MARKER.iter().copied().cycle().take(length).map(move |byte| byte ^ sequence as u8)
}

/// An echo request of ours.
fn echo(place: Place, sequence: u16, length: usize) -> Vec<u8> {
    let (src, dst) = place.inner();
    let len = ICMP + length;
    let mut icmp = vec![0; ICMP];
    icmp[4..6].copy_from_slice(&[0x52, 0x76]);
    icmp[6..8].copy_from_slice(&sequence.to_be_bytes());
    icmp.extend(payload(sequence, length));
    let mut packet = Vec::new();
    let pseudo = match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            icmp[0] = ECHO.0;
            let mut header = [0; v4::HEADER_LEN];
            let total_len = (v4::HEADER_LEN + len) as u16;
            let (tos, id, ttl, protocol) = (0, sequence, 64, protocol::ICMP);
            v4::Fields { tos, total_len, id, dont_fragment: true, ttl, protocol, src, dst }.emit(&mut header);
            packet.extend(header);
            0
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            icmp[0] = ECHO6.0;
            let mut header = [0; v6::HEADER_LEN];
            let (tos, hop_limit, next_header) = (0, 64, protocol::ICMPV6);
            v6::Fields { tos, payload_len: len as u16, next_header, hop_limit, src, dst }.emit(&mut header);
            packet.extend(header);
            checksum::sum(&src.octets()) + checksum::sum(&dst.octets()) + len as u64 + u64::from(protocol::ICMPV6)
        }
        // The ends of a place are of one family.
        _ => 0,
    };
    let sum = checksum::finish(pseudo + checksum::sum(&icmp));
    icmp[2..4].copy_from_slice(&sum.to_be_bytes());
    packet.extend(icmp);
    packet
}

/// What our engine delivered must be the answer to our request.
fn check_echo(place: Place, packet: &[u8], sequence: u16, length: usize) -> Result<()> {
    let header = Header::parse(packet).map_err(|error| anyhow::anyhow!("{error:?}"))?;
    let (ours, theirs) = place.inner();
    ensure!((header.src, header.dst) == (theirs, ours), "from {} to {}", header.src, header.dst);
    let icmp = &packet[header.payload_at..header.total_len];
    let reply = if header.src.is_ipv4() { ECHO.1 } else { ECHO6.1 };
    let right = icmp.len() == ICMP + length
        && icmp[0] == reply
        && icmp[6..8] == sequence.to_be_bytes()
        && icmp[ICMP..].iter().copied().eq(payload(sequence, length));
    ensure!(right, "another answer than to what was sent: {icmp:02x?}");
    Ok(())
}
