//! vpnc, a client for concentrators of IKEv1 with XAuth: it begins, and ends when it is told to. It has no listing; what
//! it negotiated is in its log, and what crossed is what its device counts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use super::{Child, Ike, Node, Sa, View, append, plain_spi};
use crate::plan::Direction;
use crate::process::{Daemon, Namespace, wait_for};
use crate::traffic;

/// The device that its payload goes through.
const DEVICE: &str = "vpnc0";

/// What it calls with the address that it was given; Debian's own script would set up this machine's names, too.
const SCRIPT: &str = "#!/bin/sh
[ \"$reason\" = connect ] || exit 0
ip address add \"$INTERNAL_IP4_ADDRESS/32\" dev \"$TUNDEV\"
ip link set \"$TUNDEV\" up mtu 1300
ip route replace NETWORK dev \"$TUNDEV\" src \"$INTERNAL_IP4_ADDRESS\"
echo connected with \"$INTERNAL_IP4_ADDRESS\"
";

/// One vpnc.
pub struct Vpnc {
    host: Namespace,
    folder: PathBuf,
    daemon: Option<Daemon>,
}

impl Vpnc {
    /// Prepares one with `conf`; the network behind Ravelin is `network`.
    pub fn new(host: Namespace, folder: &Path, conf: &str, network: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("vpnc.conf"), conf)?;
        let script = folder.join("script");
        fs::write(&script, SCRIPT.replace("NETWORK", network))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        append(&folder.join("log"), "")?;
        Ok(Self { host, folder: folder.to_owned(), daemon: None })
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.join("log")).unwrap_or_default()).into_owned()
    }
}

impl Node for Vpnc {
    fn start(&mut self) -> Result<()> {
        Ok(())
    }

    fn initiate(&mut self) -> Result<()> {
        let mark = self.log().len();
        // By lines, or the last of them would be in its buffer.
        let mut command = self.host.command("stdbuf");
        command.args(["--output=L", "vpnc", "--no-detach", "--non-inter", "--debug", "3", "--ifname", DEVICE]);
        command.arg("--script").arg(self.folder.join("script")).arg("--pid-file").arg(self.folder.join("pid"));
        command.arg(self.folder.join("vpnc.conf"));
        self.daemon = Some(Daemon::start(&mut command, &self.folder.join("log"))?);
        wait_for(30, "vpnc to have an address", || {
            if self.log()[mark..].contains("connected with ") {
                return Ok(());
            }
            self.daemon.as_mut().context("not begun")?.check()?;
            bail!("it has none yet")
        })
    }

    fn rekey(&mut self, _: Sa) -> Result<()> {
        bail!("vpnc does not rekey when it is told to")
    }

    fn delete(&mut self, _: Sa) -> Result<()> {
        self.daemon.take().context("it is not connected")?.stop(Signal::TERM)
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.host.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        if self.daemon.as_mut().is_none_or(|daemon| daemon.check().is_err()) {
            return Ok(View::default());
        }
        view(&self.log(), &self.host.sh(&format!("ip -s link show {DEVICE}"))?)
    }

    fn kill(&mut self) -> Result<()> {
        self.daemon.take().map_or(Ok(()), |mut daemon| daemon.kill())
    }

    /// Where the concentrator has gone before it, it heeds no other signal for a while.
    fn stop(&mut self) -> Result<()> {
        self.kill()
    }

    fn said(&self) -> String {
        self.log()
    }

    fn keep_evidence(&mut self) {
        let links = self.host.sh("ip -s address").unwrap_or_default();
        let _ = fs::write(self.folder.join("state"), links);
    }
}

/// What its log says of the Quick Mode that came last, and what its device counted. The log has every message that it
/// sent and received, field by field.
fn view(log: &str, link: &str) -> Result<View> {
    let (_, quick) = log.rsplit_once("S7.1 QM_packet1").context("vpnc: no Quick Mode in its log")?;
    let field = |text: &str, name: &str| -> Option<String> {
        let value = text.split_once(name)?.1.lines().next()?;
        Some(plain_spi(&value.replace(' ', "")))
    };
    let (sent, received) = quick.split_once("S7.3 QM_packet2").context("vpnc: no answer to its Quick Mode yet")?;
    let answered = received.contains("S7.8 setup ipsec tunnel");
    let (Some(spi_in), Some(spi_out), true) = (field(sent, "p.spi: "), field(received, "p.spi: "), answered) else {
        return Ok(View::default());
    };
    let spis = field(sent, "i_cookie: ").zip(field(sent, "r_cookie: "));
    let counted = |heading: &str| -> Result<u64> {
        let mut lines = link.lines().skip_while(|line| !line.trim_start().starts_with(heading)).skip(1);
        let line = lines.next().with_context(|| format!("no {heading} in {link}"))?;
        Ok(line.split_whitespace().nth(1).context("no packets")?.parse()?)
    };
    let packets = (counted("RX:")?, counted("TX:")?);
    let child = Child { spi_in, spi_out, packets, ..Child::default() };
    Ok(View { ike: vec![Ike { spis, ..Ike::default() }], children: vec![child] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_log_and_its_device_make_one_view() {
        let log = "S4 do_phase1_am\n   p.spi: \nS7.1 QM_packet1\n   i_cookie: 61e9f743 f2fc8b07\n   r_cookie: a05cea61 ed4a910d\n\
                   p.spi: 0b1304ea\n   p.spi: 0b1304ea\nS7.3 QM_packet2 validate type\n   p.spi: 051f96fe\nS7.8 setup ipsec tunnel\n";
        let link = "9: vpnc0: <UP>\n    RX:  bytes packets errors\n    840      10      0\n    TX:  bytes packets errors\n     84       1      0\n";
        let view = view(log, link).unwrap();
        assert_eq!(view.ike[0].spis, Some(("61e9f743f2fc8b07".into(), "a05cea61ed4a910d".into())));
        let [child] = &view.children[..] else { panic!("{view:?}") };
        assert_eq!((child.spi_in.as_str(), child.spi_out.as_str(), child.packets), ("b1304ea", "51f96fe", (10, 1)));
    }
}
