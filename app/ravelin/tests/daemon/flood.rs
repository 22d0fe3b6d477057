//! A flood of first messages from everywhere: who is here stays, and who is honest gets in.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab, sh};

const GATEWAY: &str = "10.9.0.1";
/// From where the flood comes: any address of 198.18.0.0/15.
const FIRST: u32 = 0xc612_0000;
const ADDRESSES: u32 = 1 << 17;
/// So many at a time, and a millisecond until the next: what a machine with other work does not choke on.
const BURST: u64 = 4;
/// KiB of memory that are more than enough.
const MEMORY: u64 = 128 << 10;

fn pair(name: &str, own: &str, peer: &str, role: &str) -> String {
    format!(
        "ipsec policy -n {name} -g {name} -t ESP -e AES128-GCM -m tunnel -r {peer} -s {own} -d {peer}\n\
         ike remote -n {name} {role} -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 --local {own} -r {peer} \
         -f ipv4:{peer} -g ipv4:{own} -h secret.txt\n"
    )
}

/// A number of the gateway's; zero where it is not listed.
fn counter(lab: &Lab, name: &str) -> u64 {
    let listed = lab.ok("ipsec netstat -a") + &lab.ok("ike netstat");
    let line = listed.lines().find(|line| line.contains(name)).unwrap_or_default();
    let words = line.split(|c: char| !c.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).next_back().unwrap_or_default()
}

fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS")).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

/// Sends a request in the name of all addresses, each time another, until it is told to stop.
fn flood(mut request: Vec<u8>, stop: &AtomicBool, sent: &AtomicU64) {
    // It comes from elsewhere: where there is one processor, it takes no time from those whom it is for. The thread alone is meant.
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) {
        rustix::process::setpriority_process(None, 19).expect("less of a priority");
    }
    let mut number = 0u64;
    let mut sockets: Vec<UdpSocket> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if number.is_multiple_of(1024) {
            // Other addresses: 64 at a time, all in a minute.
            sockets.clear();
            let addresses = (0..64u64).map(|i| FIRST + ((number / 1024 * 64 + i) % u64::from(ADDRESSES)) as u32);
            sockets.extend(addresses.filter_map(|address| UdpSocket::bind((Ipv4Addr::from(address), 0)).ok()));
        }
        if number.is_multiple_of(BURST) {
            std::thread::sleep(Duration::from_millis(1));
        }
        number += 1;
        request[..8].copy_from_slice(&(number << 8 | 1).to_be_bytes());
        let socket = &sockets[number as usize % sockets.len()];
        if socket.send_to(&request, (GATEWAY, 500)).is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// RFC 7296 §2.6.
pub fn a_flood_of_strangers_keeps_nobody_out() -> Result<(), &'static str> {
    withstand("tun")
}

#[cfg(feature = "kernel")]
pub fn a_flood_over_the_kernels_ipsec_keeps_nobody_out() -> Result<(), &'static str> {
    if Lab::new("flood-kernel").kernel_has_esp() { withstand("kernel") } else { Err("this kernel has no ESP") }
}

fn withstand(data_plane: &str) -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new(&format!("{GATEWAY}/24"), "10.9.0.2/24");
    let there = |line| elsewhere.sh(line);
    there("ip address add 10.9.0.3/24 dev cable");
    there("ip link set lo up");
    there("ip route add local 198.18.0.0/15 dev lo");
    sh("ip", &["route", "add", "198.18.0.0/15", "via", "10.9.0.2"]);
    let (gateway, peers) = (Lab::new("flood-gateway"), Lab::elsewhere("flood-peers", &elsewhere));
    let anybody = "ike remote -n strangers -u -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r any \
                   -f *@example.org -g fqdn:gw.example.org -h secret.txt\n";
    let both = |own: [&str; 2], peer: [&str; 2], role| {
        pair("known", own[0], peer[0], role) + &pair("fresh", own[1], peer[1], role)
    };
    let hosts = ["10.9.0.2", "10.9.0.3"];
    gateway.write("ike_rc", &(both([GATEWAY; 2], hosts, "-u") + anybody));
    peers.write("ike_rc", &both(hosts, [GATEWAY; 2], "-w"));
    for lab in [&gateway, &peers] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    let _peers = peers.daemon("--rc ike_rc");

    // What the honest peer asks is what the flood will ask.
    let ear = UdpSocket::bind((GATEWAY, 500)).expect("the port of IKE");
    let mut asking = peers.command("ike initiate known");
    let mut asking = asking.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a command");
    let mut request = [0; 2048];
    let length = ear.recv(&mut request).expect("a request");
    let request = request[..length].to_vec();
    drop(ear);
    let _ = (asking.kill(), asking.wait());
    let daemon = gateway.daemon(&format!("--rc ike_rc --data-plane {data_plane}"));
    peers.ok("ike initiate known");

    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let floods = {
        let (stop, sent) = (stop.clone(), sent.clone());
        elsewhere.run(move || flood(request, &stop, &sent))
    };
    let begun = Instant::now();
    while counter(&gateway, "cookies-sent") == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "no cookies after {} messages",
            sent.load(Ordering::Relaxed)
        );
        std::thread::sleep(Duration::from_millis(10));
    }
    let asked = Instant::now();
    peers.ok("ike initiate fresh");
    let took = asked.elapsed();
    // Those who are here are not disturbed.
    peers.ok("ike rekey --child known");
    gateway.ok("ike rekey known");
    let (memory, seconds) = (resident(daemon.pid()), begun.elapsed().as_secs_f64());
    stop.store(true, Ordering::Relaxed);
    floods.join().expect("the flood");
    let sent = sent.load(Ordering::Relaxed);
    println!(
        "({:.0} first messages a second, a new peer was in after {} ms, {memory} KiB, {} cookies, {} dropped) ",
        sent as f64 / seconds,
        took.as_millis(),
        counter(&gateway, "cookies-sent"),
        counter(&gateway, "first IKE messages while too many waited"),
    );
    assert!(memory < MEMORY, "{memory} KiB");
    Ok(())
}
