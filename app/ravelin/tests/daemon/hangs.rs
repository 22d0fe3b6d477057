//! A packet filter that does not answer: `nft` in the daemon's own view of the files hangs when a file says so.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::{fs, thread, time};

use rustix::process::Signal;

use super::lab::{Lab, traces};

const NFT: &str = "/usr/sbin/nft";

fn policy(name: &str, peer: &str) -> String {
    format!("ipsec policy -n {name} --action discard -s any -d {peer}")
}

// ADR 0054: who changes policies waits until they are in force, and no longer than that makes sense.
pub fn a_packet_filter_that_hangs_holds_nobody_for_ever() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() || !Path::new(NFT).exists() {
        return Err("another nft in its place takes root, and nft there");
    }
    let mut lab = Lab::new("hangs");
    let at = |name: &str| lab.path().join(name);
    fs::copy(NFT, at("real")).expect("a copy");
    let script = format!(
        "#!/bin/sh\n[ -e {} ] && exec sleep 1000\nexec {} \"$@\"\n",
        at("hang").display(),
        at("real").display()
    );
    lab.write("nft", &script);
    fs::set_permissions(at("nft"), fs::Permissions::from_mode(0o755)).expect("a mode");
    let (hang, bind) = (at("hang"), format!("mount --bind {} {NFT} && exec \"$@\"", at("nft").display()));
    lab.through(&["unshare", "--mount", "sh", "-c", &bind, "sh"]);
    let daemon = lab.daemon("");
    lab.ok(&policy("one", "192.0.2.1"));

    fs::write(&hang, "").expect("a file");
    let refused = lab.ravelin(&policy("two", "192.0.2.2"));
    assert_ne!(refused.status, Some(0));
    assert!(refused.stderr.contains("run nft: it did not end within 10 s and was stopped"), "{}", refused.stderr);
    // The daemon is there, and goes on when the filter does.
    lab.ok("ipsec netstat");
    fs::remove_file(&hang).expect("the file");
    let end = time::Instant::now() + time::Duration::from_secs(60);
    while lab.ravelin(&policy("three", "192.0.2.3")).status != Some(0) {
        assert!(time::Instant::now() < end, "{}", lab.log());
        thread::sleep(time::Duration::from_millis(100));
    }

    // It ends as well, and leaves the table for the next one to remove.
    fs::write(&hang, "").expect("a file");
    daemon.end(Signal::TERM);
    fs::remove_file(&hang).expect("the file");
    assert!(lab.log().contains("did not end within 10 s"), "{}", lab.log());
    let daemon = lab.daemon("");
    assert!(daemon.end(Signal::TERM).success());
    assert_eq!(traces(), [false, false, false]);
    Ok(())
}
