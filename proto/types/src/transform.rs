//! Algorithm identifiers as IKEv2 names them (RFC 7296 §3.3.2 and the IANA registry). All are open: a value without
//! a constant survives decoding and prints as its number.

use alloc::format;
use core::fmt;

/// Declares an open newtype of a protocol number: named constants, and a text for each; any other value prints as
/// its number.
#[macro_export]
macro_rules! ids {
    ($(#[$doc:meta])* $name:ident($int:ty) { $($const:ident = $value:literal => $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $int);

        #[allow(missing_docs)]
        impl $name {
            $(pub const $const: $name = $name($value);)*
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                match self.0 {
                    $($value => f.write_str($text),)*
                    other => write!(f, "{other}"),
                }
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, concat!(stringify!($name), "({} {})"), self.0, self)
            }
        }
    };
}

ids! {
    /// Transform type 1: encryption algorithm.
    EncrId(u16) {
        DES = 2 => "DES-CBC",
        DES3 = 3 => "3DES-CBC",
        NULL = 11 => "NULL_ENC",
        AES_CBC = 12 => "AES-CBC",
        AES_CTR = 13 => "AES-CTR",
        AES_CCM_8 = 14 => "AES-CCM-8",
        AES_CCM_12 = 15 => "AES-CCM-12",
        AES_CCM_16 = 16 => "AES-CCM",
        AES_GCM_8 = 18 => "AES-GCM-8",
        AES_GCM_12 = 19 => "AES-GCM-12",
        AES_GCM_16 = 20 => "AES-GCM",
        NULL_AES_GMAC = 21 => "NULL-AES-GMAC",
        CAMELLIA_CBC = 23 => "CAMELLIA-CBC",
        CHACHA20_POLY1305 = 28 => "CHACHA20-POLY1305",
        AES_CCM_8_IIV = 29 => "AES-CCM-8-IIV",
        AES_GCM_16_IIV = 30 => "AES-GCM-IIV",
        CHACHA20_POLY1305_IIV = 31 => "CHACHA20-POLY1305-IIV",
    }
}

impl EncrId {
    /// Whether its blocks have 64 bits, of which two are alike after some gigabytes under one key, and tell about their plaintext.
    pub fn has_short_blocks(self) -> bool {
        matches!(self, EncrId::DES | EncrId::DES3)
    }
}

ids! {
    /// Transform type 2: pseudorandom function.
    PrfId(u16) {
        HMAC_MD5 = 1 => "HMAC-MD5",
        HMAC_SHA1 = 2 => "HMAC-SHA-1",
        AES128_XCBC = 4 => "AES-XCBC",
        HMAC_SHA2_256 = 5 => "HMAC-SHA-2-256",
        HMAC_SHA2_384 = 6 => "HMAC-SHA-2-384",
        HMAC_SHA2_512 = 7 => "HMAC-SHA-2-512",
        AES128_CMAC = 8 => "AES-CMAC",
    }
}
ids! {
    /// Transform type 3: integrity algorithm.
    IntegId(u16) {
        NONE = 0 => "NONE",
        HMAC_MD5_96 = 1 => "HMAC-MD5",
        HMAC_SHA1_96 = 2 => "HMAC-SHA-1",
        AES_XCBC_96 = 5 => "AES-XCBC",
        AES_CMAC_96 = 8 => "AES-CMAC",
        AES_128_GMAC = 9 => "AES128-GMAC",
        AES_192_GMAC = 10 => "AES192-GMAC",
        AES_256_GMAC = 11 => "AES256-GMAC",
        HMAC_SHA2_256_128 = 12 => "HMAC-SHA-2-256",
        HMAC_SHA2_384_192 = 13 => "HMAC-SHA-2-384",
        HMAC_SHA2_512_256 = 14 => "HMAC-SHA-2-512",
    }
}
ids! {
    /// Transform type 4: key exchange method (RFC 9370; "Diffie-Hellman group" in RFC 7296).
    KeMethod(u16) {
        NONE = 0 => "NONE",
        MODP768 = 1 => "MODP768",
        MODP1024 = 2 => "MODP1024",
        MODP1536 = 5 => "MODP1536",
        MODP2048 = 14 => "MODP2048",
        MODP3072 = 15 => "MODP3072",
        MODP4096 = 16 => "MODP4096",
        MODP6144 = 17 => "MODP6144",
        MODP8192 = 18 => "MODP8192",
        ECP256 = 19 => "ECP256",
        ECP384 = 20 => "ECP384",
        ECP521 = 21 => "ECP521",
        MODP1024_S160 = 22 => "MODP1024-S160",
        MODP2048_S224 = 23 => "MODP2048-S224",
        MODP2048_S256 = 24 => "MODP2048-S256",
        ECP192 = 25 => "ECP192",
        ECP224 = 26 => "ECP224",
        BRAINPOOL_P224 = 27 => "BRAINPOOL224",
        BRAINPOOL_P256 = 28 => "BRAINPOOL256",
        BRAINPOOL_P384 = 29 => "BRAINPOOL384",
        BRAINPOOL_P512 = 30 => "BRAINPOOL512",
        CURVE25519 = 31 => "CURVE25519",
        CURVE448 = 32 => "CURVE448",
        ML_KEM_512 = 35 => "ML-KEM-512",
        ML_KEM_768 = 36 => "ML-KEM-768",
        ML_KEM_1024 = 37 => "ML-KEM-1024",
    }
}

impl KeMethod {
    /// Whether RFC 8247 §2.4 advises against the method, or the like of it that came later: it is used where both sides
    /// name it and nowhere else.
    pub fn is_weak(self) -> bool {
        const WEAK: [KeMethod; 8] = [
            KeMethod::MODP768,
            KeMethod::MODP1024,
            KeMethod::MODP1536,
            KeMethod::MODP1024_S160,
            KeMethod::MODP2048_S224,
            KeMethod::MODP2048_S256,
            KeMethod::ECP192,
            KeMethod::ECP224,
        ];
        WEAK.contains(&self)
    }
}

ids! {
    /// Transform type 5: sequence numbers (RFC 9827; "Extended Sequence Numbers" in RFC 7296).
    SnId(u16) {
        SEQUENTIAL_32 = 0 => "NO-ESN",
        PARTIAL_64 = 1 => "ESN",
    }
}
ids! {
    /// The type of a transform.
    TransformType(u8) {
        ENCR = 1 => "ENCR",
        PRF = 2 => "PRF",
        INTEG = 3 => "INTEG",
        KE = 4 => "KE",
        SN = 5 => "SN",
        ADDITIONAL_KE_1 = 6 => "ADDKE1",
        ADDITIONAL_KE_2 = 7 => "ADDKE2",
        ADDITIONAL_KE_3 = 8 => "ADDKE3",
        ADDITIONAL_KE_4 = 9 => "ADDKE4",
        ADDITIONAL_KE_5 = 10 => "ADDKE5",
        ADDITIONAL_KE_6 = 11 => "ADDKE6",
        ADDITIONAL_KE_7 = 12 => "ADDKE7",
    }
}

/// Which of the seven additional key exchanges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Additional(u8);

impl Additional {
    /// From 1 to 7.
    pub fn new(number: u8) -> Option<Self> {
        (1..=7).contains(&number).then_some(Additional(number))
    }

    /// All, in the order in which they take place.
    pub fn all() -> impl Iterator<Item = Additional> {
        (1..=7).map(Additional)
    }

    /// From 1 to 7.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The type of its transforms.
    pub fn kind(self) -> TransformType {
        TransformType(TransformType::SN.0 + self.0)
    }

    /// The one whose transforms have this type.
    pub fn of(kind: TransformType) -> Option<Self> {
        Additional::new(kind.0.checked_sub(TransformType::SN.0)?)
    }
}

/// One algorithm choice inside a proposal (RFC 7296 §3.3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transform {
    /// Encryption, with the Key Length attribute in bits where the algorithm has one.
    Encr(EncrId, Option<u16>),
    /// Pseudorandom function.
    Prf(PrfId),
    /// Integrity.
    Integ(IntegId),
    /// Key exchange method.
    Ke(KeMethod),
    /// Additional key exchange (RFC 9370 §2.2.2), its number first; [`KeMethod::NONE`] where it may be left out.
    AddKe(Additional, KeMethod),
    /// Sequence numbers.
    Sn(SnId),
    /// A type or attribute this implementation does not know; never chosen.
    Unknown {
        /// Transform type.
        kind: TransformType,
        /// Transform ID.
        id: u16,
    },
}

impl Transform {
    /// The type under which the transform is offered.
    pub fn kind(self) -> TransformType {
        match self {
            Transform::Encr(..) => TransformType::ENCR,
            Transform::Prf(_) => TransformType::PRF,
            Transform::Integ(_) => TransformType::INTEG,
            Transform::Ke(_) => TransformType::KE,
            Transform::AddKe(number, _) => number.kind(),
            Transform::Sn(_) => TransformType::SN,
            Transform::Unknown { kind, .. } => kind,
        }
    }
}

impl fmt::Display for Transform {
    /// With the names that configurations use: the key length stands behind the name of the cipher (`AES128-GCM`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transform::Encr(id, Some(bits)) => match format!("{id}").strip_prefix("AES-") {
                Some(mode) => write!(f, "AES{bits}-{mode}"),
                None => write!(f, "{id}-{bits}"),
            },
            Transform::Encr(id, None) => write!(f, "{id}"),
            Transform::Prf(id) => write!(f, "PRF-{id}"),
            Transform::Integ(id) => write!(f, "{id}"),
            Transform::Ke(id) => write!(f, "{id}"),
            Transform::AddKe(number, id) => write!(f, "KE{}-{id}", number.number()),
            Transform::Sn(id) => write!(f, "{id}"),
            Transform::Unknown { kind, id } => write!(f, "{kind}:{id}"),
        }
    }
}
