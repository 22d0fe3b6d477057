//! The address of a host goes away under an IKE SA, its Child SA and what crosses by that (RFC 4555).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab, sh};

const PATIENCE: Duration = Duration::from_secs(20);
/// Between two datagrams.
const PACE: Duration = Duration::from_millis(2);

fn rc(net: &str, other: &str, peer: &str, role: &str) -> String {
    format!(
        "ipsec policy -n p1 -g peer -t ESP -e AES128-GCM -m tunnel -r {peer} -s {net} -d {other}\n\
         ike remote -n peer -z 2 {role} --mobike -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r {peer} \
         -h secret.txt\n"
    )
}

/// Has both ends of a connection say something.
fn talk(one: &TcpStream, other: &TcpStream) {
    for (mut from, mut to) in [(one, other), (other, one)] {
        from.write_all(b"sixteen letters!").expect("the question");
        let mut heard = [0; 16];
        to.read_exact(&mut heard).expect("it goes on");
        assert_eq!(&heard, b"sixteen letters!");
    }
}

pub fn what_crosses_goes_on_when_the_address_under_it_goes() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let there = |line| elsewhere.sh(line);
    let here = |line: &str| sh("sh", &["-ec", line]);
    // An address goes without those that came after it.
    std::fs::write("/proc/sys/net/ipv4/conf/cable/promote_secondaries", "1").expect("a setting of this namespace");
    here("ip link set lo up; ip address add 10.7.0.1/32 dev lo; ip route add 10.7.0.2/32 dev cable src 10.7.0.1");
    there("ip link set lo up");
    there("ip address add 10.7.0.2/32 dev lo");
    there("ip route add 10.7.0.1/32 dev cable src 10.7.0.2");
    let (a, b) = (Lab::new("moves-a"), Lab::elsewhere("moves-b", &elsewhere));
    a.write("ike_rc", &rc("10.7.0.1", "10.7.0.2", "10.9.0.2", "-w -f fqdn:b -g fqdn:a"));
    b.write("ike_rc", &rc("10.7.0.2", "10.7.0.1", "10.9.0.1", "-u -f fqdn:a -g fqdn:b"));
    for lab in [&a, &b] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    let _daemon_a = a.daemon("--rc ike_rc");
    let _daemon_b = b.daemon("--rc ike_rc");
    a.ok("ike initiate p1");
    let before = b.ok("ike netstat");
    let (listener, echo) = elsewhere
        .run(|| {
            let bound = "10.7.0.2:7000";
            (TcpListener::bind(bound).expect("a listener"), UdpSocket::bind(bound).expect("a socket"))
        })
        .join()
        .expect("a server");
    std::thread::spawn(move || {
        let mut number = [0; 4];
        while let Ok((_, from)) = echo.recv_from(&mut number) {
            let _ = echo.send_to(&number, from);
        }
    });
    let stream = TcpStream::connect("10.7.0.2:7000").expect("a connection");
    let accepted = listener.accept().expect("a connection").0;
    for end in [&stream, &accepted] {
        end.set_read_timeout(Some(PATIENCE)).expect("a socket");
    }
    talk(&stream, &accepted);

    let pings = UdpSocket::bind("10.7.0.1:0").expect("a socket");
    pings.connect("10.7.0.2:7000").expect("a route");
    pings.set_read_timeout(Some(PACE)).expect("a socket");
    a.write("change", "address add 10.9.0.3/24 dev cable\naddress del 10.9.0.1/24 dev cable\n");
    here(&format!("ip -batch {}", a.path().join("change").display()));
    let changed = Instant::now();
    let mut number = [0; 4];
    let answered = (1..u32::MAX).take_while(|_| changed.elapsed() < PATIENCE).find(|sent| {
        let _ = pings.send(&sent.to_be_bytes());
        pings.recv(&mut number).is_ok()
    });
    let followed = changed.elapsed();
    assert!(answered.is_some(), "nothing crosses any more: {}", a.log());
    println!("(what crosses was back {} ms after the address had gone) ", followed.as_millis());
    talk(&stream, &accepted);
    let after = b.ok("ike netstat");
    assert!(!before.contains("10.9.0.3") && after.contains("10.9.0.3"), "{before} {after}");
    Ok(())
}
