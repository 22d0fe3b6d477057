//! strongSwan's own examples, the configurations of its test suite (`testing/tests` of its source), which are not in this
//! repository: `STRONGSWAN_TESTS=/path/to/testing/tests cargo test -p ravelin-config --test strongswan -- --nocapture`.
//! Without that folder the test says that it was skipped.
//!
//! Those of `swanctl.conf` and of `ipsec.conf` are counted apart. They name certificates and keys that strongSwan's build makes,
//! and addresses that it fills in: here all papers are one, so that what is counted is whether the words are understood.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ravelin_config::{Model, swanctl};
use ravelin_pki::Certificate;
use ravelin_testkit::papers::{self, Kind};

/// The files, and how many of a hundred load at least.
const FILES: [(&str, usize); 2] = [("swanctl.conf", 80), ("ipsec.conf", 80)];
/// Addresses that strongSwan's build fills in.
const ADDRESSES: [(&str, &str); 11] = [
    ("PH_IP_MOON1", "10.1.0.1"),
    ("PH_IP_MOON", "192.168.0.1"),
    ("PH_IP_SUN1", "10.2.0.1"),
    ("PH_IP_SUN", "192.168.0.2"),
    ("PH_IP_CAROL1", "10.3.0.1"),
    ("PH_IP_CAROL", "192.168.0.100"),
    ("PH_IP_DAVE1", "10.3.0.2"),
    ("PH_IP_DAVE", "192.168.0.200"),
    ("PH_IP_ALICE", "10.1.0.10"),
    ("PH_IP_VENUS", "10.1.0.20"),
    ("PH_IP_BOB", "10.2.0.10"),
];
/// Papers that one example names at most.
const MAX_PAPERS: usize = 40;

#[test]
fn examples_of_strongswan_load_or_are_refused_by_name() {
    let Some(tests) = std::env::var_os("STRONGSWAN_TESTS").map(PathBuf::from) else {
        println!("SKIPPED: STRONGSWAN_TESTS names no folder with strongSwan's testing/tests");
        return;
    };
    FILES.iter().for_each(|(name, least)| count(&tests, name, *least));
}

fn count(tests: &Path, name: &str, least: usize) {
    let mut examples = Vec::new();
    find(tests, name, &mut examples);
    examples.sort();
    assert!(!examples.is_empty(), "no {name} below {}", tests.display());
    let scratch = std::env::temp_dir().join(format!("ravelin-strongswan-{}/{name}", std::process::id()));
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let mut loaded = 0;
    for example in &examples {
        let _ = fs::remove_dir_all(&scratch);
        copy(example.parent().unwrap(), &scratch);
        let beside = scratch.with_file_name("strongswan.conf");
        let _ = fs::remove_file(&beside);
        if let Ok(text) = fs::read_to_string(example.parent().unwrap().with_file_name("strongswan.conf")) {
            fs::write(&beside, filled(text)).unwrap();
        }
        match load(&scratch.join(name), &own_addresses(example)) {
            Ok(()) => loaded += 1,
            Err(why) => {
                let first = why.lines().next().unwrap_or_default().to_owned();
                let placed = first.starts_with(&*scratch.to_string_lossy());
                assert!(placed, "{}: refused without a file: {why}", example.display());
                let what = first.split(": ").skip(1).collect::<Vec<_>>().join(": ");
                *reasons.entry(what).or_default() += 1;
            }
        }
    }
    let _ = fs::remove_dir_all(scratch.parent().unwrap());
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    println!("{loaded} of {} {name} load; the others by their first refusal:", examples.len());
    reasons.iter().for_each(|(what, count)| println!("{count:5} {what}"));
    assert!(loaded * 100 >= least * examples.len(), "{loaded} of {} {name} load", examples.len());
}

/// Loads a copy of an example, with papers in the place of those that are missing.
fn load(file: &Path, own: &[IpAddr]) -> Result<(), String> {
    let root = papers::root("moon.strongswan.org", Kind::P256);
    let public = Certificate::parse(&root.der).unwrap().spki().to_vec();
    for _ in 0..MAX_PAPERS {
        let error = match swanctl::load(file, &Model::new(), &|address| own.contains(&address)) {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        let missing: Vec<&str> = error
            .lines()
            .filter_map(|line| line.split_once("cannot read ")?.1.split_once(": No such file"))
            .map(|(path, _)| path)
            .collect();
        if missing.is_empty() {
            return Err(error);
        }
        for path in missing.into_iter().map(Path::new) {
            let of = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
            let bytes = match of.as_str() {
                "private" | "rsa" | "ecdsa" | "pkcs8" => &root.pkcs8,
                "pubkey" => &public,
                _ => &root.der,
            };
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    Err(".conf:1: more papers than an example has".to_owned())
}

fn find(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            find(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
}

/// Those of the host whose folder an example is in.
fn own_addresses(example: &Path) -> Vec<IpAddr> {
    let host = example.components().skip_while(|part| part.as_os_str() != "hosts").nth(1);
    let host =
        host.map(|host| format!("PH_IP_{}", host.as_os_str().to_string_lossy().to_uppercase())).unwrap_or_default();
    let own = ADDRESSES.iter().filter(|(name, _)| !host.is_empty() && name.trim_end_matches('1') == host);
    own.map(|(_, address)| address.parse().unwrap()).collect()
}

fn filled(text: String) -> String {
    ADDRESSES.iter().fold(text, |text, (name, address)| text.replace(name, address))
}

/// A folder with its files, readable by their owner alone, with addresses filled in.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target);
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let filled = match String::from_utf8(bytes) {
            Ok(text) => filled(text).into_bytes(),
            Err(binary) => binary.into_bytes(),
        };
        fs::write(&target, filled).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o600)).unwrap();
    }
}
