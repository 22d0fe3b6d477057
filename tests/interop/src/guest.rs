//! The guest: one qemu machine a lane, with a stock Debian kernel that has ESP and this machine's own files.
//!
//! 1. `guest/build` fetches the kernel, once a checkout.
//! 2. [`Guest::boot`] starts it; with KVM where that works, else emulated.
//! 3. Command lines go to `guest/agent` over a virtual port; the peer itself is steered over its own VICI socket.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::case::{Need, Version, version};
use crate::lab::{GUEST_ADDRESS, GUEST_RAVELIN, GUEST_STEER, GUEST_WIRE};
use crate::process::{Daemon, run_for, wait_for};

/// Seconds that making its kernel ready may take.
const BUILD: u64 = 600;
/// How long an emulated boot may take on a slow machine.
const BOOT_EMULATED: u64 = 180;
/// How long a boot with KVM may take before it counts as not working here.
const BOOT_KVM: u64 = 20;
/// The first Linux with SAs for each processor (RFC 9611), which is given two.
const PER_PROCESSOR: Version = (6, 13);
/// How long one command line in the guest may take.
const ANSWER: Duration = Duration::from_secs(90);
/// How many lines of its console tell what became of it: a kernel's last words and what led there.
const CONSOLE: usize = 60;
/// What `guest/agent` puts before a status and the number of the command line.
const MARK: u8 = 0x1e;

/// What the guest is built from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Folder `guest` of this crate.
    pub scripts: PathBuf,
    /// Where the kernel is kept.
    pub cache: PathBuf,
    /// Folder shared with the guest under the same path, writable.
    pub share: PathBuf,
    /// A version of the kernel that is one of Debian's backports; `None`: that of this Debian.
    pub kernel: Option<String>,
}

impl Recipe {
    /// Fetches and unpacks the kernel if it is not there; needs the machine's own network.
    pub fn build(&self) -> Result<()> {
        let mut build = Command::new(self.scripts.join("build"));
        let built = run_for(BUILD, build.arg(&self.cache).args(&self.kernel))?;
        ensure!(built.ok, "guest/build failed: {}", built.text.trim().replace('\n', "; "));
        Ok(())
    }
}

/// A running guest.
#[derive(Debug)]
pub struct Guest {
    recipe: Recipe,
    logs: PathBuf,
    machine: Daemon,
    port: UnixStream,
    kvm: bool,
    /// Command lines sent so far. The answer to one that took too long may still come, and is not that of the next.
    sent: Cell<u64>,
}

impl Guest {
    /// Starts the machine. What its console and qemu say goes to files of the path `logs`, with extensions.
    pub fn boot(recipe: Recipe, logs: &Path) -> Result<Self> {
        let kvm = std::fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
        if kvm && let Ok((machine, port)) = start(&recipe, logs, true) {
            return Ok(Self { recipe, logs: logs.to_owned(), machine, port, kvm, sent: Cell::new(0) });
        }
        let (machine, port) = start(&recipe, logs, false)?;
        Ok(Self { recipe, logs: logs.to_owned(), machine, port, kvm: false, sent: Cell::new(0) })
    }

    /// Waits until the guest takes command lines, and sets up what every case needs there.
    pub fn ready(&mut self, helper: &Path, helper_port: u16) -> Result<()> {
        if self.kvm && self.greet(BOOT_KVM).is_err() {
            // Its links are free when it is gone.
            self.machine.kill()?;
            (self.machine, self.port) = start(&self.recipe, &self.logs, false)?;
            self.kvm = false;
        }
        if !self.kvm {
            self.greet(BOOT_EMULATED)
                .with_context(|| format!("the guest does not boot; its console: {}", self.console()))?;
        }
        self.sh(&format!(
            "ip link set lo up; ip link set eth1 up; ip addr add {GUEST_ADDRESS}/24 dev eth1
             echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 >/proc/sys/net/ipv6/conf/all/disable_ipv6
             setsid {} serve {helper_port} </dev/null >/run/helper.log 2>&1 &",
            helper.display()
        ))?;
        Ok(())
    }

    /// Whether its kernel is one that a case can do with.
    pub fn meets(&self, need: Need) -> Result<bool> {
        match need {
            Need::Linux(least) => {
                let release = self.sh("uname -r")?;
                Ok(version(&release).with_context(|| format!("what is Linux {release}?"))? >= least)
            }
            // The agent has loaded it where there is one.
            Need::Iptfs(wanted) => {
                let found = self.sh("[ ! -e /sys/module/xfrm_iptfs ] || echo found")?;
                Ok((found.trim() == "found") == wanted)
            }
        }
    }

    /// How the guest is run.
    pub fn accelerator(&self) -> &'static str {
        if self.kvm { "kvm" } else { "emulated" }
    }

    /// How it ended, if it runs no longer or takes no command lines.
    pub fn end(&mut self) -> Option<String> {
        let stopped = self.machine.check().err();
        let silent = || self.sh("true").err();
        let end = stopped.or_else(silent)?;
        Some(format!("{end:#}; its console: {}", self.console()))
    }

    /// The last lines of its console.
    fn console(&self) -> String {
        let text = std::fs::read(self.logs.with_extension("console")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.trim().lines().collect();
        lines[lines.len().saturating_sub(CONSOLE)..].join("\n")
    }

    /// Runs a shell line in the guest, which must succeed.
    pub fn sh(&self, line: &str) -> Result<String> {
        let (status, text) = self.answer(line)?;
        if status != "0" {
            bail!("`{line}` failed in the guest with {status}: {}", text.trim());
        }
        Ok(text)
    }

    /// Makes the namespace for a Ravelin in the guest anew, with the link `eth0` in it: the kernel's counters begin at zero.
    pub fn make_ravelin(&self) -> Result<()> {
        // The link comes back some time after the namespace has gone.
        self.sh("[ ! -e /run/netns/ravelin ] || { ip netns pids ravelin | xargs -r kill -9
             ip -n ravelin link set eth0 down; ip -n ravelin link set eth0 name eth2; ip netns del ravelin; }
             for i in $(seq 100); do ip link show eth2 >/dev/null 2>&1 && break; sleep 0.1; done
             ip netns add ravelin; ip link set eth2 netns ravelin
             ip -n ravelin link set lo up; ip -n ravelin link set eth2 name eth0; ip -n ravelin link set eth0 up")
            .map(drop)
    }

    /// Runs a shell line in that namespace, which must succeed.
    pub fn sh_as_ravelin(&self, line: &str) -> Result<String> {
        let line: Vec<&str> = line.lines().map(str::trim).filter(|part| !part.is_empty()).collect();
        let quoted = line.join("; ").replace('\'', r"'\''");
        self.sh(&format!("ip netns exec ravelin sh -ec '{quoted}'"))
    }

    fn greet(&self, seconds: u64) -> Result<()> {
        self.port.set_read_timeout(Some(Duration::from_secs(seconds)))?;
        let (status, _) = self.read_answer().context("waiting for the guest's agent")?;
        if status != "ready" {
            bail!("the guest's agent says `{status}`");
        }
        self.port.set_read_timeout(Some(ANSWER))?;
        Ok(())
    }

    fn answer(&self, line: &str) -> Result<(String, String)> {
        // The agent reads one line at a time.
        let line: Vec<&str> = line.lines().map(str::trim).filter(|part| !part.is_empty()).collect();
        let mut joined = String::from("set -e");
        for part in line {
            joined.push_str(if joined.ends_with('&') { " " } else { "; " });
            joined.push_str(part);
        }
        joined.push('\n');
        self.sent.set(self.sent.get() + 1);
        (&self.port).write_all(joined.as_bytes())?;
        self.read_answer().with_context(|| format!("`{}` in the guest", joined.trim()))
    }

    /// The answer to the last command line: its status and its output.
    fn read_answer(&self) -> Result<(String, String)> {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            while let Some(mark) = bytes.iter().position(|byte| *byte == MARK)
                && let Some(end) = bytes[mark..].iter().position(|byte| *byte == b'\n')
            {
                let rest = bytes.split_off(mark + end + 1);
                let answer = std::mem::replace(&mut bytes, rest);
                let last = String::from_utf8_lossy(&answer[mark + 1..]).trim().to_owned();
                let (status, number) = last.split_once(' ').with_context(|| format!("the guest says `{last}`"))?;
                if number.parse() == Ok(self.sent.get()) {
                    return Ok((status.to_owned(), String::from_utf8_lossy(&answer[..mark]).into_owned()));
                }
            }
            let count = (&self.port).read(&mut buffer)?;
            if count == 0 {
                bail!("the guest is gone");
            }
            bytes.extend_from_slice(&buffer[..count]);
        }
    }
}

fn start(recipe: &Recipe, logs: &Path, kvm: bool) -> Result<(Daemon, UnixStream)> {
    let socket = "/run/guest.sock";
    let _ = std::fs::remove_file(socket);
    let cache = recipe.cache.display();
    let share = recipe.share.display();
    let append = format!(
        "console=ttyS0 panic=-1 rdinit=/init quiet mitigations=off audit=0 tsc=reliable no_timer_check cryptomgr.notests=1 \
         net.ifnames=0 lab.cache={cache} lab.share={share} lab.agent={}",
        recipe.scripts.join("agent").display()
    );
    // Its clock goes astray where it has to wait for a processor; an ordinary user may not put it first, which `nice` says and goes on.
    let mut qemu = Command::new("nice");
    qemu.args(["-n", "-10", "qemu-system-x86_64"]);
    qemu.args(if kvm { ["-accel", "kvm", "-cpu", "host"] } else { ["-accel", "tcg,thread=multi", "-cpu", "max"] })
        // What tells processors apart has to have some; more of them than the machine has would be slow.
        .args([
            "-m",
            "768",
            "-smp",
            if recipe.kernel.as_deref().and_then(version) >= Some(PER_PROCESSOR) { "2" } else { "1" },
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
            "-no-reboot",
        ])
        .args(["-kernel", &format!("{cache}/kernel"), "-initrd", &format!("{cache}/initrd.gz"), "-append", &append])
        .args([
            "-chardev",
            &format!("file,id=console,path={}", logs.with_extension("console").display()),
            "-serial",
            "chardev:console",
        ])
        .args(["-device", "virtio-serial-pci"])
        .args(["-chardev", &format!("socket,id=agent,path={socket},server=on,wait=off")])
        .args(["-device", "virtserialport,chardev=agent,name=agent"])
        .args(["-fsdev", "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"])
        .args(["-device", "virtio-9p-pci,fsdev=host,mount_tag=host"])
        .args(["-fsdev", &format!("local,id=share,path={share},security_model=none,multidevs=remap")])
        .args(["-device", "virtio-9p-pci,fsdev=share,mount_tag=share", "-device", "virtio-rng-pci"]);
    for (index, tap) in [GUEST_WIRE, GUEST_STEER, GUEST_RAVELIN].into_iter().enumerate() {
        qemu.args(["-netdev", &format!("tap,id=n{index},ifname={tap},script=no,downscript=no")]);
        qemu.args(["-device", &format!("virtio-net-pci,netdev=n{index},mac=02:00:00:00:04:0{index},romfile=")]);
    }
    let mut machine = Daemon::start(&mut qemu, &logs.with_extension("qemu"))?;
    let port = wait_for(10, "the guest's virtual port", || {
        machine.check()?;
        UnixStream::connect(socket).context("connecting to the guest")
    })?;
    Ok((machine, port))
}
