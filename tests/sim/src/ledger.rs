//! What was sent and what came out: the reference model of the traffic.

use std::collections::{BTreeMap, BTreeSet};

use ravelin_wire::esp::EspHeader;
use ravelin_wire::ip::{Header, protocol};

use crate::packets;

/// Every packet of traffic, and every sequence number on the wire.
#[derive(Debug, Default)]
pub struct Ledger {
    sent: BTreeMap<u64, Sent>,
    arrived: [Vec<u64>; 2],
    used: BTreeSet<(usize, u32, u32, u32)>,
    /// The flow that each SPI of a node in one of its lives carries.
    flows: BTreeMap<(usize, u32, u32), u16>,
}

#[derive(Debug)]
struct Sent {
    from: usize,
    packet: Vec<u8>,
    arrived: bool,
}

impl Ledger {
    /// Writes down that a packet, whose number was not used before, is given to the engine of node `from`; `packet` is
    /// how it must arrive.
    pub fn sent(&mut self, from: usize, number: u64, packet: Vec<u8>) {
        self.sent.insert(number, Sent { from, packet, arrived: false });
    }

    /// Checks what node `node`, in its `life`th life, puts on the wire for a packet of `flow`.
    ///
    /// # Errors
    /// When it is not ESP, shows what it carries, uses a sequence number of an SA again, or the SA of another flow.
    pub fn on_the_wire(&mut self, node: usize, life: u32, flow: u16, packet: &[u8]) -> Result<(), String> {
        if packets::shows_mark(packet) {
            return Err(format!("node {node} sent a payload in the clear"));
        }
        let header = Header::parse(packet).map_err(|error| format!("node {node} sent no IP packet: {error:?}"))?;
        let esp = match header.protocol {
            protocol::ESP => &packet[header.payload_at..],
            // RFC 3948 §2.1: ESP follows the UDP header.
            protocol::UDP => packet.get(header.payload_at + 8..).unwrap_or_default(),
            other => return Err(format!("node {node} sent protocol {other}, not ESP")),
        };
        let esp = EspHeader::parse(esp).ok_or_else(|| format!("node {node} sent ESP without a header"))?;
        // RFC 4303 §3.3.3: a sequence number is never used twice under one key. With a counter-mode cipher a second
        // use would give away both packets.
        if !self.used.insert((node, life, esp.spi.0, esp.sequence)) {
            return Err(format!("node {node} used sequence number {} of SPI {} twice", esp.sequence, esp.spi));
        }
        let carried = *self.flows.entry((node, life, esp.spi.0)).or_insert(flow);
        if carried != flow {
            return Err(format!("node {node} sent flow {flow} on SPI {}, which is of flow {carried}", esp.spi));
        }
        Ok(())
    }

    /// How many SAs sent.
    pub fn senders(&self) -> usize {
        self.flows.len()
    }

    /// Checks a packet that node `node` gives to its stack.
    ///
    /// # Errors
    /// When it was not sent by the other node, is not what was sent, or came before.
    pub fn delivered(&mut self, node: usize, packet: &[u8]) -> Result<u64, String> {
        let number = packets::number(packet).ok_or_else(|| format!("node {node} was given a packet nobody sent"))?;
        let sent =
            self.sent.get_mut(&number).ok_or_else(|| format!("node {node} was given packet {number}, never sent"))?;
        if sent.from == node {
            return Err(format!("packet {number} came back to node {node}"));
        }
        if packets::lasting(&sent.packet) != packets::lasting(packet) {
            return Err(format!("packet {number} was altered: sent {:02x?}, came {packet:02x?}", sent.packet));
        }
        if core::mem::replace(&mut sent.arrived, true) {
            return Err(format!("packet {number} was given to node {node} twice"));
        }
        self.arrived[node].push(number);
        Ok(number)
    }

    /// Checks that the numbers from `first` on all arrived, those from each node in the order they were sent.
    ///
    /// # Errors
    /// Names the first that did not.
    pub fn complete_since(&self, first: u64) -> Result<(), String> {
        if let Some((number, sent)) = self.sent.range(first..).find(|(_, sent)| !sent.arrived) {
            return Err(format!("packet {number} from node {} was lost on a good wire", sent.from));
        }
        for (node, arrived) in self.arrived.iter().enumerate() {
            let late: Vec<_> = arrived.iter().filter(|number| **number >= first).collect();
            if !late.is_sorted() {
                return Err(format!("packets reached node {node} out of order on a good wire: {late:?}"));
            }
        }
        Ok(())
    }

    /// How many packets were sent, and how many arrived.
    pub fn totals(&self) -> (usize, usize) {
        (self.sent.len(), self.arrived.iter().map(Vec::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn ledger() -> (Ledger, Vec<u8>) {
        let packet = packets::packet(0, IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]), 7);
        let mut ledger = Ledger::default();
        ledger.sent(0, 7, packet.clone());
        (ledger, packet)
    }

    #[test]
    fn a_packet_arrives_once_at_the_other_node() {
        let (mut ledger, packet) = ledger();
        assert!(ledger.complete_since(0).unwrap_err().contains("lost"));
        assert!(ledger.delivered(0, &packet).unwrap_err().contains("came back"));
        assert_eq!(ledger.delivered(1, &packet), Ok(7));
        assert!(ledger.delivered(1, &packet).unwrap_err().contains("twice"));
        assert_eq!(ledger.complete_since(0), Ok(()));
    }

    #[test]
    fn alterations_and_inventions_are_noticed() {
        let (mut ledger, mut packet) = ledger();
        let last = packet.len() - 1;
        packet[last] ^= 1;
        assert!(ledger.delivered(1, &packet).unwrap_err().contains("altered"));
        assert!(ledger.delivered(1, &packet[..30]).unwrap_err().contains("nobody sent"));
    }

    #[test]
    fn clear_payloads_and_used_numbers_are_noticed() {
        let (mut ledger, packet) = ledger();
        assert!(ledger.on_the_wire(0, 0, 0, &packet).unwrap_err().contains("in the clear"));
        let mut esp = packet[..40].to_vec();
        esp[3] = 40;
        esp[9] = protocol::ESP;
        esp[20..40].fill(1);
        assert_eq!(ledger.on_the_wire(0, 0, 0, &esp), Ok(()));
        assert!(ledger.on_the_wire(0, 0, 0, &esp).unwrap_err().contains("twice"));
        assert_eq!(ledger.on_the_wire(0, 1, 0, &esp), Ok(()));
    }
}
