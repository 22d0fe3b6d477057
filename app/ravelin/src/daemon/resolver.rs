//! DNS servers that peers name, handed to the host's resolver where the operator wants that: without a word of his the
//! names of this host are nobody's business.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

/// What peers say about names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// DNS servers, reached through tunnels.
    pub servers: BTreeSet<IpAddr>,
    /// The domains that they are for; none: all names (RFC 8598 §5).
    pub domains: BTreeSet<String>,
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
        let first = self.now.replace(names.clone()).is_none();
        match &self.way {
            Way::File(path) => replace(path, &text(names)).map_err(|error| format!("{}: {error}", path.display())),
            // Nothing was ever said.
            Way::Resolvectl if first && names.servers.is_empty() => Ok(()),
            Way::Resolvectl if names.servers.is_empty() => resolvectl(["revert", device]),
            Way::Resolvectl => {
                let servers = names.servers.iter().map(ToString::to_string);
                resolvectl(["dns".to_owned(), device.to_owned()].into_iter().chain(servers))?;
                let domains = names.domains.iter().map(|name| format!("~{name}"));
                let all = names.domains.is_empty().then(|| "~.".to_owned());
                resolvectl(["domain".to_owned(), device.to_owned()].into_iter().chain(domains).chain(all))
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

    #[test]
    fn a_file_has_what_peers_say_and_nothing_when_they_are_gone() {
        let folder = std::env::temp_dir().join(format!("ravelin-resolver-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("resolv.conf");
        let mut resolver = Resolver::new(Way::parse(path.to_str().unwrap()));
        let names = Names {
            servers: ["10.1.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()].into(),
            domains: ["corp.example".to_owned()].into(),
        };
        resolver.set("lo", &names).unwrap();
        let read = || std::fs::read_to_string(&path).unwrap();
        assert!(read().ends_with("search corp.example\nnameserver 10.1.0.53\nnameserver 2001:db8::53\n"));
        resolver.set("lo", &Names::default()).unwrap();
        assert_eq!(read().lines().count(), 1);
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(resolver.set("lo", &names).unwrap_err().contains("resolv.conf"));
    }
}
