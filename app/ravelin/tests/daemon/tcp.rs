//! IKE and ESP in TCP between two daemons (RFC 9329), over a cable that carries no UDP.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::lab::{Elsewhere, Lab, sh};

const PATIENCE: Duration = Duration::from_secs(20);

/// Everything between the two hosts is protected: the guards against clear text must know the connection.
fn rc(own: &str, peer: &str, role: &str) -> String {
    format!(
        "ipsec policy -n p1 -g peer -t ESP -e AES128-GCM -m tunnel -r {peer} -s {own} -d {peer}\n\
         ike remote -n peer {role} -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r {peer} \
         -f ipv4:{peer} -g ipv4:{own} -h secret.txt\n"
    )
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn carrier(lab: &Lab) -> Option<(String, String)> {
    let listed: serde_json::Value = serde_json::from_str(&lab.ok("ike netstat --json")).ok()?;
    let text = listed.to_string();
    let sa = find(&listed, "carrier")?;
    Some((sa.get("carrier")?.as_str()?.to_owned(), text))
}

/// The object that has this key.
fn find<'a>(value: &'a serde_json::Value, key: &str) -> Option<&'a serde_json::Value> {
    match value {
        serde_json::Value::Object(map) if map.contains_key(key) => Some(value),
        serde_json::Value::Object(map) => map.values().find_map(|value| find(value, key)),
        serde_json::Value::Array(all) => all.iter().find_map(|value| find(value, key)),
        _ => None,
    }
}

fn ping(count: &str, size: &str) -> bool {
    let mut ping = Command::new("ping");
    ping.args(["-c", count, "-i", "0.2", "-W", "2", "-s", size, "10.9.0.2"]);
    ping.stdout(Stdio::null()).status().expect("ping").success()
}

// S-302, RFC 9329 §2: TCP port 4500, when UDP gets no answer.
pub fn without_udp_ike_and_esp_go_in_tcp() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let there = |line| elsewhere.sh(line);
    there("nft add table inet wire");
    there("nft add chain inet wire in { type filter hook prerouting priority -400; }");
    there("nft add rule inet wire in udp dport { 500, 4500 } drop");
    let (a, b) = (Lab::new("tcp-a"), Lab::elsewhere("tcp-b", &elsewhere));
    a.write("ike_rc", &rc("10.9.0.1", "10.9.0.2", "-w --tcp fallback"));
    b.write("ike_rc", &rc("10.9.0.2", "10.9.0.1", "-u"));
    for lab in [&a, &b] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    let daemon_a = a.daemon("--rc ike_rc");
    let _daemon_b = b.daemon("--rc ike_rc --tcp-port");
    let recording = a.path().join("tcp.pcap");
    let tshark = Command::new("tshark").args(["-q", "-i", "cable", "-w"]).arg(&recording).stderr(Stdio::null()).spawn();
    if tshark.is_ok() {
        until("tshark does not record", || recording.exists());
    }

    a.ok("ike initiate p1");
    assert_eq!(carrier(&a).expect("an IKE SA").0, "TCP");
    assert_eq!(carrier(&b).expect("an IKE SA").0, "TCP");
    assert!(ping("5", "56"), "{} {}", a.log(), b.log());
    assert!(ping("2", "6000"), "what is longer than any packet outside");

    // Somebody ends the connection: the side that opened it opens another, and the tunnel goes on.
    let ports = |listed: String| -> Vec<String> {
        listed.lines().filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned)).collect()
    };
    let here = || ports(sh("ss", &["-Htn", "state", "established"]));
    let first = here();
    there("ss -K sport = 4500");
    until("no other connection", || ping("1", "56"));
    assert!(ping("3", "56"));
    assert!(here().len() == 1 && here() != first, "{first:?} {:?}", here());
    assert_eq!(carrier(&b).expect("an IKE SA").0, "TCP");

    // And with the IKE SA the connection goes.
    a.ok("ike flush");
    until("the connection stays", || here().is_empty() && there("ss -Htn state established").is_empty());
    drop(daemon_a);

    if let Ok(mut tshark) = tshark {
        // What it has heard it writes some tenths of a second later.
        std::thread::sleep(Duration::from_secs(1));
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&tshark), rustix::process::Signal::INT);
        let _ = tshark.wait();
        let file = recording.to_string_lossy().into_owned();
        let seen = |filter: &str| sh("tshark", &["-r", &file, "-Y", filter, "-T", "fields", "-e", "frame.number"]);
        assert!(seen("udp && isakmp.exchangetype == 34").lines().count() >= 2, "UDP is tried twice");
        assert_eq!(seen("ip.proto == 50 || icmp || (udp && ip && !isakmp)"), "", "nothing goes beside TCP");
        // What Wireshark puts together of the first connection and of the one that took its place; those between were refused.
        let numbers = sh("tshark", &["-r", &file, "-Y", "tcp.len > 0", "-T", "fields", "-e", "tcp.stream"]);
        let numbers: BTreeSet<&str> = numbers.split_whitespace().collect();
        assert_eq!(numbers.len(), 2, "{numbers:?}");
        for number in numbers {
            let followed = sh("tshark", &["-r", &file, "-q", "-z", &format!("follow,tcp,raw,{number}")]);
            let [out, back] = [false, true].map(|answers| octets(&followed, answers));
            let out = messages(out.strip_prefix(b"IKETCP").expect("the prefix"));
            let back = messages(&back);
            for messages in [&out, &back] {
                let (ike, esp): (Vec<_>, Vec<_>) = messages.iter().partition(|message| message.starts_with(&[0; 4]));
                assert!(esp.len() >= 3, "ESP by connection {number}");
                let numbers: Vec<u32> = esp.iter().map(|esp| word(esp, 4)).collect();
                assert!(numbers.is_sorted() && esp.iter().all(|packet| packet[..4] == esp[0][..4]), "{numbers:?}");
                let exchanges: Vec<u8> = ike.iter().map(|ike| ike[4 + 18]).collect();
                let expected: &[u8] = if number == "0" { &[34, 35] } else { &[37] };
                assert!(exchanges.starts_with(expected), "{exchanges:?}");
            }
        }
    }
    Ok(())
}

// RFC 9329 §7.1: the network that carries TCP alone is left for one that carries UDP, and entered again.
pub fn who_moves_asks_in_udp_first() -> Result<(), &'static str> {
    if !rustix::process::geteuid().is_root() {
        return Err("a second namespace takes root");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let there = |line| elsewhere.sh(line);
    let here = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        sh(words[0], &words[1..])
    };
    there("nft add table inet wire");
    there("nft add chain inet wire in { type filter hook prerouting priority -400; }");
    // An address goes without those that came after it.
    std::fs::write("/proc/sys/net/ipv4/conf/cable/promote_secondaries", "1").expect("a setting of this namespace");
    // The network of 10.9.0.1.
    there("nft add rule inet wire in ip saddr 10.9.0.1 udp dport { 500, 4500 } drop");
    here("ip link set lo up");
    here("ip address add 10.7.0.1/32 dev lo");
    here("ip route add 10.7.0.2/32 dev cable src 10.7.0.1");
    there("ip link set lo up");
    there("ip address add 10.7.0.2/32 dev lo");
    there("ip route add 10.7.0.1/32 dev cable src 10.7.0.2");
    let (a, b) = (Lab::new("tcp-move-a"), Lab::elsewhere("tcp-move-b", &elsewhere));
    let rc = |net: &str, other: &str, peer: &str, role: &str| {
        format!(
            "ipsec policy -n p1 -g peer -t ESP -e AES128-GCM -m tunnel -r {peer} -s {net} -d {other}\n\
             ike remote -n peer -z 2 {role} --mobike -e AES128-GCM -p HMAC-SHA-2-256 -m PresharedKey -d Curve25519 -r {peer} \
             -h secret.txt\n"
        )
    };
    a.write("ike_rc", &rc("10.7.0.1", "10.7.0.2", "10.9.0.2", "-w --tcp fallback -f fqdn:b -g fqdn:a"));
    b.write("ike_rc", &rc("10.7.0.2", "10.7.0.1", "10.9.0.1", "-u -f fqdn:a -g fqdn:b"));
    for lab in [&a, &b] {
        lab.write("secret.txt", "a secret that is long enough\n");
    }
    let _daemon_a = a.daemon("--rc ike_rc");
    let _daemon_b = b.daemon("--rc ike_rc --tcp-port");
    let ping = || {
        let mut ping = Command::new("ping");
        ping.args(["-c", "1", "-W", "1", "-I", "10.7.0.1", "10.7.0.2"]).stdout(Stdio::null());
        ping.status().expect("ping").success()
    };
    let both_in = |carrier_wanted: &str| {
        until(&format!("not in {carrier_wanted}"), || {
            [&a, &b].into_iter().all(|lab| carrier(lab).is_some_and(|(carrier, _)| carrier == carrier_wanted))
        });
        until("nothing crosses", ping);
    };
    a.ok("ike initiate p1");
    both_in("TCP");
    let first = carrier(&a).expect("an IKE SA").1;
    here("ip address add 10.9.0.3/24 dev cable");
    here("ip address del 10.9.0.1/24 dev cable");
    both_in("UDP");
    until("the connection stays", || here("ss -Htn state established").is_empty());
    // And back, where UDP does not pass.
    here("ip address add 10.9.0.1/24 dev cable");
    here("ip address del 10.9.0.3/24 dev cable");
    both_in("TCP");
    let spi = |listed: &str| {
        let listed: serde_json::Value = serde_json::from_str(listed).expect("JSON");
        find(&listed, "carrier").and_then(|sa| sa.get("initiator-spi").cloned())
    };
    let last = spi(&carrier(&a).expect("an IKE SA").1);
    assert!(last.is_some() && last == spi(&first), "the same IKE SA all along: {last:?}");
    Ok(())
}

/// What one side sent, out of what tshark says of a connection: lines of hexadecimal digits, with a tab before answers.
fn octets(followed: &str, answers: bool) -> Vec<u8> {
    let of_side = |line: &&str| line.starts_with('\t') == answers;
    let hexadecimal =
        |line: &&str| !line.trim().is_empty() && line.trim().bytes().all(|digit| digit.is_ascii_hexdigit());
    let lines = followed.lines().filter(of_side).filter(hexadecimal);
    let digits: String = lines.map(str::trim).collect();
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("an octet")).collect()
}

/// The messages of a stream, by RFC 9329 §3. The last may have been cut with the connection.
fn messages(mut stream: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((length, _)) = stream.split_first_chunk::<2>() {
        let Some((message, rest)) = stream.split_at_checked(usize::from(u16::from_be_bytes(*length))) else { break };
        found.push(message[2..].to_vec());
        stream = rest;
    }
    found
}

fn word(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(octets[at..at + 4].try_into().expect("four octets"))
}
