//! AH (RFC 4302): the ICV over a whole packet, with the headers around it left to the modes.
//!
//! ```text
//!  IP header and extensions | AH 12 | ICV | padding | payload | SN high half, when extended
//!  `------ as they arrive -'         `- 0               (RFC 4302 §3.3.3, §3.3.3.2.2)
//! ```
//! GMAC has its IV at the front of the ICV, and covers it (RFC 4543 §4 and §7). No algorithm here has a block that the
//! packet would be padded to: what pads does so itself.

use alloc::boxed::Box;

use ravelin_crypto::{BadKey, CryptoProvider, IntegKey};
use ravelin_types::Spi;
use ravelin_types::dataplane::DataPlaneError;
use ravelin_types::options::SaOptions;
use ravelin_types::proposal::AhSuite;
use ravelin_types::sa::SaKeys;
use ravelin_types::transform::SnId;
use ravelin_wire::ah::{AhHeader, Covered, FIXED_LEN, header_len};

use crate::chain::{self, AhPieces};
use crate::integ::{Integ, MAX_ICV_LEN, icv_len};
use crate::verdict::DropReason;

/// The keyed algorithm of one SA.
pub(crate) struct Ah {
    key: Box<dyn IntegKey>,
    spi: Spi,
    /// Extended (64-bit) sequence numbers.
    pub extended: bool,
    icv_len: usize,
    iv_len: usize,
    /// The sender pads to 64 bits in IPv4 too.
    align64: bool,
}

impl Ah {
    /// `spi` is what the header says.
    pub fn new(
        suite: &AhSuite,
        spi: Spi,
        keys: &SaKeys,
        options: &SaOptions,
        crypto: &CryptoProvider,
    ) -> Result<Self, DataPlaneError> {
        let Integ { key, icv_len, iv_len } = Integ::new(suite.integ, &keys.ah, options.short_icv, crypto)?;
        if icv_len > MAX_ICV_LEN || iv_len > size_of::<u64>() {
            return Err(DataPlaneError::algorithm(format_args!("{} has lengths beyond the engine's", suite.integ)));
        }
        Ok(Ah { key, spi, extended: suite.sn == SnId::PARTIAL_64, icv_len, iv_len, align64: options.ah_align64 })
    }

    /// Gets another key of the same length, in the memory of the one that it has.
    pub fn replace(&mut self, keys: &SaKeys) -> Result<(), BadKey> {
        self.key.replace(keys.ah.expose())
    }

    /// Becomes that of another SA with this algorithm, whose key it has.
    pub fn renew(&mut self, suite: &AhSuite, spi: Spi, options: &SaOptions, crypto: &CryptoProvider) {
        (self.spi, self.align64) = (spi, options.ah_align64);
        if let Some(alg) = crypto.integ(suite.integ) {
            self.icv_len = icv_len(alg, options.short_icv);
        }
    }

    /// Length of the ICV.
    pub fn icv_len(&self) -> usize {
        self.icv_len
    }

    /// Length of the header that is sent in a packet of that family.
    pub fn header_len(&self, ipv6: bool) -> usize {
        header_len(self.icv_len, ipv6 || self.align64)
    }

    /// Whether a header of this length may arrive in a packet of that family. In IPv4 there are peers that pad to 64
    /// bits; what they add is covered by the ICV.
    pub fn takes_len(&self, len: usize, ipv6: bool) -> bool {
        len == header_len(self.icv_len, ipv6) || len == header_len(self.icv_len, true)
    }

    /// Writes the header at `at` into `packet`, which is whole but for it. The headers before it are those that
    /// [`Covered`] takes.
    pub fn seal(&self, packet: &mut [u8], at: usize, next_header: u8, sequence: u64) {
        self.write_header(packet, at, next_header, sequence);
        let (before, behind) = packet.split_at_mut(at);
        let Ok(covered) = Covered::new(before) else { return };
        let (fixed, behind) = behind.split_at_mut(FIXED_LEN);
        let (icv, rest) = behind.split_at_mut(self.icv_len);
        let (zeroed, number) = (self.zeroed(icv), sequence.to_be_bytes());
        self.key.sign(&[covered.bytes(), fixed, &zeroed[..self.icv_len], rest, self.high(&number)], icv);
    }

    /// The first half of [`Ah::seal`]: all but the ICV, the IV at its front among it.
    pub fn write_header(&self, packet: &mut [u8], at: usize, next_header: u8, sequence: u64) {
        let (before, behind) = packet.split_at_mut(at);
        let len = self.header_len(is_ipv6(before));
        let (fixed, behind) = behind.split_at_mut(FIXED_LEN);
        if let Some(fixed) = fixed.first_chunk_mut() {
            AhHeader { next_header, len, spi: self.spi, sequence: sequence as u32 }.emit(fixed);
        }
        let (icv, rest) = behind.split_at_mut(self.icv_len);
        rest[..len - FIXED_LEN - self.icv_len].fill(0);
        // RFC 4543 §3.1: what the key sees once; the sequence number is that.
        icv[..self.iv_len].copy_from_slice(&sequence.to_be_bytes()[..self.iv_len]);
    }

    /// The second half of [`Ah::seal`], of a packet in pieces.
    pub fn sign_pieces(&self, packet: &mut AhPieces<'_>, sequence: u64) {
        let AhPieces { before, fixed, icv, rest } = packet;
        let Ok(headers) = Covered::new(before) else { return };
        let (zeroed, number) = (self.zeroed(icv), sequence.to_be_bytes());
        let before = [headers.bytes(), fixed, &zeroed[..self.icv_len]];
        self.key.sign_pieces(&chain::Covered { before, text: rest, behind: self.high(&number) }, icv);
    }

    /// [`Ah::verify`] of a packet in pieces.
    pub fn verify_pieces(&self, packet: &AhPieces<'_>, sequence: u64) -> Result<(), DropReason> {
        let AhPieces { before, fixed, icv, rest } = packet;
        let headers = coverable(before)?;
        let (zeroed, number) = (self.zeroed(icv), sequence.to_be_bytes());
        let before = [headers.bytes(), fixed, &zeroed[..self.icv_len]];
        let covered = chain::Covered { before, text: rest, behind: self.high(&number) };
        self.key.verify_pieces(&covered, icv).map_err(|_| DropReason::AhForged)
    }

    /// Verifies the packet with the header `header` at `at`. `sequence` is the header's, with its upper half.
    pub fn verify(&self, packet: &[u8], at: usize, sequence: u64) -> Result<(), DropReason> {
        let covered = coverable(&packet[..at])?;
        let (fixed, behind) = packet[at..].split_at(FIXED_LEN);
        let (icv, rest) = behind.split_at(self.icv_len);
        let (zeroed, number) = (self.zeroed(icv), sequence.to_be_bytes());
        self.key
            .verify(&[covered.bytes(), fixed, &zeroed[..self.icv_len], rest, self.high(&number)], icv)
            .map_err(|_| DropReason::AhForged)
    }

    /// The ICV as it covers itself: zero behind the IV.
    fn zeroed(&self, icv: &[u8]) -> [u8; MAX_ICV_LEN] {
        let mut zeroed = [0; MAX_ICV_LEN];
        zeroed[..self.iv_len].copy_from_slice(&icv[..self.iv_len]);
        zeroed
    }

    /// What is covered behind the packet: the upper half of an extended number.
    fn high<'a>(&self, number: &'a [u8; 8]) -> &'a [u8] {
        if self.extended { &number[..4] } else { &[] }
    }
}

/// The headers before AH that arrived, as they are covered.
fn coverable(headers: &[u8]) -> Result<Covered, DropReason> {
    Covered::new(headers).ok().filter(Covered::at_destination).ok_or(DropReason::UncoverableHeader)
}

fn is_ipv6(packet: &[u8]) -> bool {
    packet[0] >> 4 == 6
}
