//! OpenIKED in the guest, steered with its own `ikectl`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::libreswan::packets;
use super::{Child, Ike, Node, Sa, View, append, plain_spi};
use crate::guest::Guest;
use crate::plan::Direction;
use crate::process::wait_for;
use crate::steps::STATES;
use crate::traffic;

/// Where it listens for commands, and where its processes are confined to, in the guest.
const SOCKET: &str = "/run/iked.sock";
const EMPTY: &str = "/var/lib/openiked/empty";

/// One OpenIKED.
pub struct OpenIked<'a> {
    guest: &'a Guest,
    cache: PathBuf,
    folder: PathBuf,
}

impl<'a> OpenIked<'a> {
    /// Prepares one with `conf` as its iked.conf, a policy that waits for the peer, and with the certificates that are in
    /// `folder` where there are such. It starts a negotiation by itself as
    /// soon as a policy is active, so there is a second file with that one word changed.
    pub fn new(guest: &'a Guest, cache: &Path, folder: &Path, conf: &str) -> Result<Self> {
        ensure!(conf.contains(" passive "), "iked.conf: the policy is not passive");
        fs::create_dir_all(folder)?;
        for (name, text) in [("iked.conf", conf.to_owned()), ("active.conf", conf.replace(" passive ", " active "))] {
            fs::write(folder.join(name), text)?;
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600))?;
        }
        Ok(Self { guest, cache: cache.to_owned(), folder: folder.to_owned() })
    }

    fn ikectl(&mut self, arguments: &str) -> Result<String> {
        let said = self.guest.sh(&format!("ikectl -s {SOCKET} {arguments} 2>&1"));
        let text = said.as_ref().map_or_else(|error| format!("{error:#}"), String::clone);
        if !arguments.starts_with("show") {
            append(&self.folder.join("log"), &format!("# ikectl {arguments}\n{text}\n"))?;
        }
        said
    }

    fn load(&mut self, file: &str) -> Result<()> {
        let path = self.folder.join(file);
        self.ikectl(&format!("load {}", path.display())).map(drop)
    }
}

impl Node for OpenIked<'_> {
    fn start(&mut self) -> Result<()> {
        let (folder, cache) = (self.folder.display(), self.cache.display());
        // Its ESP in UDP would need more than PF_KEY gives it on Linux: NAT traversal is off (`-T`).
        self.guest.sh(&format!(
            "modprobe af_key; [ -e /usr/sbin/iked ] || cp -a {cache}/openiked/usr/. /usr/
             grep -q ^_iked: /etc/passwd || {{ echo _iked:x:990:990::{EMPTY}:/usr/sbin/nologin >>/etc/passwd
             echo _iked:x:990: >>/etc/group; }}
             mkdir -p {EMPTY} /etc/iked/private /etc/iked/ca /etc/iked/certs /etc/iked/crls /etc/iked/pubkeys
             openssl ecparam -genkey -name prime256v1 -noout -out /etc/iked/private/local.key
             rm -f /etc/iked/*/*.crt; [ ! -e {folder}/x509 ] || {{ cp {folder}/x509ca/ca.pem /etc/iked/ca/ca.crt
             cp {folder}/x509/swan.pem /etc/iked/certs/swan.crt; cp {folder}/private/swan.key /etc/iked/private/local.key
             chmod a+r /etc/iked/*/*.crt; }}
             rm -f {SOCKET}; ip xfrm state flush; ip xfrm policy flush
             setsid /usr/sbin/iked -d -vv -T -s {SOCKET} -f {folder}/iked.conf </dev/null >>{folder}/log 2>&1 &"
        ))?;
        wait_for(90, "OpenIKED to take in its configuration", || {
            ensure!(self.said().contains("compilation done"), "it has not yet");
            Ok(())
        })?;
        self.ikectl("show sa").map(drop)
    }

    fn initiate(&mut self) -> Result<()> {
        self.load("active.conf")?;
        wait_for(60, "OpenIKED to have an SA", || {
            let view = self.view()?;
            ensure!(!view.children.is_empty(), "it has none");
            Ok(())
        })
    }

    fn rekey(&mut self, _: Sa) -> Result<()> {
        bail!("OpenIKED has no command that rekeys")
    }

    fn delete(&mut self, sa: Sa) -> Result<()> {
        match sa {
            Sa::Ike => {
                self.load("iked.conf")?;
                self.ikectl("reset id FQDN/ravelin.lab").map(drop)
            }
            Sa::Child => bail!("OpenIKED has no command that deletes a Child SA"),
        }
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.guest.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        let sas = self.ikectl("show sa")?;
        let kernel = self.guest.sh("ip -s xfrm state")?;
        view(&sas, &kernel)
    }

    fn kill(&mut self) -> Result<()> {
        self.guest.sh("killall -9 iked").map(drop)
    }

    fn stop(&mut self) -> Result<()> {
        self.guest
            .sh(&format!(
                "killall iked 2>/dev/null || true; for i in $(seq 50); do pidof iked >/dev/null || break; sleep 0.1; done
                 killall -9 iked 2>/dev/null || true; rm -f {SOCKET}; ip xfrm state flush; ip xfrm policy flush"
            ))
            .map(drop)
    }

    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn keep_evidence(&mut self) {
        let sas = self.ikectl("show sa").unwrap_or_else(|error| format!("{error:#}"));
        let kernel = self.guest.sh(STATES).unwrap_or_default();
        let _ = fs::write(self.folder.join("state"), format!("{sas}\n{kernel}"));
    }
}

/// What `ikectl show sa` and the kernel say together.
fn view(sas: &str, kernel: &str) -> Result<View> {
    let mut view = View::default();
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for line in sas.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1));
        // `iked_sas: 0x55 rspi 0x0a ispi 0x0b 192.0.2.2:500->192.0.2.1:500<FQDN/ravelin.lab>[] ESTABLISHED r ...`
        if line.starts_with("iked_sas:") && words.contains(&"ESTABLISHED") {
            let spi = |name| after(name).map(|spi| plain_spi(spi)).context("an SA without an SPI");
            view.ike.push(Ike { spis: Some((spi("ispi")?, spi("rspi")?)), ..Ike::default() });
        }
        // `  sa_childsas: 0x55 ESP 0xc0ffee in 192.0.2.1:500 -> 192.0.2.2:500 (L) ...`
        if words.first() == Some(&"sa_childsas:") {
            let [_, _, _, spi, direction, ..] = words[..] else { bail!("`{line}` is not as expected") };
            match direction {
                "in" => inbound.push(plain_spi(spi)),
                _ => outbound.push(plain_spi(spi)),
            }
        }
    }
    ensure!(inbound.len() == outbound.len(), "not as many SAs in as out:\n{sas}");
    for (spi_in, spi_out) in inbound.into_iter().zip(outbound) {
        let packets = (packets(kernel, &spi_in)?, packets(kernel, &spi_out)?);
        view.children.push(Child { spi_in, spi_out, packets, ..Child::default() });
    }
    Ok(view)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAS: &str = "\
iked_sas: 0x55d0 rspi 0x0b ispi 0x0a 192.0.2.2:500->192.0.2.1:500<FQDN/ravelin.lab>[] ESTABLISHED i nexti (nil) pol 0x55d1
  sa_childsas: 0x55d2 ESP 0x0000bead out 192.0.2.2:500 -> 192.0.2.1:500 (L) B=(nil) P=0x55d3 @0x55d0
  sa_childsas: 0x55d3 ESP 0x00c0ffee in 192.0.2.1:500 -> 192.0.2.2:500 (LA) B=(nil) P=0x55d2 @0x55d0
  sa_flows: 0x55d4 ESP out 10.2.0.0/16 -> 10.1.0.0/16 [0]@-1 (L) @0x55d0
iked_activesas: 0x55d3 ESP 0x00c0ffee in 192.0.2.1:500 -> 192.0.2.2:500 (LA) B=(nil) P=0x55d2 @0x55d0
iked_sas: 0x55d5 rspi 0x0d ispi 0x0c any->any<>[] SA_INIT r nexti (nil) pol 0x55d1
";
    const KERNEL: &str = "src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x00c0ffee(12648430)\n\tlifetime current:\n\
        \t  336(bytes), 4(packets)\nsrc 192.0.2.2 dst 192.0.2.1\n\tproto esp spi 0x0000bead(48813)\n\tlifetime current:\n\
        \t  336(bytes), 5(packets)\n";

    #[test]
    fn its_listing_and_the_kernels_make_one_view() {
        let view = view(SAS, KERNEL).unwrap();
        assert_eq!(view.ike.len(), 1, "what is half-made does not count");
        assert_eq!(view.ike[0].spis, Some(("a".into(), "b".into())));
        let [child] = &view.children[..] else { panic!("{view:?}") };
        assert_eq!((child.spi_in.as_str(), child.spi_out.as_str(), child.packets), ("c0ffee", "bead", (4, 5)));
    }
}
