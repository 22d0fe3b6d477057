//! Servers of the loopback device that say what they like.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ravelin_ike::{OpId, Question};
use ravelin_pki::announce::Accepts;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_pki::{Certificate, Demand};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::Identity;

use super::http::PATIENCE;
use super::*;
use crate::daemon::clerk::Clerk;
use crate::daemon::crypto::ike_provider;

mod responder;

/// A server that answers every request with these octets, and where its list is; it counts the requests.
fn server_with(answer: Vec<u8>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("http://{}/ca.crl", listener.local_addr().expect("a port"));
    let (asked, requests) = channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 2048];
            let count = stream.read(&mut request).unwrap_or(0);
            let _ = asked.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let _ = stream.write_all(&answer);
        }
    });
    (uri, requests)
}

pub(super) fn ok(body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

pub(super) fn errand(number: u64) -> Asked {
    (OpId(number), Question::SignHash { credential: Arc::default(), hash: Vec::new() }, Arc::default())
}

#[test]
fn a_list_is_fetched_once_and_forgotten_when_told() {
    let ca = papers::root("ca", Kind::P256);
    let (uri, requests) = server_with(ok(&ca.crl(&[])));
    let library = Arc::new(Library::default());
    let (back, returned) = channel();
    let fetcher = Fetcher::new(library.clone(), back, ike_provider());
    let list = Source::List(uri);
    let wanted = [vec![Source::List("ldap://127.0.0.1/x".into()), list.clone()]];
    assert_eq!(library.next(&wanted, now()).as_ref(), Some(&list), "what HTTP reaches");
    for number in 0..3 {
        assert!(fetcher.fetch(list.clone(), errand(number)).is_none());
    }
    let order: Vec<u64> = returned.iter().take(3).map(|(op, ..)| op.0).collect();
    assert_eq!(order, [0, 1, 2]);
    assert!(requests.recv().expect("a request").starts_with("GET /ca.crl HTTP/1.1\r\n"));
    assert!(requests.try_recv().is_err(), "once");
    assert_eq!(library.lists().len(), 1);
    assert_eq!(library.next(&wanted, now()), None);
    // When it is out of date, and when it is forgotten, it is fetched again.
    assert!(library.next(&wanted, Time(now().0 + 100 * 31_556_952)).is_some());
    assert_eq!(library.forget(), 1);
    assert_eq!(library.next(&wanted, now()).as_ref(), Some(&list));
}

// What a server says is bounded and judged, and a failure is remembered, for a while.
#[test]
fn what_makes_no_list_is_a_failure_and_is_not_asked_for_at_once() {
    let old = papers::root("ca", Kind::P256).crl_until(&[], 2021);
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", limits::CRL + 1).into_bytes();
    let endless = [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0x30; limits::CRL + 10]].concat();
    for (answer, why) in [
        (ok(b"<html>"), "not"),
        (ok(&old), "out of date"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), "404"),
        (b"HTTP/1.1 302 Found\r\nLocation: /ca.crl\r\nContent-Length: 0\r\n\r\n".to_vec(), "redirect"),
        (b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n".to_vec(), ""),
        ([long, vec![0; 1024]].concat(), ""),
        (endless, ""),
        (b"\0\0\0\0\r\n\r\n".to_vec(), ""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(), ""),
        (Vec::new(), ""),
    ] {
        let (uri, _requests) = server_with(answer);
        let said = list(&uri).expect_err("no list");
        assert!(said.contains(why), "{said:?} has no {why:?}");
        let library = Library::default();
        let list = Source::List(uri);
        library.put(&list, Err(Trouble { why: said, whole: true }), now());
        assert_eq!(library.next(&[vec![list.clone()]], now()), None);
        assert_eq!(library.next(&[vec![list.clone()]], Time(now().0 + AGAIN)), Some(list));
        assert!(library.lists().is_empty());
    }
}

// Nothing that one server does delays a peer of another.
#[test]
fn a_silent_server_holds_up_its_own_peers_alone() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let slow = Source::List(format!("http://{}/x.crl", silent.local_addr().expect("a port")));
    let (quick, _requests) = server_with(ok(&papers::root("ca", Kind::P256).crl(&[])));
    let library = Arc::new(Library::default());
    let (back, returned) = channel();
    let fetcher = Fetcher::new(library.clone(), back, ike_provider());
    let began = Instant::now();
    for number in 0..(MAX_WAITING as u64) {
        assert!(fetcher.fetch(slow.clone(), errand(number)).is_none());
    }
    // Its queue is bounded: the next are judged without its list.
    let refused = (0..2).filter(|_| fetcher.fetch(slow.clone(), errand(1000)).is_some()).count();
    assert!(refused >= 1);
    assert!(fetcher.fetch(Source::List(quick), errand(2000)).is_none());
    assert_eq!(returned.recv().expect("an answer").0, OpId(2000));
    assert!(began.elapsed() < PATIENCE / 2);
    // In the end its own peers come back, all at once: the failure is remembered.
    assert!(returned.iter().take(MAX_WAITING).count() == MAX_WAITING);
    assert!(began.elapsed() < PATIENCE * 2);
}

#[test]
fn the_number_of_servers_and_of_places_is_bounded() {
    let library = Arc::new(Library::default());
    let (back, _returned) = channel();
    let fetcher = Fetcher::new(library.clone(), back, ike_provider());
    // Nobody listens there, so each is done at once.
    for port in 1..=u16::try_from(2 * MAX_SERVERS).expect("few") {
        let _ = fetcher.fetch(Source::List(format!("http://127.0.0.1:{port}/x")), errand(0));
    }
    assert!(fetcher.servers.lock().expect("a lock").len() <= MAX_SERVERS);
    for place in 0..2 * MAX_PLACES {
        let trouble = Trouble { why: "no".into(), whole: true };
        library.put(&Source::List(format!("http://a/{place}")), Err(trouble), now());
    }
    assert!(library.lock().len() <= MAX_PLACES);
}

#[test]
fn only_plain_places_of_http_are_asked() {
    for (uri, expected) in [
        ("http://crl.example.org/a.crl", Some("crl.example.org")),
        ("HTTP://crl.example.org:8080?x", Some("crl.example.org:8080")),
        ("https://crl.example.org/a.crl", None),
        ("ldap://crl.example.org/a", None),
        ("file:///etc/passwd", None),
        ("http://", None),
        ("http:///x", None),
        ("http://user:word@crl.example.org/", None),
    ] {
        assert_eq!(server(uri), expected, "{uri}");
    }
    let long = vec![vec![Source::List(format!("http://a/{}", "x".repeat(MAX_URI)))]];
    assert_eq!(Library::default().next(&long, now()), None);
}

const NAME: &str = "peer.example.org";

/// A peer that has this certificate of the authority, to be judged.
fn question(ca: &Paper, paper: &Paper, revocation: Demand) -> Question {
    let key = ike_provider().signatures.expect("signatures").private_key(&paper.pkcs8).expect("a key");
    let own = Certificate::parse(&paper.der).expect("a certificate");
    let credential = Credential { spki: own.spki().to_vec(), certificates: vec![own], ..Credential::default() };
    let proof =
        credential.prove(&*key, &Accepts { hashes: Some(vec![2]), methods: None }, b"octets").expect("a signature");
    let anchors = [Certificate::parse(&ca.der).expect("a certificate")];
    let trust = Trust { anchors: anchors.into(), revocation, ..Trust::default() };
    Question::Judge {
        trust: Arc::new(trust),
        identity: Identity::Fqdn(NAME.into()),
        certificates: vec![(4, paper.der.clone())],
        proof,
        octets: b"octets".to_vec(),
    }
}

/// What a clerk says: that it is proven, or why not.
pub(super) fn verdict(clerk: &mut Clerk, question: Question) -> String {
    let op = OpId(1);
    clerk.ask((op, question, Arc::default()));
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        match clerk.answers().remove(&op) {
            Some(ravelin_ike::Answer::Proven) => return "proven".to_owned(),
            Some(ravelin_ike::Answer::Refused(why)) => return why,
            Some(other) => panic!("{other:?}"),
            None => assert!(Instant::now() < end, "no answer"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Two hosts: a peer whose certificate says where the list is, and a clerk that judges it.
#[test]
fn a_peer_is_judged_by_the_list_that_its_certificate_names() {
    let (ca, listener) = (papers::root("ca", Kind::P256), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let uri = format!("http://{}/ca.crl", listener.local_addr().expect("a port"));
    let paper = |uri: &str| ca.issue(papers::listed_at(papers::subject("peer", &[NAME]), uri), Kind::P256);
    let (good, gone) = (paper(&uri), paper(&uri));
    let list = ok(&ca.crl(&[&gone]));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(&list);
        }
    });
    let nowhere = paper("http://127.0.0.1:1/ca.crl");
    let mut clerk = Clerk::start(ike_provider(), Arc::default()).expect("threads");
    let mut ask = |paper: &Paper, demand: Demand| verdict(&mut clerk, question(&ca, paper, demand));
    assert_eq!(ask(&good, Demand::Strict), "proven");
    let why = ask(&gone, Demand::Relaxed);
    assert!(why.contains("was revoked"), "{why}");
    // The good list of the same authority is here by now, and is for this certificate, too.
    assert_eq!(ask(&nowhere, Demand::IfUri), "proven");
    assert_eq!(ask(&nowhere, Demand::Relaxed), "proven");
}

// Row 66 of docs/HISTORY.md: where a certificate leads that nobody trusted has signed, nobody goes, whatever must be known.
#[test]
fn nothing_is_asked_of_whom_a_stranger_names() {
    let (ca, stranger) = (papers::root("ca", Kind::P256), papers::root("ca", Kind::P256));
    let (uri, requests) = server_with(ok(&stranger.crl(&[])));
    let subject = || {
        let listed = papers::listed_at(papers::subject("peer", &[NAME]), &uri);
        papers::answered_at(listed, &uri)
    };
    let middle = stranger.issue(papers::authority(papers::listed_at(papers::subject("middle", &[]), &uri)), Kind::P256);
    let mut clerk = Clerk::start(ike_provider(), Arc::default()).expect("threads");
    for demand in [Demand::Relaxed, Demand::IfUri, Demand::Strict] {
        for paper in [
            stranger.issue(subject(), Kind::P256),
            papers::own(subject(), Kind::P256),
            middle.issue(subject(), Kind::P256),
        ] {
            let mut question = question(&ca, &paper, demand);
            if let Question::Judge { certificates, .. } = &mut question {
                certificates.extend([(4, middle.der.clone()), (4, stranger.der.clone())]);
            }
            assert_ne!(verdict(&mut clerk, question), "proven");
        }
    }
    assert!(requests.try_recv().is_err(), "nobody is asked");
    // One of the authority's is looked after.
    verdict(&mut clerk, question(&ca, &ca.issue(subject(), Kind::P256), Demand::Strict));
    assert!(requests.try_recv().is_ok());
}
