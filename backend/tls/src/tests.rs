//! EAP-TLS between the two ends, and with certificates and messages that must not pass.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ravelin_crypto::signature::PrivateKey;
use ravelin_eap::tls::TlsSide;
use ravelin_eap::{
    Account, Accounts, Authenticator, Client, Conversation, Forgetful, Method, Peer, Proven, Server, Step, Tools,
};
use ravelin_pki::auth::{Credential, Trust, World};
use ravelin_pki::ocsp::Answer;
use ravelin_pki::{Certificate, Crl, Demand, Source, Time, memory};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_types::{Identity, Secret};
use ravelin_wire::ike::v2::{Eap, EapCode};

use crate::judge::Judge;
use crate::{Maker, Register};

const CAROL: &str = "carol.example.org";
const GW: &str = "gw.example.org";

/// What one side has.
struct Side {
    tls: TlsSide,
    keys: BTreeMap<String, Arc<dyn PrivateKey>>,
    crls: Vec<Crl>,
    register: Option<Arc<dyn Register>>,
}

fn certificate(der: &[u8]) -> Certificate {
    Certificate::parse(der).unwrap()
}

/// One with these certificates, its own first, who believes these authorities.
fn side(chain: &[&Paper], anchors: &[&Paper], peer: Option<&str>) -> Side {
    let own = chain.first().map(|own| certificate(&own.der));
    let credential = own.map(|own| {
        let spki = own.spki().to_vec();
        let certificates = chain.iter().map(|paper| certificate(&paper.der)).collect();
        Arc::new(Credential { certificates, key: "key".into(), spki, ..Credential::default() })
    });
    let anchors = anchors.iter().map(|paper| certificate(&paper.der)).collect();
    let trust = Some(Arc::new(Trust { anchors, ..Trust::default() }));
    let provider = ravelin_crypto_aws_lc::provider();
    let key = |paper: &&Paper| provider.signatures.unwrap().private_key(&paper.pkcs8).unwrap().into();
    let keys = chain.first().map(|own| ("key".to_owned(), key(own))).into_iter().collect();
    let peer = peer.map(|name| Identity::Fqdn(name.into()));
    Side { tls: TlsSide { credential, trust, peer }, keys, crls: Vec::new(), register: None }
}

fn turn(side: &Side, conversation: &mut Conversation, heard: Option<&Eap>) -> Step {
    let crypto = ravelin_crypto_aws_lc::provider();
    let keys = |name: &str| side.keys.get(name).cloned();
    // 2026-06-01
    let world = World { now: Time(1_780_272_000), crls: &side.crls, answers: &[], memory: &memory::Forgetful };
    let maker = Maker { keys: &keys, world, register: side.register.as_ref(), crypto: &crypto };
    conversation.turn(heard, Tools { memory: &Forgetful, random: &|out| out.fill(7), tls: &maker })
}

/// A user with a password, and the side that knows it.
fn by_password(method: Method, carol: &Side, gw: &Side, password: &str) -> (Conversation, Conversation) {
    let user = Identity::Fqdn(CAROL.into());
    let account = Account { owners: vec![user.clone()], password: Secret::from(&b"geheim"[..]) };
    let password = Secret::from(password.as_bytes());
    let client = Client { user: user.clone(), methods: vec![method], password, tls: carol.tls.clone() };
    let server = Server {
        methods: vec![method],
        ask_identity: true,
        accounts: Accounts(vec![account].into()),
        tls: gw.tls.clone(),
        name: b"gw".to_vec(),
        ..Server::default()
    };
    let authenticator = Authenticator::new(server, &Identity::Fqdn("nobody".into()));
    (Conversation::Peer(Peer::new(client)), Conversation::Authenticator(authenticator))
}

fn peer(side: &Side, user: &str) -> Conversation {
    let user = if user.contains('@') { Identity::Rfc822(user.into()) } else { Identity::Fqdn(user.into()) };
    let (methods, password) = (vec![Method::Tls], Secret::default());
    Conversation::Peer(Peer::new(Client { user, methods, password, tls: side.tls.clone() }))
}

fn authenticator(side: &Side) -> Conversation {
    let server = Server {
        methods: vec![Method::Tls],
        ask_identity: true,
        tls: side.tls.clone(),
        name: b"gw".to_vec(),
        ..Server::default()
    };
    Conversation::Authenticator(Authenticator::new(server, &Identity::Fqdn("nobody".into())))
}

type Outcome = Result<Proven, String>;

/// The whole conversation, with what was said.
fn talk(carol: &Side, gw: &Side, user: &str) -> (Outcome, Outcome, Vec<Eap>) {
    run(carol, gw, (peer(carol, user), authenticator(gw)))
}

fn run(
    carol: &Side,
    gw: &Side,
    (mut peer, mut authenticator): (Conversation, Conversation),
) -> (Outcome, Outcome, Vec<Eap>) {
    let mut step = turn(gw, &mut authenticator, None);
    let mut asked = Err("the peer gave up".to_owned());
    let mut said = Vec::new();
    loop {
        let heard = match step {
            Step::Say(eap) => eap,
            Step::Done { last, outcome } => {
                asked = outcome;
                last.unwrap()
            }
        };
        said.push(heard.clone());
        match turn(carol, &mut peer, Some(&heard)) {
            Step::Say(eap) => {
                said.push(eap.clone());
                step = turn(gw, &mut authenticator, Some(&eap));
            }
            Step::Done { outcome, .. } => return (outcome, asked, said),
        }
    }
}

#[test]
fn both_sides_prove_themselves_and_have_one_key() {
    for kind in [Kind::Rsa, Kind::P256, Kind::P384, Kind::P521, Kind::Ed25519] {
        let root = papers::root("root", kind);
        let (own, own_gw) = (root.peer("carol", &[CAROL], kind), root.peer("gw", &[GW], kind));
        let (carol, gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
        let (there, here, _) = talk(&carol, &gw, CAROL);
        let (there, here) = (there.unwrap(), here.unwrap());
        assert_eq!((here.user.as_slice(), here.method), (CAROL.as_bytes(), Method::Tls.number()));
        let key = |proven: &Proven| proven.msk.as_ref().unwrap().expose().to_vec();
        assert_eq!((key(&there).len(), key(&there)), (64, key(&here)), "{kind:?}");
    }
}

// RFC 9190 §2.1.8 and RFC 5216 §5.2: who hides his name is who his certificate names.
#[test]
fn an_anonymous_user_is_the_one_of_the_certificate() {
    let root = papers::root("root", Kind::P256);
    let (own, own_gw) = (root.peer("carol", &[CAROL], Kind::P256), root.peer("gw", &[GW], Kind::P256));
    let (carol, gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    for name in ["@example.org", "anonymous@example.org", "anonymous"] {
        assert_eq!(talk(&carol, &gw, name).1.unwrap().user, CAROL.as_bytes(), "{name}");
    }
    // Nobody is another than his certificate says.
    let (there, here, _) = talk(&carol, &gw, "dave.example.org");
    let here = here.unwrap_err();
    assert!(here.contains("dave.example.org") && here.contains(CAROL), "{here}");
    assert!(there.unwrap_err().contains("the other side refused"));
}

#[test]
fn long_chains_come_in_pieces() {
    let root = papers::root("root", Kind::Rsa);
    let (one, two) =
        (root.intermediate("one", Kind::Rsa), root.intermediate("one", Kind::Rsa).intermediate("x", Kind::Rsa));
    let below = one.intermediate("two", Kind::Rsa);
    let own = below.peer("carol", &[CAROL], Kind::Rsa);
    let own_gw = below.peer("gw", &[GW], Kind::Rsa);
    let carol = side(&[&own, &below, &one, &two], &[&root], Some(GW));
    let gw = side(&[&own_gw, &below, &one, &two], &[&root], None);
    let (there, here, said) = talk(&carol, &gw, CAROL);
    assert!(there.is_ok() && here.is_ok());
    // Type, flags, length.
    let pieces = said.iter().filter(|eap| eap.data.get(1).is_some_and(|flags| flags & 0x40 != 0)).count();
    assert!(pieces >= 4 && said.iter().all(|eap| eap.data.len() <= 1030), "{pieces}");
}

// The class of CVE-2023-26463: certificates that nobody vouches for, on either side.
#[test]
fn certificates_that_are_not_believed_end_it_on_both_sides() {
    let kind = Kind::P256;
    let (root, stranger) = (papers::root("root", kind), papers::root("stranger", kind));
    let (own, own_gw) = (root.peer("carol", &[CAROL], kind), root.peer("gw", &[GW], kind));
    let gw = side(&[&own_gw], &[&root], None);
    let mut expired = papers::subject("carol", &[CAROL]);
    expired.not_after = expired.not_before.replace_year(2020).unwrap();
    let mut for_servers = papers::subject("carol", &[CAROL]);
    for_servers.extended_key_usages = vec![papers::SERVER_AUTH];
    let mut early = papers::subject("carol", &[CAROL]);
    (early.not_before, early.not_after) =
        (early.not_before.replace_year(2200).unwrap(), early.not_before.replace_year(2201).unwrap());
    // What is said here, and what the other side hears.
    let cases = [
        (stranger.peer("carol", &[CAROL], kind), "CN=stranger, which is not trusted", "unknown_ca"),
        (papers::own(papers::subject("carol", &[CAROL]), kind), "signed by itself", "unknown_ca"),
        (root.issue(expired, kind), "expired on 20", "certificate_expired"),
        (root.issue(early, kind), "valid only from 2200", "certificate_expired"),
        (root.issue(for_servers, kind), "see its key usage", "unsupported_certificate"),
    ];
    for (paper, words, alert) in &cases {
        let (there, here, _) = talk(&side(&[paper], &[&root], Some(GW)), &gw, CAROL);
        let (there, here) = (there.unwrap_err(), here.unwrap_err());
        assert!(here.contains(words), "{words}: {here}");
        assert!(there.contains("the other side refused") && there.contains(alert), "{alert}: {there}");
    }
    // The user's certificate with somebody else's key.
    let mut thief = side(&[&own], &[&root], Some(GW));
    thief.keys = side(&[&own_gw], &[&root], None).keys;
    assert!(talk(&thief, &gw, CAROL).1.is_err());
    // No certificate at all.
    let (_, here, _) = talk(&side(&[], &[&root], Some(GW)), &gw, CAROL);
    assert!(here.unwrap_err().contains("no certificate"));
    // Revoked.
    let mut knows = side(&[&own_gw], &[&root], None);
    knows.crls = vec![Crl::parse(&root.crl(&[&own])).unwrap()];
    assert!(talk(&side(&[&own], &[&root], Some(GW)), &knows, CAROL).1.unwrap_err().contains("revoked"));
    // An authenticator that the user does not know, and one that is known and somebody else.
    let rogue = stranger.peer("gw", &[GW], kind);
    let (there, here, _) = talk(&side(&[&own], &[&root], Some(GW)), &side(&[&rogue], &[&root], None), CAROL);
    assert!(there.unwrap_err().contains("CN=stranger") && here.unwrap_err().contains("the other side refused"));
    let other = root.peer("gw", &["other.example.org"], kind);
    let (there, here, _) = talk(&side(&[&own], &[&root], Some(GW)), &side(&[&other], &[&root], None), CAROL);
    let there = there.unwrap_err();
    assert!(there.contains(GW) && there.contains("other.example.org"), "{there}");
    assert!(here.is_err());
}

// CVE-2021-45079: success at every moment before the end.
#[test]
fn success_before_the_handshake_is_done_is_never_believed() {
    let root = papers::root("root", Kind::P256);
    let (own, own_gw) = (root.peer("carol", &[CAROL], Kind::P256), root.peer("gw", &[GW], Kind::P256));
    let (carol, gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    // Requests after which the user must not believe it: identity, start, the server's flight.
    for count in 0..3 {
        let (mut peer, mut authenticator) = (peer(&carol, CAROL), authenticator(&gw));
        let mut answer = None;
        for _ in 0..count {
            let Step::Say(asked) = turn(&gw, &mut authenticator, answer.as_ref()) else { panic!() };
            let Step::Say(said) = turn(&carol, &mut peer, Some(&asked)) else { panic!() };
            answer = Some(said);
        }
        let success = Eap { code: EapCode::SUCCESS, identifier: 1, data: Vec::new() };
        let Step::Done { outcome, .. } = turn(&carol, &mut peer, Some(&success)) else { panic!() };
        assert!(outcome.unwrap_err().contains("success before"), "{count}");
    }
}

/// Every message of a good conversation, damaged in turn.
#[test]
fn damaged_messages_end_it_and_nothing_else() {
    let root = papers::root("root", Kind::P256);
    let (own, own_gw) = (root.peer("carol", &[CAROL], Kind::P256), root.peer("gw", &[GW], Kind::P256));
    let (carol, gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    let count = talk(&carol, &gw, CAROL).2.len();
    for at in 0..count {
        // The start has nothing but a flag.
        for (offset, cut) in (1..1100).step_by(37).flat_map(|at| [(at, true), (at, false)]).filter(|_| at != 2) {
            let (done, damaged) = damaged(&carol, &gw, |count, data| match count == at && offset < data.len() {
                true if cut => {
                    data.truncate(offset);
                    true
                }
                true => {
                    data[offset] ^= 0x81;
                    true
                }
                false => false,
            });
            assert!(!done || !damaged, "message {at}, octet {offset}, cut {cut}");
        }
    }
}

// Row 69 of docs/HISTORY.md: supported_versions (RFC 8446 §4.2.1) of no length, of an odd one, of one beyond its end, and with
// versions that nobody has, in the hello of either side.
#[test]
fn hellos_whose_versions_lie_end_it() {
    let root = papers::root("root", Kind::P256);
    let (own, own_gw) = (root.peer("carol", &[CAROL], Kind::P256), root.peer("gw", &[GW], Kind::P256));
    let (carol, gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    let client = [0, 43, 0, 5, 4, 3, 4, 3, 3];
    let server = [0, 43, 0, 2, 3, 4];
    let mut cases: Vec<(&[u8], Vec<u8>)> = Vec::new();
    for (extension, list) in [
        (0u8, 4u8),
        (0, 0),
        (1, 0),
        (1, 4),
        (4, 3),
        (4, 4),
        (5, 0),
        (5, 1),
        (5, 3),
        (5, 5),
        (5, 255),
        (6, 4),
        (255, 4),
        (255, 254),
    ] {
        cases.push((&client, vec![0, 43, 0, extension, list, 3, 4, 3, 3]));
        cases.push((&client, vec![0, 43, 0xff, extension, list, 3, 4, 3, 3]));
    }
    cases.push((&client, vec![0, 43, 0, 5, 4, 0xfa, 0xfa, 0, 0]));
    for (length, version) in
        [(0, [3, 4]), (1, [3, 4]), (3, [3, 4]), (255, [3, 4]), (2, [0, 0]), (2, [0xff; 2]), (2, [3, 5]), (2, [3, 1])]
    {
        cases.push((&server, [&[0, 43, 0, length][..], &version].concat()));
    }
    for (honest, bad) in cases {
        let (done, damaged) = damaged(&carol, &gw, |_, data| {
            let Some(at) = data.windows(honest.len()).position(|octets| octets == honest) else { return false };
            data[at..at + bad.len()].copy_from_slice(&bad);
            true
        });
        assert!(damaged && !done, "{bad:?}");
    }
    assert!(talk(&carol, &gw, CAROL).1.is_ok());
}

/// A place where this list lies, or nothing.
struct Place {
    list: Option<Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

impl Register for Place {
    fn learn(&self, missing: &[Vec<Source>]) -> bool {
        let mut asked = self.asked.lock().unwrap();
        let next = missing.iter().flatten().map(|source| source.uri().to_owned()).find(|uri| !asked.contains(uri));
        next.is_some_and(|uri| {
            asked.push(uri);
            true
        })
    }

    fn known(&self) -> (Vec<Crl>, Vec<Answer>) {
        (self.list.iter().map(|list| Crl::parse(list).unwrap()).collect(), Vec::new())
    }
}

// RFC 5216 §5.4: whether a certificate was revoked is asked in the handshake, of either side.
#[test]
fn what_is_not_known_about_a_certificate_is_asked_for_in_the_handshake() {
    const AT: &str = "http://ca.example.org/list";
    let root = papers::root("root", Kind::P256);
    let listed = |name: &str, at: &str| {
        root.issue(papers::listed_at(papers::subject(name, &[&format!("{name}.example.org")]), at), Kind::P256)
    };
    let (own, own_gw, other) = (listed("carol", AT), listed("gw", AT), root.peer("other", &["x"], Kind::P256));
    for (list, verdict) in [
        (Some(root.crl(&[&other])), None),
        (Some(root.crl(&[&own, &own_gw])), Some("was revoked")),
        // Nobody has it.
        (None, Some("cannot be known")),
        // That of somebody else says nothing.
        (Some(papers::root("root", Kind::P256).crl(&[])), Some("cannot be known")),
    ] {
        // Of the server's and of the user's.
        for strict in [0, 1] {
            let (mut carol, mut gw) = (side(&[&own], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
            let place = Arc::new(Place { list: list.clone(), asked: Mutex::default() });
            let asking = if strict == 0 { &mut carol } else { &mut gw };
            asking.register = Some(place.clone());
            let trust = Trust { revocation: Demand::Strict, ..Trust::clone(asking.tls.trust.as_ref().unwrap()) };
            asking.tls.trust = Some(Arc::new(trust));
            let (there, here, _) = talk(&carol, &gw, CAROL);
            let outcome = if strict == 0 { there } else { here };
            match verdict {
                None => assert!(outcome.is_ok(), "{strict}: {outcome:?}"),
                Some(why) => assert!(outcome.as_ref().unwrap_err().contains(why), "{strict}: {outcome:?}"),
            }
            assert_eq!(*place.asked.lock().unwrap(), [AT], "once");
        }
    }
    // A stranger sends nobody anywhere.
    let stranger = papers::root("stranger", Kind::P256);
    let theirs = stranger.issue(papers::listed_at(papers::subject("carol", &[CAROL]), AT), Kind::P256);
    let (carol, mut gw) = (side(&[&theirs], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    let place = Arc::new(Place { list: None, asked: Mutex::default() });
    gw.register = Some(place.clone());
    assert!(talk(&carol, &gw, CAROL).1.is_err());
    assert!(place.asked.lock().unwrap().is_empty());
}

// Row 86 of docs/HISTORY.md: a public key alone, and other octets, in the place of a certificate.
#[test]
fn a_key_without_a_certificate_is_nobody() {
    use rustls::client::danger::ServerCertVerifier;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::server::danger::ClientCertVerifier;

    let root = papers::root("root", Kind::P256);
    let own = root.peer("carol", &[CAROL], Kind::P256);
    let world = World { now: Time(1_780_272_000), crls: &[], answers: &[], memory: &memory::Forgetful };
    let spki = certificate(&own.der).spki().to_vec();
    let trust = Trust { anchors: [certificate(&root.der)].into(), keys: vec![spki.clone()], ..Trust::default() };
    let name = ServerName::try_from(GW).unwrap();
    for (der, good) in
        [(own.der, true), (spki, false), (vec![], false), (vec![0x30, 0x80], false), (vec![0; 70_000], false)]
    {
        let judge = || Judge::new(Arc::new(trust.clone()), None, world, None, ravelin_crypto_aws_lc::provider());
        let (der, now) = (CertificateDer::from(der), UnixTime::since_unix_epoch(Duration::from_secs(1_780_272_000)));
        let (of_client, of_server) = (judge(), judge());
        assert_eq!(of_client.verify_client_cert(&der, &[], now).is_ok(), good);
        assert_eq!(of_server.verify_server_cert(&der, &[], &name, &[], now).is_ok(), good);
        assert!([of_client, of_server].iter().all(|judge| judge.found().get().is_some_and(Result::is_ok) == good));
    }
}

/// Whether both sides came to a good end although messages were damaged on the way, and whether any was, which the damage says of
/// each by its number.
fn damaged(carol: &Side, gw: &Side, mut damage: impl FnMut(usize, &mut Vec<u8>) -> bool) -> (bool, bool) {
    let (mut peer, mut authenticator) = (peer(carol, CAROL), authenticator(gw));
    let (mut heard, mut longer) = (None, false);
    for count in 0.. {
        let (side, conversation) = if count % 2 == 0 { (gw, &mut authenticator) } else { (carol, &mut peer) };
        let mut said = match turn(side, conversation, heard.as_ref()) {
            Step::Say(eap) => eap,
            Step::Done { outcome, last: None } => return (outcome.is_ok(), longer),
            Step::Done { outcome, last: Some(last) } => {
                let success = Some(last).filter(|_| outcome.is_ok());
                let Some(last) = success else { return (false, longer) };
                let Step::Done { outcome, .. } = turn(carol, &mut peer, Some(&last)) else { return (false, longer) };
                return (outcome.is_ok(), longer);
            }
        };
        longer |= damage(count, &mut said.data);
        heard = Some(said);
    }
    (false, longer)
}

// RFC 5281 §11 and PEAPv0: the authenticator by its certificate, the user by his password inside.
#[test]
fn a_password_inside_tls_proves_the_user() {
    let root = papers::root("root", Kind::P256);
    let own_gw = root.peer("gw", &[GW], Kind::P256);
    let (carol, gw) = (side(&[], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    for method in [Method::Ttls, Method::TtlsPap, Method::Peap] {
        let (there, here, said) = run(&carol, &gw, by_password(method, &carol, &gw, "geheim"));
        let (there, here) = (there.unwrap(), here.unwrap());
        assert_eq!((here.user.as_slice(), here.method), (CAROL.as_bytes(), method.number()));
        let key = |proven: &Proven| proven.msk.as_ref().unwrap().expose().to_vec();
        assert_eq!((key(&there).len(), key(&there)), (64, key(&here)), "{method}");
        assert!(said.iter().all(|eap| !eap.data.windows(4).any(|octets| octets == b"gehe")));

        let (there, here, _) = run(&carol, &gw, by_password(method, &carol, &gw, "other"));
        assert!(here.unwrap_err().contains("the password is not that of the user"), "{method}");
        assert!(there.is_err());
    }
}

// CVE-2015-4171's kin: nothing of the user's goes to an authenticator that has not proven itself.
#[test]
fn a_rogue_behind_tls_learns_nothing_of_the_password() {
    let (root, stranger) = (papers::root("root", Kind::P256), papers::root("stranger", Kind::P256));
    let rogue = stranger.peer("gw", &[GW], Kind::P256);
    let other = root.peer("gw", &["other.example.org"], Kind::P256);
    let carol = side(&[], &[&root], Some(GW));
    for method in [Method::Ttls, Method::TtlsPap, Method::Peap] {
        for paper in [&rogue, &other] {
            let gw = side(&[paper], &[&root], None);
            let (there, here, said) = run(&carol, &gw, by_password(method, &carol, &gw, "geheim"));
            assert!(there.is_err() && here.unwrap_err().contains("the other side refused"), "{method}");
            // Start, hello, the server's flight, an alert: nothing comes after it.
            assert!(said.len() <= 8, "{method}: {}", said.len());
        }
    }
}

// CVE-2021-45079 inside TLS: success after the handshake, before the password.
#[test]
fn success_before_the_password_inside_tls_is_never_believed() {
    let root = papers::root("root", Kind::P256);
    let own_gw = root.peer("gw", &[GW], Kind::P256);
    let (carol, gw) = (side(&[], &[&root], Some(GW)), side(&[&own_gw], &[&root], None));
    for method in [Method::Ttls, Method::TtlsPap, Method::Peap] {
        let whole = run(&carol, &gw, by_password(method, &carol, &gw, "geheim")).2.len() / 2;
        // The last request but the result is where the password is proven.
        for count in 0..whole - 1 {
            let (mut peer, mut authenticator) = by_password(method, &carol, &gw, "geheim");
            let mut answer = None;
            for _ in 0..count {
                let Step::Say(asked) = turn(&gw, &mut authenticator, answer.as_ref()) else { panic!() };
                let Step::Say(said) = turn(&carol, &mut peer, Some(&asked)) else { panic!() };
                answer = Some(said);
            }
            let success = Eap { code: EapCode::SUCCESS, identifier: 1, data: Vec::new() };
            let Step::Done { outcome, .. } = turn(&carol, &mut peer, Some(&success)) else { panic!() };
            assert!(outcome.unwrap_err().contains("success before"), "{method} {count}");
        }
    }
}
