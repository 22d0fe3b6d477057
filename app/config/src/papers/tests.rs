//! The database of certificates, by the lines that make it.

use super::*;
use crate::command::{self, Command};
use crate::model::Model;
use ravelin_ike::config::{LocalAuth, RemoteAuth};
use ravelin_testkit::papers::{self, Kind};
use std::fs;
use std::os::unix::fs::PermissionsExt;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-papers-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), content).unwrap();
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn apply(model: &mut Model, folder: &Folder, line: &str) -> Result<(), String> {
    let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let done = match command::parse(&words).map_err(|bad| bad.to_string())?.command {
        Command::AddCertificate(spec) => model.add_certificate(&spec, &folder.0),
        Command::DeleteCertificate(file) => model.delete_certificate(&file),
        Command::AddRemote(spec) => model.add_remote(*spec, &folder.0),
        Command::DeleteRemote(which) => model.delete_remotes(&which).map(drop),
        other => panic!("{other:?}"),
    };
    done.map_err(|error| error.to_string())
}

const REMOTE: &str = "ike remote -n dexter -z 2 -w -u -m RSASIG -r 10.0.0.78 -f asnlbn: -g asnlbn: -b peer.pem \
                      -c own.pem,ca.pem";

// Document 003 §5.2.
#[test]
fn the_lines_of_the_second_example_make_a_remote_with_certificates() {
    let folder = Folder::new("example");
    let root = papers::root("root", Kind::P256);
    let (own, peer) = (root.peer("supam", &[], Kind::P256), root.peer("supas", &[], Kind::P256));
    folder.write("ca.pem", &root.pem);
    folder.write("own.pem", &own.pem);
    folder.write("key.pem", &own.key_pem);
    folder.write("peer.pem", &peer.pem);
    let mut model = Model::new();
    let error = apply(&mut model, &folder, REMOTE).unwrap_err();
    assert_eq!(error, "own.pem is not in the database; add it: ce x509 -a own.pem -d 1");
    apply(&mut model, &folder, "ce x509 -a own.pem -d 1").unwrap();
    let error = apply(&mut model, &folder, REMOTE).unwrap_err();
    assert!(error.contains("add it: ce x509 -a own.pem -d 1 -k KEYFILE"), "{error}");
    apply(&mut model, &folder, "ce x509 -x own.pem").unwrap();
    apply(&mut model, &folder, "ce x509 -a ca.pem -d 1").unwrap();
    apply(&mut model, &folder, "ce x509 -a own.pem -d 1 -k key.pem").unwrap();
    apply(&mut model, &folder, REMOTE).unwrap();
    let config = model.ike_config(&BTreeMap::new());
    let remote = config.remote("dexter").unwrap();
    assert_eq!(remote.local_id.to_string(), "asn1dn:C=CH, O=Ravelin, CN=supam");
    assert_eq!(remote.remote_id.to_string(), "asn1dn:C=CH, O=Ravelin, CN=supas");
    let (LocalAuth::Signature(credential), RemoteAuth::Signature(trust)) = (&remote.local_auth, &remote.remote_auth)
    else {
        panic!("{remote:?}")
    };
    let sent: Vec<&[u8]> = credential.certificates.iter().map(Certificate::der).collect();
    assert_eq!(sent, [&own.der[..], &root.der]);
    assert_eq!(trust.pinned[0].der(), peer.der);
    assert!(model.certificates().papers().keys.contains_key(&credential.key));
    let error = apply(&mut model, &folder, "ce x509 -x own.pem").unwrap_err();
    assert!(error.contains("the remote dexter needs own.pem"), "{error}");
    // Without -b, whoever the authority vouches for; the authority can be taken out again.
    apply(&mut model, &folder, "ike remote -x dexter").unwrap();
    let any = REMOTE.replace("-f asnlbn: ", "-f fqdn:gw ").replace("-b peer.pem ", "");
    apply(&mut model, &folder, &any).unwrap();
    let trusts = |model: &Model| match &model.ike_config(&BTreeMap::new()).remote("dexter").unwrap().remote_auth {
        RemoteAuth::Signature(trust) => trust.anchors.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(trusts(&model), 1);
    apply(&mut model, &folder, "ike remote -x dexter").unwrap();
    apply(&mut model, &folder, "ce x509 -x ca.pem").unwrap();
    let error = apply(&mut model, &folder, &any).unwrap_err();
    assert!(error.starts_with("no authority is trusted"), "{error}");
}

#[test]
fn keys_are_protected_and_belong_to_their_certificates() {
    let folder = Folder::new("keys");
    let (one, two) = (papers::root("one", Kind::P256), papers::root("two", Kind::Ed25519));
    folder.write("one.pem", &one.pem);
    folder.write("one.key", &one.key_pem);
    folder.write("two.key", &two.key_pem);
    folder.write("both.pem", format!("{}{}", two.pem, two.key_pem));
    folder.write("none.pem", "hello");
    let mut model = Model::new();
    let mut add = |line: &str| apply(&mut model, &folder, &format!("ce x509 {line}"));
    assert!(add("-a one.pem -k two.key").unwrap_err().contains("the private key in two.key is not that of one.pem"));
    assert!(add("-a one.pem -k one.pem").unwrap_err().contains("no private key is in one.pem"));
    let error = add("-a one.pem -k pkcs11:object=key?pin-value=1").unwrap_err();
    assert!(error.contains("pin-source=file:"), "{error}");
    let error = add("-a one.pem -k pkcs11:object=key?module-name=nobody").unwrap_err();
    assert!(error.contains("no module nobody is registered with p11-kit"), "{error}");
    assert!(add("-a none.pem").unwrap_err().contains("no certificate and no key is in it"));
    assert!(add("-a missing.pem").unwrap_err().contains("missing.pem: No such file"));
    for (file, line) in [("one.key", "-a one.pem -k one.key"), ("both.pem", "-a both.pem")] {
        fs::set_permissions(folder.0.join(file), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(add(line).unwrap_err().contains("mend it: chmod 600"), "{file}");
        fs::set_permissions(folder.0.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        add(line).unwrap();
        assert!(add(line).unwrap_err().contains("is in the database already"));
    }
    assert_eq!(model.certificates().entries().iter().filter(|entry| entry.key.is_some()).count(), 2);
    // Nothing of a key is ever printed.
    assert!(
        !format!("{model:?}").contains("PRIVATE") && format!("{:?}", model.certificates().papers()).contains("2 keys")
    );
}
