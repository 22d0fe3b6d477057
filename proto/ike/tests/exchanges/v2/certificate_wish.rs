//! Hash and URL in the place of certificates (RFC 7296 §3.6), and OCSP answers beside them (RFC 4806).

use std::sync::Arc;

use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::{Answer, Command, Input, Question};
use ravelin_pki::auth::{Credential, Trust};
use ravelin_pki::ocsp::{Enquiry, NONCE};
use ravelin_pki::reference::{self, Kind as Lies};
use ravelin_pki::{Lookup, Places, Reference, Wish};
use ravelin_testkit::ocsp::{Reply, Status};
use ravelin_testkit::papers::{self, Kind, Paper};

use crate::lab::*;
use crate::papers::*;

const BASE: &str = "http://certs.example.org/";
const OCSP: &str = "http://ocsp.example.org";
const NO: Wish = Wish { lookup: false, status: false };
const LOOKUP: Wish = Wish { lookup: true, ..NO };
const STATUS: Wish = Wish { status: true, ..NO };

/// What the two were asked for and brought: the wish that each saw, and the encodings that each got.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    wishes: Vec<Wish>,
    brought: Vec<Vec<u8>>,
}

/// Both sides with certificates that lie under the base and name a responder, which has spoken; what each says of the other.
struct Scene {
    papers: Papers2,
    places: Arc<[Places]>,
}

impl Scene {
    fn new() -> Self {
        let root = papers::root("root", Kind::P256);
        let paper = |name, alt| root.issue(papers::answered_at(papers::subject(name, &[alt]), OCSP), Kind::P256);
        let (a, b) = (paper("a", NAME_A), paper("b", NAME_B));
        let (authority, crl_uris, ocsp_uris) = (certificate(&root.der), Vec::new(), Vec::new());
        let cert_uri_base = Some(BASE.to_owned());
        let places = Places { authority, crl_uris, ocsp_uris, cert_uri_base, bundle_uri_base: None };
        Scene { papers: Papers2 { root, a, b }, places: [places].into() }
    }

    fn credential(&self, paper: &Paper) -> Credential {
        let root = certificate(&self.papers.root.der);
        Credential::clone(&credential(paper, &[])).placed(&[&root], &self.places, &provider())
    }

    fn lab(&self, of_a: impl FnOnce(&mut Trust), of_b: impl FnOnce(&mut Trust)) -> Lab {
        let mut trusts = [trust(&[&self.papers.root.der]), trust(&[&self.papers.root.der])];
        of_a(&mut trusts[0]);
        of_b(&mut trusts[1]);
        let [of_a, of_b] = trusts.map(|trust| RemoteAuth::Signature(Arc::new(trust)));
        let mut lab = self.papers.lab(|a, b| {
            (a.remotes[0].remote_auth, b.remotes[0].remote_auth) = (of_a, of_b);
            a.remotes[0].local_auth = LocalAuth::Signature(Arc::new(self.credential(&self.papers.a)));
            b.remotes[0].local_auth = LocalAuth::Signature(Arc::new(self.credential(&self.papers.b)));
        });
        for (host, paper) in [(&mut lab.a, &self.papers.a), (&mut lab.b, &self.papers.b)] {
            let enquiry = Enquiry::new(&certificate(&paper.der), &certificate(&self.papers.root.der), &provider());
            let enquiry = enquiry.unwrap();
            let request = enquiry.request(&[1; NONCE]).unwrap();
            let der = Reply::new(Status::Good, &request).signed_by(&self.papers.root, &request, &[]);
            host.papers.answers =
                vec![enquiry.answer(&der, Some(&[1; NONCE]), host.papers.now(), &provider()).unwrap()];
        }
        lab
    }

    /// What lies under the base.
    fn lies(&self, reference: &Reference) -> Option<Vec<(u8, Vec<u8>)>> {
        let all = [&self.papers.a, &self.papers.b];
        let there = |paper: &&&Paper| Reference::new(Lies::Certificate, BASE, &paper.der, &provider()) == *reference;
        all.iter().find(there).map(|paper| vec![(4, paper.der.clone())])
    }

    /// Connects; who judges looks certificates up.
    fn run(&self, lab: &mut Lab) -> [Seen; 2] {
        let mut seen = [Seen::default(), Seen::default()];
        lab.a.command(Command::Initiate(POLICY));
        for _ in 0..20 {
            for (host, seen) in [&mut lab.a, &mut lab.b].into_iter().zip(&mut seen) {
                while let Some((op, mut question)) = host.asked.pop_front() {
                    match &mut question {
                        Question::Sign { wish, .. } => seen.wishes.push(*wish),
                        Question::Judge { certificates, .. } => {
                            seen.brought.push(certificates.iter().map(|(encoding, _)| *encoding).collect());
                            reference::fill(certificates, |it| self.lies(it));
                        }
                        other => panic!("{other:?}"),
                    }
                    let answer = host.papers.answer(question);
                    host.input(Input::Done(op, answer.into()));
                }
            }
            if !lab.a.sent.is_empty() {
                lab.a_to_b();
            } else if !lab.b.sent.is_empty() {
                lab.b_to_a();
            }
        }
        seen
    }
}

fn look(trust: &mut Trust) {
    trust.lookup = Lookup::Under(vec![BASE.into()]);
}

fn ask(trust: &mut Trust) {
    trust.asks_status = Some(true);
}

// RFC 7296 §3.6 and RFC 4806 §4.2: each side, as initiator and as responder, gets what it asks for and nothing else.
#[test]
fn a_side_gets_what_it_asks_for() {
    let scene = Scene::new();
    let nothing = |_: &mut Trust| {};
    let both = |trust: &mut Trust| {
        look(trust);
        ask(trust);
    };
    let seen = |wish, brought: &[u8]| Seen { wishes: vec![wish], brought: vec![brought.to_vec()] };
    for (mut lab, a, b) in [
        (scene.lab(nothing, nothing), seen(NO, &[4]), seen(NO, &[4])),
        (scene.lab(look, nothing), seen(NO, &[12]), seen(LOOKUP, &[4])),
        (scene.lab(nothing, look), seen(LOOKUP, &[4]), seen(NO, &[12])),
        (scene.lab(ask, nothing), seen(NO, &[4, 14]), seen(STATUS, &[4])),
        (scene.lab(nothing, ask), seen(STATUS, &[4]), seen(NO, &[4, 14])),
        (scene.lab(look, both), seen(Wish { lookup: true, status: true }, &[12]), seen(LOOKUP, &[12, 14])),
    ] {
        assert_eq!(scene.run(&mut lab), [a, b]);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    }
}

// What a peer brings about itself counts where it must be known whether it was revoked.
#[test]
fn the_answer_that_a_peer_brings_is_believed() {
    let scene = Scene::new();
    let strict = |trust: &mut Trust| trust.revocation = ravelin_pki::Demand::Strict;
    let mut lab = scene.lab(strict, strict);
    scene.run(&mut lab);
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    // Without it nothing is known.
    let silent = |trust: &mut Trust| {
        strict(trust);
        trust.asks_status = Some(false);
    };
    let mut lab = scene.lab(|_| {}, silent);
    scene.run(&mut lab);
    let why = lab.b.failure(Part::Certificate).to_string();
    assert!(why.contains("cannot be known"), "{why}");
}

// Several peers may be at an address: nobody is told that certificates are looked up unless those of all are.
#[test]
fn a_responder_that_looks_up_only_some_peers_does_not_say_so() {
    let scene = Scene::new();
    let mut lab = scene.lab(|_| {}, look);
    lab.b.configure(|config| {
        let mut other = config.remotes[0].clone();
        other.name = "other".into();
        other.remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&scene.papers.root.der])));
        config.remotes.push(other);
    });
    let [a, b] = scene.run(&mut lab);
    assert_eq!((a.wishes, b.brought), (vec![NO], vec![vec![4]]));
    assert_eq!(lab.b.children().len(), 1);
}

// Who sends hash and URL unasked is not looked up, and however many it sends, few are kept.
#[test]
fn a_flood_of_urls_is_cut_short() {
    let scene = Scene::new();
    let mut lab = scene.lab(|_| {}, |_| {});
    super::signature::begin(&mut lab);
    let (op, question) = lab.a.asked.pop_front().unwrap();
    let Answer::Signed(proof, _) = lab.a.papers.answer(question) else { panic!() };
    let flood =
        (0..50u32).map(|number| Reference::new(Lies::Certificate, BASE, &number.to_be_bytes(), &provider()).payload());
    lab.a.input(Input::Done(op, Answer::Signed(proof, flood.collect()).into()));
    while !lab.a.sent.is_empty() {
        lab.a_to_b();
    }
    let Some((_, Question::Judge { certificates, .. })) = lab.b.asked.front() else { panic!() };
    assert_eq!(certificates.len(), ravelin_pki::limits::REFERENCES);
    lab.settle();
    let why = lab.b.failure(Part::Certificate).to_string();
    assert!(why.contains("where none is looked up"), "{why}");
}
