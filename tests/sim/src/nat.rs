//! A router that hides node 0 behind an address of its own, as routers at homes do: it maps each UDP port, forgets its
//! maps when told to, and passes nothing but UDP.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;

use ravelin_wire::ip::{Header, checksum, protocol, v4};

use crate::network::Frame;
use crate::packets;

/// The maps in force. IPv4 only.
#[derive(Debug)]
pub struct Nat {
    inside: IpAddr,
    outside: IpAddr,
    maps: BTreeMap<u16, u16>,
    next_port: u16,
}

impl Nat {
    /// A router between the host `inside` and the wire, where it has the address `outside`.
    pub fn new(inside: IpAddr, outside: IpAddr) -> Self {
        Nat { inside, outside, maps: BTreeMap::new(), next_port: 40_000 }
    }

    /// Forgets all maps; what the host sends from now on comes from new ports.
    pub fn forget(&mut self) {
        self.maps.clear();
    }

    /// Passes a frame to the wire. A frame of another host passes as it is.
    ///
    /// # Errors
    /// When the host sends something that the router cannot pass: ESP that is not in UDP.
    pub fn outward(&mut self, mut frame: Frame) -> Result<Frame, String> {
        let outside = self.outside;
        match &mut frame {
            Frame::Ike { from, .. } if from.ip() == self.inside => {
                *from = SocketAddr::new(outside, self.map(from.port()));
            }
            Frame::Packet { data, .. } => {
                let header = Header::parse(data).map_err(|error| format!("no IP packet reached the NAT: {error:?}"))?;
                if header.src == self.inside {
                    if header.protocol != protocol::UDP {
                        return Err(format!("protocol {} was sent to a NAT", header.protocol));
                    }
                    let at = header.payload_at;
                    let port = self.map(u16::from_be_bytes([data[at], data[at + 1]]));
                    data[at..at + 2].copy_from_slice(&port.to_be_bytes());
                    rewrite(data, SOURCE_AT, outside);
                }
            }
            Frame::Ike { .. } => {}
        }
        Ok(frame)
    }

    /// Passes a frame from the wire on, to the host when it is meant for it; `None` when there is no map for it.
    pub fn inward(&self, mut frame: Frame) -> Option<Frame> {
        if frame.destination() != self.outside {
            return Some(frame);
        }
        match &mut frame {
            Frame::Ike { to, .. } => *to = SocketAddr::new(self.inside, self.unmap(to.port())?),
            // A router passes no broken header on, so it never mends one by writing a new checksum.
            Frame::Packet { data, .. } if !packets::intact(data) => return None,
            Frame::Packet { to, data } => {
                let header = Header::parse(data).ok()?;
                let at = header.payload_at;
                if header.protocol != protocol::UDP || data.len() < at + 4 {
                    return None;
                }
                let port = self.unmap(u16::from_be_bytes([data[at + 2], data[at + 3]]))?;
                data[at + 2..at + 4].copy_from_slice(&port.to_be_bytes());
                rewrite(data, DESTINATION_AT, self.inside);
                *to = self.inside;
            }
        }
        Some(frame)
    }

    fn map(&mut self, port: u16) -> u16 {
        *self.maps.entry(port).or_insert_with(|| {
            self.next_port += 1;
            self.next_port
        })
    }

    fn unmap(&self, outside: u16) -> Option<u16> {
        self.maps.iter().find(|(_, port)| **port == outside).map(|(inside, _)| *inside)
    }
}

const SOURCE_AT: usize = 12;
const DESTINATION_AT: usize = 16;
const CHECKSUM_AT: usize = 10;

/// Writes an address into an IPv4 header, and the header's checksum. ESP in UDP has no UDP checksum (RFC 3948 §2.1).
fn rewrite(packet: &mut [u8], at: usize, address: IpAddr) {
    let IpAddr::V4(address) = address else { return };
    packet[at..at + 4].copy_from_slice(&address.octets());
    packet[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
    let sum = checksum::finish(checksum::sum(&packet[..v4::HEADER_LEN]));
    packet[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn nat() -> Nat {
        Nat::new(ip(1), ip(99))
    }

    #[test]
    fn what_goes_out_comes_back() {
        let mut nat = nat();
        let out = Frame::Packet { to: ip(2), data: packets::packet(0, ip(1), ip(2), 5) };
        let Frame::Packet { data, .. } = nat.outward(out).unwrap() else { panic!("a packet stays one") };
        let header = Header::parse(&data).unwrap();
        assert_eq!((header.src, header.dst), (ip(99), ip(2)));
        assert_eq!(checksum::finish(checksum::sum(&data[..20])), 0);
        let port = u16::from_be_bytes([data[20], data[21]]);
        let answer =
            Frame::Ike { from: "192.0.2.2:4500".parse().unwrap(), to: SocketAddr::new(ip(99), port), data: vec![] };
        assert_eq!(nat.inward(answer.clone()).unwrap().destination(), ip(1));
        nat.forget();
        assert_eq!(nat.inward(answer), None);
    }

    #[test]
    fn others_pass_and_plain_esp_does_not() {
        let mut nat = nat();
        let other = Frame::Packet { to: ip(3), data: packets::packet(0, ip(2), ip(3), 5) };
        assert_eq!(nat.outward(other.clone()).unwrap(), other);
        assert_eq!(nat.inward(other.clone()), Some(other));
        let mut esp = packets::packet(0, ip(1), ip(2), 5);
        esp[9] = protocol::ESP;
        assert!(nat.outward(Frame::Packet { to: ip(2), data: esp }).unwrap_err().contains("protocol 50"));
    }
}
