//! Algorithms by the names of the kernel, as `ip xfrm` and so document 000 has them.

use ravelin_types::Secret;
use ravelin_types::transform::{EncrId, IntegId};

/// A cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// The kernel's name.
    pub name: &'static str,
    /// Ours.
    pub id: EncrId,
    /// Lengths of a key in bytes, a salt included.
    key_lens: &'static [usize],
    salt: usize,
    /// Each number must be used once only under one key.
    pub counts: bool,
    aead: bool,
}

const CIPHERS: &[Cipher] = &[
    cbc("cbc(aes)", EncrId::AES_CBC, &[16, 24, 32]),
    cbc("cbc(camellia)", EncrId::CAMELLIA_CBC, &[16, 24, 32]),
    cbc("cbc(des3_ede)", EncrId::DES3, &[24]),
    cbc("cbc(des)", EncrId::DES, &[8]),
    cbc("ecb(cipher_null)", EncrId::NULL, &[0]),
    counting("rfc3686(ctr(aes))", EncrId::AES_CTR, &[20, 28, 36], 4, false),
    counting("rfc4106(gcm(aes))", EncrId::AES_GCM_16, &[20, 28, 36], 4, true),
    counting("rfc4309(ccm(aes))", EncrId::AES_CCM_16, &[19, 27, 35], 3, true),
    counting("rfc7539esp(chacha20,poly1305)", EncrId::CHACHA20_POLY1305, &[36], 4, true),
];

/// Short names that the kernel takes for the long ones.
const ALIASES: &[(&str, &str)] = &[
    ("aes", "cbc(aes)"),
    ("camellia", "cbc(camellia)"),
    ("des3_ede", "cbc(des3_ede)"),
    ("des", "cbc(des)"),
    ("cipher_null", "ecb(cipher_null)"),
];

const fn cbc(name: &'static str, id: EncrId, key_lens: &'static [usize]) -> Cipher {
    Cipher { name, id, key_lens, salt: 0, counts: false, aead: false }
}

const fn counting(name: &'static str, id: EncrId, key_lens: &'static [usize], salt: usize, aead: bool) -> Cipher {
    Cipher { name, id, key_lens, salt, counts: true, aead }
}

impl Cipher {
    /// The cipher that the kernel calls so.
    ///
    /// # Errors
    /// Which ones there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let full = ALIASES.iter().find(|(short, _)| *short == name).map_or(name, |(_, full)| full);
        let names = || CIPHERS.iter().map(|cipher| cipher.name).collect::<Vec<_>>().join(", ");
        let found = CIPHERS.iter().find(|cipher| cipher.name == full).copied();
        found.ok_or_else(|| format!("`{name}` is no cipher that is known: expected one of {}", names()))
    }

    /// Whether it authenticates too.
    pub fn is_aead(&self) -> bool {
        self.aead
    }

    /// The key length in bits that a password means, without a salt.
    pub fn key_bits(&self, password: &Secret) -> u16 {
        // A password that was checked is at most 36 bytes long.
        u16::try_from(password.len().saturating_sub(self.salt) * 8).unwrap_or(u16::MAX)
    }

    pub(super) fn check(&self, password: &Secret) -> Result<(), String> {
        if self.key_lens.contains(&password.len()) {
            return Ok(());
        }
        let lens: Vec<String> = self.key_lens.iter().map(usize::to_string).collect();
        let (name, have) = (self.name, password.len());
        Err(format!("PASSWORD has {have} characters; ENC_ALG {name} takes exactly {}", lens.join(" or ")))
    }
}

/// A MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mac {
    /// The kernel's name.
    pub name: &'static str,
    /// Ours, with the length to which it is cut by its RFC.
    pub id: IntegId,
    key_len: usize,
}

const MACS: &[Mac] = &[
    Mac { name: "hmac(sha256)", id: IntegId::HMAC_SHA2_256_128, key_len: 32 },
    Mac { name: "hmac(sha384)", id: IntegId::HMAC_SHA2_384_192, key_len: 48 },
    Mac { name: "hmac(sha512)", id: IntegId::HMAC_SHA2_512_256, key_len: 64 },
    Mac { name: "hmac(sha1)", id: IntegId::HMAC_SHA1_96, key_len: 20 },
    Mac { name: "xcbc(aes)", id: IntegId::AES_XCBC_96, key_len: 16 },
    Mac { name: "cmac(aes)", id: IntegId::AES_CMAC_96, key_len: 16 },
    Mac { name: "hmac(md5)", id: IntegId::HMAC_MD5_96, key_len: 16 },
];

impl Mac {
    /// The algorithm that the kernel calls so.
    ///
    /// # Errors
    /// Which ones there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let names = || MACS.iter().map(|mac| mac.name).collect::<Vec<_>>().join(", ");
        let found = MACS.iter().find(|mac| mac.name == name).copied();
        found.ok_or_else(|| format!("`{name}` is no integrity algorithm that is known: expected one of {}", names()))
    }

    pub(super) fn check(&self, key: &Secret) -> Result<(), String> {
        if key.len() == self.key_len {
            return Ok(());
        }
        let (name, have, want) = (self.name, key.len(), self.key_len);
        Err(format!("AUTH_PASSWORD has {have} characters; AUTH_ALG {name} takes exactly {want}"))
    }
}
