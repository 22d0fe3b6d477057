//! The Debian packages that the verbs need, in one place, and how they get onto the machine.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::workspace::{Workspace, run, succeeds};

/// What the daemon and `ravelin demo` call.
pub const RUN: &[&str] = &["iproute2", "nftables"];

/// What `tests/interop` needs beyond that: strongSwan as the peer, a virtual machine whose kernel has ESP, and the libraries and
/// tools of Libreswan and OpenIKED, whose own packages conflict with strongSwan's and are unpacked by the lab; what builds a
/// module of the guest's kernel; and the stack of an example, which runs under valgrind.
pub const LAB: &[&str] = &[
    "busybox-static",
    "cpio",
    "ethtool",
    "freeradius",
    "freeradius-utils",
    "gcc",
    "hostapd",
    "iptables",
    "iputils-ping",
    "kmod",
    "libcap-ng0",
    "libcharon-extauth-plugins",
    "libcharon-extra-plugins",
    "libcurl3-gnutls",
    "libcurl3-nss",
    "libelf1",
    "libevent-2.1-7",
    "libevent-core-2.1-7",
    "libevent-pthreads-2.1-7",
    "libldap-2.5-0",
    "libldns3",
    "liblwip-dev",
    "libnss3-tools",
    "libstrongswan-extra-plugins",
    "libstrongswan-standard-plugins",
    "libunbound8",
    "make",
    "openssl",
    "qemu-system-x86",
    "softhsm2",
    "strongswan-charon",
    "strongswan-pki",
    "strongswan-starter",
    "strongswan-swanctl",
    "tshark",
    "valgrind",
    "vpnc",
    "xz-utils",
    "zstd",
];

/// What tests look for at run time and are skipped without: what runs C programs and finds their faults, another
/// implementation of ESP and AH and one of EAP, a PKCS #11 token, containers, Kerberos, and the library of packet ciphers, which exists
/// for x86-64, with its header.
pub const TEST: &[&str] = &[
    "eapoltest",
    "iputils-ping",
    "krb5-admin-server",
    "krb5-kdc",
    #[cfg(target_arch = "x86_64")]
    "libipsec-mb-dev",
    "libkrb5-dev",
    "lxc",
    "openssl",
    "pkg-config",
    "python3-cryptography",
    "python3-scapy",
    "python3-venv",
    "softhsm2",
    "valgrind",
];

/// What the tunnels are measured with and against.
pub const BENCH: &[&str] = &["iperf3", "iputils-ping", "wireguard-go", "wireguard-tools"];

/// What libFuzzer is built with.
pub const FUZZ: &[&str] = &["g++"];

/// The guest's kernel is taken out of the package that this one depends on, which is not installed.
const KERNEL: &str = "linux-image-amd64";

/// Installs those of `packages` that are missing. Quick when all are there.
///
/// # Errors
/// When the machine is not a Debian, or packages are missing and we may not install them.
pub fn install(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    if workspace.no_setup {
        return Ok(());
    }
    if !succeeds(Command::new("dpkg-query").arg("--version")) {
        bail!(
            "this machine has no dpkg, so the Debian packages cannot be checked or installed. Install what corresponds \
             to them ({}), then repeat the command with --no-setup",
            packages.join(" ")
        );
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !installed(package)).collect();
    let needs_kernel = packages.contains(&"qemu-system-x86");
    if !missing.is_empty() || (needs_kernel && !known(KERNEL)) {
        apt(&["update", "-qq"])?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("missing packages: {}", missing.join(" "));
    let mut args = vec!["install", "-y", "-qq", "--no-install-recommends"];
    args.extend(&missing);
    apt(&args)
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status}", package])
        .output()
        .is_ok_and(|output| output.status.success() && output.stdout == b"installed")
}

/// Whether apt has heard of a package.
fn known(package: &str) -> bool {
    succeeds(Command::new("apt-cache").args(["show", package]))
}

/// `apt-get` as root, through sudo when we are somebody else. No service of a package is started: a peer daemon that
/// comes up by itself would take the IKE ports of the machine.
fn apt(args: &[&str]) -> Result<()> {
    let root = Command::new("id").arg("-u").output().context("cannot run id")?.stdout.trim_ascii() == b"0";
    let mut command = if root {
        Command::new("env")
    } else {
        if !succeeds(Command::new("sudo").args(["-n", "true"])) {
            bail!("packages must be installed: as root run `apt-get {}`, or give this user sudo", args.join(" "));
        }
        let mut command = Command::new("sudo");
        command.args(["-n", "env"]);
        command
    };
    run(command.args(["DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get"]).args(args))
}
