//! Certificates of one authority for the two ends, and who answers what is asked about them: this process, at once.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use ravelin_crypto::SecureRandom;
use ravelin_crypto::signature::{HashAlg, PrivateKey, PublicKey, SignatureScheme};
use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_eap::{Forgetful, Tools};
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_ike::{Answer, Config, Desk, Question};
use ravelin_pki::auth::{Credential, Trust, World};
use ravelin_pki::memory::{Memory, Seen};
use ravelin_pki::{Certificate, Time};
use ravelin_testkit::papers::{self, Kind, Paper};
use ravelin_tls::Maker;
use ravelin_types::Identity;

/// Within the time of the certificates.
const NOW: Time = Time(56 * 31_556_952);

const SCHEME: SignatureScheme = SignatureScheme::Ecdsa(HashAlg::Sha256);

/// Names of the two ends.
pub const NAMES: [&str; 2] = ["a.example.org", "b.example.org"];

struct Papers {
    root: Certificate,
    ends: [Certificate; 2],
    /// By the name of their end.
    keys: BTreeMap<String, Arc<dyn PrivateKey>>,
}

static PAPERS: LazyLock<Papers> = LazyLock::new(|| {
    let root = papers::root("root", Kind::P256);
    let certificate = |paper: &Paper| Certificate::parse(&paper.der).expect("a certificate");
    let ends = NAMES.map(|name| root.peer(name, &[name], Kind::P256));
    let signatures = provider().signatures.expect("the provider signs");
    let key = |paper: &Paper| Arc::from(signatures.private_key(&paper.pkcs8).expect("a key"));
    Papers {
        root: certificate(&root),
        keys: NAMES.iter().zip(&ends).map(|(name, paper)| ((*name).to_owned(), key(paper))).collect(),
        ends: ends.each_ref().map(certificate),
    }
});

/// What both ends remember of certificates.
struct Shown(Mutex<Seen>);

static SHOWN: LazyLock<Shown> = LazyLock::new(|| Shown(Mutex::default()));

impl Memory for Shown {
    fn with(&self, act: &mut dyn FnMut(&mut Seen)) {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The ends have never seen each other's certificate.
pub fn forget() {
    SHOWN.with(&mut |seen| *seen = Seen::default());
}

/// The same with certificates instead of the pre-shared key, for the end of this number.
pub fn with_certificates(mut config: Config, end: usize) -> Config {
    let own = PAPERS.ends[end].clone();
    let (key, spki) = (NAMES[end].to_owned(), own.spki().to_vec());
    let remote = &mut config.remotes[0];
    remote.local_id = Identity::Fqdn(NAMES[end].into());
    remote.remote_id = Identity::Fqdn(NAMES[1 - end].into());
    remote.local_auth =
        LocalAuth::Signature(Arc::new(Credential { certificates: vec![own], key, spki, ..Credential::default() }));
    remote.remote_auth =
        RemoteAuth::Signature(Arc::new(Trust { anchors: [PAPERS.root.clone()].into(), ..Trust::default() }));
    config
}

/// Answers a question of either end.
pub fn answer(question: Question) -> Answer {
    let keys = |name: &str| PAPERS.keys.get(name).cloned();
    let world = World { now: NOW, crls: &[], answers: &[], memory: &*SHOWN };
    let crypto = provider();
    let tls = Maker { keys: &keys, world, register: None, crypto: &crypto };
    let eap = Tools { memory: &Forgetful, random: &|out| SystemRandom.fill(out), tls: &tls };
    question.answer(Desk { keys: &keys, world, crypto: &crypto, eap })
}

/// The bare signatures of a set-up: each end makes one and verifies two, the other's and that of its certificate.
pub fn signatures() -> impl Fn() {
    let key = &*PAPERS.keys[NAMES[0]];
    let public: Box<dyn PublicKey> =
        provider().signatures.expect("the provider verifies").public_key(&key.public_info()).expect("a key");
    let octets = [7; 400];
    move || {
        for _ in NAMES {
            let signature = key.sign(SCHEME, &octets).expect("a signature");
            for _ in 0..2 {
                public.verify(SCHEME, &octets, black_box(&signature)).expect("the signature verifies");
            }
        }
    }
}
