//! Keys made ready.

use std::net::IpAddr;

use ravelin_crypto::{CryptoProvider, EncrKey, IntegKey, PrfAlg};
use ravelin_types::Secret;
use ravelin_types::transform::EncrId;

use super::names::{self, MacName};

/// The longest ICV.
const MAX_ICV: usize = 64;

/// Every algorithm there is, the old ones too: a capture may be old.
pub(crate) fn provider() -> CryptoProvider {
    ravelin_crypto_aws_lc::provider().with_more_of(&ravelin_crypto_rustcrypto::provider_with_legacy())
}

/// What decrypts and verifies one direction of an SA.
struct Direction {
    encr: Box<dyn EncrKey>,
    mac: Mac,
}

enum Mac {
    /// The cipher's own.
    Aead,
    Hmac(&'static dyn PrfAlg, Secret),
    Integ(Box<dyn IntegKey>),
    /// None, or none that can be checked.
    Unchecked,
}

/// What the two sides share.
#[derive(Clone, Debug)]
struct Shape {
    encr: EncrId,
    iv_len: usize,
    icv_len: usize,
    names: String,
}

/// Unverified plaintext, where the cipher gives one.
type Unverified = Option<Vec<u8>>;

fn ready(cipher: &str, mac: &str, encr_key: &Secret, mac_key: &Secret) -> Result<(Shape, Direction), String> {
    let provider = provider();
    let id = names::cipher(cipher).ok_or_else(|| format!("the cipher `{cipher}` is not known"))?;
    let encr = provider.encr(id).ok_or_else(|| format!("the cipher `{cipher}` is not built in"))?;
    let name = names::mac(mac).ok_or_else(|| format!("the integrity algorithm `{mac}` is not known"))?;
    let key_len = encr_key.expose().len();
    let key = encr.key(encr_key.expose()).map_err(|_| {
        let bits: Vec<String> = encr.key_bits().iter().map(|bits| (bits / 8).to_string()).collect();
        let salt = encr.salt_len();
        format!("`{cipher}` takes a key of {} bytes and {salt} of salt, and {key_len} bytes are given", bits.join(", "))
    })?;
    let wrong = || format!("the key for `{mac}` has a length that it does not take");
    let (mac, icv_len) = match name {
        _ if encr.is_aead() => (Mac::Aead, encr.icv_len()),
        MacName::None => (Mac::Unchecked, 0),
        MacName::Unchecked(len) => (Mac::Unchecked, len),
        MacName::Hmac(prf, len) => {
            let old = || ravelin_crypto_rustcrypto::provider_with_legacy().prf(prf);
            let prf = provider.prf(prf).or_else(old).ok_or_else(|| format!("`{mac}` is not built in"))?;
            (Mac::Hmac(prf, mac_key.clone()), len)
        }
        MacName::Integ(id) => {
            let alg = provider.integ(id).ok_or_else(|| format!("`{mac}` is not built in"))?;
            (Mac::Integ(alg.key(mac_key.expose()).map_err(|_| wrong())?), alg.icv_len())
        }
    };
    let names = if encr.is_aead() { id.to_string() } else { format!("{id}, {name:?}") };
    Ok((Shape { encr: id, iv_len: encr.iv_len(), icv_len, names }, Direction { encr: key, mac }))
}

impl Direction {
    /// Verifies and decrypts `text`. A MAC covers `signed`, an AEAD cipher `aad` and the text.
    fn open(&self, signed: &[&[u8]], aad: &[u8], iv: &[u8], text: &[u8], icv: &[u8]) -> Result<Vec<u8>, Unverified> {
        let mut plain = text.to_vec();
        let good = match &self.mac {
            Mac::Aead => return self.encr.open(iv, aad, &mut plain, icv).map(|()| plain).map_err(|_| None),
            Mac::Unchecked => true,
            Mac::Hmac(prf, key) => {
                let mut out = [0; MAX_ICV];
                let out = &mut out[..prf.output_len()];
                prf.prf(key.expose(), signed, out);
                out.get(..icv.len()) == Some(icv)
            }
            Mac::Integ(key) => key.verify(signed, icv).is_ok(),
        };
        self.encr.open(iv, &[], &mut plain, &[]).map_err(|_| None)?;
        if good { Ok(plain) } else { Err(Some(plain)) }
    }
}

/// The keys of an ESP SA.
pub struct EspKeys {
    spi: Option<u32>,
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    shape: Shape,
    direction: Direction,
}

impl EspKeys {
    /// Keys for packets with this SPI, source and destination, where each is given.
    pub(super) fn new(
        (spi, src, dst): (Option<u32>, Option<IpAddr>, Option<IpAddr>),
        (cipher, key): (&str, &Secret),
        (mac, mac_key): (&str, &Secret),
    ) -> Result<Self, String> {
        let (shape, direction) = ready(cipher, mac, key, mac_key)?;
        Ok(EspKeys { spi, src, dst, shape, direction })
    }

    pub(super) fn fits(&self, spi: u32, src: IpAddr, dst: IpAddr) -> bool {
        self.spi.is_none_or(|own| own == spi)
            && self.src.is_none_or(|own| own == src)
            && self.dst.is_none_or(|own| own == dst)
    }

    pub(crate) fn iv_len(&self) -> usize {
        self.shape.iv_len
    }

    pub(crate) fn icv_len(&self) -> usize {
        self.shape.icv_len
    }

    pub(crate) fn names(&self) -> &str {
        &self.shape.names
    }

    /// Verifies and decrypts a packet. Where sequence numbers have 64 bits, the upper half is taken to be zero.
    pub(crate) fn open(&self, header: &[u8; 8], iv: &[u8], text: &[u8], icv: &[u8]) -> Result<Vec<u8>, Unverified> {
        let direction = &self.direction;
        direction.open(&[header, iv, text], header, iv, text, icv).or_else(|unverified| {
            // RFC 4303 §2.2.1: a MAC covers the upper half behind the ciphertext; RFC 4106 §5: a cipher before the lower.
            let mut aad = [0; 12];
            aad[..4].copy_from_slice(&header[..4]);
            aad[8..].copy_from_slice(&header[4..]);
            direction.open(&[header, iv, text, &[0; 4]], &aad, iv, text, icv).map_err(|_| unverified)
        })
    }
}

/// The keys of an IKE SA of version 2.
pub struct IkeKeys {
    shape: Shape,
    /// Of the original initiator and of the original responder.
    directions: [Direction; 2],
}

impl IkeKeys {
    pub(super) fn new(
        (cipher, encr): (&str, [&Secret; 2]),
        (mac, integ): (&str, [&Secret; 2]),
    ) -> Result<Self, String> {
        let (shape, initiator) = ready(cipher, mac, encr[0], integ[0])?;
        let (_, responder) = ready(cipher, mac, encr[1], integ[1])?;
        Ok(IkeKeys { shape, directions: [initiator, responder] })
    }

    pub(crate) fn iv_len(&self) -> usize {
        self.shape.iv_len
    }

    pub(crate) fn icv_len(&self) -> usize {
        self.shape.icv_len
    }

    pub(crate) fn names(&self) -> String {
        format!("{} ({})", self.shape.encr, self.shape.names)
    }

    /// Whether IV, text and ICV in `body` verify.
    pub(super) fn opens(&self, initiator: bool, head: &[u8], body: &[u8]) -> bool {
        let split = body.split_at_checked(self.shape.iv_len).and_then(|(iv, rest)| {
            let (text, icv) = rest.split_at_checked(rest.len().checked_sub(self.shape.icv_len)?)?;
            Some((iv, text, icv))
        });
        split.is_some_and(|(iv, text, icv)| self.open(initiator, head, iv, text, icv).is_ok())
    }

    /// Verifies and decrypts; `head` is the message before the IV (RFC 7296 §3.14, RFC 5282 §5.1).
    pub(crate) fn open(
        &self,
        initiator: bool,
        head: &[u8],
        iv: &[u8],
        text: &[u8],
        icv: &[u8],
    ) -> Result<Vec<u8>, Unverified> {
        self.directions[usize::from(!initiator)].open(&[head, iv, text], head, iv, text, icv)
    }
}
