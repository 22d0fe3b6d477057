//! Tells the tests whether the library's header is installed, so that the one that needs it is reported as ignored
//! where it is not.

use std::path::Path;

const HEADER: &str = "/usr/include/intel-ipsec-mb.h";

fn main() {
    println!("cargo::rerun-if-changed={HEADER}");
    println!("cargo::rustc-check-cfg=cfg(ipsec_mb_header)");
    if Path::new(HEADER).exists() {
        println!("cargo::rustc-cfg=ipsec_mb_header");
    }
}
