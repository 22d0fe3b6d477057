//! Security Parameter Indexes.

use core::fmt;
use core::ops::RangeInclusive;

/// The 32-bit label by which a receiver finds an ESP or AH SA (RFC 4303 §2.1). Values 0 to 255 are reserved.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spi(pub u32);

impl Spi {
    /// The smallest value that may be allocated: 1 to 255 are reserved by IANA, 0 is for local use.
    pub const MIN: Spi = Spi(256);

    /// Whether the value may label an SA on the wire.
    pub fn is_usable(self) -> bool {
        self >= Self::MIN
    }
}

/// The 16-bit label by which a receiver finds what a packet was compressed with (RFC 3173 §3.3): 0 to 63 are the numbers of the
/// algorithms themselves, 256 to 61439 are negotiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpi(pub u16);

impl Cpi {
    /// The values that a receiver may choose.
    pub const NEGOTIATED: RangeInclusive<u16> = 256..=61_439;

    /// Whether the value may be the answer to an offer: what is reserved for later may not.
    pub fn is_usable(self) -> bool {
        !matches!(self.0, 0 | 64..=255)
    }
}

impl fmt::Display for Cpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// The size of a table of `count` SPIs in which the low bits of each are its index: a power of two that leaves half of
/// the places free. Whoever chooses SPIs so that no two have the same index spares the table every second look.
pub fn places(count: usize) -> usize {
    (2 * count).next_power_of_two().max(16)
}

impl fmt::Display for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for Spi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spi({self})")
    }
}

/// One half of the pair that labels an IKE SA (RFC 7296 §3.1). Zero means "not chosen yet".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IkeSpi(pub u64);

impl IkeSpi {
    /// The responder's SPI in the first message of an initiator.
    pub const ZERO: IkeSpi = IkeSpi(0);
}

impl fmt::Display for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for IkeSpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IkeSpi({self})")
    }
}
