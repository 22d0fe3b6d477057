//! Where the IP packet begins in a captured frame.

/// The link type of a capture (LINKTYPE_ values of the pcap formats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link(pub u32);

const NULL: u32 = 0;
const ETHERNET: u32 = 1;
const RAW: u32 = 101;
const RAW_BSD: u32 = 12;
const RAW_OPENBSD: u32 = 14;
const LOOP: u32 = 108;
const LINUX_SLL: u32 = 113;
const IPV4: u32 = 228;
const IPV6: u32 = 229;
const LINUX_SLL2: u32 = 276;

/// VLAN tags that are looked through.
const MAX_TAGS: usize = 4;

impl Link {
    /// Packets that begin with an IP header.
    pub const IP: Link = Link(RAW);

    /// The offset at which the IP packet begins.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn ip_at(self, frame: &[u8]) -> Result<usize, String> {
        match self.0 {
            RAW | RAW_BSD | RAW_OPENBSD | IPV4 | IPV6 => Ok(0),
            NULL | LOOP => Ok(4),
            ETHERNET => ethertype(frame, 12),
            LINUX_SLL => ethertype(frame, 14),
            LINUX_SLL2 => ethertype(frame, 0).map(|_| 20),
            other => Err(format!("frames of link type {other} are not read")),
        }
    }
}

/// The end of the EtherType at `at`, looking through VLAN tags.
fn ethertype(frame: &[u8], at: usize) -> Result<usize, String> {
    let mut at = at;
    for _ in 0..=MAX_TAGS {
        let kind = frame.get(at..at + 2).ok_or("the frame is shorter than its link header")?;
        match u16::from_be_bytes([kind[0], kind[1]]) {
            0x0800 | 0x86dd => return Ok(at + 2),
            0x8100 | 0x88a8 => at += 4,
            kind => return Err(format!("no IP packet: EtherType {kind:#06x}")),
        }
    }
    Err("too many VLAN tags".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_looked_through() {
        let mut frame = [0u8; 30];
        frame[12..16].copy_from_slice(&[0x81, 0, 0, 7]);
        frame[16..18].copy_from_slice(&[0x86, 0xdd]);
        assert_eq!(Link(ETHERNET).ip_at(&frame), Ok(18));
        frame[16..18].copy_from_slice(&[8, 6]);
        assert_eq!(Link(ETHERNET).ip_at(&frame), Err("no IP packet: EtherType 0x0806".into()));
        assert!(Link(ETHERNET).ip_at(&frame[..13]).is_err());
        assert!(Link(9999).ip_at(&frame).is_err());
        assert!(Link(ETHERNET).ip_at(&[0x81, 0].repeat(40)).is_err());
    }
}
