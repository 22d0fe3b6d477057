//! Whole files of commands: written, called, and read at the start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab};

pub fn the_commands_of_a_daemon_make_it_anew() -> Result<(), &'static str> {
    let lab = Lab::new("commands");
    lab.write("secret file", "hunter2\n");
    lab.write(
        "ike_rc",
        "ike remote -n gw -z 2 -w -u -e 3DES-CBC,AES192-CBC -a HMAC-SHA-2-512 -p HMAC-MD5 -d MODP3072 -r 10.0.0.78 \
         -g fqdn:here -h 'secret file'\n\
         ipsec policy -n p1 -g gw -t ESP -e 3DES-CBC -a HMAC-SHA-2-384 -m tunnel -r 10.0.0.78 -s any -d 10.2.0.0/16\n\
         call more\n",
    );
    lab.write("more", "ipsec policy -n p2 --action bypass -p icmp/8 -s any -d any -l 2500\n");
    let daemon = lab.daemon("--rc ike_rc");
    let listed = |lab: &Lab| ["ipsec policy -v --json", "ike remote -v --json"].map(|line| lab.ok(line));
    let before = listed(&lab);
    // A link of this name is neither followed nor replaced.
    let file = lab.path().join("ike_dump_cmds.txt");
    std::os::unix::fs::symlink("precious", &file).expect("a link");
    let refused = lab.ravelin("ike commands");
    assert!(refused.status == Some(1) && refused.stderr.contains("no regular file"), "{}", refused.stderr);
    assert!(!lab.path().join("precious").exists());
    fs::remove_file(&file).expect("a link");
    assert!(lab.ok("ike commands").contains("ike_dump_cmds.txt: 3 commands"));
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    let text = lab.ok("ike commands -f -");
    assert_eq!(fs::read_to_string(&file).expect("a file"), text);
    assert!(!text.contains("hunter2"), "{text}");
    assert!(daemon.end(rustix::process::Signal::TERM).success());
    let daemon = lab.daemon("--rc ike_dump_cmds.txt");
    assert_eq!(listed(&lab), before);
    // And through a running daemon: everything goes, and comes again with one call.
    lab.ok("ike flush");
    lab.ok("ipsec flush -a");
    lab.write("and", "call ike_dump_cmds.txt\nipsec policy -v -n p1\nike initiate nothing\nipsec netstat\n");
    let answer = lab.ravelin("call and");
    assert!(answer.stdout.contains("Policy p1, SPID="), "{}", answer.stdout);
    assert!(!answer.stdout.contains("IKE counters"));
    assert_eq!(answer.status, Some(1));
    assert!(answer.stderr.contains("and:3:1: stopped at `ike initiate nothing`"), "{}", answer.stderr);
    assert_eq!(lab.ok("ike commands -f -"), text);
    drop(daemon);
    Ok(())
}

/// Requirement S-123, with real duplicate address detection.
pub fn an_ike_rc_waits_for_its_addresses() -> Result<(), &'static str> {
    let lab = Lab::new("settle");
    lab.write("psk", "secret\n");
    lab.write(
        "ike_rc",
        "ike remote -n gw -w -u -r fd00:9::2 --local fd00:9::1 -h psk\n\
         ipsec policy -n p1 -g gw -m tunnel -r fd00:9::2 -s fd00:1::/64 -d fd00:2::/64\n\
         ike initiate p1\n\
         ipsec policy -v -n p1\n",
    );
    // The cable comes up last, so the address is tentative when the daemon starts.
    let _elsewhere = Elsewhere::new("fd00:9::1/64", "fd00:9::2/64");
    let _daemon = lab.daemon("--rc ike_rc");
    let end = Instant::now() + Duration::from_secs(20);
    while !lab.ok("ike netstat").contains("IKESession gw") {
        assert!(Instant::now() < end, "{}", lab.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = lab.log();
    let waits = log.find("commands of the file wait until fd00:9::1 can be used, 60 s at most");
    let listed = log.find("ike_rc:4:1: Policy p1, SPID=");
    assert!(waits.is_some() && waits < listed, "{log}");
    Ok(())
}
