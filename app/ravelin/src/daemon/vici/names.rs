//! How strongSwan writes what its clients read: algorithms, identities, traffic selectors, states.

use ravelin_types::Identity;
use ravelin_types::options::AggFrag;
use ravelin_types::policy::Mode;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId};

/// A cipher, without its key length.
pub fn encr(id: EncrId) -> String {
    match id {
        EncrId::NULL => "NULL".to_owned(),
        EncrId::AES_GCM_16 | EncrId::AES_CCM_16 => format!("{}_16", underscores(&id.to_string())),
        EncrId::AES_GCM_16_IIV => "AES_GCM_16_IIV".to_owned(),
        EncrId::CHACHA20_POLY1305 => "CHACHA20_POLY1305".to_owned(),
        _ => underscores(&id.to_string()),
    }
}

/// An integrity algorithm.
pub fn integ(id: IntegId) -> String {
    let name = match id {
        IntegId::HMAC_MD5_96 => "HMAC_MD5_96",
        IntegId::HMAC_SHA1_96 => "HMAC_SHA1_96",
        IntegId::AES_XCBC_96 => "AES_XCBC_96",
        IntegId::AES_CMAC_96 => "AES_CMAC_96",
        IntegId::AES_128_GMAC => "AES_128_GMAC",
        IntegId::AES_192_GMAC => "AES_192_GMAC",
        IntegId::AES_256_GMAC => "AES_256_GMAC",
        IntegId::HMAC_SHA2_256_128 => "HMAC_SHA2_256_128",
        IntegId::HMAC_SHA2_384_192 => "HMAC_SHA2_384_192",
        IntegId::HMAC_SHA2_512_256 => "HMAC_SHA2_512_256",
        _ => return underscores(&id.to_string()),
    };
    name.to_owned()
}

/// A pseudorandom function.
pub fn prf(id: PrfId) -> String {
    let name = match id {
        PrfId::HMAC_MD5 => "HMAC_MD5",
        PrfId::HMAC_SHA1 => "HMAC_SHA1",
        PrfId::HMAC_SHA2_256 => "HMAC_SHA2_256",
        PrfId::HMAC_SHA2_384 => "HMAC_SHA2_384",
        PrfId::HMAC_SHA2_512 => "HMAC_SHA2_512",
        PrfId::AES128_XCBC => "AES128_XCBC",
        PrfId::AES128_CMAC => "AES128_CMAC",
        _ => return format!("PRF_{}", underscores(&id.to_string())),
    };
    format!("PRF_{name}")
}

/// A key exchange method: `CURVE_25519`, `MODP_2048`.
pub fn ke(method: KeMethod) -> String {
    let other = match method {
        KeMethod::MODP1024_S160 => "MODP_1024_160",
        KeMethod::MODP2048_S224 => "MODP_2048_224",
        KeMethod::MODP2048_S256 => "MODP_2048_256",
        KeMethod::BRAINPOOL_P224 => "ECP_224_BP",
        KeMethod::BRAINPOOL_P256 => "ECP_256_BP",
        KeMethod::BRAINPOOL_P384 => "ECP_384_BP",
        KeMethod::BRAINPOOL_P512 => "ECP_512_BP",
        _ => "",
    };
    if !other.is_empty() {
        return other.to_owned();
    }
    let name = underscores(&method.to_string());
    let digits = name.find(|c: char| c.is_ascii_digit()).filter(|at| *at > 0 && !name[..*at].ends_with('_'));
    match digits {
        Some(at) => format!("{}_{}", &name[..at], &name[at..]),
        None => name,
    }
}

fn underscores(name: &str) -> String {
    name.replace('-', "_")
}

/// `ESP`, `AH`
pub fn protocol(id: ProtocolId) -> String {
    id.to_string()
}

/// `TUNNEL`, `TRANSPORT`, or `IPTFS` for tunnel mode with AGGFRAG payloads.
pub fn mode(mode: Mode, aggfrag: Option<AggFrag>) -> &'static str {
    match (mode, aggfrag) {
        (Mode::Transport, _) => "TRANSPORT",
        (Mode::Tunnel, None) => "TUNNEL",
        (Mode::Tunnel, Some(_)) => "IPTFS",
    }
}

/// An identity without its type.
pub fn identity(identity: &Identity) -> String {
    let text = identity.to_string();
    match text.split_once(':') {
        Some((_, value)) => value.to_owned(),
        None => text,
    }
}

/// `10.1.0.0/16`, `192.0.2.1/32[tcp/80]`, `10.0.0.1..10.0.0.9[17]`
pub fn selector(selector: &TrafficSelector) -> String {
    let addresses = selector.addresses();
    let prefixes = selector.prefixes();
    let mut text = match prefixes.as_slice() {
        [(address, len)] => format!("{address}/{len}"),
        _ => format!("{}..{}", addresses.start(), addresses.end()),
    };
    let protocol = match selector.protocol() {
        0 if selector.any_port() => return text,
        1 => "icmp".to_owned(),
        6 => "tcp".to_owned(),
        17 => "udp".to_owned(),
        58 => "ipv6-icmp".to_owned(),
        132 => "sctp".to_owned(),
        number => number.to_string(),
    };
    let (first, last) = selector.ports().into_inner();
    let ports = match selector.protocol() {
        _ if selector.any_port() => String::new(),
        _ if selector.is_opaque() => "/OPAQUE".to_owned(),
        1 | 58 if first == last => format!("/{}({})", first >> 8, first & 0xff),
        1 | 58 if first >> 8 == last >> 8 => format!("/{}", first >> 8),
        1 | 58 => format!("/{}-{}", first >> 8, last >> 8),
        _ if first == last => format!("/{first}"),
        _ => format!("/{first}-{last}"),
    };
    text.push_str(&format!("[{protocol}{ports}]"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn algorithms_have_the_names_of_strongswan() {
        assert_eq!(encr(EncrId::AES_CBC), "AES_CBC");
        assert_eq!(encr(EncrId::AES_GCM_16), "AES_GCM_16");
        assert_eq!(encr(EncrId::AES_CCM_8), "AES_CCM_8");
        assert_eq!(encr(EncrId::DES3), "3DES_CBC");
        assert_eq!(encr(EncrId::CHACHA20_POLY1305), "CHACHA20_POLY1305");
        assert_eq!(integ(IntegId::HMAC_SHA2_256_128), "HMAC_SHA2_256_128");
        assert_eq!(prf(PrfId::HMAC_SHA2_384), "PRF_HMAC_SHA2_384");
        assert_eq!(ke(KeMethod::CURVE25519), "CURVE_25519");
        assert_eq!(ke(KeMethod::MODP2048), "MODP_2048");
        assert_eq!(ke(KeMethod::ECP256), "ECP_256");
        assert_eq!(ke(KeMethod::BRAINPOOL_P384), "ECP_384_BP");
        assert_eq!(ke(KeMethod::MODP2048_S256), "MODP_2048_256");
        assert_eq!(prf(PrfId::AES128_CMAC), "PRF_AES128_CMAC");
    }

    #[test]
    fn selectors_are_written_as_strongswan_does() {
        let net = TrafficSelector::prefix([10, 1, 0, 0].into(), 16).unwrap();
        assert_eq!(selector(&net), "10.1.0.0/16");
        assert_eq!(selector(&TrafficSelector::host([192, 0, 2, 1].into())), "192.0.2.1/32");
        assert_eq!(selector(&net.with(6, 80..=80).unwrap()), "10.1.0.0/16[tcp/80]");
        assert_eq!(selector(&net.with(17, 1000..=2000).unwrap()), "10.1.0.0/16[udp/1000-2000]");
        assert_eq!(selector(&net.with(1, 0x0800..=0x08ff).unwrap()), "10.1.0.0/16[icmp/8]");
        let range = TrafficSelector::new("10.0.0.1".parse().unwrap()..="10.0.0.9".parse().unwrap(), 0, 0..=65535);
        assert_eq!(selector(&range.unwrap()), "10.0.0.1..10.0.0.9");
    }

    #[test]
    fn identities_have_no_type() {
        assert_eq!(identity(&Identity::Fqdn("gw.example.org".into())), "gw.example.org");
        assert_eq!(identity(&Identity::from(std::net::IpAddr::from([192, 0, 2, 1]))), "192.0.2.1");
    }
}
