use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use ravelin_ike::config::{LocalAuth, Remote, RemoteAuth};
use ravelin_pki::Certificate;
use ravelin_testkit::papers::{self, Kind};

use crate::model::Model;
use crate::swanctl;

/// A folder with a configuration in it, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-folders-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self, file: &str) -> Result<Model, String> {
        let loaded = swanctl::load(&self.0.join(file), &Model::new(), &|_| false);
        loaded.map(|loaded| loaded.model).map_err(|error| error.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn remote(model: &Model, name: &str) -> Remote {
    Remote::clone(model.ike_config(&BTreeMap::new()).remote(name).unwrap())
}

const CONF: &str = "connections {
  gw {
    local_addrs = 192.0.2.1
    remote_addrs = 192.0.2.2
    local {
      auth = pubkey
      certs = own.pem
    }
    remote {
      auth = pubkey
      id = peer.lab
      REMOTE
    }
  }
}
secrets {
  rsa-own {
    file = own.key
    secret = \"open sesame\"
  }
}
";

#[test]
fn certificates_and_keys_beside_the_file_are_those_of_its_connections() {
    let folder = Folder::new("swanctl");
    let (root, stranger) = (papers::root("root", Kind::P256), papers::root("stranger", Kind::P256));
    let sub = root.intermediate("sub", Kind::P256);
    let (own, peer) = (sub.peer("own", &["own.lab"], Kind::P256), root.peer("peer", &["peer.lab"], Kind::P256));
    folder.write("x509/own.pem", &own.pem);
    folder.write("x509/peer.pem", &peer.pem);
    folder.write("x509ca/root.pem", &root.pem);
    folder.write("x509ca/sub.der", &sub.der);
    folder.write("x509crl/root.crl", root.crl(&[]));
    folder.write("elsewhere/stranger.pem", &stranger.pem);
    folder.write("swanctl.conf", CONF.replace("REMOTE", ""));
    let error = folder.load("swanctl.conf").err().unwrap();
    assert!(error.contains("swanctl.conf:17:3") && error.contains("rsa/own.key: No such file"), "{error}");
    folder.write("rsa/own.key", &own.key_pem);
    let model = folder.load("swanctl.conf").unwrap();
    let gw = remote(&model, "gw");
    assert_eq!(gw.local_id.to_string(), "asn1dn:C=CH, O=Ravelin, CN=own", "the subject where no id is given");
    let LocalAuth::Signature(credential) = &gw.local_auth else { panic!("{gw:?}") };
    let sent: Vec<&[u8]> = credential.certificates.iter().map(Certificate::der).collect();
    assert_eq!(sent, [&own.der[..], &sub.der], "up to the authority at the top, which the peer has");
    let papers = model.certificates().papers();
    assert_eq!(papers.keys[&credential.key].public_info(), credential.spki);
    assert_eq!(papers.crls.len(), 1);
    let RemoteAuth::Signature(trust) = &gw.remote_auth else { panic!("{gw:?}") };
    assert_eq!((trust.anchors.len(), trust.pinned.len(), trust.revocation), (1, 0, ravelin_pki::Demand::Relaxed));
    // What a connection says about its peer.
    let more =
        "certs = peer.pem\ncacerts = ../elsewhere/stranger.pem\nrevocation = strict\ncert_policy = 1.3.6.1.4.1.36906";
    folder.write("swanctl.conf", CONF.replace("REMOTE", more));
    let gw = remote(&folder.load("swanctl.conf").unwrap(), "gw");
    let RemoteAuth::Signature(trust) = &gw.remote_auth else { panic!("{gw:?}") };
    assert_eq!((trust.anchors[0].der(), trust.pinned[0].der()), (&stranger.der[..], &peer.der[..]));
    assert_eq!((trust.revocation, trust.policies.len()), (ravelin_pki::Demand::Strict, 1));
    // An authority that another one vouches for is asked for, and gives no trust.
    folder.write("swanctl.conf", CONF.replace("REMOTE", "cacerts = sub.der"));
    let gw = remote(&folder.load("swanctl.conf").unwrap(), "gw");
    let RemoteAuth::Signature(trust) = &gw.remote_auth else { panic!("{gw:?}") };
    assert_eq!((trust.anchors[0].der(), trust.above[0].der()), (&root.der[..], &sub.der[..]));
    assert_eq!((trust.anchors.len(), trust.above.len(), trust.asked().len()), (1, 1, 1));
}

#[test]
fn what_is_wrong_in_a_folder_is_said_with_its_file() {
    let folder = Folder::new("wrong");
    let root = papers::root("root", Kind::P256);
    let own = root.peer("own", &["own.lab"], Kind::P256);
    let plain = "connections {\n}\n";
    folder.write("swanctl.conf", plain);
    for (name, content, words) in [
        ("x509/a.pem", own.key_pem.as_bytes(), "x509/a.pem: no certificate is in it"),
        ("x509ca/a.pem", own.pem.as_bytes(), "x509ca/a.pem: ca certificate lacks CA basic constraint"),
        ("x509crl/a.crl", b"nonsense", "x509crl/a.crl: no certificate and no key is in it"),
        ("private/a.key", own.pem.as_bytes(), "private/a.key: no private key is in it"),
        (
            "x509ac/a.pem",
            own.pem.as_bytes(),
            "x509ac/a.pem: a certificate that cannot be read: it is no attribute certificate",
        ),
        ("x509aa/a.pem", root.pem.as_bytes(), "x509aa/a.pem: an attribute authority is no authority of certificates"),
        ("x509ocsp/a.pem", own.pem.as_bytes(), "x509ocsp/a.pem: a responder of OCSP is one whose certificate"),
    ] {
        folder.write(name, content);
        let error = folder.load("swanctl.conf").err().unwrap_or_default();
        assert!(error.contains(words), "{name}: {error}");
        fs::remove_file(folder.0.join(name)).unwrap();
    }
    folder.write("ecdsa/own.key", &own.key_pem);
    fs::set_permissions(folder.0.join("ecdsa/own.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(folder.load("swanctl.conf").err().unwrap().contains("mend it: chmod 600"));
    fs::set_permissions(folder.0.join("ecdsa/own.key"), fs::Permissions::from_mode(0o600)).unwrap();
    let model = folder.load("swanctl.conf").unwrap();
    assert_eq!(model.certificates().loaded().keys().count(), 1);
    assert!(!format!("{model:?}").contains("PRIVATE"));
    folder.write("swanctl.conf", CONF.replace("REMOTE", "").replace("own.key", "../ecdsa/own.key"));
    assert!(
        folder.load("swanctl.conf").err().unwrap().contains("swanctl.conf:7:15: cannot read"),
        "its place in the file"
    );
}

#[test]
fn the_folders_of_the_old_files_are_read_too() {
    let folder = Folder::new("ipsec");
    let root = papers::root("root", Kind::P256);
    let own = root.peer("own", &["own.lab"], Kind::P256);
    folder.write("ipsec.d/certs/own.pem", &own.pem);
    folder.write("ipsec.d/cacerts/root.pem", &root.pem);
    folder.write("ipsec.d/private/own.key", &own.key_pem);
    folder.write("ipsec.secrets", ": ECDSA own.key\n");
    let conf = "ca lab\n  cacert=root.pem\n  auto=add\nconn gw\n  left=192.0.2.1\n  leftcert=own.pem\n  leftid=@own.lab\n  \
                right=192.0.2.2\n  rightid=@peer.lab\n  keyexchange=ikev2\n  auto=add\n";
    folder.write("ipsec.conf", conf);
    let model = folder.load("ipsec.conf").unwrap();
    let gw = remote(&model, "gw");
    let LocalAuth::Signature(credential) = &gw.local_auth else { panic!("{gw:?}") };
    assert_eq!((gw.local_id.to_string().as_str(), credential.certificates[0].der()), ("fqdn:own.lab", &own.der[..]));
    assert!(model.certificates().papers().keys.contains_key(&credential.key));
    assert_eq!(model.certificates().loaded().authorities().keys().collect::<Vec<_>>(), ["lab"]);
    let with = |line: &str| folder.write("ipsec.conf", conf.replace("  auto=add\nconn", &format!("  {line}\nconn")));
    with("crluri=http://lab/ca.crl\n  crluri2=http://lab/more.crl\n  ocspuri=http://lab:8080");
    let model = folder.load("ipsec.conf").unwrap();
    let RemoteAuth::Signature(trust) = &remote(&model, "gw").remote_auth else { panic!() };
    assert_eq!(trust.places[0].authority.der(), &root.der[..]);
    assert_eq!(trust.places[0].crl_uris, ["http://lab/ca.crl", "http://lab/more.crl"]);
    assert_eq!(trust.places[0].ocsp_uris, ["http://lab:8080"]);
    with("certuribase=http://lab/certs/");
    let LocalAuth::Signature(credential) = &remote(&folder.load("ipsec.conf").unwrap(), "gw").local_auth.clone() else {
        panic!()
    };
    let reference = ravelin_pki::Reference::parse(credential.hosted[0].0, &credential.hosted[0].1).unwrap();
    assert!(credential.hosted[0].0 == 12 && reference.url.starts_with("http://lab/certs/"), "{reference:?}");
    with("certuribase=https://lab/certs/");
    assert!(folder.load("ipsec.conf").err().unwrap().contains("`https://lab/certs/` is not asked"));
    with("crluri=ldap://lab/ca");
    let error = folder.load("ipsec.conf").err().unwrap();
    assert!(error.contains("ipsec.conf:3:") && error.contains("`ldap://lab/ca` is not asked"), "{error}");
}

#[test]
fn a_key_on_a_token_is_named_among_the_secrets() {
    let folder = Folder::new("token");
    for (inside, expected) in [
        ("pin = 5678", "`handle` with the ID of the key"),
        ("handle = 0g", "expected hexadecimal digits"),
        ("handle = 01\n slot = x", "expected a number"),
        ("handle = 01\n colour = red", "unknown option: colour"),
        ("handle = 01\n module = nobody\n pin = 5678", "no module nobody is registered with p11-kit"),
        ("handle = 01\n module = /nonexistent.so", "the module /nonexistent.so cannot be used"),
    ] {
        folder.write("swanctl.conf", format!("secrets {{\n token-1 {{\n {inside}\n }}\n}}\n"));
        let why = folder.load("swanctl.conf").unwrap_err();
        assert!(why.contains(expected) && !why.contains("5678"), "{inside}: {why}");
    }
}
