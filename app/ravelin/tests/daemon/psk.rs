//! The PSK manager: accounts as document 000 has them, in two namespaces.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::lab::{Elsewhere, Lab, sh, traces};

const SERVER: &str = "fd00:9::2";
/// Connections of which the median is told.
const CONNECTIONS: usize = 21;
/// How long anything may take that takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

fn account(login: &str, port: u16, password: &str) -> String {
    account_at(SERVER, login, port, password)
}

fn account_at(server: &str, login: &str, port: u16, password: &str) -> String {
    format!(
        "SRV_ADDR={server}\nSRV_PROTO=tcp\nSRV_PORT={port}\n# spi\nUSER={login}\nPASSWORD={password}\nENC_ALG=\"cbc(aes)\"\n"
    )
}

/// Two namespaces on one cable, and a folder in each.
fn hosts(name: &str) -> (Elsewhere, Lab, Lab) {
    let elsewhere = Elsewhere::new("fd00:9::1/64", &format!("{SERVER}/64"));
    let usable = "while ip -6 address show dev cable | grep -q tentative; do sleep 0.05; done";
    sh("sh", &["-c", usable]);
    elsewhere.run(move || drop(sh("sh", &["-c", usable]))).join().expect("an address");
    let (here, there) = (Lab::new(&format!("{name}-here")), Lab::elsewhere(&format!("{name}-there"), &elsewhere));
    for lab in [&here, &there] {
        let file = |name| lab.path().join(name).display().to_string();
        let (pid, journal) = (file("pid"), file("journal"));
        lab.write(
            "common.conf",
            &format!(
                "MONITOR_PID={pid}
MONITOR_JOURNAL={journal}
# CLEAR_ONLY=1
"
            ),
        );
    }
    (elsewhere, here, there)
}

/// A server in the other namespace that returns what it is sent, for so many connections.
fn echo(elsewhere: &Elsewhere, port: u16, connections: usize) -> std::thread::JoinHandle<()> {
    let (told, ready) = std::sync::mpsc::channel();
    let server = elsewhere.run(move || {
        let listener = TcpListener::bind(format!("[{SERVER}]:{port}")).expect("a listener");
        told.send(()).expect("the test waits");
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().expect("a connection");
            std::thread::spawn(move || {
                let mut bytes = [0; 64];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    stream.write_all(&bytes[..len]).expect("the answer");
                }
            });
        }
    });
    ready.recv().expect("the server listens");
    server
}

fn connect(port: u16) -> TcpStream {
    let to: SocketAddr = format!("[{SERVER}]:{port}").parse().expect("an address");
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(10)).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    stream
}

fn talk(stream: &mut TcpStream) {
    stream.write_all(b"sixteen letters!").expect("the question");
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).expect("the answer");
    assert_eq!(&answer, b"sixteen letters!");
}

/// The number of SAs that a daemon lists as sending.
fn sas(lab: &Lab) -> usize {
    lab.ok("ipsec netstat -c").matches("IPSecSession SPI=").count()
}

pub fn logins_on_one_port_have_keys_of_their_own() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk");
    there.write("one.conf", &account("0x00000001", 10000, "1234567890123456"));
    there.write("two.conf", &account("0x00000002", 10000, "6543210987654321"));
    here.write("one.conf", &account("0x00000001", 10000, "1234567890123456"));
    let server = there.started("psk start common.conf one.conf two.conf --server");
    let client = here.started("psk start common.conf one.conf");
    let echoing = echo(&elsewhere, 10000, 3);
    let mut first = connect(10000);
    talk(&mut first);
    let mut second = connect(10000);
    talk(&mut second);
    assert_eq!((sas(&here), sas(&there)), (2, 2), "{}", there.ok("ipsec netstat -c"));
    assert!(there.ok("ike netstat").contains("00000001"), "{}", there.ok("ike netstat"));
    // The same client under the other login.
    drop((first, second));
    assert_eq!(here.ravelin("psk stop common.conf").status, Some(0));
    assert_eq!(client.wait().code(), Some(0));
    assert_eq!(traces(), [false; 3]);
    here.write("two.conf", &account("2", 10000, "6543210987654321"));
    let client = here.started("psk start common.conf two.conf");
    talk(&mut connect(10000));
    assert!(there.log().contains("the peer is"), "{}", there.log());
    echoing.join().expect("the server");
    client.end(Signal::TERM);
    server.end(Signal::TERM);
    assert!(!there.path().join("pid").exists());
    Ok(())
}

/// The SPIs on which a daemon receives.
fn spis(lab: &Lab) -> BTreeSet<String> {
    let listed = lab.ok("ipsec netstat -c");
    let spi = |line: &str| Some(line.strip_prefix("IPSecSession SPI=")?.split(',').next()?.to_owned());
    listed.lines().filter_map(spi).collect()
}

pub fn keys_are_replaced_under_traffic_and_idle_sas_go() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk-idle");
    for lab in [&here, &there] {
        lab.write("one.conf", &format!("{}IDLE=5\n", account("0x00000001", 10000, "1234567890123456")));
    }
    let _server = there.started("psk start common.conf one.conf --server");
    let _client = here.started("psk start common.conf one.conf");
    let _echoing = echo(&elsewhere, 10000, 1);
    let mut stream = connect(10000);
    talk(&mut stream);
    let mut before = (spis(&here), spis(&there));
    assert_eq!((before.0.len(), before.1.len()), (1, 1));
    for command in ["ike rekey --child one", "ike rekey one", "ike rekey --child one"] {
        let rekeying = std::thread::scope(|scope| {
            let rekeying = scope.spawn(|| here.ok(command));
            while !rekeying.is_finished() {
                talk(&mut stream);
            }
            rekeying.join().expect("a rekey")
        });
        talk(&mut stream);
        if command.contains("--child") {
            let end = Instant::now() + PATIENCE;
            while spis(&here).len() > 1 || spis(&there).len() > 1 {
                assert!(Instant::now() < end, "the old SA stays");
                talk(&mut stream);
            }
            let after = (spis(&here), spis(&there));
            assert!(after.0.is_disjoint(&before.0) && after.1.is_disjoint(&before.1), "{rekeying}");
            before = after;
        }
    }
    let dropped = |lab: &Lab| lab.ok("ipsec netstat -a").lines().any(|line| line.contains("no SA with this SPI"));
    assert!(!dropped(&here) && !dropped(&there), "{}", there.ok("ipsec netstat -a"));
    drop(stream);
    let end = Instant::now() + PATIENCE;
    while sas(&here) > 0 || sas(&there) > 0 {
        assert!(Instant::now() < end, "what nobody uses stays: {}", there.ok("ipsec netstat -c"));
        std::thread::sleep(Duration::from_millis(100));
    }
    // What asked is in the journal.
    let journal = std::fs::read_to_string(here.path().join("journal")).expect("a journal");
    assert!(
        journal.lines().any(|line| line.starts_with("acquire fd00:9::1 -> ") && line.ends_with("for one")),
        "{journal}"
    );
    Ok(())
}

pub fn a_manager_that_only_clears_leaves_nothing() -> Result<(), &'static str> {
    let (_elsewhere, here, _there) = hosts("psk-clears");
    here.write("one.conf", &account("0x00000001", 10000, "1234567890123456"));
    here.started("psk start common.conf one.conf").end(Signal::KILL);
    // What guards against clear text stays, and so does the file that names the process.
    assert_eq!(traces(), [true, true, false]);
    assert!(here.path().join("pid").exists());
    let common = std::fs::read_to_string(here.path().join("common.conf")).expect("a file");
    here.write("common.conf", &common.replace("# CLEAR_ONLY", "CLEAR_ONLY"));
    let cleared = here.ravelin("psk start common.conf one.conf");
    assert_eq!(cleared.status, Some(0), "{}", cleared.stderr);
    assert!(cleared.stderr.contains("CLEAR_ONLY: what an earlier manager left is undone"), "{}", cleared.stderr);
    assert_eq!(traces(), [false; 3]);
    assert!(!here.path().join("pid").exists());
    Ok(())
}

pub fn an_address_that_changes_is_followed() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk-moves");
    for lab in [&here, &there] {
        lab.write("one.conf", &account("0x00000001", 10000, "1234567890123456"));
    }
    let _server = there.started("psk start common.conf one.conf --server");
    let _client = here.started("psk start common.conf one.conf");
    let _echoing = echo(&elsewhere, 10000, CONNECTIONS + 1);
    // Each connection is a flow with keys of its own, which its first packet asks for.
    let set_up = |_| {
        let begun = Instant::now();
        talk(&mut connect(10000));
        begun.elapsed()
    };
    let mut set_ups: Vec<Duration> = (0..CONNECTIONS).map(set_up).collect();
    set_ups.sort();
    // As a temporary address comes and the one before it goes (RFC 8981).
    sh("ip", &["address", "add", "fd00:9::77/64", "dev", "cable", "nodad"]);
    // Neighbours find it (RFC 4861 §7.2.1) a little later than it can be used, and ask again after a second only. One that was checked
    // for duplicates is found at once.
    sh("sh", &["-c", "until ip -6 maddress show dev cable | grep -q ff02::1:ff00:77; do sleep 0.01; done"]);
    sh("ip", &["address", "change", "fd00:9::1/64", "dev", "cable", "preferred_lft", "0"]);
    let changed = Instant::now();
    let mut stream = connect(10000);
    assert_eq!(stream.local_addr().expect("a socket").ip().to_string(), "fd00:9::77");
    talk(&mut stream);
    let followed = changed.elapsed();
    println!(
        "(a connection took {} ms in the median, the first one from another address {} ms) ",
        set_ups[CONNECTIONS / 2].as_millis(),
        followed.as_millis()
    );
    assert!(there.ok("ike netstat").contains("fd00:9::77"), "{}", there.ok("ike netstat"));
    Ok(())
}

pub fn a_connection_over_ipv4_in_tunnel_mode() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk-tunnel");
    let server = "10.9.0.2";
    sh("ip", &["address", "add", "10.9.0.1/24", "dev", "cable"]);
    elsewhere.run(move || sh("ip", &["address", "add", "10.9.0.2/24", "dev", "cable"])).join().expect("an address");
    for lab in [&here, &there] {
        let account =
            account_at(server, "0xcafe0001", 10000, "12345678901234567890").replace("cbc(aes)", "rfc4106(gcm(aes))");
        lab.write("one.conf", &format!("{account}MODE=tunnel\n"));
    }
    let _server = there.started("psk start common.conf one.conf --server");
    let _client = here.started("psk start common.conf one.conf");
    let listener = elsewhere.run(move || TcpListener::bind((server, 10000)).expect("a listener")).join().expect("one");
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut bytes = [0; 16];
        stream.read_exact(&mut bytes).expect("the question");
        stream.write_all(&bytes).expect("the answer");
    });
    let mut stream = TcpStream::connect((server, 10000)).expect("a connection");
    talk(&mut stream);
    answering.join().expect("the server");
    let listed = there.ok("ipsec netstat -c");
    assert!(listed.contains("AES128-GCM"), "{listed}");
    Ok(())
}

pub fn a_wrong_password_carries_nothing() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk-wrong");
    there.write("one.conf", &account("0x00000001", 10000, "1234567890123456"));
    // The login of another port is nobody here.
    there.write("other.conf", &account("0x00000003", 10001, "abcdefghijklmnop"));
    here.write("one.conf", &account("0x00000003", 10000, "abcdefghijklmnop"));
    let _server = there.started("psk start common.conf one.conf other.conf --server");
    let _client = here.started("psk start common.conf one.conf");
    let _echoing = echo(&elsewhere, 10000, 1);
    let to: SocketAddr = format!("[{SERVER}]:10000").parse().expect("an address");
    assert!(TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_err());
    assert_eq!(sas(&there), 0);
    assert!(here.log().contains("AUTHENTICATION_FAILED") || here.log().contains("refused"), "{}", here.log());
    // In the clear nothing reaches the port either.
    assert_eq!(here.ravelin("psk stop common.conf").status, Some(0));
    assert!(TcpStream::connect_timeout(&to, Duration::from_secs(2)).is_err());
    Ok(())
}

pub fn static_keys_are_the_password_both_ways() -> Result<(), &'static str> {
    let (elsewhere, here, there) = hosts("psk-static");
    let mac = "KEYS=static\nAUTH_ALG='hmac(sha256)'\nAUTH_PASSWORD=abcdefghijklmnopqrstuvwxyz012345\n";
    let text = format!("{}{mac}", account("0x00001001", 10000, "1234567890123456"));
    for lab in [&here, &there] {
        lab.write("one.conf", &text);
    }
    let server = there.started("psk start common.conf one.conf --server");
    let client = here.started("psk start common.conf one.conf");
    let echoing = echo(&elsewhere, 10000, 2);
    talk(&mut connect(10000));
    talk(&mut connect(10000));
    echoing.join().expect("the server");
    // Both connections go by the one pair of the two hosts, and nobody negotiated.
    for lab in [&here, &there] {
        let listed = lab.ok("ipsec netstat -c");
        assert!(listed.contains("00001001"), "{listed}");
        assert_eq!(lab.ok("ike netstat -p 3"), "", "{}", lab.ok("ike netstat"));
    }
    assert!(here.log().contains("no check for replays"), "{}", here.log());
    client.end(Signal::TERM);
    server.end(Signal::TERM);
    // The engine takes no cipher that nothing authenticates.
    there.write(
        "one.conf",
        &account("0x00001001", 10000, "1234567890123456").replace("ENC_ALG", "KEYS=static\nENC_ALG"),
    );
    let refused = there.ravelin("psk start common.conf one.conf --server");
    assert_eq!(refused.status, Some(1), "{}", there.log());
    Ok(())
}
