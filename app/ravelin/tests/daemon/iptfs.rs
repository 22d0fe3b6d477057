//! Two daemons whose packets share AGGFRAG payloads, or are spread over them (RFC 9347).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab};

const PATIENCE: Duration = Duration::from_secs(20);

fn rc(own: &str, peer: &str, role: &str, options: &str) -> String {
    format!(
        "ipsec policy -n p1 -g peer -t ESP -e AES128-GCM -m tunnel -r {peer} -s {own} -d {peer} {options}\n\
         ike remote -n peer -z 2 {role} -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r {peer} \
         -f ipv4:{peer} -g ipv4:{own} -h secret.txt\n"
    )
}

fn hosts(elsewhere: &Elsewhere, name: &str, options: [&str; 2]) -> (Lab, Lab) {
    let (a, b) = (Lab::new(&format!("{name}-a")), Lab::elsewhere(&format!("{name}-b"), elsewhere));
    a.write("ike_rc", &rc("10.9.0.1", "10.9.0.2", "-w", options[0]));
    b.write("ike_rc", &rc("10.9.0.2", "10.9.0.1", "-u", options[1]));
    for lab in [&a, &b] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    (a, b)
}

fn ping(count: &str, size: &str) -> bool {
    let mut ping = Command::new("ping");
    ping.args(["-c", count, "-i", "0.2", "-W", "2", "-s", size, "10.9.0.2"]);
    ping.stdout(Stdio::null()).status().expect("ping").success()
}

/// A connection carries a mebibyte, and brings it back.
fn connect(elsewhere: &Elsewhere) {
    let listening = elsewhere.run(|| TcpListener::bind("10.9.0.2:5001").expect("an address of this namespace"));
    let listener = listening.join().expect("a thread that binds");
    let echo = elsewhere.run(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut bytes = vec![0; 1 << 20];
        stream.read_exact(&mut bytes).expect("all of it");
        stream.write_all(&bytes).expect("all of it");
    });
    let mut stream = TcpStream::connect("10.9.0.2:5001").expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let sent: Vec<u8> = (0..1u32 << 18).flat_map(|n| n.wrapping_mul(0x9e37_79b1).to_be_bytes()).collect();
    stream.write_all(&sent).expect("all of it");
    let mut back = vec![0; sent.len()];
    stream.read_exact(&mut back).expect("all of it");
    assert!(back == sent, "what came back is not what was sent");
    echo.join().expect("a thread that answers");
}

/// What the two sides list of the mode of their Child SA.
fn modes(hosts: &[&Lab]) -> Vec<bool> {
    let listed = |lab: &&Lab| lab.ok("ike netstat").contains("INSTALLED, iptfs");
    hosts.iter().map(listed).collect()
}

pub fn packets_share_payloads_between_two_daemons() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    // Nothing longer passes, and nothing is cut.
    elsewhere.sh("nft add table inet wire");
    elsewhere.sh("nft add chain inet wire in { type filter hook prerouting priority -400; }");
    elsewhere.sh("nft add rule inet wire in iifname cable meta l4proto { esp, udp } meta length > 700 drop");
    let (a, b) = hosts(&elsewhere, "iptfs", ["--iptfs as-needed --mtu 700"; 2]);
    let _daemons = (a.daemon("--rc ike_rc"), b.daemon("--rc ike_rc"));
    a.ok("ike initiate p1");
    assert_eq!(modes(&[&a, &b]), [true, true], "{}", a.ok("ike netstat"));
    assert!(ping("3", "56") && ping("2", "4000"), "{} {}", a.log(), b.log());
    connect(&elsewhere);
    for host in [&a, &b] {
        host.ok("ike rekey --child p1");
        assert!(ping("3", "1400"));
        assert_eq!(modes(&[&a, &b]), [true, true]);
    }
    assert!(!a.ok("why peer").contains("note:"));
    Ok(())
}

pub fn a_peer_without_iptfs_gets_a_plain_tunnel_or_none() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (a, b) = hosts(&elsewhere, "iptfs-plain", ["--iptfs as-needed", ""]);
    let daemons = (a.daemon("--rc ike_rc"), b.daemon("--rc ike_rc"));
    a.ok("ike initiate p1");
    assert!(ping("3", "56"));
    assert_eq!(modes(&[&a, &b]), [false, false]);
    let why = a.ok("why peer");
    assert!(why.contains("note: p1 is in plain tunnel mode: the peer does not take AGGFRAG payloads"), "{why}");
    drop(daemons);

    // What hides traffic is not done without.
    a.write("ike_rc", &rc("10.9.0.1", "10.9.0.2", "-w", "--iptfs 2M"));
    let daemons = (a.daemon("--rc ike_rc"), b.daemon("--rc ike_rc"));
    assert_ne!(a.ravelin("ike initiate p1").status, Some(0));
    let why = a.ok("why peer");
    assert!(why.contains("different modes of the Child SA") && why.contains("constant rate"), "{why}");
    drop(daemons);

    b.write("ike_rc", &rc("10.9.0.2", "10.9.0.1", "-u", "--iptfs 2M"));
    let _daemons = (a.daemon("--rc ike_rc"), b.daemon("--rc ike_rc"));
    a.ok("ike initiate p1");
    assert_eq!(modes(&[&a, &b]), [true, true]);
    assert!(ping("3", "1400"));
    // And with nothing to send.
    let end = Instant::now() + PATIENCE;
    let dummies = || a.ok("ipsec netstat --json").contains("\"dummy-packets\": 0");
    while dummies() {
        assert!(Instant::now() < end, "{}", a.ok("ipsec netstat --json"));
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
