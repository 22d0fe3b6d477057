//! Certificates for both ends.

use std::sync::Arc;

use ravelin_ike::Config;
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_pki::Certificate;
use ravelin_pki::auth::{Credential, Trust};
use ravelin_testkit::papers::{self, Kind, Paper};

use crate::lab::*;

pub fn certificate(der: &[u8]) -> Certificate {
    Certificate::parse(der).unwrap()
}

/// A credential whose key is kept as `key`; the certificates are sent in this order.
pub fn credential(paper: &Paper, more: &[&[u8]]) -> Arc<Credential> {
    let own = certificate(&paper.der);
    let certificates = std::iter::once(own.clone()).chain(more.iter().map(|der| certificate(der))).collect();
    Arc::new(Credential { certificates, key: "key".into(), spki: own.spki().to_vec(), ..Credential::default() })
}

pub fn trust(anchors: &[&[u8]]) -> Trust {
    Trust { anchors: anchors.iter().map(|der| certificate(der)).collect(), ..Trust::default() }
}

pub fn give_key(host: &mut Host, paper: &Paper) {
    let key = provider().signatures.unwrap().private_key(&paper.pkcs8).unwrap();
    host.papers.keys.insert("key".into(), key.into());
}

pub const NAME_A: &str = "192.0.2.1.example.org";
pub const NAME_B: &str = "192.0.2.2.example.org";

/// What both ends have, before the test changes it.
pub struct Papers2 {
    pub root: Paper,
    pub a: Paper,
    pub b: Paper,
}

impl Papers2 {
    pub fn new(kind: Kind) -> Self {
        let root = papers::root("root", kind);
        let (a, b) = (root.peer("a", &[NAME_A], kind), root.peer("b", &[NAME_B], kind));
        Papers2 { root, a, b }
    }

    /// Both with certificates of the root.
    pub fn lab(&self, change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
        let mut lab = Lab::with(|a, b| {
            for (config, paper) in [(&mut *a, &self.a), (&mut *b, &self.b)] {
                config.remotes[0].local_auth = LocalAuth::Signature(credential(paper, &[]));
                config.remotes[0].remote_auth = RemoteAuth::Signature(Arc::new(trust(&[&self.root.der])));
            }
            change(a, b);
        });
        give_key(&mut lab.a, &self.a);
        give_key(&mut lab.b, &self.b);
        lab
    }
}
