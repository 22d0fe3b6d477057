//! Servers that peers name, honest and hostile ones.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ravelin_ike::{OpId, Question};
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_pki::{Certificate, Lookup, limits};
use ravelin_testkit::papers::{self, Kind as Key, Paper};
use ravelin_types::Identity;

use super::*;
use crate::daemon::clerk::Clerk;
use crate::daemon::clerk::fetch::Fetcher;
use crate::daemon::clerk::fetch::http::{LESS_PATIENCE, is_elsewhere};
use crate::daemon::clerk::fetch::tests::{errand, ok, verdict};
use crate::daemon::crypto::ike_provider;

const NAME: &str = "peer.example.org";

/// A server that gives each of these answers once, its base, and the requests.
fn server(answers: Vec<Vec<u8>>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/certs/", listener.local_addr().expect("a port"));
    let (asked, requests) = channel();
    thread::spawn(move || {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let mut request = [0; 2048];
            let count = stream.read(&mut request).unwrap_or(0);
            let _ = asked.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let _ = stream.write_all(&answer);
        }
    });
    (base, requests)
}

fn sought(base: &str, octets: &[u8]) -> Sought {
    Sought { reference: Reference::new(Kind::Certificate, base, octets, &ike_provider()), guarded: false }
}

fn fetcher() -> (Arc<Library>, Fetcher, Receiver<Asked>) {
    let library = Arc::new(Library::default());
    let (back, returned) = channel();
    let fetcher = Fetcher::new(library.clone(), back, ike_provider());
    (library, fetcher, returned)
}

#[test]
fn a_certificate_is_had_once_by_its_hash_wherever_it_lies() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[NAME], Key::P256);
    let (base, requests) = server(vec![ok(&peer.der)]);
    let (library, fetcher, returned) = fetcher();
    let one = sought(&base, &peer.der);
    for number in 0..3 {
        assert!(fetcher.look_up(one.clone(), errand(number)).is_ok());
    }
    let order: Vec<u64> = returned.iter().take(3).map(|(op, ..)| op.0).collect();
    assert_eq!(order, [0, 1, 2]);
    let path = one.reference.url.rsplit('/').next().expect("digits");
    let request = requests.recv().expect("a request");
    assert!(request.starts_with(&format!("GET /certs/{path} HTTP/1.1\r\n")), "{request}");
    assert!(requests.try_recv().is_err(), "once");
    let elsewhere = sought("http://elsewhere.example.org/", &peer.der);
    assert_eq!(library.shelf.find(&elsewhere.reference), Some(vec![(4, peer.der.clone())]));
    assert!(!library.shelf.is_due(&elsewhere, now()));
    assert_eq!(library.forget(), 1);
    assert!(library.shelf.is_due(&elsewhere, now()) && library.shelf.find(&one.reference).is_none());
}

// What a peer names may be anything.
#[test]
fn what_does_not_lie_there_is_a_failure_of_that_place_alone() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[NAME], Key::P256);
    let long = vec![0x30; limits::CERTIFICATE + 1];
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0x30; 4 * limits::BUNDLE]].concat();
    let elsewhere = |place: &str| format!("HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n");
    let (target, hits) = server(vec![ok(&peer.der)]);
    for (answer, expected) in [
        (ok(b"another"), "another hash"),
        (ok(&long), "larger"),
        (endless, "larger"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404"),
        (elsewhere(&format!("{target}x")).into_bytes(), "302"),
        (elsewhere("file:///etc/passwd").into_bytes(), "302"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n".to_vec(), "206"),
        (b"\0\0\0\0\r\n\r\n".to_vec(), ""),
        (Vec::new(), ""),
    ] {
        let (base, _requests) = server(vec![answer]);
        let (library, fetcher, returned) = fetcher();
        let there = sought(&base, &peer.der);
        let why = fetcher.lookups.open(&there).expect_err("nothing lies there");
        assert!(why.contains(expected), "{why:?} has no {expected:?}");
        library.shelf.put(there.clone(), Err(why), now());
        assert!(!library.shelf.is_due(&there, now()));
        assert!(library.shelf.is_due(&there, Time(now().0 + AGAIN)));
        // Nobody spoils what lies elsewhere.
        assert!(library.shelf.is_due(&sought("http://elsewhere.example.org/", &peer.der), now()));
        drop(returned);
    }
    assert!(hits.try_recv().is_err(), "nobody was sent there");
    for url in ["https://a/x", "file:///etc/passwd", "ldap://a/x", "http://user@a/x", "gopher://a", "x"] {
        let reference = Reference { url: url.into(), ..sought("http://a/", b"x").reference };
        let odd = Sought { reference, guarded: false };
        let (library, fetcher, _returned) = fetcher();
        assert!(!library.shelf.is_due(&odd, now()), "{url}");
        assert!(fetcher.look_up(odd, errand(0)).is_err(), "{url}");
    }
}

// A certificate may lie anywhere but on this host and its links, whatever the name is.
#[test]
fn a_peer_does_not_have_this_host_ask_itself() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[NAME], Key::P256);
    let (base, requests) = server(vec![ok(&peer.der)]);
    let (_library, fetcher, _returned) = fetcher();
    for base in [base.clone(), base.replace("127.0.0.1", "localhost"), base.replace("127.0.0.1", "127.1")] {
        let why =
            fetcher.lookups.open(&Sought { guarded: true, ..sought(&base, &peer.der) }).expect_err("it is guarded");
        assert!(why.contains("this host"), "{base}: {why}");
    }
    assert!(requests.try_recv().is_err());
    // Unless the operator has named it.
    assert!(fetcher.lookups.open(&sought(&base, &peer.der)).is_ok());
    for (address, expected) in [
        ("192.0.2.1", true),
        ("10.1.2.3", true),
        ("2001:db8::1", true),
        ("fd00::1", true),
        ("127.0.0.53", false),
        ("0.0.0.0", false),
        ("0.1.2.3", false),
        ("169.254.169.254", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::1", false),
        ("::", false),
        ("::ffff:127.0.0.1", false),
        ("::ffff:169.254.169.254", false),
        ("fe80::1", false),
        ("ff02::1", false),
    ] {
        assert_eq!(is_elsewhere(address.parse::<IpAddr>().expect("an address")), expected, "{address}");
    }
}

// Nothing that one server does delays a peer of another, nor one whose authority is asked.
#[test]
fn a_slow_server_holds_up_its_own_peers_alone() {
    let peer = papers::root("ca", Key::P256).peer("peer", &[NAME], Key::P256);
    let slow = TcpListener::bind("127.0.0.1:0").expect("a port");
    let base = format!("http://{}/", slow.local_addr().expect("a port"));
    // An octet in a while keeps nobody for ever.
    thread::spawn(move || {
        let mut streams = Vec::new();
        while let Ok((mut stream, _)) = slow.accept() {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
            streams.push(thread::spawn(move || {
                while stream.write_all(b"0").is_ok() {
                    thread::sleep(Duration::from_millis(200));
                }
            }));
        }
    });
    let (quick, _requests) = server(vec![ok(&peer.der)]);
    let (library, fetcher, returned) = fetcher();
    let began = Instant::now();
    let taken = (0..1000).filter(|number| fetcher.look_up(sought(&base, b"x"), errand(*number)).is_ok()).count();
    assert!((MAX_WAITING..=MAX_WAITING + 1).contains(&taken), "{taken} wait");
    assert!(fetcher.look_up(sought(&quick, &peer.der), errand(2000)).is_ok());
    assert_eq!(returned.recv().expect("an answer").0, OpId(2000));
    assert!(began.elapsed() < LESS_PATIENCE / 2);
    // In the end its own peers come back, all at once: the failure is remembered.
    assert_eq!(returned.iter().take(taken).count(), taken);
    assert!(began.elapsed() < LESS_PATIENCE * 2);
    assert!(!library.shelf.is_due(&sought(&base, b"x"), now()));
    // With the last errand the thread ends, and its place is free.
    while !fetcher.lookups.lock().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn servers_and_what_is_kept_are_bounded() {
    let held: Vec<TcpListener> = (0..MAX_SERVERS).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let (library, fetcher, _returned) = fetcher();
    for listener in &held {
        let base = format!("http://{}/", listener.local_addr().expect("a port"));
        assert!(fetcher.look_up(sought(&base, b"x"), errand(0)).is_ok());
    }
    assert!(fetcher.look_up(sought("http://127.0.0.1:1/", b"x"), errand(0)).is_err());
    let ca = papers::root("ca", Key::P256);
    let peer = ca.peer("peer", &[NAME], Key::P256);
    for number in 0..2 * MAX_FOUND as u32 {
        let payloads = vec![(4, peer.der.clone())];
        library.shelf.put(sought("http://a/", &number.to_be_bytes()), Ok(payloads), now());
    }
    for number in 0..2 * MAX_FAILED as u32 {
        library.shelf.put(sought("http://b/", &number.to_be_bytes()), Err("no".into()), now());
    }
    assert_eq!(library.forget(), MAX_FOUND + MAX_FAILED);
}

/// What a clerk says of a peer of the authority that sends these payloads, and is looked up under the base.
fn judged(clerk: &mut Clerk, ca: &Paper, peer: &Paper, certificates: Vec<(u8, Vec<u8>)>, base: &str) -> String {
    let key = ike_provider().signatures.expect("signatures").private_key(&peer.pkcs8).expect("a key");
    let proof = Credential::default()
        .prove(&*key, &Accepts { hashes: Some(vec![2]), methods: None }, b"octets")
        .expect("a signature");
    let anchors = [Certificate::parse(&ca.der).expect("a certificate")];
    let trust = Trust { anchors: anchors.into(), lookup: Lookup::Under(vec![base.into()]), ..Trust::default() };
    let (identity, octets) = (Identity::Fqdn(NAME.into()), b"octets".to_vec());
    verdict(clerk, Question::Judge { trust: Arc::new(trust), identity, certificates, proof, octets })
}

#[test]
fn a_peer_is_judged_by_what_lies_where_it_says() {
    let ca = papers::root("ca", Key::P256);
    let middle = ca.intermediate("middle", Key::P256);
    let peer = middle.peer("peer", &[NAME], Key::P256);
    let parsed = |paper: &Paper| Certificate::parse(&paper.der).expect("a certificate");
    let bundle = ravelin_pki::reference::bundle(&[parsed(&peer), parsed(&middle)]).expect("a bundle");
    // Each on its own, and all in a bundle.
    let (base, requests) = server(vec![ok(&peer.der), ok(&middle.der), ok(&bundle)]);
    let reference = |kind, octets: &[u8]| Reference::new(kind, &base, octets, &ike_provider()).payload();
    let mut clerk = Clerk::start(ike_provider(), Arc::default()).expect("threads");
    let both = [&peer, &middle].map(|paper| reference(Kind::Certificate, &paper.der)).to_vec();
    for _ in 0..3 {
        assert_eq!(judged(&mut clerk, &ca, &peer, both.clone(), &base), "proven");
    }
    assert_eq!(requests.try_iter().count(), 2, "once each");
    assert_eq!(judged(&mut clerk, &ca, &peer, vec![reference(Kind::Bundle, &bundle)], &base), "proven");
    // Nobody listens there any more, and elsewhere nothing is asked.
    let gone = ca.peer("gone", &[NAME], Key::P256);
    let why = judged(&mut clerk, &ca, &gone, vec![reference(Kind::Certificate, &gone.der)], &base);
    assert!(why.contains("was not had from there"), "{why}");
    let why = judged(&mut clerk, &ca, &gone, vec![reference(Kind::Certificate, &gone.der)], "http://elsewhere/");
    assert!(why.contains("where none is looked up"), "{why}");
}
