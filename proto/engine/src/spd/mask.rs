//! What an area asks of a packet: leading bits of the addresses, the domain, and perhaps protocol and shape. Its ports
//! are a matter of ranges.

use super::pieces::{DOMAIN_AT, PROTOCOL_AT, SHAPE};

/// The mask of an area without its ports, in three bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Leading bits.
    src: u8,
    dst: u8,
    /// [`Extent::PROTOCOL`], [`Extent::SHAPE`].
    asks: u8,
}

const PROTOCOL: u64 = 0xff << PROTOCOL_AT;
const DOMAIN: u64 = 0xffff << DOMAIN_AT;

/// A table that does not tell one address from another would be asked for every packet.
const LEAST_BITS: u8 = 8;

impl Extent {
    const PROTOCOL: u8 = 1;
    const SHAPE: u8 = 2;

    #[inline]
    pub fn of<const WORDS: usize>(mask: &[u64; WORDS]) -> Self {
        let (src, dst) = match mask.as_slice() {
            [both, _] => ((both >> 32).count_ones(), (*both as u32).count_ones()),
            [a, b, c, d, _] => (a.count_ones() + b.count_ones(), c.count_ones() + d.count_ones()),
            _ => (0, 0),
        };
        let last = mask[WORDS - 1];
        let asks = |bits: u64, flag: u8| if last & bits == 0 { 0 } else { flag };
        let asks = asks(PROTOCOL, Self::PROTOCOL) | asks(SHAPE, Self::SHAPE);
        Extent { src: src as u8, dst: dst as u8, asks }
    }

    #[inline]
    pub fn mask<const WORDS: usize>(self) -> [u64; WORDS] {
        let mut mask = [0; WORDS];
        let v4 = |len: u8| u64::from(u32::MAX) << (32 - u32::from(len)) & u64::from(u32::MAX);
        let v6 = |len: u8| u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        match mask.as_mut_slice() {
            [both, _] => *both = v4(self.src) << 32 | v4(self.dst),
            [a, b, c, d, _] => {
                let (src, dst) = (v6(self.src), v6(self.dst));
                (*a, *b, *c, *d) = ((src >> 64) as u64, src as u64, (dst >> 64) as u64, dst as u64);
            }
            _ => {}
        }
        let asked = |flag: u8, bits: u64| if self.asks & flag == 0 { 0 } else { bits };
        mask[WORDS - 1] = DOMAIN | asked(Self::PROTOCOL, PROTOCOL) | asked(Self::SHAPE, SHAPE);
        mask
    }
}

/// The masks of the tables that may hold an area, coarser ones first: the longer address alone, both addresses, each
/// rounded down so that there are few such masks; and the area's own. An area without an address worth it has its own.
pub(super) fn coarser<const WORDS: usize>(own: &[u64; WORDS]) -> [[u64; WORDS]; 3] {
    let step = if WORDS == 2 { 4 } else { 16 };
    let Extent { src, dst, .. } = Extent::of(own);
    let (src, dst) = (src / step * step, dst / step * step);
    let addresses = |src, dst| Extent { src, dst, asks: 0 }.mask();
    match src.max(dst) {
        ..LEAST_BITS => [*own; 3],
        longer if longer > dst => [addresses(src, 0), addresses(src, dst), *own],
        _ => [addresses(0, dst), addresses(src, dst), *own],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bytes_say_what_the_mask_says() {
        for (src, dst) in [(0, 0), (32, 0), (7, 24), (32, 32)] {
            for asks in 0..4 {
                let extent = Extent { src, dst, asks };
                assert_eq!(Extent::of::<2>(&extent.mask()), extent);
                let wide = Extent { src: src * 4, dst: dst * 4 - dst / 8, ..extent };
                assert_eq!(Extent::of::<5>(&wide.mask()), wide);
            }
        }
        let extent = Extent { src: 24, dst: 8, asks: Extent::PROTOCOL };
        assert_eq!(extent.mask(), [0xffff_ff00_ff00_0000, DOMAIN | PROTOCOL]);
    }

    #[test]
    fn each_mask_holds_the_next() {
        for (src, dst, expected) in [
            (0, 32, [(0, 32), (0, 32)]),
            (26, 7, [(24, 0), (24, 4)]),
            (24, 24, [(0, 24), (24, 24)]),
            (7, 3, [(7, 3), (7, 3)]),
        ] {
            let plain = |(src, dst)| Extent { src, dst, asks: 0 }.mask::<2>();
            let own = plain((src, dst));
            assert_eq!(coarser(&own), [plain(expected[0]), plain(expected[1]), own]);
        }
    }
}
