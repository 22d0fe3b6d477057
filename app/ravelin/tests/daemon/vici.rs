//! Clients that others wrote, over the daemon's control socket.

use std::process::{Command, Stdio};

use super::lab::Lab;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/vici_client.py");

/// strongSwan's client for Python, as `RAVELIN_PYTHON` or `python3` has it.
pub fn a_python_client_loads_lists_initiates_and_hears_events() -> Result<(), &'static str> {
    let python = std::env::var_os("RAVELIN_PYTHON").unwrap_or_else(|| "python3".into());
    let vici = Command::new(&python).args(["-c", "import vici"]).stderr(Stdio::null()).status();
    if !vici.is_ok_and(|status| status.success()) {
        return Err("there is no Python with the package vici");
    }
    let lab = Lab::new("python");
    let _daemon = lab.daemon("");
    let output = Command::new(&python).arg(SCRIPT).arg(lab.path().join("socket")).output().expect("a Python");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout == b"done\n", "{error}\n{}", lab.log());
    Ok(())
}
