//! The names of algorithms, and what there is to say about some of them.

use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};

use super::Encr;

/// Names of one transform type: the first of each row is the one that listings show.
pub(super) type Names<T> = &'static [(T, &'static [&'static str])];

/// Names that are known and refused, and why.
pub(super) type Refused = &'static [(&'static [&'static str], &'static str)];

/// The ciphers of IKE, and of ESP: the names of document 003, those of listings, and those of strongSwan.
pub(super) const ENCR: Names<Encr> = &[
    (
        (EncrId::AES_GCM_16, Some(128)),
        &["AES128-GCM", "AES128-GCM-16", "AES128GCM16", "AES128GCM128", "AES-GCM-128", "AES128GCM"],
    ),
    (
        (EncrId::AES_GCM_16, Some(256)),
        &["AES256-GCM", "AES256-GCM-16", "AES256GCM16", "AES256GCM128", "AES-GCM-256", "AES256GCM"],
    ),
    (
        (EncrId::AES_GCM_16, Some(192)),
        &["AES192-GCM", "AES192-GCM-16", "AES192GCM16", "AES192GCM128", "AES-GCM-192", "AES192GCM"],
    ),
    ((EncrId::CHACHA20_POLY1305, None), &["CHACHA20-POLY1305", "CHACHA20POLY1305"]),
    ((EncrId::AES_CBC, Some(128)), &["AES128-CBC", "AES128", "AES-CBC-128"]),
    ((EncrId::AES_CBC, Some(192)), &["AES192-CBC", "AES192", "AES-CBC-192"]),
    ((EncrId::AES_CBC, Some(256)), &["AES256-CBC", "AES256", "AES-CBC-256"]),
    ((EncrId::AES_CTR, Some(128)), &["AES128-CTR", "AES-CTR-128", "AES128CTR"]),
    ((EncrId::AES_CTR, Some(192)), &["AES192-CTR", "AES-CTR-192", "AES192CTR"]),
    ((EncrId::AES_CTR, Some(256)), &["AES256-CTR", "AES-CTR-256", "AES256CTR"]),
    ((EncrId::AES_GCM_12, Some(128)), &["AES128-GCM-12", "AES128GCM12", "AES128GCM96"]),
    ((EncrId::AES_GCM_12, Some(192)), &["AES192-GCM-12", "AES192GCM12", "AES192GCM96"]),
    ((EncrId::AES_GCM_12, Some(256)), &["AES256-GCM-12", "AES256GCM12", "AES256GCM96"]),
    ((EncrId::AES_GCM_8, Some(128)), &["AES128-GCM-8", "AES128GCM8", "AES128GCM64"]),
    ((EncrId::AES_GCM_8, Some(192)), &["AES192-GCM-8", "AES192GCM8", "AES192GCM64"]),
    ((EncrId::AES_GCM_8, Some(256)), &["AES256-GCM-8", "AES256GCM8", "AES256GCM64"]),
    ((EncrId::AES_CCM_16, Some(128)), &["AES128-CCM", "AES128-CCM-16", "AES128CCM16", "AES128CCM128"]),
    ((EncrId::AES_CCM_16, Some(192)), &["AES192-CCM", "AES192-CCM-16", "AES192CCM16", "AES192CCM128"]),
    ((EncrId::AES_CCM_16, Some(256)), &["AES256-CCM", "AES256-CCM-16", "AES256CCM16", "AES256CCM128"]),
    ((EncrId::AES_CCM_12, Some(128)), &["AES128-CCM-12", "AES128CCM12", "AES128CCM96"]),
    ((EncrId::AES_CCM_12, Some(192)), &["AES192-CCM-12", "AES192CCM12", "AES192CCM96"]),
    ((EncrId::AES_CCM_12, Some(256)), &["AES256-CCM-12", "AES256CCM12", "AES256CCM96"]),
    ((EncrId::AES_CCM_8, Some(128)), &["AES128-CCM-8", "AES128CCM8", "AES128CCM64"]),
    ((EncrId::AES_CCM_8, Some(192)), &["AES192-CCM-8", "AES192CCM8", "AES192CCM64"]),
    ((EncrId::AES_CCM_8, Some(256)), &["AES256-CCM-8", "AES256CCM8", "AES256CCM64"]),
    ((EncrId::CAMELLIA_CBC, Some(128)), &["CAMELLIA128-CBC", "CAMELLIA128", "CAMELLIA-CBC-128"]),
    ((EncrId::CAMELLIA_CBC, Some(192)), &["CAMELLIA192-CBC", "CAMELLIA192", "CAMELLIA-CBC-192"]),
    ((EncrId::CAMELLIA_CBC, Some(256)), &["CAMELLIA256-CBC", "CAMELLIA256", "CAMELLIA-CBC-256"]),
    ((EncrId::DES3, None), &["3DES-CBC", "3DES"]),
    ((EncrId::DES, None), &["DES-CBC", "DES"]),
];

/// The ciphers of ESP alone.
pub(super) const ESP_ENCR: Names<Encr> = &[
    ((EncrId::AES_GCM_16_IIV, Some(128)), &["AES128-GCM-IIV", "AES128-GCM-16-IIV"]),
    ((EncrId::AES_GCM_16_IIV, Some(192)), &["AES192-GCM-IIV", "AES192-GCM-16-IIV"]),
    ((EncrId::AES_GCM_16_IIV, Some(256)), &["AES256-GCM-IIV", "AES256-GCM-16-IIV"]),
    ((EncrId::AES_CCM_8_IIV, Some(128)), &["AES128-CCM-8-IIV"]),
    ((EncrId::AES_CCM_8_IIV, Some(192)), &["AES192-CCM-8-IIV"]),
    ((EncrId::AES_CCM_8_IIV, Some(256)), &["AES256-CCM-8-IIV"]),
    ((EncrId::CHACHA20_POLY1305_IIV, None), &["CHACHA20-POLY1305-IIV"]),
    ((EncrId::NULL_AES_GMAC, Some(128)), &["AES128-GMAC", "NULL-AES-GMAC-128", "AES128GMAC"]),
    ((EncrId::NULL_AES_GMAC, Some(192)), &["AES192-GMAC", "NULL-AES-GMAC-192", "AES192GMAC"]),
    ((EncrId::NULL_AES_GMAC, Some(256)), &["AES256-GMAC", "NULL-AES-GMAC-256", "AES256GMAC"]),
    ((EncrId::NULL, None), &["NULL_ENC", "NULL"]),
];

pub(super) const IKE_ENCR_REFUSED: Refused =
    &[(&["NULL_ENC", "NULL"], "NULL_ENC does not encrypt, which RFC 7296 asks of IKE; use AES128-GCM")];

/// The integrity algorithms of IKE, ESP and AH.
pub(super) const INTEG: Names<IntegId> = &[
    (IntegId::HMAC_SHA2_256_128, &["HMAC-SHA-2-256", "SHA256", "SHA2-256", "SHA2_256"]),
    (IntegId::HMAC_SHA2_384_192, &["HMAC-SHA-2-384", "SHA384", "SHA2-384", "SHA2_384"]),
    (IntegId::HMAC_SHA2_512_256, &["HMAC-SHA-2-512", "SHA512", "SHA2-512", "SHA2_512"]),
    (IntegId::HMAC_SHA1_96, &["HMAC-SHA-1", "SHA", "SHA1"]),
    (IntegId::AES_XCBC_96, &["AES-XCBC", "AES-XCBC-96", "AESXCBC"]),
    (IntegId::AES_CMAC_96, &["AES-CMAC", "AES-CMAC-96", "AESCMAC"]),
    (IntegId::HMAC_MD5_96, &["HMAC-MD5", "MD5"]),
];

/// The integrity algorithms of AH alone.
pub(super) const AH_INTEG: Names<IntegId> = &[
    (IntegId::AES_128_GMAC, &["AES128-GMAC"]),
    (IntegId::AES_192_GMAC, &["AES192-GMAC"]),
    (IntegId::AES_256_GMAC, &["AES256-GMAC"]),
];

pub(super) const PRF: Names<PrfId> = &[
    (PrfId::HMAC_SHA2_256, &["HMAC-SHA-2-256", "SHA256", "SHA2-256", "PRFSHA256"]),
    (PrfId::HMAC_SHA2_384, &["HMAC-SHA-2-384", "SHA384", "SHA2-384", "PRFSHA384"]),
    (PrfId::HMAC_SHA2_512, &["HMAC-SHA-2-512", "SHA512", "SHA2-512", "PRFSHA512"]),
    (PrfId::HMAC_SHA1, &["HMAC-SHA-1", "SHA", "SHA1", "PRFSHA1"]),
    (PrfId::AES128_XCBC, &["AES-XCBC", "AESXCBC", "PRFAESXCBC"]),
    (PrfId::AES128_CMAC, &["AES-CMAC", "AESCMAC", "PRFAESCMAC"]),
    (PrfId::HMAC_MD5, &["HMAC-MD5", "MD5", "PRFMD5"]),
];

pub(super) const KE: Names<KeMethod> = &[
    (KeMethod::CURVE25519, &["CURVE25519", "X25519"]),
    (KeMethod::ECP256, &["ECP256", "P-256"]),
    (KeMethod::ECP384, &["ECP384", "P-384"]),
    (KeMethod::ECP521, &["ECP521", "P-521"]),
    (KeMethod::CURVE448, &["CURVE448", "X448"]),
    (KeMethod::MODP2048, &["MODP2048"]),
    (KeMethod::MODP3072, &["MODP3072"]),
    (KeMethod::MODP4096, &["MODP4096"]),
    (KeMethod::MODP6144, &["MODP6144"]),
    (KeMethod::MODP8192, &["MODP8192"]),
    (KeMethod::BRAINPOOL_P256, &["BRAINPOOL256", "ECP256BP", "BRAINPOOLP256R1"]),
    (KeMethod::BRAINPOOL_P384, &["BRAINPOOL384", "ECP384BP", "BRAINPOOLP384R1"]),
    (KeMethod::BRAINPOOL_P512, &["BRAINPOOL512", "ECP512BP", "BRAINPOOLP512R1"]),
    (KeMethod::BRAINPOOL_P224, &["BRAINPOOL224", "ECP224BP", "BRAINPOOLP224R1"]),
    (KeMethod::ML_KEM_768, &["ML-KEM-768", "MLKEM768"]),
    (KeMethod::ML_KEM_1024, &["ML-KEM-1024", "MLKEM1024"]),
    (KeMethod::ML_KEM_512, &["ML-KEM-512", "MLKEM512"]),
    (KeMethod::MODP768, &["MODP768"]),
    (KeMethod::MODP1024, &["MODP1024"]),
    (KeMethod::MODP1536, &["MODP1536"]),
    (KeMethod::MODP1024_S160, &["MODP1024-S160", "MODP1024S160"]),
    (KeMethod::MODP2048_S224, &["MODP2048-S224", "MODP2048S224"]),
    (KeMethod::MODP2048_S256, &["MODP2048-S256", "MODP2048S256"]),
    (KeMethod::ECP192, &["ECP192", "P-192"]),
    (KeMethod::ECP224, &["ECP224", "P-224"]),
];

/// What an operator who named this cipher is told: what RFC 8221 §5 advises against, and what does not encrypt.
pub(super) fn encr_warning(id: EncrId) -> Option<&'static str> {
    match id {
        EncrId::DES => Some("a 56-bit key can be found by trying all; RFC 8221 says MUST NOT"),
        EncrId::DES3 => Some("its 64-bit block is broken after some gigabytes (Sweet32); RFC 8221 says SHOULD NOT"),
        EncrId::NULL | EncrId::NULL_AES_GMAC => Some("it does not encrypt: everybody on the way can read the packets"),
        _ => None,
    }
}

/// As [`encr_warning`] for integrity: RFC 8221 §6, RFC 8247 §2.3.
pub(super) fn integ_warning(id: IntegId) -> Option<&'static str> {
    (id == IntegId::HMAC_MD5_96).then_some("MD5 is broken; RFC 8221 says MUST NOT")
}

/// As [`encr_warning`] for pseudorandom functions: RFC 8247 §2.2.
pub(super) fn prf_warning(id: PrfId) -> Option<&'static str> {
    (id == PrfId::HMAC_MD5).then_some("MD5 is broken; RFC 8247 says MUST NOT")
}

/// As [`encr_warning`] for key exchange methods: RFC 8247 §2.4.
pub(super) fn ke_warning(id: KeMethod) -> Option<&'static str> {
    match id {
        KeMethod::MODP768 => Some("it has been broken; RFC 8247 says MUST NOT"),
        KeMethod::MODP1024 => Some("it can be broken by a state (Logjam); RFC 8247 says SHOULD NOT"),
        KeMethod::MODP1536 => Some("it is too weak for what must stay secret; RFC 8247 says SHOULD NOT"),
        KeMethod::MODP1024_S160 => Some("a small subgroup of a small group; RFC 8247 says MUST NOT"),
        KeMethod::MODP2048_S224 | KeMethod::MODP2048_S256 => {
            Some("nobody knows how its numbers were found; RFC 8247 says SHOULD NOT")
        }
        KeMethod::ECP192 | KeMethod::ECP224 => Some("a curve too small for what must stay secret; use ECP256"),
        _ => None,
    }
}
