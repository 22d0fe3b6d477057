//! Numbers of IKEv1 (RFC 2407 §4.4, §4.5, §4.6.3; RFC 2408 §3.14.1; RFC 2409 appendix A; the IANA registries).

use ravelin_types::ids;
use ravelin_types::proposal::ProtocolId;

ids! {
    /// Domain of interpretation.
    Doi(u32) {
        ISAKMP = 0 => "ISAKMP",
        IPSEC = 1 => "IPSEC",
        GDOI = 2 => "GDOI",
    }
}
ids! {
    /// Type of an attribute of a transform for ISAKMP (RFC 2409 appendix A).
    IkeAttribute(u16) {
        ENCRYPTION = 1 => "Encryption-Algorithm",
        HASH = 2 => "Hash-Algorithm",
        AUTHENTICATION_METHOD = 3 => "Authentication-Method",
        GROUP = 4 => "Group-Description",
        GROUP_TYPE = 5 => "Group-Type",
        LIFE_TYPE = 11 => "Life-Type",
        LIFE_DURATION = 12 => "Life-Duration",
        PRF = 13 => "PRF",
        KEY_LENGTH = 14 => "Key-Length",
    }
}
ids! {
    /// Encryption algorithm of an ISAKMP SA.
    IkeEncr(u16) {
        DES = 1 => "DES-CBC",
        IDEA = 2 => "IDEA-CBC",
        BLOWFISH = 3 => "BLOWFISH-CBC",
        RC5 = 4 => "RC5-R16-B64-CBC",
        DES3 = 5 => "3DES-CBC",
        CAST = 6 => "CAST-CBC",
        AES = 7 => "AES-CBC",
        CAMELLIA = 8 => "CAMELLIA-CBC",
    }
}
ids! {
    /// Hash algorithm of an ISAKMP SA.
    HashId(u16) {
        MD5 = 1 => "MD5",
        SHA1 = 2 => "SHA",
        TIGER = 3 => "TIGER",
        SHA2_256 = 4 => "SHA2-256",
        SHA2_384 = 5 => "SHA2-384",
        SHA2_512 = 6 => "SHA2-512",
    }
}
ids! {
    /// How the two sides of an ISAKMP SA prove who they are.
    AuthMethod(u16) {
        PRE_SHARED_KEY = 1 => "pre-shared key",
        DSS = 2 => "DSS signatures",
        RSA_SIGNATURES = 3 => "RSA signatures",
        RSA_ENCRYPTION = 4 => "encryption with RSA",
        RSA_REVISED_ENCRYPTION = 5 => "revised encryption with RSA",
        ECDSA_256 = 9 => "ECDSA with SHA-256 on the P-256 curve",
        ECDSA_384 = 10 => "ECDSA with SHA-384 on the P-384 curve",
        ECDSA_521 = 11 => "ECDSA with SHA-512 on the P-521 curve",
        HYBRID_INIT_RSA = 64221 => "HybridInitRSA",
        HYBRID_RESP_RSA = 64222 => "HybridRespRSA",
        XAUTH_INIT_PRE_SHARED = 65001 => "XAUTHInitPreShared",
        XAUTH_RESP_PRE_SHARED = 65002 => "XAUTHRespPreShared",
        XAUTH_INIT_RSA = 65005 => "XAUTHInitRSA",
        XAUTH_RESP_RSA = 65006 => "XAUTHRespRSA",
    }
}
ids! {
    /// Diffie-Hellman group, of an ISAKMP SA or for PFS. The numbers are those of IKEv2, and group 1 besides.
    GroupId(u16) {
        MODP768 = 1 => "MODP768",
        MODP1024 = 2 => "MODP1024",
        MODP1536 = 5 => "MODP1536",
        MODP2048 = 14 => "MODP2048",
    }
}
ids! {
    /// What a Life-Duration counts, in both phases.
    LifeType(u16) {
        SECONDS = 1 => "seconds",
        KILOBYTES = 2 => "kilobytes",
    }
}
ids! {
    /// Type of an attribute of a transform for AH or ESP (RFC 2407 §4.5).
    IpsecAttribute(u16) {
        LIFE_TYPE = 1 => "SA-Life-Type",
        LIFE_DURATION = 2 => "SA-Life-Duration",
        GROUP = 3 => "Group-Description",
        ENCAPSULATION = 4 => "Encapsulation-Mode",
        AUTHENTICATION = 5 => "Authentication-Algorithm",
        KEY_LENGTH = 6 => "Key-Length",
        KEY_ROUNDS = 7 => "Key-Rounds",
        ESN = 11 => "Extended-Sequence-Number",
    }
}
ids! {
    /// Encapsulation mode (RFC 2407 §4.5, RFC 3947 §5.1; the last two as drafts of the latter had them).
    Encapsulation(u16) {
        TUNNEL = 1 => "Tunnel",
        TRANSPORT = 2 => "Transport",
        UDP_TUNNEL = 3 => "UDP-Encapsulated-Tunnel",
        UDP_TRANSPORT = 4 => "UDP-Encapsulated-Transport",
        UDP_TUNNEL_DRAFT = 61443 => "UDP-Encapsulated-Tunnel (draft)",
        UDP_TRANSPORT_DRAFT = 61444 => "UDP-Encapsulated-Transport (draft)",
    }
}
ids! {
    /// Authentication algorithm of AH and ESP.
    AuthAlg(u16) {
        HMAC_MD5 = 1 => "HMAC-MD5",
        HMAC_SHA1 = 2 => "HMAC-SHA",
        DES_MAC = 3 => "DES-MAC",
        KPDK = 4 => "KPDK",
        HMAC_SHA2_256 = 5 => "HMAC-SHA2-256",
        HMAC_SHA2_384 = 6 => "HMAC-SHA2-384",
        HMAC_SHA2_512 = 7 => "HMAC-SHA2-512",
        HMAC_RIPEMD = 8 => "HMAC-RIPEMD",
        AES_XCBC_MAC = 9 => "AES-XCBC-MAC",
        AES_128_GMAC = 11 => "AES-128-GMAC",
        AES_192_GMAC = 12 => "AES-192-GMAC",
        AES_256_GMAC = 13 => "AES-256-GMAC",
    }
}
ids! {
    /// Transform ID of AH (RFC 2407 §4.4.3).
    AhId(u8) {
        MD5 = 2 => "AH_MD5",
        SHA = 3 => "AH_SHA",
        DES = 4 => "AH_DES",
        SHA2_256 = 5 => "AH_SHA2-256",
        SHA2_384 = 6 => "AH_SHA2-384",
        SHA2_512 = 7 => "AH_SHA2-512",
        RIPEMD = 8 => "AH_RIPEMD",
        AES_XCBC_MAC = 9 => "AH_AES-XCBC-MAC",
        AES_128_GMAC = 11 => "AH_AES-128-GMAC",
        AES_192_GMAC = 12 => "AH_AES-192-GMAC",
        AES_256_GMAC = 13 => "AH_AES-256-GMAC",
    }
}
ids! {
    /// Transform ID of ESP (RFC 2407 §4.4.4). From 11 on the numbers are those of IKEv2 but for what is named here.
    EspId(u8) {
        DES_IV64 = 1 => "ESP_DES_IV64",
        DES = 2 => "ESP_DES",
        DES3 = 3 => "ESP_3DES",
        RC5 = 4 => "ESP_RC5",
        IDEA = 5 => "ESP_IDEA",
        CAST = 6 => "ESP_CAST",
        BLOWFISH = 7 => "ESP_BLOWFISH",
        IDEA3 = 8 => "ESP_3IDEA",
        DES_IV32 = 9 => "ESP_DES_IV32",
        RC4 = 10 => "ESP_RC4",
        NULL = 11 => "ESP_NULL",
        AES_CBC = 12 => "ESP_AES-CBC",
        AES_CTR = 13 => "ESP_AES-CTR",
        AES_CCM_8 = 14 => "ESP_AES-CCM_8",
        AES_CCM_12 = 15 => "ESP_AES-CCM_12",
        AES_CCM_16 = 16 => "ESP_AES-CCM_16",
        AES_GCM_8 = 18 => "ESP_AES-GCM_8",
        AES_GCM_12 = 19 => "ESP_AES-GCM_12",
        AES_GCM_16 = 20 => "ESP_AES-GCM_16",
        SEED = 21 => "ESP_SEED_CBC",
        CAMELLIA = 22 => "ESP_CAMELLIA",
        NULL_AES_GMAC = 23 => "ESP_NULL_AUTH_AES-GMAC",
    }
}
/// PROTO_IPCOMP (RFC 2407 §4.4.1). In IKEv2 the number is another protocol's.
pub const IPCOMP: ProtocolId = ProtocolId(4);

ids! {
    /// Transform ID of IPComp (RFC 2407 §4.4.5).
    IpcompId(u8) {
        OUI = 1 => "IPCOMP_OUI",
        DEFLATE = 2 => "IPCOMP_DEFLATE",
        LZS = 3 => "IPCOMP_LZS",
    }
}
ids! {
    /// How a certificate is encoded (RFC 2408 §3.9).
    CertEncoding(u8) {
        PKCS7 = 1 => "PKCS #7",
        PGP = 2 => "PGP",
        DNS = 3 => "DNS signed key",
        X509_SIGNATURE = 4 => "X.509 - signature",
        X509_KEY_EXCHANGE = 5 => "X.509 - key exchange",
        KERBEROS = 6 => "Kerberos tokens",
        CRL = 7 => "CRL",
        ARL = 8 => "ARL",
        SPKI = 9 => "SPKI",
        X509_ATTRIBUTE = 10 => "X.509 - attribute",
    }
}
ids! {
    /// Notify message type. Below 16384 are errors, above status.
    NotifyType(u16) {
        INVALID_PAYLOAD_TYPE = 1 => "INVALID-PAYLOAD-TYPE",
        DOI_NOT_SUPPORTED = 2 => "DOI-NOT-SUPPORTED",
        SITUATION_NOT_SUPPORTED = 3 => "SITUATION-NOT-SUPPORTED",
        INVALID_COOKIE = 4 => "INVALID-COOKIE",
        INVALID_MAJOR_VERSION = 5 => "INVALID-MAJOR-VERSION",
        INVALID_MINOR_VERSION = 6 => "INVALID-MINOR-VERSION",
        INVALID_EXCHANGE_TYPE = 7 => "INVALID-EXCHANGE-TYPE",
        INVALID_FLAGS = 8 => "INVALID-FLAGS",
        INVALID_MESSAGE_ID = 9 => "INVALID-MESSAGE-ID",
        INVALID_PROTOCOL_ID = 10 => "INVALID-PROTOCOL-ID",
        INVALID_SPI = 11 => "INVALID-SPI",
        INVALID_TRANSFORM_ID = 12 => "INVALID-TRANSFORM-ID",
        ATTRIBUTES_NOT_SUPPORTED = 13 => "ATTRIBUTES-NOT-SUPPORTED",
        NO_PROPOSAL_CHOSEN = 14 => "NO-PROPOSAL-CHOSEN",
        BAD_PROPOSAL_SYNTAX = 15 => "BAD-PROPOSAL-SYNTAX",
        PAYLOAD_MALFORMED = 16 => "PAYLOAD-MALFORMED",
        INVALID_KEY_INFORMATION = 17 => "INVALID-KEY-INFORMATION",
        INVALID_ID_INFORMATION = 18 => "INVALID-ID-INFORMATION",
        INVALID_CERT_ENCODING = 19 => "INVALID-CERT-ENCODING",
        INVALID_CERTIFICATE = 20 => "INVALID-CERTIFICATE",
        CERT_TYPE_UNSUPPORTED = 21 => "CERT-TYPE-UNSUPPORTED",
        INVALID_CERT_AUTHORITY = 22 => "INVALID-CERT-AUTHORITY",
        INVALID_HASH_INFORMATION = 23 => "INVALID-HASH-INFORMATION",
        AUTHENTICATION_FAILED = 24 => "AUTHENTICATION-FAILED",
        INVALID_SIGNATURE = 25 => "INVALID-SIGNATURE",
        ADDRESS_NOTIFICATION = 26 => "ADDRESS-NOTIFICATION",
        NOTIFY_SA_LIFETIME = 27 => "NOTIFY-SA-LIFETIME",
        CERTIFICATE_UNAVAILABLE = 28 => "CERTIFICATE-UNAVAILABLE",
        UNSUPPORTED_EXCHANGE_TYPE = 29 => "UNSUPPORTED-EXCHANGE-TYPE",
        UNEQUAL_PAYLOAD_LENGTHS = 30 => "UNEQUAL-PAYLOAD-LENGTHS",
        CONNECTED = 16384 => "CONNECTED",
        RESPONDER_LIFETIME = 24576 => "RESPONDER-LIFETIME",
        REPLAY_STATUS = 24577 => "REPLAY-STATUS",
        INITIAL_CONTACT = 24578 => "INITIAL-CONTACT",
        R_U_THERE = 36136 => "R-U-THERE",
        R_U_THERE_ACK = 36137 => "R-U-THERE-ACK",
    }
}

impl NotifyType {
    /// Whether it reports an error (RFC 2408 §3.14.1).
    pub fn is_error(self) -> bool {
        self.0 < NotifyType::CONNECTED.0
    }
}

ids! {
    /// What an Attribute payload does (draft-dukes-ike-mode-cfg-02 §3.3).
    CfgType(u8) {
        REQUEST = 1 => "ISAKMP_CFG_REQUEST",
        REPLY = 2 => "ISAKMP_CFG_REPLY",
        SET = 3 => "ISAKMP_CFG_SET",
        ACK = 4 => "ISAKMP_CFG_ACK",
    }
}
ids! {
    /// Type of an attribute of an Attribute payload (draft-dukes-ike-mode-cfg-02 §3.4, draft-beaulieu-ike-xauth-02 §6.2).
    CfgAttribute(u16) {
        INTERNAL_IP4_ADDRESS = 1 => "INTERNAL_IP4_ADDRESS",
        INTERNAL_IP4_NETMASK = 2 => "INTERNAL_IP4_NETMASK",
        INTERNAL_IP4_DNS = 3 => "INTERNAL_IP4_DNS",
        INTERNAL_IP4_NBNS = 4 => "INTERNAL_IP4_NBNS",
        INTERNAL_ADDRESS_EXPIRY = 5 => "INTERNAL_ADDRESS_EXPIRY",
        INTERNAL_IP4_DHCP = 6 => "INTERNAL_IP4_DHCP",
        APPLICATION_VERSION = 7 => "APPLICATION_VERSION",
        INTERNAL_IP6_ADDRESS = 8 => "INTERNAL_IP6_ADDRESS",
        INTERNAL_IP6_DNS = 10 => "INTERNAL_IP6_DNS",
        INTERNAL_IP4_SUBNET = 13 => "INTERNAL_IP4_SUBNET",
        SUPPORTED_ATTRIBUTES = 14 => "SUPPORTED_ATTRIBUTES",
        INTERNAL_IP6_SUBNET = 15 => "INTERNAL_IP6_SUBNET",
        XAUTH_TYPE = 16520 => "XAUTH-TYPE",
        XAUTH_USER_NAME = 16521 => "XAUTH-USER-NAME",
        XAUTH_USER_PASSWORD = 16522 => "XAUTH-USER-PASSWORD",
        XAUTH_PASSCODE = 16523 => "XAUTH-PASSCODE",
        XAUTH_MESSAGE = 16524 => "XAUTH-MESSAGE",
        XAUTH_CHALLENGE = 16525 => "XAUTH-CHALLENGE",
        XAUTH_DOMAIN = 16526 => "XAUTH-DOMAIN",
        XAUTH_STATUS = 16527 => "XAUTH-STATUS",
        XAUTH_NEXT_PIN = 16528 => "XAUTH-NEXT-PIN",
        XAUTH_ANSWER = 16529 => "XAUTH-ANSWER",
    }
}
