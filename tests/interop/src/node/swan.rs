//! strongSwan: in a namespace or in the guest, steered with `swanctl` over VICI either way.

use std::fs;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::raw::{self, Section};
use super::{Child, Ike, Node, Sa, View, append, plain_spi};
use crate::lab::{GUEST_ADDRESS, Host};
use crate::peers::CHARON;
use crate::plan::{Direction, SECRET};
use crate::process::{Answer, Daemon, run, wait_for};
use crate::steps::STATES;
use crate::traffic;

/// Where a strongSwan in the guest listens for commands.
const VICI_PORT: u16 = 4502;

/// Settings of every peer. Only the plugins that the cases need are loaded: all of them take an emulated machine half a
/// minute. Retransmission gives up after about ten seconds, so that a case about silence is short; replaced Child SAs go
/// at once, so that one is left after a rekey. IKE messages are cut early, so that few bytes make fragments. It says that it
/// looks certificates up, which changes nothing where nobody says where they lie.
const STRONGSWAN_CONF: &str = "charon {
  load = random nonce aes sha1 sha2 hmac kdf gcm chapoly curve25519 gmp openssl MORE kernel-netlink socket-default vici xauth-generic
  retransmit_tries = 3
  retransmit_timeout = 1.5
  retransmit_base = 1.4
  delete_rekeyed_delay = 1
  make_before_break = yes
  fragment_size = 576
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes
  hash_and_url = yes
  filelog {
    stderr {
      time_format = %T
      default = 1
      ike = 2
      cfg = 2
      chd = 2
    }
  }
  plugins {
    vici {
      socket = VICI
    }
    kernel-libipsec {
      allow_peer_ts = yes
    }
    eap-radius {
      server = 127.0.0.1
      secret = SECRET
    }
  }
}
";

/// Plugins for certificates, also over HTTP, and for users with passwords.
const PAPERS: &str = "curl mgf1 pem pkcs8 pkcs1 x509 revocation constraints pubkey \
                      eap-identity eap-md5 eap-mschapv2 eap-gtc eap-tls eap-ttls eap-peap";

/// One strongSwan.
pub struct Swan<'a> {
    host: Host<'a>,
    folder: PathBuf,
    uri: String,
    daemon: Option<Daemon>,
    /// How its program is called.
    charon: String,
}

/// What a program of another Debian is called with, seen from the folder in which its packages are unpacked.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// strongSwan's older program, which reads `ipsec.conf` and starts the daemon.
pub const STARTER: &str = "/usr/lib/ipsec/starter";

impl<'a> Swan<'a> {
    /// Prepares one that reads the `ipsec.conf` and `ipsec.secrets` in its folder, and has its papers in `ipsec.d` there.
    pub fn by_starter(host: Host<'a>, folder: &Path) -> Result<Self> {
        let swan = Self::new(host, folder, "")?;
        let (file, place) = (folder.join("strongswan.conf"), folder.display());
        let secrets = format!("  plugins {{\n    stroke {{\n      secrets_file = {place}/ipsec.secrets\n    }}\n");
        let conf = fs::read_to_string(&file)?.replace("socket-default vici", "socket-default stroke vici").replacen(
            "  plugins {\n",
            &secrets,
            1,
        );
        fs::write(file, conf)?;
        fs::create_dir_all(folder.join("ipsec.d"))?;
        let charon = format!(
            "sh -ec 'mount --bind {place}/ipsec.d /etc/ipsec.d; exec {STARTER} --nofork --conf {place}/ipsec.conf'"
        );
        Ok(Swan { charon, ..swan })
    }

    /// The same for the newer one that is unpacked in the folder `root`.
    pub fn newer(host: Host<'a>, folder: &Path, conf: &str, root: &Path) -> Result<Self> {
        let root = root.display();
        // Its plugins are looked for where this Debian's are.
        let charon = format!(
            "unshare -m sh -ec 'mount --bind {root}/usr/lib/ipsec /usr/lib/ipsec
             exec {root}/{LIBRARIES}/ld-linux-x86-64.so.2 --library-path {root}/{LIBRARIES}:{root}/usr/lib/ipsec:/{LIBRARIES} {CHARON}'"
        );
        Ok(Swan { charon: charon.replace('\n', ";"), ..Self::new(host, folder, conf)? })
    }

    /// Prepares a strongSwan on `host` with `conf` as its swanctl.conf; logs go to `folder`.
    pub fn new(host: Host<'a>, folder: &Path, conf: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("swanctl.conf"), conf)?;
        let (socket, uri, plugins) = match host {
            Host::Namespace(_) => {
                let run = folder_of_sockets(folder);
                fs::create_dir_all(&run)?;
                // Where it is loaded, it asks its server about users of XAuth, too.
                let radius = if conf.contains("eap-radius") { "eap-radius" } else { "" };
                (
                    "unix:///run/vici.sock".to_owned(),
                    format!("unix://{}/vici.sock", run.display()),
                    format!("ccm ctr cmac xcbc md5 {PAPERS} {radius} kernel-libipsec"),
                )
            }
            Host::Guest(_) | Host::GuestRavelin(_) => {
                // An emulated machine takes its time with each; they are for cases with certificates.
                let plugins = if folder.join("x509").exists() { PAPERS } else { "" };
                let (listen, uri) =
                    (format!("tcp://0.0.0.0:{VICI_PORT}"), format!("tcp://{GUEST_ADDRESS}:{VICI_PORT}"));
                (listen, uri, plugins.to_owned())
            }
        };
        let strongswan = STRONGSWAN_CONF
            .replace("VICI", &socket)
            .replace("SECRET", &format!("\"{SECRET}\""))
            .replace("MORE", &plugins);
        fs::write(folder.join("strongswan.conf"), strongswan)?;
        Ok(Self { host, folder: folder.to_owned(), uri, daemon: None, charon: CHARON.to_owned() })
    }

    fn swanctl(&mut self, arguments: &[&str]) -> Result<Answer> {
        let mut command = Command::new("swanctl");
        command.args(arguments).args(["--uri", &self.uri]).env("SWANCTL_DIR", &self.folder);
        let answer = run(&mut command)?;
        if arguments.first() != Some(&"--list-sas") {
            append(&self.folder.join("log"), &format!("# swanctl {}\n{}", arguments.join(" "), answer.text))?;
        }
        Ok(answer)
    }

    fn order(&mut self, arguments: &[&str]) -> Result<()> {
        let answer = self.swanctl(arguments)?;
        ensure!(answer.ok, "swanctl {}: {}", arguments.join(" "), last_lines(&answer.text));
        Ok(())
    }
}

impl Node for Swan<'_> {
    fn command(&mut self, line: &str) -> Result<String> {
        let answer = self.swanctl(&line.split_whitespace().collect::<Vec<_>>())?;
        ensure!(answer.ok, "swanctl {line}: {}", last_lines(&answer.text));
        Ok(answer.text)
    }

    fn start(&mut self) -> Result<()> {
        let folder = self.folder.display().to_string();
        match self.host {
            Host::Namespace(namespace) => {
                let mut command = namespace.command("unshare");
                let run = folder_of_sockets(&self.folder);
                let line = format!("mount --bind {} /run; exec {}", run.display(), self.charon);
                command.args(["-m", "sh", "-ec", &line]).env("STRONGSWAN_CONF", self.folder.join("strongswan.conf"));
                self.daemon = Some(Daemon::start(&mut command, &self.folder.join("log"))?);
            }
            Host::Guest(guest) | Host::GuestRavelin(guest) => {
                let charon = &self.charon;
                guest.sh(&format!(
                    "rm -f /run/charon.pid; ip xfrm state flush; ip xfrm policy flush
                     STRONGSWAN_CONF={folder}/strongswan.conf setsid {charon} </dev/null >>{folder}/log 2>&1 &"
                ))?;
            }
        }
        wait_for(60, "strongSwan to listen for commands", || {
            if let Some(daemon) = &mut self.daemon {
                daemon.check()?;
            }
            match self.host {
                Host::Namespace(_) => {
                    UnixStream::connect(folder_of_sockets(&self.folder).join("vici.sock")).map(drop)?
                }
                Host::Guest(_) | Host::GuestRavelin(_) => TcpStream::connect((GUEST_ADDRESS, VICI_PORT)).map(drop)?,
            }
            Ok(())
        })?;
        self.order(&["--load-all"])
    }

    fn initiate(&mut self) -> Result<()> {
        self.order(&["--initiate", "--child", "net", "--timeout", "40"])
    }

    fn rekey(&mut self, sa: Sa) -> Result<()> {
        self.order(&["--rekey", option(sa), "net"])
    }

    fn delete(&mut self, sa: Sa) -> Result<()> {
        self.order(&["--terminate", option(sa), "net", "--timeout", "20"])
    }

    fn propose(&mut self, words: &str) -> Result<()> {
        let conf = fs::read_to_string(self.folder.join("swanctl.conf"))?;
        let other = |line: &str| match line.split_once("proposals = ") {
            Some((indent, _)) if indent.trim().is_empty() => format!("{indent}proposals = {words}\n"),
            _ => format!("{line}\n"),
        };
        fs::write(self.folder.join("swanctl.conf"), conf.lines().map(other).collect::<String>())?;
        self.order(&["--load-conns"])
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.host.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        let answer = self.swanctl(&["--list-sas", "--raw"])?;
        ensure!(answer.ok, "swanctl --list-sas: {}", last_lines(&answer.text));
        let mut view = View::default();
        for event in raw::events(&answer.out, "list-sa")? {
            for (_, ike) in event.sections {
                add_ike(&mut view, ike)?;
            }
        }
        Ok(view)
    }

    fn kill(&mut self) -> Result<()> {
        match self.host {
            Host::Namespace(_) => self.daemon.take().context("strongSwan is not running")?.kill(),
            Host::Guest(guest) | Host::GuestRavelin(guest) => {
                guest.sh("kill -9 $(cat /run/charon.pid); rm /run/charon.pid").map(drop)
            }
        }
    }

    fn stop(&mut self) -> Result<()> {
        match self.host {
            Host::Namespace(_) => match self.daemon.take() {
                Some(daemon) => daemon.stop(Signal::TERM),
                None => Ok(()),
            },
            Host::Guest(guest) | Host::GuestRavelin(guest) => guest
                .sh("[ ! -e /run/charon.pid ] || { pid=$(cat /run/charon.pid); kill $pid 2>/dev/null || true
                     for i in $(seq 100); do [ -e /proc/$pid ] || break; sleep 0.1; done; kill -9 $pid 2>/dev/null || true; }
                     rm -f /run/charon.pid; ip xfrm state flush; ip xfrm policy flush")
                .map(drop),
        }
    }

    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn keep_evidence(&mut self) {
        let listing = self.swanctl(&["--list-sas"]).map_or_else(|error| format!("{error:#}"), |answer| answer.text);
        let states = self.host.kernel(STATES).unwrap_or_default();
        let _ = fs::write(self.folder.join("state"), format!("{listing}\n{states}"));
    }
}

/// charon's pid file is always in `/run`, so each one in a namespace sees a folder of its own there.
fn folder_of_sockets(folder: &Path) -> PathBuf {
    Path::new("/run/rvi").join(folder.file_name().unwrap_or_default())
}

fn option(sa: Sa) -> &'static str {
    match sa {
        Sa::Ike => "--ike",
        Sa::Child => "--child",
    }
}

fn add_ike(view: &mut View, ike: Section) -> Result<()> {
    let value = |section: &Section, name: &str| section.values.get(name).cloned().unwrap_or_default();
    if value(&ike, "state") == "ESTABLISHED" {
        let spis = (plain_spi(&value(&ike, "initiator-spi")), plain_spi(&value(&ike, "responder-spi")));
        view.ike.push(Ike { spis: Some(spis), fields: ike.values.clone() });
    }
    let children = ike.sections.into_iter().filter(|(name, _)| name == "child-sas").flat_map(|(_, list)| list.sections);
    for (_, child) in children {
        if value(&child, "state") != "INSTALLED" {
            continue;
        }
        let count = |name| value(&child, name).parse().with_context(|| format!("{name} of {child:?}"));
        view.children.push(Child {
            spi_in: plain_spi(&value(&child, "spi-in")),
            spi_out: plain_spi(&value(&child, "spi-out")),
            packets: (count("packets-in")?, count("packets-out")?),
            fields: child.values,
        });
    }
    Ok(())
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
