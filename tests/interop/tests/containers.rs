//! Two Linux containers (LXC) as gateways, each with a network behind it whose hosts are containers, too.
//!
//! ```text
//!  alice 10.1.0.2 ─── 10.1.0.1 east 192.0.2.1 ═══ 192.0.2.2 west 10.2.0.1 ─── 10.2.0.2 bob
//! ```
//! A container has a root file system, processes and kernel settings of its own; of the machine it has `/usr`, to
//! read, the daemon under test and `/dev/net/tun`. All of them are in network namespaces below one of this test's own, so
//! nothing is left on the machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// How long a container may take to be there, and a tunnel to be up.
const PATIENCE: Duration = Duration::from_secs(30);

/// The test starts itself again below `unshare`, with this set.
const INSIDE: &str = "RAVELIN_CONTAINERS_INSIDE";

#[test]
#[cfg_attr(not(lxc), ignore = "needs Debian's lxc, and leave to start containers")]
fn containers_are_gateways() -> Result<()> {
    if std::env::var_os(INSIDE).is_some() {
        return scene();
    }
    let mut again = Command::new("unshare");
    again.args(["--net", "--mount", "--"]).arg(std::env::current_exe()?);
    again.args(["--exact", "containers_are_gateways", "--nocapture"]).env(INSIDE, "1");
    ensure!(again.status()?.success(), "see above");
    Ok(())
}

fn scene() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("containers");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    for (one, other) in [("wan-e", "wan-w"), ("lan-e", "eth-a"), ("lan-w", "eth-b")] {
        run(Command::new("ip").args(["link", "add", one, "type", "veth", "peer", "name", other]))?;
    }
    let alice = Container::start(&folder, "alice", &["eth-a"], &host("eth-a", 1))?;
    let bob = Container::start(&folder, "bob", &["eth-b"], &host("eth-b", 2))?;
    let east = Container::start(&folder, "east", &["wan-e", "lan-e"], &gateway("e", 1, 2))?;
    let west = Container::start(&folder, "west", &["wan-w", "lan-w"], &gateway("w", 2, 1))?;
    let up = "10.1.0.2 10.2.0.2 192.0.2.1 192.0.2.2 ravelin0".split(' ');
    for (container, what) in [&alice, &bob, &east, &west].into_iter().zip(up) {
        container.until(&format!("ip address | grep -q {what}"))?;
    }
    for gateway in [&east, &west] {
        gateway.until("ravelin ipsec netstat >/dev/null && ip link show ravelin0 >/dev/null")?;
    }

    // What crosses the wire between the gateways is counted there, by the kernel of the far one.
    west.run("nft add table ip seen; nft add chain ip seen in '{ type filter hook prerouting priority -400; }'")?;
    for what in ["esp", "icmp"] {
        west.run(&format!("nft add rule ip seen in iifname wan-w ip protocol {what} counter comment '\"{what}\"'"))?;
    }
    alice.until("ping -c 1 -W 1 10.2.0.2 >/dev/null")?;
    let said = alice.run("ping -c 20 -i 0.05 -W 2 -I 10.1.0.2 10.2.0.2")?;
    ensure!(said.contains("20 packets transmitted, 20 received"), "{said}");
    let said = bob.run("ping -c 20 -i 0.05 -W 2 10.1.0.2")?;
    ensure!(said.contains("20 packets transmitted, 20 received"), "{said}");
    let seen = west.run("nft list table ip seen")?;
    let packets = |what: &str| {
        let line = seen.lines().find(|line| line.contains(&format!("comment \"{what}\"")))?;
        line.split("counter packets ").nth(1)?.split(' ').next()?.parse::<u64>().ok()
    };
    ensure!(packets("esp").is_some_and(|count| count >= 41), "not all came protected:\n{seen}");
    ensure!(packets("icmp") == Some(0), "in the clear between the gateways:\n{seen}");

    let listed = west.run("ravelin ipsec netstat")?;
    ensure!(listed.contains("10.2.0.0") && listed.contains("192.0.2.1"), "{listed}");
    // A gateway that stops leaves its container as it was.
    east.run("kill $(cat /run/daemon)")?;
    east.until("! ip link show ravelin0 2>/dev/null && ! nft list ruleset | grep -q ravelin")
}

/// What a host of network `net` does.
fn host(link: &str, net: u8) -> String {
    format!("ip address add 10.{net}.0.2/24 dev {link}; ip route add default via 10.{net}.0.1; exec sleep 600")
}

/// What the gateway between network `own` and network `peer` does.
fn gateway(side: &str, own: u8, peer: u8) -> String {
    format!(
        "ip address add 192.0.2.{own}/24 dev wan-{side}; ip address add 10.{own}.0.1/24 dev lan-{side}
        ip route add default via 192.0.2.{peer}; sysctl -q net.ipv4.ip_forward=1
        printf '%s' 'a secret of two containers' >/run/secret; chmod 600 /run/secret
        cat >/run/ike_rc <<END
ipsec policy -n net -g peer -t ESP -e AES128-GCM -m tunnel -p any -r 192.0.2.{peer} -s 10.{own}.0.0/24 -d 10.{peer}.0.0/24
ike remote -n peer -z 2 -w -u -e AES128-GCM -p HMAC-SHA-2-256 -d CURVE25519 -m PSK -h /run/secret -r 192.0.2.{peer} -f 192.0.2.{peer} -g 192.0.2.{own}
END
        ravelin daemon --rc /run/ike_rc & echo $! >/run/daemon; wait $!; exec sleep 600"
    )
}

/// A running container, stopped when it is dropped.
struct Container {
    name: String,
    folder: PathBuf,
    started: Child,
}

impl Container {
    /// Gives it these links of the test's namespace and runs `script` in it.
    fn start(folder: &Path, name: &str, links: &[&str], script: &str) -> Result<Self> {
        let own = folder.join(name);
        let root = own.join("root");
        for place in ["usr", "run", "tmp", "dev", "proc", "sys", "etc", "var", "opt"] {
            fs::create_dir_all(root.join(place))?;
        }
        for place in ["bin", "sbin", "lib", "lib64"] {
            std::os::unix::fs::symlink(format!("usr/{place}"), root.join(place))?;
        }
        fs::write(root.join("etc/start"), format!("exec >/log 2>&1\nexport PATH=/opt:$PATH\n{script}\n"))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755))?;
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("debug");
        let (root, program) = (root.display(), program.display());
        let mut config = format!(
            "lxc.uts.name = {name}
lxc.rootfs.path = dir:{root}
lxc.mount.auto = proc:rw sys:rw
lxc.mount.entry = /usr usr none ro,rbind 0 0
lxc.mount.entry = {program} opt none ro,bind 0 0
lxc.mount.entry = tmpfs run tmpfs rw 0 0
lxc.mount.entry = /dev/net dev/net none bind,create=dir 0 0
"
        );
        for (index, link) in links.iter().enumerate() {
            for (key, value) in [("type", "phys"), ("link", link), ("name", link), ("flags", "up")] {
                config.push_str(&format!("lxc.net.{index}.{key} = {value}\n"));
            }
        }
        fs::write(own.join("config"), config)?;
        let log = fs::File::create(own.join("lxc.log"))?;
        let mut start = Command::new("lxc-execute");
        start.args(["--name", name, "--lxcpath"]).arg(folder).arg("--rcfile").arg(own.join("config"));
        start.args(["--", "/bin/sh", "/etc/start"]);
        let started = start.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        Ok(Container { name: name.to_owned(), folder: folder.to_owned(), started })
    }

    /// Runs a line in it; what that printed.
    fn run(&self, line: &str) -> Result<String> {
        let mut inside = Command::new("lxc-attach");
        inside.args(["--name", &self.name, "--lxcpath"]).arg(&self.folder);
        inside.args(["--clear-env", "--set-var", "PATH=/opt:/usr/sbin:/usr/bin", "--", "/bin/sh", "-c", line]);
        run(&mut inside).with_context(|| {
            let log = fs::read_to_string(self.folder.join(&self.name).join("root/log")).unwrap_or_default();
            format!("in the container {}, whose log is:\n{log}", self.name)
        })
    }

    /// Waits until a line succeeds in it.
    fn until(&self, line: &str) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.run(line) {
                Err(error) if Instant::now() > end => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
                Ok(_) => return Ok(()),
            }
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let mut stop = Command::new("lxc-stop");
        let _ = stop.args(["--kill", "--name", &self.name, "--lxcpath"]).arg(&self.folder).output();
        let _ = self.started.wait();
    }
}

fn run(command: &mut Command) -> Result<String> {
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{command:?} ended with {}: {said}{errors}", done.status);
    Ok(said)
}
