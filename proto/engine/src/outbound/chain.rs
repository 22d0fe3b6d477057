//! Packets in pieces that leave.

use ravelin_types::Instant;
use ravelin_wire::ip::Header;
use ravelin_wire::udp_encap::UDP_HEADER_LEN;

use super::Outbound;
use crate::chain::ChainBuf;
use crate::packet::Mark;
use crate::sad::Slot;
use crate::seal::Leave;
use crate::verdict::Verdict;

impl Outbound {
    /// [`Outbound::process`] for a packet in pieces: what is protected is encrypted where it lies. Where it is then,
    /// [`ChainBuf::layout`] says.
    pub fn process_chain(&mut self, chain: &mut ChainBuf<'_>, now: Instant) -> Verdict {
        if let Ok(header) = chain.header()
            && !chain.is_gathered()
            && !matches!(chain.mark(), Mark::Sealed(_))
            && let Some(slot) = self.protects(&header, &chain.pkt, now)
        {
            match self.seal_chain(slot, &header, chain) {
                Some(verdict) => return verdict,
                None => chain.gather(),
            }
        }
        self.process(&mut chain.pkt, now)
    }

    /// `None`: nothing of the SA has changed, and the packet has to stand in one piece.
    fn seal_chain(&mut self, slot: Slot, header: &Header, chain: &mut ChainBuf<'_>) -> Option<Verdict> {
        let sa = self.sad.get(slot)?;
        if !sa.suite.takes_pieces() || sa.cold.params.options.ipcomp.cpi().is_some() {
            return None;
        }
        chain.truncate(header.total_len);
        if chain.is_gathered() {
            return None;
        }
        let begun = self.begin_cipher(slot, header, &mut chain.pkt, Leave::Payload)?;
        let sa = self.sad.get(slot)?;
        let (at, ah) = (begun.esp_at, sa.suite.ah());
        if let Some(esp) = sa.suite.esp() {
            let at = at + ah.map_or(0, |ah| ah.header_len(chain.is_ipv6()));
            esp.encrypt_pieces(chain.esp(at, esp.head_len(), esp.icv_len()), begun.sequence);
        }
        if let Some(ah) = ah {
            ah.sign_pieces(&mut chain.ah(at, ah.icv_len()), begun.sequence);
        }
        if sa.template.udp_len() > 0 && sa.template.has_udp_checksum() {
            chain.sum_udp(at - UDP_HEADER_LEN);
        }
        Some(self.finish(begun, &mut chain.pkt, Ok(())))
    }
}
