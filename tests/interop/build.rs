//! Tells the tests whether Debian's scapy is installed, so that the one that needs it is reported as ignored where it is
//! not.

use std::path::Path;

const SCAPY: &str = "/usr/lib/python3/dist-packages/scapy/layers/ipsec.py";

fn main() {
    println!("cargo::rerun-if-changed={SCAPY}");
    println!("cargo::rustc-check-cfg=cfg(scapy)");
    if Path::new(SCAPY).exists() {
        println!("cargo::rustc-cfg=scapy");
    }
}
