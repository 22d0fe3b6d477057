//! DNS servers that peers name, handed to the host's resolver where the operator wants that: without a word of his the
//! names of this host are nobody's business.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;

use ravelin_config::value::dns::Anchor;
use ravelin_config::value::encrypted_dns::Written;
use ravelin_ike::address::{Grant, SvcParams};

/// What peers say about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS servers, reached through tunnels.
    pub servers: BTreeSet<IpAddr>,
    /// Encrypted ones in words (RFC 9464), in the order in which they are to be tried.
    pub encrypted: Vec<String>,
    /// Those of them that speak DNS over TLS: where, and the name in their certificates.
    pub over_tls: Vec<(SocketAddr, String)>,
    /// The domains that they are for; none: all names (RFC 8598 §5).
    pub domains: BTreeSet<String>,
    /// Whether those of some peer are for all names, whatever domains another has.
    pub everything: bool,
    /// DNSSEC trust anchors of those domains in words (RFC 8598).
    pub anchors: BTreeSet<String>,
}

/// Whom they are handed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// A file in the form of resolv.conf(5), for a resolver that reads it.
    File(PathBuf),
    /// systemd-resolved, through its `resolvectl`.
    Resolvectl,
}

/// The resolver with what it has.
#[derive(Debug)]
pub struct Resolver {
    way: Way,
    now: Option<Names>,
}

/// The port of DNS over TLS (RFC 7858 §3.1).
const TLS_PORT: u16 = 853;

impl Names {
    /// Adds what a peer says, with which we have all traffic, or that of some networks.
    pub fn add(&mut self, grant: &Grant, all_traffic: bool) {
        self.servers.extend(grant.dns());
        let named = grant.dns().next().is_some() || !grant.encrypted_dns().is_empty();
        self.everything |= named && (all_traffic || grant.domains().next().is_none());
        // RFC 8598 §2: domains of their own, and whom to believe of them, are for tunnels to some networks.
        if !all_traffic {
            self.domains.extend(grant.domains().map(str::to_owned));
            self.anchors.extend(grant.anchors().map(|(domain, anchor)| Anchor { domain, anchor }.to_string()));
        }
        for (resolver, digest) in grant.encrypted_dns() {
            self.encrypted.push(Written { resolver, digest }.to_string());
            let params = SvcParams::parse(&resolver.parameters).unwrap_or_default();
            if params.alpn.iter().any(|protocol| protocol == "dot") {
                let at = |address: &IpAddr| SocketAddr::new(*address, params.port.unwrap_or(TLS_PORT));
                self.over_tls.extend(resolver.addresses.iter().map(|address| (at(address), resolver.name.clone())));
            }
        }
    }

    /// What `resolvectl dns` gets. RFC 9464 §4: an encrypted one comes before one that is not.
    fn for_resolved(&self) -> Vec<String> {
        match self.over_tls.is_empty() {
            true => self.servers.iter().map(ToString::to_string).collect(),
            false => self.over_tls.iter().map(|(at, name)| format!("{at}#{name}")).collect(),
        }
    }

    /// What `resolvectl domain` gets: names go there and are not searched for there.
    fn routed(&self) -> Vec<String> {
        let all = self.everything || self.domains.is_empty();
        let domains = self.domains.iter().map(|name| format!("~{name}"));
        domains.chain(all.then(|| "~.".to_owned())).collect()
    }
}

impl Way {
    /// `resolvectl`, or the name of a file.
    pub fn parse(text: &str) -> Self {
        if text == "resolvectl" { Way::Resolvectl } else { Way::File(text.into()) }
    }
}

impl Resolver {
    /// One that has nothing yet.
    pub fn new(way: Way) -> Self {
        Resolver { way, now: None }
    }

    /// Hands it what peers say; the servers are reached by `device`.
    ///
    /// # Errors
    /// Why it does not have it.
    pub fn set(&mut self, device: &str, names: &Names) -> Result<(), String> {
        if self.now.as_ref() == Some(names) {
            return Ok(());
        }
        let old = self.now.replace(names.clone());
        let was_encrypted = old.as_ref().is_some_and(|old| !old.over_tls.is_empty());
        let servers = names.for_resolved();
        match &self.way {
            Way::File(path) => replace(path, &text(names)).map_err(|error| format!("{}: {error}", path.display())),
            // Nothing was ever said.
            Way::Resolvectl if old.is_none() && servers.is_empty() => Ok(()),
            Way::Resolvectl if servers.is_empty() => resolvectl(["revert", device]),
            Way::Resolvectl => {
                resolvectl(["dns".to_owned(), device.to_owned()].into_iter().chain(servers))?;
                let encrypted = !names.over_tls.is_empty();
                if encrypted != was_encrypted {
                    // Not in the clear when that fails, either.
                    resolvectl(["dnsovertls", device, if encrypted { "yes" } else { "no" }])?;
                }
                resolvectl(["domain".to_owned(), device.to_owned()].into_iter().chain(names.routed()))
            }
        }
    }
}

/// Nobody reads half a file.
fn replace(path: &std::path::Path, text: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    std::fs::write(&fresh, text)?;
    std::fs::rename(&fresh, path)
}

fn text(names: &Names) -> String {
    let mut text = String::from("# Written by ravelin: what the peers say that gave this host internal addresses.\n");
    if !names.domains.is_empty() {
        text.push_str(&format!("search {}\n", names.domains.iter().cloned().collect::<Vec<_>>().join(" ")));
    }
    // The form has no word for these; who reads this finds them as `ike pool --dnssec` and `--encrypted-dns` have them.
    names.anchors.iter().for_each(|anchor| text.push_str(&format!("# dnssec {anchor}\n")));
    names.encrypted.iter().for_each(|resolver| text.push_str(&format!("# encrypted {resolver}\n")));
    names.servers.iter().for_each(|server| text.push_str(&format!("nameserver {server}\n")));
    text
}

fn resolvectl(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<(), String> {
    let output = Command::new("resolvectl").args(arguments).output().map_err(|error| format!("resolvectl: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("resolvectl: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ravelin_ike::address::pool::Attribute;
    use ravelin_ike::address::{CfgAttributeType, CfgValue, TrustAnchor};

    // RFC 8598 §2: domains, and whom to believe of them, are for tunnels to some networks.
    #[test]
    fn domains_are_nothing_where_all_traffic_is() {
        let of = |kind, value| Attribute { kind, value };
        let anchor = TrustAnchor { key_tag: 1, algorithm: 8, digest_type: 2, digest: "AB".to_owned() };
        let attributes = vec![
            of(CfgAttributeType::INTERNAL_IP4_DNS, CfgValue::Address("10.1.0.53".parse().unwrap())),
            of(CfgAttributeType::INTERNAL_DNS_DOMAIN, CfgValue::Domain("corp.example".to_owned())),
            of(CfgAttributeType::INTERNAL_DNSSEC_TA, CfgValue::TrustAnchor(anchor)),
        ];
        let grant = Grant { attributes, ..Grant::default() };
        for all_traffic in [false, true] {
            let mut names = Names::default();
            names.add(&grant, all_traffic);
            assert_eq!(names.servers.len(), 1);
            assert_eq!((names.domains.is_empty(), names.anchors.is_empty()), (all_traffic, all_traffic));
            assert_eq!(names.routed(), [if all_traffic { "~." } else { "~corp.example" }]);
            // Of two gateways one has servers for all names: they are asked for those, too.
            let all = of(CfgAttributeType::INTERNAL_IP4_DNS, CfgValue::Address("10.2.0.53".parse().unwrap()));
            names.add(&Grant::default(), false);
            names.add(&Grant { attributes: vec![all], ..Grant::default() }, false);
            assert_eq!(names.routed(), if all_traffic { vec!["~."] } else { vec!["~corp.example", "~."] });
        }
    }

    #[test]
    fn a_file_has_what_peers_say_and_nothing_when_they_are_gone() {
        let folder = std::env::temp_dir().join(format!("ravelin-resolver-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("resolv.conf");
        let mut resolver = Resolver::new(Way::parse(path.to_str().unwrap()));
        let names = Names {
            servers: ["10.1.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()].into(),
            domains: ["corp.example".to_owned()].into(),
            everything: false,
            anchors: ["corp.example 43547 8 2 AB".to_owned()].into(),
            encrypted: vec!["dns.corp.example 10.1.0.54 alpn=dot".to_owned()],
            over_tls: vec![("10.1.0.54:853".parse().unwrap(), "dns.corp.example".to_owned())],
        };
        assert_eq!(names.for_resolved(), ["10.1.0.54:853#dns.corp.example"]);
        assert_eq!(Names { over_tls: vec![], ..names.clone() }.for_resolved(), ["10.1.0.53", "2001:db8::53"]);
        resolver.set("lo", &names).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        assert!(read().ends_with("search corp.example\n# dnssec corp.example 43547 8 2 AB\n# encrypted dns.corp.example 10.1.0.54 alpn=dot\nnameserver 10.1.0.53\nnameserver 2001:db8::53\n"));
        resolver.set("lo", &Names::default()).unwrap();
        assert_eq!(read().lines().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(resolver.set("lo", &names).unwrap_err().contains("resolv.conf"));
    }
}
