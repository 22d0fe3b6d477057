//! Two daemons, one of which is killed and comes back (RFC 6290).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::lab::{Elsewhere, Lab, sh};

const PATIENCE: Duration = Duration::from_secs(20);
/// As `limits::CRASH_PAUSE`, and some more.
const OLD_ENOUGH: Duration = Duration::from_secs(11);

fn rc(own: &str, peer: &str, role: &str) -> String {
    format!(
        "ipsec policy -n p1 -g peer -t ESP -e AES128-GCM -m tunnel -r {peer} -s {own} -d {peer}\n\
         ike remote -n peer {role} -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r {peer} \
         -f ipv4:{peer} -g ipv4:{own} -h secret.txt --liveness 1 --crash-detection\n"
    )
}

fn ping() -> bool {
    let mut ping = Command::new("ping");
    ping.args(["-c", "1", "-W", "1", "10.9.0.2"]).stdout(Stdio::null()).status().expect("ping").success()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

// RFC 6290 §1.1, RFC 6290 §4.5: the daemon that is back makes the token of the one before it. Retransmissions alone would take
// the peer a minute.
pub fn a_daemon_that_is_back_after_a_crash_shows_its_token() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (a, b) = (Lab::new("crash-a"), Lab::elsewhere("crash-b", &elsewhere));
    a.write("ike_rc", &rc("10.9.0.1", "10.9.0.2", "-w"));
    // It begins nothing, so what comes back comes from the other side.
    b.write("ike_rc", &rc("10.9.0.2", "10.9.0.1", "-u"));
    for lab in [&a, &b] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    let _daemon_a = a.daemon("--rc ike_rc");
    let daemon_b = b.daemon("--rc ike_rc");
    let recording = a.path().join("crash.pcap");
    let tshark = Command::new("tshark").args(["-q", "-i", "cable", "-w"]).arg(&recording).stderr(Stdio::null()).spawn();
    if tshark.is_ok() {
        until("tshark does not record", || recording.exists());
    }
    a.ok("ike initiate p1");
    assert!(ping(), "{} {}", a.log(), b.log());
    std::thread::sleep(OLD_ENOUGH);

    let file = b.path().join("state/crash-secret");
    let secret = fs::read(&file).expect("the secret");
    let mode = fs::metadata(&file).expect("the secret").mode();
    assert_eq!((secret.len(), mode & 0o777), (32, 0o600));
    daemon_b.end(Signal::KILL);
    assert!(!ping(), "nobody is there");
    let _daemon_b = b.daemon("--rc ike_rc");
    assert_eq!(fs::read(&file).expect("the secret"), secret);
    until("the tunnel is not up again", ping);
    assert!(a.log().contains("the peer has lost its state, as its token shows"), "{}", a.log());

    if let Ok(mut tshark) = tshark {
        // What it has heard it writes some tenths of a second later.
        std::thread::sleep(Duration::from_secs(1));
        let _ = kill_process(Pid::from_child(&tshark), Signal::INT);
        let _ = tshark.wait();
        let file = recording.to_string_lossy().into_owned();
        let filter = "isakmp.notify.msgtype == 16419";
        let fields = ["-e", "ip.src", "-e", "isakmp.exchangetype", "-e", "isakmp.notify.msgtype"];
        let seen = sh("tshark", &[&["-r", &file, "-Y", filter, "-T", "fields"], &fields[..]].concat());
        // One, in clear, from the host that crashed: INVALID_IKE_SPI (4) and QCD_TOKEN.
        assert_eq!(seen.trim(), "10.9.0.2\t37\t4,16419");
        assert_eq!(sh("tshark", &["-r", &file, "-Y", "icmp.type == 8 || icmp.type == 0"]), "", "nothing in clear");
    }
    Ok(())
}
