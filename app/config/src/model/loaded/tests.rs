use std::path::Path;

use ravelin_types::dataplane::DataPlaneOp;

use super::*;
use crate::model::PolicyEntry;
use crate::swanctl::{contents, parse};

fn read(text: &str) -> Contents {
    let root = parse::parse(text, Path::new("f")).unwrap();
    contents(&root, Loaded::default()).unwrap()
}

/// A connection with children, each with what it does at the start, and the lifetime of its IKE SAs.
fn connection(name: &str, lifetime: &str, children: &[(&str, &str)]) -> Connection {
    let child = |(child, start): &(&str, &str)| {
        format!(" {child} {{\n local_ts = 10.1.0.0/16\n remote_ts = 10.2.0.0/16\n start_action = {start}\n }}\n")
    };
    let children: String = children.iter().map(child).collect();
    let text = format!(
        "connections {{\n {name} {{\n remote_addrs = 192.0.2.2\n rekey_time = {lifetime}\n local {{\n auth = psk\n }}\n \
         remote {{\n auth = psk\n }}\n children {{\n{children} }}\n }}\n}}\n"
    );
    read(&text).connections.remove(0)
}

fn secret(secret: &str) -> SharedSecret {
    read(&format!("secrets {{\n ike-a {{\n secret = {secret}\n }}\n}}\n")).secrets.remove(0)
}

// Thousands of connections are loaded one by one each time: what is the same costs no more than to see that.
#[test]
fn what_is_loaded_again_changes_nothing() {
    let mut model = Model::new();
    let both = [("net", "trap"), ("dmz", "none")];
    assert!(model.load_connection(connection("gw", "1h", &both)).unwrap());
    let before = model.clone();
    assert!(!model.load_connection(connection("gw", "1h", &both)).unwrap());
    assert!(before.difference(&model).is_empty() && before.changes(&model).is_empty());
    for (lifetime, children) in [("2h", &both[..]), ("1h", &both[..1]), ("1h", &[("net", "none"), both[1]])] {
        let mut other = before.clone();
        assert!(other.load_connection(connection("gw", lifetime, children)).unwrap(), "{lifetime} {children:?}");
        assert!(!before.changes(&other).is_empty(), "{lifetime} {children:?}");
    }

    assert!(model.load_secret(secret("one")) && !model.load_secret(secret("one")) && model.load_secret(secret("two")));
}

#[test]
fn policies_are_found_by_their_connection_and_their_remote() {
    let mut model = Model::new();
    model.load_connection(connection("gw", "1h", &[("net", "trap"), ("dmz", "trap")])).unwrap();
    model.load_connection(connection("gw2", "1h", &[("net", "trap")])).unwrap();
    let names = |found: &mut dyn Iterator<Item = &PolicyEntry>| {
        found.map(|entry| entry.spec.child_name().to_owned()).collect::<Vec<_>>()
    };
    let both = |model: &Model, name: &str| {
        let by = &model.policies;
        let (remote, connection) = (names(&mut by.of_remote(name)), names(&mut by.of_connection(name)));
        assert_eq!(remote, connection, "{name}");
        remote
    };
    assert_eq!(both(&model, "gw"), ["net", "dmz"]);
    assert_eq!(both(&model, "gw2"), ["net"]);
    assert!(both(&model, "g").is_empty());
    let before = model.clone();
    model.load_connection(connection("gw", "1h", &[("dmz", "trap")])).unwrap();
    assert_eq!(both(&model, "gw"), ["dmz"]);
    assert!(matches!(before.difference(&model)[..], [DataPlaneOp::DeletePolicy(_)]));
    model.unload_connection("gw").unwrap();
    assert!(both(&model, "gw").is_empty() && model.policies.of_connection("gw2").count() == 1);
    assert!(matches!(model.unload_connection("gw"), Err(ModelError::NoSuchConnection(_))));
}

// What is said of an entry that two models share is not said again; of one that has become weak it is.
#[test]
fn advice_is_given_when_it_is_new() {
    let weak = |name: &str, proposals: &str| {
        let text = format!(
            "connections {{\n {name} {{\n proposals = {proposals}\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n }}\n}}\n"
        );
        read(&text).connections.remove(0)
    };
    let mut model = Model::new();
    model.load_connection(weak("old", "3des-sha1-modp1024")).unwrap();
    assert!(!model.advice_since(&Model::new()).is_empty());
    let before = model.clone();
    model.load_connection(weak("good", "aes128-sha256-x25519")).unwrap();
    assert!(model.advice_since(&before).is_empty());
    let before = model.clone();
    model.load_connection(weak("good", "3des-sha256-x25519")).unwrap();
    assert_eq!(model.advice_since(&before).len(), 1);
    assert!(model.load_secret(secret("short")));
    assert_eq!(model.advice_since(&before).len(), 2);
}
