//! The table of peer implementations, and what each needs on this machine.

use std::path::Path;
use std::process::Command;

use crate::process::run;

/// Folder of strongSwan's daemon in Debian.
pub const CHARON: &str = "/usr/lib/ipsec/charon";

/// The folder of the newer strongSwan.
pub const SWAN6: &str = "strongswan6";
/// Its suite, and what it is made of there. OpenSSL's plugin finds its library too old, and is done without.
const SWAN6_PACKAGES: &[&str] = &[
    "forky",
    "strongswan-charon",
    "strongswan-libcharon",
    "strongswan-swanctl",
    "libstrongswan",
    "libstrongswan-standard-plugins",
    "libstrongswan-extra-plugins",
    "libc6",
];

/// A peer implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// strongSwan in a namespace, ESP in user space (`kernel-libipsec`): tunnel mode in UDP only.
    Userspace,
    /// strongSwan in a guest, ESP in the guest's Linux kernel.
    Kernel,
    /// A newer strongSwan there, of the Debian after the next, unpacked beside with the C library that it was built with.
    Swan6,
    /// Libreswan in the same guest, with the same kernel. Its package conflicts with strongSwan's, so it is unpacked beside.
    Libreswan,
    /// A newer Libreswan of the next Debian there, with the libraries that this one does not have.
    Libreswan5,
    /// OpenIKED there, likewise unpacked. It speaks to the kernel by PF_KEY.
    OpenIked,
    /// vpnc in a namespace, ESP in user space: a client of IKEv1 with XAuth, which only begins.
    Vpnc,
}

const COMMON: &[&str] = &[
    CHARON,
    "/usr/lib/ipsec/plugins/libstrongswan-vici.so",
    "/usr/lib/ipsec/plugins/libstrongswan-curve25519.so",
    "/usr/lib/ipsec/plugins/libstrongswan-chapoly.so",
    "swanctl",
    "ethtool",
    "ip",
    "ping",
    "nft",
    "timeout",
];
const USERSPACE: &[&str] = &["/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so", "/dev/net/tun"];
const LIBRESWAN: &[&str] = &["certutil", "pk12util", "openssl"];
const LIBRESWAN5: &[&str] = &["certutil", "/usr/lib/x86_64-linux-gnu/libcurl-gnutls.so.4"];
const OPENIKED: &[&str] = &["/usr/lib/x86_64-linux-gnu/libevent-2.1.so.7"];
const KERNEL: &[&str] = &["qemu-system-x86_64", "/bin/busybox", "cpio", "xz", "modprobe", "/dev/net/tun"];

impl Peer {
    /// What a reader calls it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Userspace => "strongSwan, ESP in user space",
            Peer::Kernel => "strongSwan, ESP in the Linux kernel",
            Peer::Swan6 => "strongSwan 6, ESP in the Linux kernel",
            Peer::Libreswan => "Libreswan, ESP in the Linux kernel",
            Peer::Libreswan5 => "Libreswan 5, ESP in the Linux kernel",
            Peer::OpenIked => "OpenIKED, ESP in the Linux kernel",
            Peer::Vpnc => "vpnc, ESP in user space",
        }
    }

    /// Whether it runs in the guest.
    pub fn needs_guest(self) -> bool {
        !matches!(self, Peer::Userspace | Peer::Vpnc)
    }

    /// What the lab unpacks for it: the folder, and what `guest/package` takes after it.
    pub fn package(self) -> Option<(&'static str, &'static [&'static str])> {
        match self {
            Peer::Userspace | Peer::Kernel | Peer::Vpnc => None,
            Peer::Libreswan => Some(("libreswan", &[])),
            Peer::Swan6 => Some((SWAN6, SWAN6_PACKAGES)),
            // Its program runs with the C library and the libldap that it was built with.
            Peer::Libreswan5 => Some(("libreswan5", &["trixie", "libreswan", "libc6", "libldap2"])),
            Peer::OpenIked => Some(("openiked", &[])),
        }
    }

    /// Fetches and unpacks its package if it is not there; needs the machine's own network. Without it, its cases are skipped.
    pub fn unpack(self, scripts: &Path, cache: &Path) {
        if let Some((package, more)) = self.package()
            && let Ok(answer) = run(Command::new(scripts.join("package")).arg(cache).arg(package).args(more))
            && !answer.ok
        {
            eprintln!("no {package}: {}", answer.text.trim());
        }
    }

    /// What is missing here to run cases against this peer.
    pub fn missing(self, cache: &Path) -> Vec<&'static str> {
        let own: &[&[&str]] = match self {
            Peer::Userspace => &[USERSPACE],
            Peer::Kernel | Peer::Swan6 => &[KERNEL],
            Peer::Libreswan => &[KERNEL, LIBRESWAN],
            Peer::Libreswan5 => &[KERNEL, LIBRESWAN5],
            Peer::OpenIked => &[KERNEL, OPENIKED],
            Peer::Vpnc => &[&["vpnc", "/dev/net/tun"]],
        };
        let needs = COMMON.iter().chain(own.iter().copied().flatten()).copied();
        let unpacked = self.package().map(|(package, _)| package).filter(|package| !cache.join(package).is_dir());
        needs.filter(|need| !present(need)).chain(unpacked).collect()
    }
}

/// Whether a path exists, or a program is in `PATH` or in the folders of system programs.
pub fn present(need: &str) -> bool {
    if need.starts_with('/') {
        return Path::new(need).exists();
    }
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').chain(["/usr/sbin", "/sbin"]).any(|folder| Path::new(folder).join(need).is_file())
}
