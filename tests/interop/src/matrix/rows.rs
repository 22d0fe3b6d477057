//! The algorithms, in our words and in the kernel's.

use ravelin_crypto::CryptoProvider;
use ravelin_types::proposal::{AhSuite, EspSuite, Suite};
use ravelin_types::sa::{Direction, SaKeys};
use ravelin_types::transform::{EncrId, IntegId, SnId};
use ravelin_types::{Secret, Spi};

/// A protocol with its algorithms.
pub struct Row {
    /// As names of combinations have it.
    pub name: &'static str,
    esp: Option<Esp>,
    ah: Option<Integ>,
    /// HMAC-SHA-2 with ICVs of 96 bits.
    pub short_icv: bool,
    /// AH in IPv4 as Linux has it by default.
    pub align64: bool,
}

/// Encryption, and integrity where the cipher has none of its own.
struct Esp {
    encr: EncrId,
    key_bits: u16,
    /// Bytes of salt behind the key.
    salt: usize,
    /// The kernel's name, and the ICV in bits of a cipher that authenticates.
    kernel: &'static str,
    icv_bits: u16,
    integ: Option<Integ>,
}

struct Integ {
    id: IntegId,
    key_len: usize,
    kernel: &'static str,
    icv_bits: u16,
}

const SHA256: Integ = Integ { id: IntegId::HMAC_SHA2_256_128, key_len: 32, kernel: "hmac(sha256)", icv_bits: 128 };
const SHA384: Integ = Integ { id: IntegId::HMAC_SHA2_384_192, key_len: 48, kernel: "hmac(sha384)", icv_bits: 192 };
const SHA512: Integ = Integ { id: IntegId::HMAC_SHA2_512_256, key_len: 64, kernel: "hmac(sha512)", icv_bits: 256 };
const SHA1: Integ = Integ { id: IntegId::HMAC_SHA1_96, key_len: 20, kernel: "hmac(sha1)", icv_bits: 96 };
const MD5: Integ = Integ { id: IntegId::HMAC_MD5_96, key_len: 16, kernel: "hmac(md5)", icv_bits: 96 };
const XCBC: Integ = Integ { id: IntegId::AES_XCBC_96, key_len: 16, kernel: "xcbc(aes)", icv_bits: 96 };
const CMAC: Integ = Integ { id: IntegId::AES_CMAC_96, key_len: 16, kernel: "cmac(aes)", icv_bits: 96 };

const fn aead(name: &'static str, encr: EncrId, key_bits: u16, salt: usize, kernel: &'static str, icv: u16) -> Row {
    let esp = Esp { encr, key_bits, salt, kernel, icv_bits: icv, integ: None };
    Row { name, esp: Some(esp), ah: None, short_icv: false, align64: false }
}

const fn pair(name: &'static str, encr: EncrId, key_bits: u16, kernel: &'static str, integ: Integ) -> Row {
    let salt = if encr.0 == EncrId::AES_CTR.0 { 4 } else { 0 };
    let esp = Esp { encr, key_bits, salt, kernel, icv_bits: 0, integ: Some(integ) };
    Row { name, esp: Some(esp), ah: None, short_icv: false, align64: false }
}

const fn ah(name: &'static str, integ: Integ) -> Row {
    Row { name, esp: None, ah: Some(integ), short_icv: false, align64: false }
}

/// The row with AH around it.
const fn inside(integ: Integ, row: Row, name: &'static str) -> Row {
    Row { name, ah: Some(integ), ..row }
}

/// The row with ICVs of 96 bits.
const fn short(name: &'static str, row: Row) -> Row {
    Row { name, short_icv: true, ..row }
}

/// The row with AH padded to 64 bits.
const fn wide(name: &'static str, row: Row) -> Row {
    Row { name, align64: true, ..row }
}

const GCM: &str = "rfc4106(gcm(aes))";
const CHACHA: &str = "rfc7539esp(chacha20,poly1305)";
const CCM: &str = "rfc4309(ccm(aes))";
const CBC: &str = "cbc(aes)";
const CTR: &str = "rfc3686(ctr(aes))";

/// What is tried, the most used first.
pub static ROWS: &[Row] = &[
    aead("esp-aes128gcm16", EncrId::AES_GCM_16, 128, 4, GCM, 128),
    aead("esp-aes192gcm16", EncrId::AES_GCM_16, 192, 4, GCM, 128),
    aead("esp-aes256gcm16", EncrId::AES_GCM_16, 256, 4, GCM, 128),
    aead("esp-aes128gcm12", EncrId::AES_GCM_12, 128, 4, GCM, 96),
    aead("esp-aes256gcm8", EncrId::AES_GCM_8, 256, 4, GCM, 64),
    aead("esp-chacha20poly1305", EncrId::CHACHA20_POLY1305, 256, 4, CHACHA, 128),
    aead("esp-aes128ccm16", EncrId::AES_CCM_16, 128, 3, CCM, 128),
    aead("esp-aes192ccm12", EncrId::AES_CCM_12, 192, 3, CCM, 96),
    aead("esp-aes256ccm8", EncrId::AES_CCM_8, 256, 3, CCM, 64),
    aead("esp-null-aes128gmac", EncrId::NULL_AES_GMAC, 128, 4, "rfc4543(gcm(aes))", 128),
    aead("esp-null-aes256gmac", EncrId::NULL_AES_GMAC, 256, 4, "rfc4543(gcm(aes))", 128),
    pair("esp-aes128-sha256", EncrId::AES_CBC, 128, CBC, SHA256),
    pair("esp-aes192-sha384", EncrId::AES_CBC, 192, CBC, SHA384),
    pair("esp-aes256-sha512", EncrId::AES_CBC, 256, CBC, SHA512),
    pair("esp-aes128-sha1", EncrId::AES_CBC, 128, CBC, SHA1),
    pair("esp-aes128-md5", EncrId::AES_CBC, 128, CBC, MD5),
    pair("esp-aes128-xcbc", EncrId::AES_CBC, 128, CBC, XCBC),
    pair("esp-aes128-cmac", EncrId::AES_CBC, 128, CBC, CMAC),
    pair("esp-aes128ctr-sha256", EncrId::AES_CTR, 128, CTR, SHA256),
    pair("esp-aes256ctr-sha1", EncrId::AES_CTR, 256, CTR, SHA1),
    pair("esp-camellia128-sha256", EncrId::CAMELLIA_CBC, 128, "cbc(camellia)", SHA256),
    pair("esp-camellia256-sha512", EncrId::CAMELLIA_CBC, 256, "cbc(camellia)", SHA512),
    pair("esp-3des-sha1", EncrId::DES3, 192, "cbc(des3_ede)", SHA1),
    pair("esp-des-md5", EncrId::DES, 64, "cbc(des)", MD5),
    pair("esp-null-sha256", EncrId::NULL, 0, "ecb(cipher_null)", SHA256),
    pair("esp-null-sha1", EncrId::NULL, 0, "ecb(cipher_null)", SHA1),
    short("esp-aes128-sha256-96", pair("", EncrId::AES_CBC, 128, CBC, SHA256)),
    ah("ah-sha256", SHA256),
    ah("ah-sha384", SHA384),
    ah("ah-sha512", SHA512),
    ah("ah-sha1", SHA1),
    ah("ah-md5", MD5),
    ah("ah-xcbc", XCBC),
    ah("ah-cmac", CMAC),
    short("ah-sha256-96", ah("", SHA256)),
    inside(SHA256, aead("", EncrId::AES_GCM_16, 128, 4, GCM, 128), "ah-sha256-esp-aes128gcm16"),
    // IPv4 in the reduced form too: `combinations` deals the places out in turn.
    wide("ah-sha256-align64", ah("", SHA256)),
    wide("ah-sha512-align64", ah("", SHA512)),
    inside(SHA512, pair("", EncrId::AES_CBC, 256, CBC, SHA1), "ah-sha512-esp-aes256-sha1"),
    inside(SHA1, aead("", EncrId::CHACHA20_POLY1305, 256, 4, CHACHA, 128), "ah-sha1-esp-chacha20poly1305"),
];

/// Every provider of packet ciphers that works here.
pub fn providers() -> Vec<CryptoProvider> {
    let own = [ravelin_crypto_aws_lc::provider(), ravelin_crypto_rustcrypto::provider_with_legacy()];
    own.into_iter().chain(ravelin_crypto_ipsec_mb::try_provider()).collect()
}

impl Row {
    /// Whether a provider has all of it.
    pub fn served_by(&self, provider: &CryptoProvider) -> bool {
        let encr = |esp: &Esp| provider.encr(esp.encr).is_some_and(|alg| alg.key_bits().contains(&esp.key_bits));
        let integ = |integ: &Integ| provider.integ(integ.id).is_some();
        let own = self.esp.as_ref().and_then(|esp| esp.integ.as_ref());
        self.esp.as_ref().is_none_or(encr) && own.is_none_or(integ) && self.ah.as_ref().is_none_or(integ)
    }

    /// The algorithms as an SA names them; `ah_spi` is for AH around ESP.
    pub fn suite(&self, extended: bool, ah_spi: Spi) -> Option<Suite> {
        let sn = if extended { SnId::PARTIAL_64 } else { SnId::SEQUENTIAL_32 };
        let esp = self.esp.as_ref().map(|esp| EspSuite {
            encr: esp.encr,
            encr_key_bits: esp.key_bits,
            integ: esp.integ.as_ref().map_or(IntegId::NONE, |integ| integ.id),
            sn,
        });
        let ah = self.ah.as_ref().map(|integ| AhSuite { integ: integ.id, sn });
        match (esp, ah) {
            (Some(esp), None) => Some(Suite::Esp(esp)),
            (None, Some(ah)) => Some(Suite::Ah(ah)),
            (Some(esp), Some(ah)) => Some(Suite::AhEsp { ah, ah_spi, esp }),
            (None, None) => None,
        }
    }

    /// The keys of one direction.
    pub fn keys(&self, direction: Direction) -> SaKeys {
        let esp = |key: fn(&Esp, Direction) -> Vec<u8>| self.esp.as_ref().map(|esp| key(esp, direction));
        SaKeys {
            encr: Secret::new(esp(Esp::encr_key).unwrap_or_default()),
            integ: Secret::new(esp(Esp::integ_key).unwrap_or_default()),
            ah: Secret::new(self.ah.as_ref().map(|ah| ah.key(AH_KEY, direction)).unwrap_or_default()),
        }
    }

    /// The protocols from the inside out, each with its algorithms and keys for `ip xfrm state add`.
    pub fn kernel(&self, direction: Direction) -> Vec<(&'static str, String)> {
        let mut protocols = Vec::new();
        if let Some(esp) = &self.esp {
            let encr = hex(&esp.encr_key(direction));
            protocols.push((
                "esp",
                match &esp.integ {
                    None => format!("aead '{}' {encr} {}", esp.kernel, esp.icv_bits),
                    Some(integ) => {
                        format!("enc '{}' {encr} {}", esp.kernel, self.kernel_integ(integ, &esp.integ_key(direction)))
                    }
                },
            ));
        }
        if let Some(ah) = &self.ah {
            protocols.push(("ah", self.kernel_integ(ah, &ah.key(AH_KEY, direction))));
        }
        protocols
    }

    fn kernel_integ(&self, integ: &Integ, key: &[u8]) -> String {
        let bits = if self.short_icv { 96 } else { integ.icv_bits };
        format!("auth-trunc '{}' {} {bits}", integ.kernel, hex(key))
    }
}

impl Esp {
    fn encr_key(&self, direction: Direction) -> Vec<u8> {
        key(usize::from(self.key_bits) / 8 + self.salt, ENCR_KEY, direction)
    }

    fn integ_key(&self, direction: Direction) -> Vec<u8> {
        self.integ.as_ref().map(|integ| integ.key(INTEG_KEY, direction)).unwrap_or_default()
    }
}

impl Integ {
    fn key(&self, from: u8, direction: Direction) -> Vec<u8> {
        key(self.key_len, from, direction)
    }
}

/// First bytes of the keys.
const ENCR_KEY: u8 = 0x11;
const INTEG_KEY: u8 = 0x83;
const AH_KEY: u8 = 0x25;

/// Any bytes, no two of a key alike: the kernel refuses DES keys that repeat themselves.
fn key(len: usize, from: u8, direction: Direction) -> Vec<u8> {
    let start = if direction == Direction::Inbound { from } else { from ^ 0x40 };
    (0..len).map(|at| start.wrapping_add((at as u8).wrapping_mul(7))).collect()
}

fn hex(key: &[u8]) -> String {
    match key {
        [] => "''".to_owned(),
        _ => key.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")),
    }
}
