//! Tells the tests what is there, so that those that need something are reported as ignored where it is not: Debian's
//! scapy and eapol_test, and LXC with leave to start containers.

use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs, io};

const SCAPY: &str = "/usr/lib/python3/dist-packages/scapy/layers/ipsec.py";
const EAPOL_TEST: &str = "/usr/bin/eapol_test";
const LXC: &str = "/usr/bin/lxc-execute";

fn main() {
    let containers = contains().unwrap_or(false);
    let exists = |path| Path::new(path).exists();
    for (name, path, there) in
        [("scapy", SCAPY, exists(SCAPY)), ("eapol_test", EAPOL_TEST, exists(EAPOL_TEST)), ("lxc", LXC, containers)]
    {
        println!("cargo::rerun-if-changed={path}");
        println!("cargo::rustc-check-cfg=cfg({name})");
        if there {
            println!("cargo::rustc-cfg={name}");
        }
    }
}

/// Whether a container can be started.
fn contains() -> io::Result<bool> {
    let folder = env::var("OUT_DIR").unwrap_or_default();
    let (root, config) = (format!("{folder}/root"), format!("{folder}/trial.conf"));
    for name in ["usr", "dev", "proc"] {
        fs::create_dir_all(format!("{root}/{name}"))?;
    }
    let lines = format!("lxc.rootfs.path = dir:{root}\nlxc.mount.entry = /usr usr none ro,rbind 0 0\n");
    fs::write(&config, format!("{lines}lxc.mount.auto = proc:rw\nlxc.net.0.type = empty\n"))?;
    for library in ["lib", "lib64"] {
        let link = format!("{root}/{library}");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("usr/{library}"), link)?;
    }
    let mut trial = Command::new(LXC);
    trial.args(["--name", "ravelin-trial", "--lxcpath", &folder, "--rcfile", &config, "--", "/usr/bin/true"]);
    Ok(trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?.success())
}
