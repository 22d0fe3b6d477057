//! Two engines and nothing between them, on virtual time: the data plane as the simulator has it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_engine::{Engine, EngineConfig, HEADROOM, NoMatch, PacketBuf, TAILROOM, Verdict};
use ravelin_types::Instant;
use ravelin_types::dataplane::{DataPlaneError, DataPlaneEvent, DataPlaneOp, SaStatus};
use ravelin_wire::ip::{checksum, protocol, v4, v6};
use ravelin_wire::udp_encap::{UDP_HEADER_LEN, emit_header};

use crate::{End, Pair};

/// Two engines.
pub struct Memory {
    engines: [Engine; 2],
    now: Instant,
}

impl Default for Memory {
    fn default() -> Self {
        let engine = || {
            let config = EngineConfig { no_match: NoMatch::Bypass, ..EngineConfig::default() };
            Engine::new(config, provider(), Box::new(SystemRandom))
        };
        Memory { engines: [engine(), engine()], now: Instant::ZERO }
    }
}

impl Memory {
    fn engine(&mut self, end: End) -> &mut Engine {
        &mut self.engines[end as usize]
    }
}

impl Pair for Memory {
    fn apply(&mut self, end: End, op: DataPlaneOp) -> Result<(), DataPlaneError> {
        let now = self.now;
        self.engine(end).apply(&op, now)
    }

    fn event(&mut self, end: End) -> Option<DataPlaneEvent> {
        self.engine(end).poll_event()
    }

    fn events(&mut self, end: End) -> Vec<DataPlaneEvent> {
        let engine = self.engine(end);
        std::iter::from_fn(|| engine.poll_event()).collect()
    }

    fn list(&mut self, end: End) -> Vec<SaStatus> {
        self.engine(end).list()
    }

    fn send(&mut self, from: End, src: SocketAddr, dst: SocketAddr) -> bool {
        let now = self.now;
        let packet = datagram(src, dst);
        let mut buffer = vec![0; HEADROOM + packet.len() + TAILROOM];
        let range = HEADROOM..HEADROOM + packet.len();
        buffer[range.clone()].copy_from_slice(&packet);
        let mut sealed = PacketBuf::new(&mut buffer, range).unwrap();
        match self.engine(from).outbound.process(&mut sealed, now) {
            Verdict::Send(_) | Verdict::Bypass => {}
            _ => return false,
        }
        let mut buffer = vec![0; HEADROOM + sealed.len()];
        buffer[HEADROOM..].copy_from_slice(sealed.packet());
        let range = HEADROOM..buffer.len();
        let mut opened = PacketBuf::new(&mut buffer, range).unwrap();
        let verdict = self.engine(from.other()).inbound.process(&mut opened, now);
        matches!(verdict, Verdict::Deliver | Verdict::Bypass) && opened.packet() == packet
    }

    fn offer(&mut self, from: End, src: SocketAddr, dst: SocketAddr) {
        self.send(from, src, dst);
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + Duration::from_millis(100)).min(end);
            let now = self.now;
            self.engines.iter_mut().for_each(|engine| engine.tick(now));
        }
    }
}

/// An IP packet with a UDP datagram in it.
fn datagram(src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let payload = b"payload of the contract";
    let mut udp = vec![0; UDP_HEADER_LEN];
    udp.extend(payload);
    let len = udp.len() as u16;
    emit_header(udp.first_chunk_mut().unwrap(), src.port(), dst.port(), len);
    let pseudo =
        checksum::sum_address(src.ip()) + checksum::sum_address(dst.ip()) + u64::from(protocol::UDP) + u64::from(len);
    let sum = checksum::finish(pseudo + checksum::sum(&udp));
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    let mut packet = match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let mut header = [0; v4::HEADER_LEN];
            let total_len = len + header.len() as u16;
            v4::Fields { tos: 0, total_len, id: 1, dont_fragment: false, ttl: 64, protocol: protocol::UDP, src, dst }
                .emit(&mut header);
            header.to_vec()
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut header = [0; v6::HEADER_LEN];
            v6::Fields { tos: 0, payload_len: len, next_header: protocol::UDP, hop_limit: 64, src, dst }
                .emit(&mut header);
            header.to_vec()
        }
        _ => panic!("both ends of a datagram are of one family"),
    };
    packet.extend(udp);
    packet
}
