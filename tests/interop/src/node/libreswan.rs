//! Libreswan in the guest, steered with its own `whack`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{Child, Ike, Node, Sa, View, append, plain_spi, states};
use crate::guest::Guest;
use crate::plan::{Direction, SECRET};
use crate::process::{run, wait_for};
use crate::steps::STATES;
use crate::traffic;

/// Where its programs are.
const PROGRAMS: &str = "/usr/libexec/ipsec";
/// Where it listens for commands, in the guest.
const RUN: &str = "/run/pluto";

/// What it says of an IKE SA and of a Child SA that are up: with IKEv2, with IKEv1, there an older and a newer one.
const IKE: [&str; 3] = ["established IKE SA", "IKE SA established", "ISAKMP SA established"];
const CHILD: [&str; 2] = ["established Child SA", "IPsec SA established"];

/// The folder of the newer one, and what its programs run with, seen from there.
const NEWER: &str = "libreswan5";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// What every connection has in common.
const COMMON: &str = "config setup
  uniqueids=yes
  ikev1-policy=accept
conn %default
  auto=ignore
  ikev2=insist
  leftid=@swan.lab
  rightid=@ravelin.lab
";

/// One Libreswan.
pub struct Libreswan<'a> {
    guest: &'a Guest,
    cache: PathBuf,
    folder: PathBuf,
    /// Whether it is the one of the next Debian.
    newer: bool,
}

impl<'a> Libreswan<'a> {
    /// Prepares one with `conf` as its ipsec.conf, and with the certificates that are in `folder` where there are such.
    pub fn new(
        guest: &'a Guest,
        cache: &Path,
        folder: &Path,
        conf: &str,
        certificates: bool,
        newer: bool,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("ipsec.conf"), format!("{COMMON}{conf}"))?;
        let secrets = folder.join("ipsec.secrets");
        // Without a word of it in its connection a key that is there is offered to everybody.
        let ppk = if conf.contains("ppk=") { format!(": PPKS \"ppk.lab\" \"{SECRET}\"\n") } else { String::new() };
        // The user of XAuth: his password where he logs in, its hash where he is asked for it.
        let (user, password) = SECRET.split_once(' ').context("a user and a password")?;
        let xauth = format!("@{user} : XAUTH \"{password}\"\n");
        fs::write(&secrets, format!(": PSK \"{SECRET}\"\n{xauth}{ppk}"))?;
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600))?;
        let hash = run(Command::new("openssl").args(["passwd", "-6", password]))?;
        ensure!(hash.ok, "the hash of a password: {}", hash.text);
        fs::write(folder.join("passwd"), format!("{user}:{}:net\n", hash.text.trim()))?;
        let script = format!(
            "cd {}; rm -rf nss; mkdir nss; certutil -N -d sql:nss --empty-password{}",
            folder.display(),
            if certificates {
                "
                 openssl pkcs12 -export -in x509/swan.pem -inkey private/swan.key -certfile x509ca/ca.pem -name swan -passout pass:lab -out swan.p12
                 pk12util -i swan.p12 -d sql:nss -W lab -K ''
                 certutil -A -n ca -t CT,, -d sql:nss -i x509ca/ca.pem"
            } else {
                ""
            }
        );
        let made = run(Command::new("sh").args(["-ec", &script]))?;
        ensure!(made.ok, "its database of certificates: {}", made.text);
        Ok(Self { guest, cache: cache.to_owned(), folder: folder.to_owned(), newer })
    }

    /// How one of its programs is called.
    fn program(&self, name: &str) -> String {
        if !self.newer {
            return format!("{PROGRAMS}/{name}");
        }
        let root = self.cache.join(NEWER).display().to_string();
        format!(
            "{root}/{LIBRARIES}/ld-linux-x86-64.so.2 --library-path {root}/{LIBRARIES}:/{LIBRARIES} {root}{PROGRAMS}/{name}"
        )
    }

    fn whack(&mut self, arguments: &str) -> Result<String> {
        let said = self.guest.sh(&format!("{whack} --rundir {RUN} {arguments} 2>&1", whack = self.program("whack")));
        let text = said.as_ref().map_or_else(|error| format!("{error:#}"), String::clone);
        if !arguments.contains("status") && !arguments.contains("showstates") {
            append(&self.folder.join("log"), &format!("# whack {arguments}\n{text}\n"))?;
        }
        said
    }

    /// The numbers of its Child SAs.
    fn child_numbers(&mut self) -> Result<Vec<String>> {
        let states = self.whack("--showstates")?;
        let lines = states.lines().filter(|line| CHILD.iter().any(|words| line.contains(words)));
        Ok(lines.filter_map(|line| Some(line.split_once('#')?.1.split_once(':')?.0.to_owned())).collect())
    }
}

impl Node for Libreswan<'_> {
    fn start(&mut self) -> Result<()> {
        let (folder, cache) = (self.folder.display(), self.cache.display());
        let package = if self.newer { NEWER } else { "libreswan" };
        self.guest.sh(&format!(
            "[ \"$(cat /run/libreswan 2>/dev/null)\" = {package} ] || {{ cp -a {cache}/{package}/usr/libexec {cache}/{package}/usr/sbin /usr/
               mkdir -p /var/lib/ipsec /etc/ipsec.d; echo {package} >/run/libreswan; }}
             rm -rf {RUN} /run/nss; mkdir -p {RUN}; cp -r {folder}/nss /run/nss; cp {folder}/passwd /etc/ipsec.d/passwd; ip xfrm state flush; ip xfrm policy flush
             setsid {pluto} --nofork --stderrlog --config {folder}/ipsec.conf --secretsfile {folder}/ipsec.secrets \
             --nssdir /run/nss --rundir {RUN} </dev/null >>{folder}/log 2>&1 &",
            pluto = self.program("pluto")
        ))?;
        wait_for(90, "Libreswan to listen for commands", || self.whack("--status").map(drop))?;
        self.whack("--listen")?;
        let added = format!(
            "{addconn} --ctlsocket {RUN}/pluto.ctl --config {folder}/ipsec.conf net 2>&1",
            addconn = self.program("addconn"),
            folder = self.folder.display()
        );
        self.guest.sh(&added).map(drop)
    }

    fn initiate(&mut self) -> Result<()> {
        let said = self.whack("--name net --initiate")?;
        ensure!(CHILD.iter().any(|words| said.contains(words)), "{said}");
        Ok(())
    }

    fn rekey(&mut self, sa: Sa) -> Result<()> {
        let what = match sa {
            Sa::Ike => "ike",
            Sa::Child if self.newer => "child",
            Sa::Child => "ipsec",
        };
        self.whack(&format!("--rekey-{what} --name net")).map(drop)
    }

    fn delete(&mut self, sa: Sa) -> Result<()> {
        match sa {
            // Down, and not to be brought up again.
            Sa::Ike => self.whack("--name net --terminate").map(drop),
            Sa::Child => {
                self.child_numbers()?.iter().try_for_each(|it| self.whack(&format!("--deletestate {it}")).map(drop))
            }
        }
    }

    fn command(&mut self, line: &str) -> Result<String> {
        self.whack(line)
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.guest.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        let states = self.whack("--showstates")?;
        let status = self.whack("--status")?;
        let kernel = self.guest.sh("ip -s xfrm state")?;
        view(&states, &status, &kernel)
    }

    fn kill(&mut self) -> Result<()> {
        self.guest.sh(&format!("kill -9 $(cat {RUN}/pluto.pid); rm {RUN}/pluto.pid")).map(drop)
    }

    fn stop(&mut self) -> Result<()> {
        self.guest
            .sh(&format!(
                "[ ! -e {RUN}/pluto.pid ] || {{ pid=$(cat {RUN}/pluto.pid); kill $pid 2>/dev/null || true
                 for i in $(seq 100); do [ -e /proc/$pid ] || break; sleep 0.1; done; kill -9 $pid 2>/dev/null || true; }}
                 rm -f {RUN}/pluto.pid; ip xfrm state flush; ip xfrm policy flush"
            ))
            .map(drop)
    }

    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn keep_evidence(&mut self) {
        let states = self.whack("--status").unwrap_or_else(|error| format!("{error:#}"));
        let kernel = self.guest.sh(STATES).unwrap_or_default();
        let _ = fs::write(self.folder.join("state"), format!("{states}\n{kernel}"));
    }
}

/// What `whack` and the kernel say together. It does not tell the SPIs of IKE SAs.
fn view(states: &str, status: &str, kernel: &str) -> Result<View> {
    let mut view = View::default();
    // `000 "net":   IKEv2 algorithm newest: AES_GCM_16_128-HMAC_SHA2_256-DH31`
    let told = |what: &str| {
        let line = status.lines().find_map(|line| line.split_once(what)).map(|(_, rest)| rest.trim());
        line.map(|rest| rest.split(';').next().unwrap_or_default().to_owned())
    };
    let field = |name: &str, value: Option<String>| value.map(|value| (name.to_owned(), value));
    // With IKEv1 a Child SA in whose place there is another waits for its end.
    let number = |line: &str| Some(line.split_once('#')?.1.split_once(':')?.0.to_owned());
    let up = |line: &&str| CHILD.iter().any(|words| line.contains(words)) && line.contains("newest");
    let in_use: Vec<String> = states.lines().filter(up).filter_map(number).collect();
    for line in states.lines() {
        if IKE.iter().any(|words| line.contains(words)) && line.contains("newest") {
            let algorithm = told("IKEv2 algorithm newest:").or_else(|| told("IKEv1 algorithm newest:"));
            view.ike.push(Ike { spis: None, fields: field("algorithm", algorithm).into_iter().collect() });
        }
        // `000 #2: "net" esp.c0ffee@192.0.2.1 esp.bead@192.0.2.2 tun.0@... Traffic: ...`: what it sends with, then what it
        // receives with.
        let spis: Vec<&str> =
            line.split(' ').filter_map(|word| word.strip_prefix("esp.").or(word.strip_prefix("ah."))).collect();
        let is_in_use = number(line).is_some_and(|number| in_use.contains(&number));
        if let ([outbound, inbound, ..], true) = (&spis[..], is_in_use) {
            let spi = |word: &str| plain_spi(word.split('@').next().unwrap_or_default());
            let (spi_out, spi_in) = (spi(outbound), spi(inbound));
            let packets = (packets(kernel, &spi_in)?, packets(kernel, &spi_out)?);
            let fields = field("algorithm", told("ESP algorithm newest:")).into_iter().collect();
            view.children.push(Child { spi_in, spi_out, packets, fields });
        }
    }
    Ok(view)
}

/// The packets of the state with an SPI in `ip -s xfrm state`.
pub(super) fn packets(kernel: &str, spi: &str) -> Result<u64> {
    let counted = states::packets(kernel)?.get(spi).copied();
    counted.with_context(|| format!("the kernel has no state with SPI {spi}:\n{kernel}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: &str = r#"000 #1: "net":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); REKEY in 27880s; newest; idle;
000 #2: "net":500 STATE_V2_ESTABLISHED_CHILD_SA (established Child SA); REKEY in 27880s; newest; eroute owner; IKE SA #1; idle;
000 #2: "net" esp.c0ffee@192.0.2.1 esp.bead@192.0.2.2 tun.0@192.0.2.1 tun.0@192.0.2.2 Traffic: ESPin=0B ESPout=0B ESPmax=2^63B
"#;
    const STATUS: &str = "000 \"net\":   IKEv2 algorithm newest: AES_GCM_16_128-HMAC_SHA2_256-DH31\n\
        000 \"net\":   ESP algorithm newest: AES_GCM_16_128-NONE; pfsgroup=<Phase1>\n";
    const KERNEL: &str = "src 192.0.2.2 dst 192.0.2.1\n\tproto esp spi 0x00c0ffee(12648430) reqid 16389(0x4005) mode tunnel\n\
        \tlifetime config:\n\t  limit: soft 9(packets), hard 9(packets)\n\tlifetime current:\n\t  336(bytes), 4(packets)\n\
        src 192.0.2.1 dst 192.0.2.2\n\tproto esp spi 0x0000bead(48813) reqid 16389(0x4005) mode tunnel\n\
        \tlifetime current:\n\t  336(bytes), 5(packets)\n";

    #[test]
    fn its_listings_and_the_kernels_make_one_view() {
        let view = view(STATES, STATUS, KERNEL).unwrap();
        assert_eq!(view.ike.len(), 1);
        assert_eq!(view.ike[0].fields["algorithm"], "AES_GCM_16_128-HMAC_SHA2_256-DH31");
        let [child] = &view.children[..] else { panic!("{view:?}") };
        assert_eq!((child.spi_in.as_str(), child.spi_out.as_str(), child.packets), ("bead", "c0ffee", (5, 4)));
        assert_eq!(child.fields["algorithm"], "AES_GCM_16_128-NONE");
    }
}
