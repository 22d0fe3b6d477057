//! Which examples connect, and what they need.

use super::papers::Kept;

/// An example of two hosts, and one packet that crosses.
pub struct Example {
    /// Its folder.
    pub name: &'static str,
    /// Who answers and who begins.
    pub hosts: [&'static str; 2],
    /// What makes it begin.
    pub begin: Begin,
    /// From where and whereto a packet goes, seen from the one that begins.
    pub packet: [&'static str; 2],
    /// Its certificates and keys.
    pub kept: Kept,
    /// Which halves are tried: that which begins, that which answers.
    pub ours: [bool; 2],
}

/// What makes a host begin.
#[derive(Clone, Copy)]
pub enum Begin {
    /// It is told to initiate this child.
    Told(&'static str),
    /// A packet of this child asks for it. strongSwan's ESP in user space knows of no packet before there are SAs: it is told.
    Packet(&'static str),
    /// Its configuration.
    Start,
}

const fn gateways(name: &'static str) -> Example {
    Example {
        name,
        hosts: ["sun", "moon"],
        begin: Begin::Told("net-net"),
        packet: ["10.1.0.10", "10.2.0.10"],
        kept: Kept::Rsa,
        ours: [true; 2],
    }
}

const fn hosts(name: &'static str) -> Example {
    Example { begin: Begin::Told("host-host"), packet: ["192.168.0.1", "192.168.0.2"], ..gateways(name) }
}

const fn road_warrior(name: &'static str, from: &'static str) -> Example {
    Example {
        name,
        hosts: ["moon", "carol"],
        begin: Begin::Told("home"),
        packet: [from, "10.1.0.10"],
        kept: Kept::Rsa,
        ours: [true; 2],
    }
}

/// Dave, who begins with IKEv2 where carol does with IKEv1.
const fn dave(name: &'static str, from: &'static str) -> Example {
    Example { hosts: ["moon", "dave"], ..road_warrior(name, from) }
}

/// Alice, who is behind a NAT there.
const fn alice(name: &'static str, child: &'static str, from: &'static str) -> Example {
    Example {
        name,
        hosts: ["sun", "alice"],
        begin: Begin::Told(child),
        packet: [from, "10.2.0.10"],
        kept: Kept::Rsa,
        ours: [true; 2],
    }
}

impl Example {
    /// The same between networks of IPv6.
    const fn over_v6(self) -> Example {
        Example { packet: ["fec1::10", "fec2::10"], ..self }
    }

    /// The same to another host.
    const fn to(self, to: &'static str) -> Example {
        Example { packet: [self.packet[0], to], ..self }
    }

    /// The same to a host of IPv6.
    const fn to_v6(self) -> Example {
        self.to("fec1::10")
    }

    /// The same, initiating another child.
    const fn child(self, child: &'static str) -> Example {
        Example { begin: Begin::Told(child), ..self }
    }

    /// The same, begun by its packet.
    const fn by_packet(self) -> Example {
        match self.begin {
            Begin::Told(child) => Example { begin: Begin::Packet(child), ..self },
            Begin::Packet(_) | Begin::Start => self,
        }
    }

    /// The same, where the peer cannot be the half that answers.
    const fn we_answer(self) -> Example {
        Example { ours: [false, true], ..self }
    }

    /// The same, where we cannot be that half.
    const fn we_begin(self) -> Example {
        Example { ours: [true, false], ..self }
    }

    /// The same with other papers.
    const fn kept(self, kept: Kept) -> Example {
        Example { kept, ..self }
    }
}

/// Net to net and road warriors, by every kind of proof, with and without an address of the gateway's, and by every algorithm.
pub const EXAMPLES: &[Example] = &[
    gateways("ikev2/net2net-psk"),
    gateways("ikev2/net2net-cert"),
    gateways("ikev2/net2net-cert-sha2"),
    gateways("ikev2/net2net-childless"),
    gateways("ikev2/net2net-rekey"),
    gateways("ikev1/net2net-psk"),
    gateways("ikev1/net2net-cert"),
    gateways("ipv6/net2net-ip4-in-ip6-ikev1"),
    gateways("ipv6/net2net-ip4-in-ip6-ikev2"),
    gateways("ipv6/net2net-ikev1").over_v6(),
    gateways("ipv6/net2net-ikev2").over_v6(),
    gateways("ipv6/net2net-ip6-in-ip4-ikev1").over_v6(),
    gateways("ipv6/net2net-ip6-in-ip4-ikev2").over_v6(),
    road_warrior("ikev2/rw-psk-ipv4", "192.168.0.100"),
    road_warrior("ikev2/rw-psk-no-idr", "192.168.0.100"),
    road_warrior("ikev2/rw-psk-ppk", "192.168.0.100"),
    road_warrior("ikev2/rw-psk-rsa-mixed", "192.168.0.100"),
    road_warrior("ikev2/rw-psk-rsa-split", "192.168.0.100"),
    road_warrior("ikev2/rw-cert", "192.168.0.100"),
    road_warrior("ikev2/rw-cert-ppk", "192.168.0.100"),
    road_warrior("ikev2/rw-cert-pss", "192.168.0.100"),
    road_warrior("ikev2/rw-initiator-only", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-md5-rsa", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-md5-id-rsa", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-md5-id-rsa-ppk", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-mschapv2-id-rsa", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-tls-only", "192.168.0.100"),
    road_warrior("ikev2/rw-eap-ttls-only", "192.168.0.100"),
    road_warrior("ikev2/ip-pool", "10.3.0.1"),
    road_warrior("ikev2/config-payload", "10.3.0.1"),
    road_warrior("ikev1/rw-cert", "192.168.0.100"),
    road_warrior("ikev1/rw-cert-aggressive", "192.168.0.100"),
    road_warrior("ikev1/rw-initiator-only", "192.168.0.100"),
    road_warrior("ikev1/rw-multi-ciphers", "192.168.0.100"),
    road_warrior("ikev1/rw-psk-ipv4", "192.168.0.100"),
    road_warrior("ikev1/rw-psk-aggressive", "192.168.0.100"),
    road_warrior("ikev1/xauth-psk", "192.168.0.100"),
    road_warrior("ikev1/xauth-rsa", "192.168.0.100"),
    road_warrior("ikev1/xauth-id-psk-config", "10.3.0.1"),
    road_warrior("ikev1/ip-pool", "10.3.0.1"),
    road_warrior("ikev1/config-payload", "10.3.0.1"),
    road_warrior("ipv6/rw-ikev1", "fec0::10").to_v6(),
    road_warrior("ipv6/rw-ikev2", "fec0::10").to_v6(),
    road_warrior("ipv6/rw-psk-ikev1", "fec0::10").to_v6(),
    road_warrior("ipv6/rw-psk-ikev2", "fec0::10").to_v6(),
    road_warrior("ipv6/rw-ip6-in-ip4-ikev1", "fec3::1").to_v6(),
    road_warrior("ipv6/rw-ip6-in-ip4-ikev2", "fec3::1").to_v6(),
    road_warrior("ikev1/dpd-clear", "192.168.0.100"),
    road_warrior("ikev1/dpd-restart", "192.168.0.100"),
    road_warrior("ikev1/xauth-id-rsa-aggressive", "192.168.0.100"),
    road_warrior("ikev2/compress", "192.168.0.100"),
    road_warrior("ikev2/dpd-clear", "192.168.0.100"),
    road_warrior("ikev2/dpd-restart", "192.168.0.100"),
    road_warrior("ikev2/inactivity-timeout", "192.168.0.100"),
    road_warrior("ikev2/reauth-early", "192.168.0.100"),
    road_warrior("ikev2/reauth-mbb", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-3des-md5", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-camellia", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-ecp-high", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-ecp-low", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-modp-subgroup", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-sha256", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-sha384", "192.168.0.100"),
    road_warrior("ikev1-algs/alg-sha512", "192.168.0.100"),
    road_warrior("ikev1-algs/esp-alg-aes-ccm", "192.168.0.100"),
    road_warrior("ikev1-algs/esp-alg-aes-ctr", "192.168.0.100"),
    road_warrior("ikev1-algs/esp-alg-aes-gcm", "192.168.0.100"),
    road_warrior("ikev1-algs/esp-alg-aes-xcbc", "192.168.0.100"),
    road_warrior("ikev1-algs/esp-alg-null", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-3des-md5", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-aes-ccm", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-aes-ctr", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-aes-gcm", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-aes-xcbc", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-camellia", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-chacha20poly1305", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-ecp-brainpool-high", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-ecp-brainpool-low", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-ecp-high", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-ecp-low", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-modp-subgroup", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-sha256", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-sha384", "192.168.0.100"),
    road_warrior("ikev2-algs/alg-sha512", "192.168.0.100"),
    gateways("ikev2/net2net-ed25519").kept(Kept::Ed25519),
    gateways("ikev2/net2net-pkcs12").kept(Kept::Pkcs12),
    gateways("ikev2/net2net-pubkey").kept(Kept::Public),
    gateways("ikev2/net2net-route").by_packet(),
    Example { begin: Begin::Start, ..gateways("ikev2/net2net-start") },
    gateways("libipsec/net2net-3des"),
    gateways("libipsec/net2net-cert"),
    gateways("libipsec/net2net-cert-ip6-in-ip4").over_v6(),
    gateways("libipsec/net2net-trap").by_packet(),
    Example { packet: ["10.4.0.1", "10.2.0.10"], ..gateways("ikev2/nat-virtual-ip") },
    hosts("ikev1/host2host-cert"),
    hosts("ikev2/host2host-cert"),
    hosts("libipsec/host2host-cert"),
    Example { packet: ["fec0::1", "fec0::2"], ..hosts("ipv6/host2host-ikev1") },
    Example { packet: ["fec0::1", "fec0::2"], ..hosts("ipv6/host2host-ikev2") },
    alice("ikev1/nat-rw", "nat-t", "10.1.0.10"),
    alice("ikev2/nat-rw", "nat-t", "10.1.0.10"),
    alice("ikev2/nat-rw-psk", "nat-t", "10.1.0.10"),
    alice("ikev2/mobike", "mobike", "192.168.0.50"),
    alice("ikev2/mobike-virtual-ip", "mobike", "10.3.0.3"),
    alice("ikev2/shunt-policies-nat-rw", "nat-t", "10.3.0.1"),
    // strongSwan's ESP in user space has no IPComp, and where it answers over IKEv1 it refuses what has it.
    road_warrior("ikev1/compress", "192.168.0.100").we_answer(),
    road_warrior("ikev1/config-payload-push", "10.3.0.1"),
    road_warrior("ikev1/dynamic-initiator", "10.3.0.1").child("moon"),
    road_warrior("ikev1/ecdsa-certs", "192.168.0.100").kept(Kept::Ecdsa),
    road_warrior("ikev1/protoport-dual", "192.168.0.100").child("icmp"),
    road_warrior("ikev1/rw-psk-fqdn", "192.168.0.100"),
    road_warrior("ikev1/rw-psk-ip-ranges", "192.168.0.100"),
    road_warrior("ikev1/xauth-id-rsa-config", "10.3.0.1"),
    road_warrior("ikev1/xauth-id-rsa-hybrid", "10.3.0.1"),
    dave("ike/frags-ipv4", "192.168.0.200"),
    dave("ike/frags-ipv6", "fec0::20").to_v6(),
    road_warrior("ikev2/dpd-trap", "192.168.0.100"),
    road_warrior("ikev2/dynamic-initiator", "10.3.0.1").child("moon"),
    road_warrior("ikev2/ecdsa-certs", "192.168.0.100").kept(Kept::Ecdsa),
    road_warrior("ikev2/ecdsa-pkcs8", "192.168.0.100").kept(Kept::Pkcs8Ecdsa),
    road_warrior("ikev2/ip-two-pools", "10.3.0.1").to("192.168.0.1"),
    road_warrior("ikev2/ip-two-pools-v4v6", "10.3.0.1"),
    road_warrior("ikev2/ip-two-pools-v4v6", "fec3::1").to_v6(),
    road_warrior("ikev2/lookip", "10.3.0.1"),
    road_warrior("ikev2/protoport-dual", "192.168.0.100").child("icmp"),
    road_warrior("ikev2/protoport-trap", "192.168.0.100").child("icmp").by_packet(),
    road_warrior("ikev2/reauth-late", "10.3.0.1"),
    road_warrior("ikev2/reauth-mbb-virtual-ip", "10.3.0.1"),
    road_warrior("ikev2/rw-pkcs8", "192.168.0.100").kept(Kept::Pkcs8),
    road_warrior("ikev2/rw-psk-fqdn", "192.168.0.100"),
    // Here a key is believed only where a connection names it.
    road_warrior("ikev2/rw-pubkey-anon", "192.168.0.100").kept(Kept::Public).we_begin(),
    road_warrior("ikev2/rw-pubkey-keyid", "192.168.0.100").kept(Kept::Public),
    // Without `charon.rsa_pss` strongSwan accepts none of RSASSA-PSS where hashes are named.
    road_warrior("ikev2/rw-sig-auth", "192.168.0.100").child("alice").we_answer(),
    road_warrior("ikev2/rw-whitelist", "192.168.0.100"),
    road_warrior("ikev2/wildcards", "192.168.0.100").child("alice"),
    road_warrior("ikev2/crl-to-cache", "192.168.0.100"),
    road_warrior("ikev2/after-2038-certs", "192.168.0.100"),
    road_warrior("ikev2-algs/esp-alg-null", "192.168.0.100"),
    // Of ipsec.conf.
    road_warrior("ike/rw-cert", "192.168.0.100"),
    road_warrior("ipv6/rw-compress-ikev2", "fec0::10").to_v6(),
    gateways("botan/net2net-ed25519"),
    gateways("wolfssl/net2net-ed25519"),
    road_warrior("botan/rw-cert", "192.168.0.100"),
    road_warrior("botan/rw-ecp256", "192.168.0.100"),
    road_warrior("botan/rw-modp3072", "192.168.0.100"),
    road_warrior("wolfssl/rw-cert", "192.168.0.100"),
    road_warrior("wolfssl/rw-ecp256", "192.168.0.100"),
    road_warrior("wolfssl/rw-modp3072", "192.168.0.100"),
];
