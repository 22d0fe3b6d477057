//! Ravelin's daemon in a namespace of the guest, with the guest's kernel as its data plane.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::ravelin::prepare;
use super::{Node, Sa, View, append, listing};
use crate::case::Configuration;
use crate::lab::Host;
use crate::plan::Direction;
use crate::process::wait_for;
use crate::steps::STATES;
use crate::traffic;

/// Where the daemon listens, and what it is called, in the guest.
const SOCKET: &str = "/run/ravelin-kernel.sock";
const PID: &str = "/run/ravelin-kernel.pid";
const STATE: &str = "/run/ravelin-kernel";

/// One Ravelin in the guest.
pub struct GuestRavelin<'a> {
    host: Host<'a>,
    program: PathBuf,
    folder: PathBuf,
    /// What begins its command line.
    verb: String,
}

impl<'a> GuestRavelin<'a> {
    /// Prepares the daemon `program` on `host`; logs go to `folder`.
    pub fn new(host: Host<'a>, program: &Path, folder: &Path, configuration: &Configuration) -> Result<Self> {
        let place = folder.display();
        let verb = match configuration {
            Configuration::Rc(rc) => {
                prepare(folder, "ike_rc", rc)?;
                format!("daemon --rc {place}/ike_rc")
            }
            Configuration::Account(account) => {
                let server = if account.contains("# server") { "SERVER=1\n" } else { "" };
                fs::write(folder.join("common.conf"), format!("MONITOR_PID=/run/ravelin-psk.pid\n{server}"))?;
                let mut verb = format!("psk start {place}/common.conf");
                for (number, account) in account.split("# another\n").enumerate() {
                    prepare(folder, &format!("account{number}.conf"), account)?;
                    verb += &format!(" {place}/account{number}.conf");
                }
                verb
            }
            Configuration::Swanctl(text) => {
                prepare(folder, "ravelin.conf", text)?;
                format!("daemon --swanctl {place}/ravelin.conf")
            }
            Configuration::Ipsec(_) | Configuration::Loaded(_) => {
                bail!("`host kernel` takes an ike_rc, a swanctl.conf to start with or an account")
            }
        };
        // What a daemon before this one was killed with is not this case's.
        host.sh(&format!("rm -rf {SOCKET} {PID} {STATE}"))?;
        Ok(GuestRavelin { host, program: program.to_owned(), folder: folder.to_owned(), verb })
    }

    fn order(&mut self, arguments: &str) -> Result<String> {
        let program = self.program.display();
        let answer = self.host.sh(&format!(
            "{program} --socket {SOCKET} {arguments} 2>/run/ravelin-error || {{ cat /run/ravelin-error; false; }}"
        ));
        if !arguments.contains("netstat") {
            let text = answer.as_ref().map_or_else(|error| format!("{error:#}"), String::clone);
            append(&self.folder.join("log"), &format!("# ravelin {arguments}\n{text}\n"))?;
        }
        answer
    }
}

impl Node for GuestRavelin<'_> {
    fn start(&mut self) -> Result<()> {
        let (program, folder) = (self.program.display(), self.folder.display());
        self.host.sh(&format!(
            "rm -f {SOCKET}; setsid {program} --socket {SOCKET} {verb} --data-plane kernel --state-dir {STATE} \
             </dev/null >>{folder}/log 2>&1 & echo $! >{PID}",
            verb = self.verb
        ))?;
        // The first time, an emulated machine loads the program and tries every algorithm that its kernel may have a module for.
        wait_for(180, "the daemon to answer", || self.order("ipsec netstat")).map(drop).with_context(|| self.said())
    }

    fn initiate(&mut self) -> Result<()> {
        self.order("ike initiate net").map(drop)
    }

    fn rekey(&mut self, sa: Sa) -> Result<()> {
        match sa {
            Sa::Ike => self.order("ike rekey swan"),
            Sa::Child => self.order("ike rekey --child net"),
        }
        .map(drop)
    }

    fn delete(&mut self, sa: Sa) -> Result<()> {
        match sa {
            Sa::Ike => self.order("ike terminate swan"),
            Sa::Child => self.order("ike terminate --child net"),
        }
        .map(drop)
    }

    fn command(&mut self, line: &str) -> Result<String> {
        self.order(line)
    }

    fn send(&mut self, helper: &Path, direction: Direction) -> Result<()> {
        self.host.sh(&traffic::send_line(helper, direction)).map(drop)
    }

    fn view(&mut self) -> Result<View> {
        let ike = self.order("ike netstat --json")?;
        let ipsec = self.order("ipsec netstat --json")?;
        listing::view(&ike, &ipsec).with_context(|| format!("ravelin lists {ike} and {ipsec}"))
    }

    fn kill(&mut self) -> Result<()> {
        self.host.sh(&format!("kill -9 $(cat {PID}); rm {PID}")).map(drop)
    }

    fn stop(&mut self) -> Result<()> {
        // Whoever still answers has in the kernel what it means to have there.
        if let Ok(differences) = self.order("diff") {
            ensure!(differences.trim().is_empty(), "the kernel is not as Ravelin wants it:\n{differences}");
        }
        self.host.sh(&format!(
            "[ ! -e {PID} ] || {{ pid=$(cat {PID}); kill $pid 2>/dev/null || true
             for i in $(seq 100); do [ -e /proc/$pid ] || break; sleep 0.1; done; kill -9 $pid 2>/dev/null || true; }}
             rm -f {PID}"
        ))?;
        let left = self.host.sh("ip xfrm state; ip xfrm policy; ip link show type xfrm")?;
        ensure!(left.trim().is_empty(), "the daemon left in the kernel:\n{left}");
        Ok(())
    }

    fn said(&self) -> String {
        let log = fs::read(self.folder.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    fn keep_evidence(&mut self) {
        let mut evidence = String::new();
        for arguments in ["ike netstat", "ipsec netstat -a", "diff"] {
            evidence.push_str(&self.order(arguments).unwrap_or_else(|error| format!("{error:#}\n")));
        }
        let kernel = self.host.sh(&format!("{STATES}; ip addr; ip route"));
        evidence.push_str(&kernel.unwrap_or_else(|error| format!("{error:#}")));
        let _ = fs::write(self.folder.join("evidence"), evidence);
    }
}
