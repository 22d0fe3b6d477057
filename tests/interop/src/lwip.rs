//! The example under lwIP, which is C: built here, against Debian's lwIP and Ravelin's C interface as cargo left it.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::runner::Places;

/// What the program is linked to, Ravelin's library aside.
const LIBRARIES: [&str; 5] = ["-llwip", "-lgcc_s", "-lpthread", "-ldl", "-lm"];

/// Builds the program where `places` says that it is.
///
/// # Errors
/// When lwIP or the library of the C interface are not there, or the program does not compile.
pub fn build(places: &Places) -> Result<()> {
    let library = places.ravelin.with_file_name("libravelin_ffi.a");
    ensure!(library.is_file(), "there is no {}: `cargo build -p ravelin-ffi` makes it", library.display());
    if !Path::new("/usr/include/lwip/lwip/netif.h").is_file() {
        bail!("there is no lwIP: Debian has it in liblwip-dev");
    }
    let root = places.source.join("../..");
    let sources = ["main.c", "protect.c", "keys.c"].map(|name| root.join("examples/lwip").join(name));
    fs::create_dir_all(places.lwip.parent().context("the folder of the example")?)?;
    let mut cc = Command::new("cc");
    // lwIP's own headers are not as strict.
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g", "-O1", "-isystem", "/usr/include/lwip"]);
    cc.arg("-I").arg(root.join("app/ffi/include")).args(sources).arg("-o").arg(&places.lwip);
    let output = cc.arg(library).args(LIBRARIES).output().context("cannot run cc")?;
    ensure!(output.status.success(), "the example under lwIP: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
