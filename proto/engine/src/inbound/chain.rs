//! Packets in pieces that arrive.

use ravelin_types::Instant;
use ravelin_wire::ip::Header;

use super::{Content, Inbound, OuterMeta, content};
use crate::accelerator::Share;
use crate::chain::ChainBuf;
use crate::open::Arrived;
use crate::verdict::{DropReason, Verdict};

impl Inbound {
    /// [`Inbound::process`] for a packet in pieces: what is protected is decrypted where it lies. Where it is then,
    /// [`ChainBuf::layout`] says.
    pub fn process_chain(&mut self, chain: &mut ChainBuf<'_>, now: Instant) -> Verdict {
        if let Ok(header) = chain.header()
            && !chain.is_gathered()
        {
            match content(&header, chain.pkt.packet()) {
                Content::Esp { esp_at, src_port } => match self.open_chain((&header, esp_at, src_port), chain, now) {
                    Some(verdict) => return verdict,
                    None => chain.gather(),
                },
                Content::Ah => {
                    chain.truncate(header.total_len);
                    chain.fill_back();
                    let meta = OuterMeta::of(&header, None);
                    let arrived = Arrived { at: header.payload_at, meta: &meta, header: Some(&header) };
                    let verdict = self.open_ah(chain, arrived, now);
                    self.counters.count(&verdict);
                    return verdict;
                }
                Content::Clear | Content::Refused(_) => {}
            }
        }
        self.process(&mut chain.pkt, now)
    }

    /// `None`: nothing has changed, and the packet has to stand in one piece.
    fn open_chain(
        &mut self,
        esp: (&Header, usize, Option<u16>),
        chain: &mut ChainBuf<'_>,
        now: Instant,
    ) -> Option<Verdict> {
        chain.truncate(esp.0.total_len);
        chain.fill_back();
        if chain.is_gathered() {
            return None;
        }
        let begun = self.begin_esp(esp, &mut chain.pkt, |_, sa| {
            let whole = sa.aggfrag || sa.cold.params.options.ipcomp.cpi().is_some();
            if whole || !sa.suite.takes_pieces() { Share::Nothing } else { Share::Cipher }
        })?;
        let sa = self.sad.get(begun.slot)?;
        let opened = chain.open_esp(sa.suite.esp()?, begun.esp_at, begun.sequence, sa.mode);
        Some(self.finish(begun, &mut chain.pkt, opened.map_err(|_| DropReason::Forged), now))
    }
}
