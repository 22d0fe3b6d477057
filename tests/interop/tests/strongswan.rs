//! strongSwan's own examples connect: each half as it stands in the test suite of its source, which is not in this repository,
//! Ravelin with the one and strongSwan with the other, and the other way round.
//!
//! ```text
//!   STRONGSWAN_TESTS=/path/to/testing/tests cargo test -p ravelin-interop --test strongswan [EXAMPLE...]
//!
//!   alice 10.1.0.10 ─ moon 192.168.0.1 ═════ 192.168.0.2 sun ─ 10.2.0.10 bob
//!                                      ═════ 192.168.0.100 carol
//! ```
//! What strongSwan's build makes is made here: addresses that are filled in, certificates and keys. Hosts behind a gateway are
//! addresses of its own. strongSwan has ESP in user space, so the examples are those in tunnel mode. Without the folder the
//! test says that it was skipped.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use ravelin_interop::case::Configuration;
use ravelin_interop::lab::{Host, RAVELIN, SWAN};
use ravelin_interop::node::{Child, Node, View, ravelin::Ravelin, swan::Swan};
use ravelin_interop::peers::Peer;
use ravelin_interop::process::{Namespace, sh, wait_for};
use ravelin_interop::sandbox;
use ravelin_testkit::papers::{self, Kind, Paper};

/// Where strongSwan's tests are.
const FOLDER: &str = "STRONGSWAN_TESTS";
/// Packets each way.
const PINGS: u64 = 3;

/// ESP of strongSwan's has its traffic by a route, which its own packets pass by: a road warrior's network is its address.
const PLUGINS: &str = "  plugins {
    kernel-netlink {
      fwmark = !0x42
    }
    socket-default {
      fwmark = 0x42
    }
";

/// An example of two hosts, and one packet that crosses.
struct Example {
    /// Its folder.
    name: &'static str,
    /// Who answers and who begins.
    hosts: [&'static str; 2],
    /// What is initiated.
    child: &'static str,
    /// From where and whereto a packet goes, seen from the one that begins.
    packet: [&'static str; 2],
}

const fn gateways(name: &'static str) -> Example {
    Example { name, hosts: ["sun", "moon"], child: "net-net", packet: ["10.1.0.10", "10.2.0.10"] }
}

const fn road_warrior(name: &'static str, from: &'static str) -> Example {
    Example { name, hosts: ["moon", "carol"], child: "home", packet: [from, "10.1.0.10"] }
}

impl Example {
    /// The same between networks of IPv6.
    const fn over_v6(self) -> Example {
        Example { packet: ["fec1::10", "fec2::10"], ..self }
    }

    /// The same to a host of IPv6.
    const fn to_v6(self) -> Example {
        Example { packet: [self.packet[0], "fec1::10"], ..self }
    }
}

/// Net to net and road warriors, by every kind of proof, with and without an address of the gateway's, and by every algorithm.
const EXAMPLES: &[Example] = &[
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
];

/// A host of the examples: its name, its addresses on the wire, and those behind it.
struct Place(&'static str, [&'static str; 2], &'static [&'static str]);

const PLACES: [Place; 3] = [
    Place("moon", ["192.168.0.1", "fec0::1"], &["10.1.0.1", "10.1.0.10", "10.1.0.20", "fec1::1", "fec1::10"]),
    Place("sun", ["192.168.0.2", "fec0::2"], &["10.2.0.1", "10.2.0.10", "fec2::1", "fec2::10"]),
    Place("carol", ["192.168.0.100", "fec0::10"], &[]),
];

/// What strongSwan's build fills in; the longer names first.
const ADDRESSES: [(&str, &str); 9] = [
    ("PH_IP6_MOON", "fec0::1"),
    ("PH_IP6_SUN", "fec0::2"),
    ("PH_IP6_CAROL", "fec0::10"),
    ("PH_IP_MOON1", "10.1.0.1"),
    ("PH_IP_MOON", "192.168.0.1"),
    ("PH_IP_SUN1", "10.2.0.1"),
    ("PH_IP_SUN", "192.168.0.2"),
    ("PH_IP_CAROL", "192.168.0.100"),
    ("PH_IP_ALICE", "10.1.0.10"),
];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let Some(tests) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        println!("SKIPPED: {FOLDER} names no folder with strongSwan's testing/tests");
        return Ok(ExitCode::SUCCESS);
    };
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let missing = Peer::Userspace.missing(cache);
    if let Some(why) = sandbox::obstacle().or((!missing.is_empty()).then(|| format!("missing: {}", missing.join(", "))))
    {
        println!("SKIPPED: {why}");
        return Ok(ExitCode::SUCCESS);
    }
    if !sandbox::inside() {
        return sandbox::enter("RAVELIN_STRONGSWAN_INSIDE", "1");
    }
    sandbox::prepare()?;
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |example: &&Example| words.is_empty() || words.iter().any(|word| example.name.contains(word.as_str()));
    let papers = Papers::new();
    let (mut passed, mut failed) = (0, 0);
    for example in EXAMPLES.iter().filter(wanted) {
        for (begins, who) in [(true, "Ravelin begins"), (false, "strongSwan begins")] {
            let results = cache.join("strongswan").join(example.name.replace('/', "-")).join(who.replace(' ', "-"));
            match connect(&tests, example, begins, &papers, &results) {
                Ok(()) => {
                    println!("{}, {who} ... ok", example.name);
                    passed += 1;
                }
                Err(error) => {
                    println!("{}, {who} ... FAILED: {error:#}; see {}", example.name, results.display());
                    failed += 1;
                }
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads both halves, and has the one that begins initiate. What crosses is believed to strongSwan.
fn connect(tests: &Path, example: &Example, begins: bool, papers: &Papers, results: &Path) -> Result<()> {
    let [answering, beginning] = example.hosts;
    let (ours, theirs) = if begins { (beginning, answering) } else { (answering, beginning) };
    let _ = fs::remove_dir_all(results);
    let [own, peer] = [("ravelin", ours), ("swan", theirs)].map(|(side, host)| {
        let folder = results.join(side);
        let conf = half(&tests.join(example.name), host, &folder)?;
        papers.put(host, &folder)?;
        anyhow::Ok((folder, conf))
    });
    let ((own, own_conf), (peer, peer_conf)) = (own?, peer?);
    lay(ours, theirs)?;
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug").join("ravelin");
    let mut ravelin = Ravelin::new(RAVELIN, &program, &own, &Configuration::Swanctl(own_conf))?;
    let mut swan = Swan::new(Host::Namespace(&SWAN), &peer, &peer_conf)?;
    let conf = fs::read_to_string(peer.join("strongswan.conf"))?.replace("  plugins {\n", PLUGINS);
    fs::write(peer.join("strongswan.conf"), conf)?;
    swan.start()?;
    ravelin.start()?;
    let done = crosses(example, begins, &mut ravelin, &mut swan);
    if done.is_err() {
        ravelin.keep_evidence();
        swan.keep_evidence();
    }
    let stopped = ravelin.stop();
    swan.stop()?;
    done.and(stopped)
}

fn crosses(example: &Example, begins: bool, ravelin: &mut Ravelin, swan: &mut Swan<'_>) -> Result<()> {
    match begins {
        true => ravelin.command(&format!("ike initiate {}", example.child))?,
        false => swan.command(&format!("--initiate --child {} --timeout 40", example.child))?,
    };
    let (theirs, ours) =
        wait_for(10, "one Child SA on both sides", || Ok((one(swan.view()?)?, one(ravelin.view()?)?)))?;
    ensure!(theirs.spi_in == ours.spi_out && theirs.spi_out == ours.spi_in, "{theirs:?} is not {ours:?}");
    let [from, to] = example.packet;
    let host = if begins { &RAVELIN } else { &SWAN };
    host.sh(&format!("ping -c {PINGS} -i 0.2 -W 5 -I {from} {to}"))?;
    let child = one(swan.view()?)?;
    ensure!(child.packets.0 >= PINGS && child.packets.1 >= PINGS, "strongSwan counted {:?} packets", child.packets);
    Ok(())
}

fn one(view: View) -> Result<Child> {
    ensure!(view.ike.len() == 1 && view.children.len() == 1, "listed: {view:?}");
    view.children.into_iter().next().context("a Child SA")
}

/// Copies the half of `host`; what its swanctl.conf says.
fn half(example: &Path, host: &str, to: &Path) -> Result<String> {
    let from = example.join("hosts").join(host).join("etc/swanctl");
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(&from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            write(&to.join(entry.file_name()), filled(&fs::read_to_string(entry.path())?).as_bytes())?;
        }
    }
    Ok(fs::read_to_string(to.join("swanctl.conf"))?)
}

fn filled(text: &str) -> String {
    ADDRESSES.iter().fold(text.to_owned(), |text, (name, address)| text.replace(name, address))
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    fs::write(path, content)?;
    Ok(fs::set_permissions(path, fs::Permissions::from_mode(0o600))?)
}

/// Certificates of all hosts, by one authority.
struct Papers {
    authority: Paper,
    hosts: Vec<(&'static str, Paper)>,
}

impl Papers {
    fn new() -> Self {
        let subject = |name: &str, names: &[&str]| papers::subject_in("strongSwan Project", name, names);
        let authority = papers::own(papers::authority(subject("strongSwan Root CA", &[])), Kind::Rsa);
        let host = |Place(host, ..): &Place| {
            let name = if *host == "carol" { "carol@strongswan.org" } else { &format!("{host}.strongswan.org") };
            (*host, authority.issue(subject(name, &[name]), Kind::Rsa))
        };
        let hosts = PLACES.iter().map(host).collect();
        Papers { authority, hosts }
    }

    /// Where its build has them.
    fn put(&self, host: &str, folder: &Path) -> Result<()> {
        let (_, own) = self.hosts.iter().find(|(name, _)| *name == host).context("a host with a certificate")?;
        write(&folder.join("x509ca/strongswanCert.pem"), self.authority.pem.as_bytes())?;
        write(&folder.join(format!("x509/{host}Cert.pem")), own.pem.as_bytes())?;
        write(&folder.join(format!("rsa/{host}Key.pem")), own.key_pem.as_bytes())
    }
}

/// Two hosts on one cable, each the way to everything for the other.
fn lay(ours: &str, theirs: &str) -> Result<()> {
    let place = |host: &str| PLACES.iter().find(|Place(name, ..)| *name == host).context("a host");
    let names = [&RAVELIN, &SWAN].map(|namespace| match namespace {
        Namespace::Named(name) => *name,
        Namespace::Wire => "",
    });
    for name in names {
        sh(&format!("[ ! -e /run/netns/{name} ] || ip netns del {name}; ip netns add {name}"))?;
    }
    sh(&format!("ip link add eth0 netns {} type veth peer name eth0 netns {}", names[0], names[1]))?;
    for (namespace, own, other) in [(&RAVELIN, ours, theirs), (&SWAN, theirs, ours)] {
        let (Place(_, [v4, v6], behind), Place(_, [to_v4, to_v6], _)) = (place(own)?, place(other)?);
        namespace.sh("ip link set lo up; ip link set eth0 up")?;
        namespace.sh(&format!("ip addr add {v4}/24 dev eth0; ip addr add {v6}/64 dev eth0 nodad"))?;
        for address in *behind {
            namespace.sh(&format!("ip addr add {address} dev lo"))?;
        }
        namespace.sh(&format!("ip route add default via {to_v4}; ip -6 route add default via {to_v6}"))?;
    }
    Ok(())
}
