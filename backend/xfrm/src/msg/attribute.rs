//! The attributes behind the fixed part of a message. One that is not known, or has more in it than is known, is kept
//! as it is.

use ravelin_types::Secret;

use super::Malformed;
use super::bytes::{Field, Port, Reader, structure};
use super::parts::{Address, Mark, Used};
use super::policy::{Migrate, PolicyInfo, Template};
use super::state::StateInfo;

/// Bytes of the name of an algorithm, the zero at its end included.
const NAME: usize = 64;
/// Bits of a key that the kernel takes no more of.
const MAX_KEY_BITS: u32 = 8 * 1024;
/// The longest anti-replay window, in words of 32 packets: `XFRMA_REPLAY_ESN_MAX`.
pub const MAX_WINDOW_WORDS: u32 = 4096 / 32;
/// The most templates of a policy, and pairs of a migration: `XFRM_MAX_DEPTH`.
pub const MAX_DEPTH: usize = 6;

/// Algorithm and key: `xfrm_algo`, with a length between the two in `xfrm_algo_auth` and `xfrm_algo_aead`.
#[derive(Clone, Debug)]
pub struct Algorithm {
    /// The kernel's name, such as `rfc4106(gcm(aes))`.
    pub name: String,
    /// Bits of the ICV, where the structure has it.
    pub icv_bits: u32,
    /// The key, with the salt of counter modes at its end.
    pub key: Secret,
}

structure! {
    /// ESP in UDP: `xfrm_encap_tmpl`.
    pub struct Encap {
        /// 2: as in RFC 3948.
        kind: u16,
        /// Source port.
        src_port: Port,
        /// Destination port.
        dst_port: Port [2],
        /// The sender's address before a NAT changed it; not looked at by the kernel.
        original: Address,
    }
}

structure! {
    /// The window of 32 packets and 32-bit numbers: `xfrm_replay_state`.
    pub struct Replay {
        /// The last number sent.
        sent: u32,
        /// The highest received.
        received: u32,
        /// Which of the 32 before it were seen.
        bitmap: u32,
    }
}

/// The window of any length, with 32-bit or extended numbers: `xfrm_replay_state_esn`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayEsn {
    /// The last number sent, all 64 bits.
    pub sent: u64,
    /// The highest received, all 64 bits.
    pub received: u64,
    /// Packets that the window covers, no more than the bitmap has bits.
    pub window: u32,
    /// Which were seen.
    pub bitmap: Vec<u32>,
}

structure! {
    /// Work for the hardware of an interface: `xfrm_user_offload`.
    pub struct Offload {
        /// The interface.
        interface: i32,
        /// See [`offload`].
        flags: u8 [3],
    }
}

/// Bits of [`Offload::flags`].
pub mod offload {
    /// The addresses are IPv6.
    pub const IPV6: u8 = 1;
    /// For what is received.
    pub const INBOUND: u8 = 2;
    /// Whole packets, headers and numbers too, not the cipher alone (Linux 6.3).
    pub const PACKET: u8 = 4;
}

structure! {
    /// Which states a dump is to hold: `xfrm_address_filter`.
    pub struct AddressFilter {
        /// The sender.
        src: Address,
        /// The receiver.
        dst: Address,
        /// Of both.
        family: u16,
        /// Bits of `src` that count.
        src_prefix: u8,
        /// Bits of `dst` that count.
        dst_prefix: u8,
    }
}

structure! {
    /// Main or sub policy: `xfrm_userpolicy_type`.
    pub struct PolicyType {
        /// 0: main.
        kind: u8 [1],
        /// Not used.
        reserved: u16,
        /// Not used.
        reserved_too: u8 [1],
    }
}

/// `XFRMA_SA_DIR`: inbound.
pub const SA_IN: u8 = 1;
/// `XFRMA_SA_DIR`: outbound.
pub const SA_OUT: u8 = 2;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident($type:ty) = $number:literal via $shape:ident,)*) => {
        /// One attribute.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum Attribute {
            $($(#[$doc])* $name($type),)*
            /// Any other: its type with the flag bits, and its bytes.
            Other(u16, Vec<u8>),
        }

        impl Attribute {
            /// Its number in `linux/xfrm.h`.
            pub fn kind(&self) -> u16 {
                match self {
                    $(Attribute::$name(_) => $number,)*
                    Attribute::Other(kind, _) => *kind,
                }
            }

            fn parse(kind: u16, bytes: &[u8]) -> Result<Self, Malformed> {
                let mut from = Reader::new(bytes);
                let typed = match kind {
                    $($number => Attribute::$name($shape::read(&mut from)?),)*
                    _ => return Ok(Attribute::Other(kind, bytes.to_vec())),
                };
                // More than we know of is for somebody who does.
                Ok(if from.rest().is_empty() { typed } else { Attribute::Other(kind, bytes.to_vec()) })
            }

            fn write(&self, to: &mut Vec<u8>) {
                match self {
                    $(Attribute::$name(value) => $shape::write(value, to),)*
                    Attribute::Other(_, bytes) => to.extend_from_slice(bytes),
                }
            }
        }
    };
}

attributes! {
    /// Integrity with the ICV's full length, as kernels of old know it.
    Auth(Algorithm) = 1 via plain,
    /// Cipher.
    Crypt(Algorithm) = 2 via plain,
    /// Compression; the key is empty.
    Compress(Algorithm) = 3 via plain,
    /// ESP in UDP.
    Encap(Encap) = 4 via field,
    /// What a policy asks for, innermost first.
    Templates(Vec<Template>) = 5 via list,
    /// A state, in the event of its deletion.
    State(StateInfo) = 6 via field,
    /// A policy, in the event of its deletion.
    Policy(PolicyInfo) = 7 via field,
    /// How much of an SA is used up.
    Used(Used) = 9 via field,
    /// The window.
    Replay(Replay) = 10 via field,
    /// An async event after so many packets.
    ReplayThreshold(u32) = 11 via field,
    /// An async event after so many tenths of a second.
    TimeThreshold(u32) = 12 via field,
    /// The sender of a state, in requests.
    Source(Address) = 13 via field,
    /// The care-of address of Mobile IPv6.
    CareOf(Address) = 14 via field,
    /// When a state was used last, seconds of the wall clock.
    LastUsed(u64) = 15 via field,
    /// Main or sub policy.
    PolicyType(PolicyType) = 16 via field,
    /// Pairs of addresses that move.
    Migrate(Vec<Migrate>) = 17 via list,
    /// Cipher with integrity.
    Aead(Algorithm) = 18 via with_icv,
    /// Integrity.
    AuthTruncated(Algorithm) = 20 via with_icv,
    /// A state serves, a policy selects only packets with this mark.
    Mark(Mark) = 21 via field,
    /// Packets are padded to this length.
    TfcPad(u32) = 22 via field,
    /// The window, of any length.
    ReplayEsn(ReplayEsn) = 23 via field,
    /// More flags of a state.
    ExtraFlags(u32) = 24 via field,
    /// Only states of this protocol, in a dump.
    Protocol(u8) = 25 via field,
    /// Only states between these addresses, in a dump.
    AddressFilter(AddressFilter) = 26 via field,
    /// A card takes over.
    Offload(Offload) = 28 via field,
    /// Packets that a state has done with get this mark: outbound the sealed, inbound the opened.
    SetMark(u32) = 29 via field,
    /// Which bits of their mark are changed.
    SetMarkMask(u32) = 30 via field,
    /// The xfrm interface.
    IfId(u32) = 31 via field,
    /// Seconds between two events that packets come from another place.
    MappingThreshold(u32) = 32 via field,
    /// Inbound or outbound only: [`SA_IN`], [`SA_OUT`].
    Direction(u8) = 33 via field,
    /// Seconds between keepalives that the kernel sends.
    KeepaliveInterval(u32) = 34 via field,
    /// Only packets of this processor.
    Processor(u32) = 35 via field,
    /// IP-TFS: microseconds to wait for a missing packet.
    IptfsDropTime(u32) = 36 via field,
    /// IP-TFS: packets that may be out of order.
    IptfsReorderWindow(u16) = 37 via field,
    /// IP-TFS: inner packets stay whole.
    IptfsDontFragment(()) = 38 via field,
    /// IP-TFS: microseconds to wait for more to send.
    IptfsInitialDelay(u32) = 39 via field,
    /// IP-TFS: bytes that may wait.
    IptfsMaxQueue(u32) = 40 via field,
    /// IP-TFS: length of the outer packets.
    IptfsPacketSize(u32) = 41 via field,
}

/// Reads the attributes that fill `bytes`.
pub(crate) fn parse_all(mut bytes: &[u8]) -> Result<Vec<Attribute>, Malformed> {
    let mut all = Vec::new();
    while let Some((kind, value, rest)) = split(bytes)? {
        all.push(Attribute::parse(kind, value)?);
        bytes = rest;
    }
    Ok(all)
}

/// Writes attributes, each aligned to 4 bytes.
pub(crate) fn write_all(attributes: &[Attribute], to: &mut Vec<u8>) {
    for attribute in attributes {
        framed(attribute.kind(), to, |to| attribute.write(to));
    }
}

/// Type and value of an attribute, and what follows it.
type Split<'a> = (u16, &'a [u8], &'a [u8]);

/// Takes the first attribute off.
pub(crate) fn split(bytes: &[u8]) -> Result<Option<Split<'_>>, Malformed> {
    let mut from = Reader::new(bytes);
    let (Ok(length), Ok(kind)) = (u16::read(&mut from), u16::read(&mut from)) else { return Ok(None) };
    let length = usize::from(length).checked_sub(4).ok_or(Malformed::AttributeLength)?;
    let value = from.slice(length).map_err(|_| Malformed::AttributeLength)?;
    from.pad(length.next_multiple_of(4) - length);
    Ok(Some((kind, value, from.rest())))
}

/// Writes one attribute around a value.
pub(crate) fn framed(kind: u16, to: &mut Vec<u8>, value: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.extend_from_slice(&[0; 4]);
    value(to);
    // Every value has a bound far below: what is longer could not have been parsed and is not made.
    let length = u16::try_from(to.len() - start).unwrap_or(u16::MAX);
    to[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    to[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
    to.resize(to.len().next_multiple_of(4), 0);
}

/// Attributes that are one structure or number.
mod field {
    use super::{Field, Malformed, Reader};

    pub(super) fn read<T: Field>(from: &mut Reader<'_>) -> Result<T, Malformed> {
        T::read(from)
    }

    pub(super) fn write<T: Field>(value: &T, to: &mut Vec<u8>) {
        value.write(to);
    }
}

/// Attributes that are an array of structures.
mod list {
    use super::{Field, MAX_DEPTH, Malformed, Reader};

    pub(super) fn read<T: Field>(from: &mut Reader<'_>) -> Result<Vec<T>, Malformed> {
        let mut all = Vec::new();
        while !from.rest().is_empty() {
            if all.len() == MAX_DEPTH {
                return Err(Malformed::TooMany);
            }
            all.push(T::read(from)?);
        }
        Ok(all)
    }

    pub(super) fn write<T: Field>(value: &[T], to: &mut Vec<u8>) {
        value.iter().for_each(|each| each.write(to));
    }
}

/// `xfrm_algo`.
mod plain {
    use super::{Algorithm, Malformed, Reader};

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Algorithm, Malformed> {
        super::read_algorithm(from, false)
    }

    pub(super) fn write(value: &Algorithm, to: &mut Vec<u8>) {
        super::write_algorithm(value, to, false);
    }
}

/// `xfrm_algo_auth` and `xfrm_algo_aead`.
mod with_icv {
    use super::{Algorithm, Malformed, Reader};

    pub(super) fn read(from: &mut Reader<'_>) -> Result<Algorithm, Malformed> {
        super::read_algorithm(from, true)
    }

    pub(super) fn write(value: &Algorithm, to: &mut Vec<u8>) {
        super::write_algorithm(value, to, true);
    }
}

fn read_algorithm(from: &mut Reader<'_>, with_icv: bool) -> Result<Algorithm, Malformed> {
    let name: [u8; NAME] = from.array()?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = str::from_utf8(name).map_err(|_| Malformed::Name)?.to_owned();
    let bits = u32::read(from)?;
    let icv_bits = if with_icv { u32::read(from)? } else { 0 };
    if bits > MAX_KEY_BITS || bits % 8 != 0 {
        return Err(Malformed::KeyLength);
    }
    let key = Secret::from(from.slice(bits as usize / 8)?);
    Ok(Algorithm { name, icv_bits, key })
}

fn write_algorithm(value: &Algorithm, to: &mut Vec<u8>, with_icv: bool) {
    let mut name = [0; NAME];
    for (place, byte) in name[..NAME - 1].iter_mut().zip(value.name.bytes()) {
        *place = byte;
    }
    to.extend_from_slice(&name);
    u32::try_from(8 * value.key.len()).unwrap_or(u32::MAX).write(to);
    if with_icv {
        value.icv_bits.write(to);
    }
    to.extend_from_slice(value.key.expose());
}

impl Field for ReplayEsn {
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let words = u32::read(from)?;
        let [sent, received, sent_high, received_high, window] = [0; 5].map(|_: u32| u32::read(from));
        let (sent, received, window) = (sent?, received?, window?);
        // The kernel copies as many words as the length says: one that lies reads or writes elsewhere.
        let holds = words.checked_mul(4).is_some_and(|bytes| bytes as usize == from.rest().len());
        // `ip xfrm` leaves the bitmap of a new state out, and the kernel takes that for zeros.
        let left_out = from.rest().is_empty();
        if words > MAX_WINDOW_WORDS || window > words * 32 || !(holds || left_out) {
            return Err(Malformed::Window);
        }
        let bitmap = match left_out {
            true => vec![0; words as usize],
            false => (0..words).map(|_| u32::read(from)).collect::<Result<_, _>>()?,
        };
        Ok(ReplayEsn {
            sent: u64::from(sent_high?) << 32 | u64::from(sent),
            received: u64::from(received_high?) << 32 | u64::from(received),
            window,
            bitmap,
        })
    }

    fn write(&self, to: &mut Vec<u8>) {
        u32::try_from(self.bitmap.len()).unwrap_or(u32::MAX).write(to);
        (self.sent as u32).write(to);
        (self.received as u32).write(to);
        ((self.sent >> 32) as u32).write(to);
        ((self.received >> 32) as u32).write(to);
        self.window.write(to);
        self.bitmap.iter().for_each(|word| word.write(to));
    }
}

impl ReplayEsn {
    /// An empty window over this number of packets, at most 4096.
    pub fn new(window: u32) -> Self {
        let window = window.min(MAX_WINDOW_WORDS * 32);
        ReplayEsn { window, bitmap: vec![0; window.div_ceil(32) as usize], ..ReplayEsn::default() }
    }
}

impl Field for () {
    fn read(_: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(())
    }

    fn write(&self, _: &mut Vec<u8>) {}
}
