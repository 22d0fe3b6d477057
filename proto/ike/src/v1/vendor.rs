//! Vendor IDs: what a peer of IKEv1 says that it can do beyond RFC 2409.

use alloc::vec::Vec;

use ravelin_wire::ike::v1::{Opaque, Payload};

/// "RFC 3947"
const NAT_T_RFC: &[u8] = &hex(b"4a131c81070358455c5728f20e95452f");
/// "draft-ietf-ipsec-nat-t-ike-03"
const NAT_T_03: &[u8] = &hex(b"7d9419a65310ca6f2c179d9215529d56");
/// "draft-ietf-ipsec-nat-t-ike-02", and a line feed
const NAT_T_02: &[u8] = &hex(b"90cb80913ebb696e086381b5ec427b1f");
/// RFC 3706 §5.1
const DPD: &[u8] = &hex(b"afcad71368a1f1c96b8696fc77570100");
/// draft-beaulieu-ike-xauth-02 §5
const XAUTH: &[u8] = &[0x09, 0x00, 0x26, 0x89, 0xdf, 0xd6, 0xb7, 0x12];
/// "FRAGMENTATION"; others put flags behind it.
const FRAGMENTATION: &[u8] = &hex(b"4048b7d56ebce88525e7de7f00d6c2d3");

const fn hex(text: &[u8; 32]) -> [u8; 16] {
    let mut bytes = [0; 16];
    let mut i = 0;
    while i < 16 {
        bytes[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

const fn digit(c: u8) -> u8 {
    match c {
        b'0'..=b'9' => c - b'0',
        _ => c - b'a' + 10,
    }
}

/// How a peer wants NAT traversal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NatT {
    /// RFC 3947.
    Rfc,
    /// Its drafts 02 and 03, with numbers of their own.
    Draft,
}

/// What a peer can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Abilities {
    pub(crate) nat_t: Option<NatT>,
    pub(crate) dpd: bool,
    pub(crate) fragmentation: bool,
}

impl Abilities {
    /// What we can do.
    pub(crate) const OURS: Abilities = Abilities { nat_t: Some(NatT::Rfc), dpd: true, fragmentation: true };

    /// Adds what the vendor IDs of a message say.
    pub(crate) fn note(&mut self, payloads: &[Payload]) {
        for payload in payloads {
            let Payload::Vendor(Opaque(id)) = payload else { continue };
            match id.as_slice() {
                id if id == NAT_T_RFC => self.nat_t = Some(NatT::Rfc),
                id if id == NAT_T_02 || id == NAT_T_03 => self.nat_t = self.nat_t.or(Some(NatT::Draft)),
                id if id == DPD => self.dpd = true,
                id if id.starts_with(FRAGMENTATION) => self.fragmentation = true,
                _ => {}
            }
        }
    }

    /// The vendor ID of who wants XAuth.
    pub(crate) fn xauth() -> Payload {
        Payload::Vendor(Opaque(XAUTH.to_vec()))
    }

    /// The vendor IDs that say it. To a peer that spoke first only what it can do too is said, so that the answer is no
    /// longer than the question.
    pub(crate) fn payloads(self) -> Vec<Payload> {
        let nat_t: &[&[u8]] = match self.nat_t {
            Some(NatT::Rfc) => &[NAT_T_RFC],
            Some(NatT::Draft) => &[NAT_T_02],
            None => &[],
        };
        let dpd = self.dpd.then_some(DPD);
        let fragmentation = self.fragmentation.then_some(FRAGMENTATION);
        let all = nat_t.iter().copied().chain(dpd).chain(fragmentation);
        all.map(|id| Payload::Vendor(Opaque(id.to_vec()))).collect()
    }
}
