//! What files of swanctl.conf's form come to, and what is refused.

mod child;
mod extensions;

use std::path::PathBuf;
use std::time::Duration;

use ravelin_eap::Method;
use ravelin_ike::config::{IdPattern, IkeVersion, Liveness, V1};
use ravelin_ike::extensions::Childless;
use ravelin_ike::{Tcp, Unique};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::if_id::{IfId, IfIds};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{HostName, IdType, Identity};

use super::*;
use crate::spec::{ActionWord, Afterwards, Beside, OwnBy, Role, SecretKind, Start};
use crate::value::if_id;

fn read(text: &str) -> Result<Contents, String> {
    let root = parse::parse(text, Path::new("f")).map_err(|error| error.to_string())?;
    contents(&root, papers::Loaded::default()).map_err(|error| error.to_string())
}

fn connection(inside: &str) -> Connection {
    let text = format!(
        "connections {{\n t {{\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n{inside}\n }}\n}}\n"
    );
    read(&text).unwrap_or_else(|error| panic!("{error}")).connections.remove(0)
}

fn refused(inside: &str) -> String {
    let text = format!(
        "connections {{\n t {{\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n{inside}\n }}\n}}\n"
    );
    read(&text).unwrap_err()
}

#[test]
fn a_tunnel_between_two_networks() {
    let read = connection(
        "version = 2\nlocal_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nproposals = aes128-sha256-x25519\n\
         dpd_delay = 30s\nrekey_time = 1h\nchildren {\n net {\n local_ts = 10.1.0.0/16, 10.3.0.0/16\n remote_ts = 10.2.0.0/16\n\
         rekey_time = 10m\n start_action = trap|start\n dpd_action = restart\n close_action = trap\n }\n}",
    );
    let remote = read.remote.unwrap();
    assert_eq!((remote.name.as_str(), remote.endpoint.to_string().as_str()), ("t", "192.0.2.2"));
    assert!(remote.initiate && remote.accept && remote.secret_file.is_none());
    assert_eq!(remote.own_id, Identity::from(std::net::IpAddr::from([192, 0, 2, 1])));
    assert_eq!(remote.liveness, Liveness::Regular(Duration::from_secs(30)));
    let loaded = remote.loaded.unwrap();
    assert_eq!((remote.peers, loaded.own_address, loaded.from.len()), (Some(IdPattern::Any), false, 0));
    let policy = &read.policies[0];
    assert_eq!((policy.name.as_str(), policy.local.len(), policy.trap), ("t.net", 2, true));
    let esp = policy.esp.as_ref().unwrap();
    assert_eq!(
        (esp.mode, esp.start, esp.dead, esp.closed),
        (Mode::Tunnel, Start::Now, Afterwards::Start, Afterwards::Trap)
    );
    let seconds = |limits: &ravelin_types::lifetime::Limits| limits.time.map(|time| time.as_secs());
    assert_eq!((seconds(&esp.lifetime.soft), seconds(&esp.lifetime.hard)), (Some(600), Some(660)));
}

#[test]
fn every_host_among_the_addresses_of_a_peer_is_one_to_begin_with() {
    let read = connection("remote_addrs = 192.0.2.2, 192.0.2.3, 198.51.100.0/24, 2001:db8::2");
    let remote = read.remote.unwrap();
    let addresses: Vec<String> = remote.addresses().map(|address| address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.2", "192.0.2.3", "2001:db8::2"]);
    let own = connection("local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2, 2001:db8::2").remote.unwrap();
    assert!(own.alternates.is_empty(), "of the family of our address alone");
}

#[test]
fn a_peer_of_a_name_is_looked_up_when_it_is_wanted() {
    let read = connection("remote_addrs = GW.example.org\nchildren {\n h {\n start_action = start\n }\n}");
    let remote = read.remote.unwrap();
    assert_eq!((remote.endpoint.to_string().as_str(), remote.initiate, remote.accept), ("gw.example.org", true, true));
    assert_eq!(remote.names().count(), 1);
    let loaded = remote.loaded.as_ref().unwrap();
    assert_eq!((loaded.remote_addrs.as_slice(), loaded.from.len()), (&["GW.example.org".to_owned()][..], 0));
    // Whoever proves to be anybody, as with an address (`remote { id = %any }`).
    assert_eq!(remote.peers, Some(IdPattern::Any));
    let policy = &read.policies[0];
    assert!(policy.remote.is_empty() && policy.esp.as_ref().unwrap().dynamic.remote.len() == 1);

    let several =
        connection("local_addrs = here.example.org, 192.0.2.1\nremote_addrs = 192.0.2.2, gw.example.org, 10.0.0.0/8");
    let remote = several.remote.unwrap();
    let hosts: Vec<String> = remote.hosts().map(ToString::to_string).collect();
    assert_eq!((hosts, remote.local), (vec!["192.0.2.2".to_owned(), "gw.example.org".to_owned()], None));
    let names: Vec<&str> = remote.names().map(|name| name.as_str()).collect();
    assert_eq!(names, ["gw.example.org", "here.example.org"]);
    let loaded = remote.loaded.unwrap();
    assert_eq!((loaded.from.len(), loaded.at.len()), (2, 1), "the ranges beside");
    assert!(loaded.own_address, "we are whatever address we begin from");
}

// What its traps are about is known when its name was looked up.
#[test]
fn a_trap_for_a_peer_of_a_name_waits_for_its_address() {
    let trap = "start_action = trap\n";
    let host = format!("local_addrs = 192.0.2.1\nremote_addrs = gw.example.org\nchildren {{\n h {{\n {trap} }}\n}}");
    let net = format!(
        "remote_addrs = gw.example.org\nchildren {{\n n {{\n local_ts = 10.1.0.0/16\n remote_ts = 10.2.0.0/16\n {trap} }}\n}}"
    );
    let name = HostName::new("gw.example.org").unwrap();
    for (text, stands_alone) in [(host, false), (net, true)] {
        let mut model = Model::new();
        model.load_connection(connection(&text)).unwrap();
        let entry = |model: &Model| model.policies().find(|entry| !entry.automatic).unwrap().clone();
        let before = entry(&model);
        assert_eq!((before.stands(), before.spec.trap), (stands_alone, true));
        let old = model.clone();
        let found = ["2001:db8::2", "192.0.2.2", "192.0.2.3"].map(|text| text.parse().unwrap());
        assert!(model.hosts_found([(&name, &found[..])]) && !model.hosts_found([(&name, &found[..])]));
        let policy = entry(&model).spd_policy();
        let Action::Protect(protection) = &policy.action else { panic!() };
        let expected: &[&str] = if stands_alone { &["10.2.0.0/16"] } else { &["192.0.2.2", "192.0.2.3"] };
        let remote: Vec<String> = policy.remote.iter().map(ToString::to_string).collect();
        assert_eq!((remote, entry(&model).stands()), (expected.iter().map(ToString::to_string).collect(), true));
        // Of the family of our own address, where that is known.
        let end = if stands_alone { "2001:db8::2" } else { "192.0.2.2" };
        assert_eq!(protection.remote.to_string(), end);
        let ops = old.difference(&model);
        assert!(matches!(&ops[..], [DataPlaneOp::AddPolicy(it)] if *it == policy), "{ops:?}");
        // IKE is told nothing of it: it asks each time it begins.
        assert_eq!(model.ike_config(&Default::default()).policies[0].policy.remote, before.spec.remote);
        // A file that says the same keeps all of it.
        let kept = model.renumbered({
            let mut fresh = Model::new();
            fresh.load_connection(connection(&text)).unwrap();
            fresh
        });
        assert!(model.difference(&kept.unwrap()).is_empty());
    }
}

#[test]
fn a_gateway_for_road_warriors_leaves_open_who_comes() {
    let read = connection("pools =\nchildren {\n rw {\n local_ts = 10.1.0.0/16\n }\n}");
    let remote = read.remote.unwrap();
    let loaded = remote.loaded.unwrap();
    assert!(!remote.initiate && remote.endpoint.is_anybody() && loaded.own_address);
    assert_eq!(loaded.from.len(), 2, "both families");
    let policy = &read.policies[0];
    assert!(policy.remote.is_empty() && !policy.trap);
    assert_eq!(policy.esp.as_ref().unwrap().dynamic.remote.len(), 1);
}

#[test]
fn identities_may_have_wildcards() {
    let text = "connections {\n t {\n local {\n auth = psk\n id = gw.example.org\n }\n remote {\n auth = psk\n id = *@example.org\n }\n }\n}\n";
    let remote = read(text).unwrap().connections.remove(0).remote.unwrap();
    assert_eq!(remote.own_id, Identity::Fqdn("gw.example.org".into()));
    assert_eq!(remote.peers.unwrap().to_string(), "*@example.org");
}

// S-006, S-007: IKEv1 where it is asked for alone, with its own defaults; 0, or no word, initiates version 2 and accepts both.
#[test]
fn a_connection_has_the_versions_that_it_names() {
    let newer = connection("remote_addrs = 192.0.2.2\nversion = 2");
    assert_eq!((newer.remote.unwrap().version, newer.older), (IkeVersion::V2, None));
    let one = connection("remote_addrs = 192.0.2.2\nversion = 1\naggressive = yes").remote.unwrap();
    assert_eq!(one.version, IkeVersion::V1(V1 { aggressive: true, ..V1::default() }));
    assert!(one.initiate && one.accept);
    let lines: Vec<String> = one.proposals.iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("IKE: AES256-CBC, AES128-CBC, PRF-HMAC-SHA-2-256"), "{lines:?}");
    for word in ["", "version = 0"] {
        let both = connection(&format!("remote_addrs = 192.0.2.2\n{word}"));
        let older = both.older.unwrap();
        assert_eq!((both.remote.unwrap().version, older.version), (IkeVersion::V2, IkeVersion::V1(V1::default())));
        assert!(!older.initiate && older.accept);
    }
    // Aggressive mode by that word alone, and then no other.
    let aggressive = connection("remote_addrs = 192.0.2.2\naggressive = yes").older.unwrap();
    assert_eq!(aggressive.version, IkeVersion::V1(V1 { aggressive: true, ..V1::default() }));
    assert_eq!(connection("remote_addrs = 192.0.2.2\nunique = keep").older, None);
    // What is for IKEv2 alone is offered to nobody else.
    assert_eq!(
        connection("remote_addrs = 192.0.2.2\nversion = 0\nproposals = aes128gcm16-prfsha256-x25519").older,
        None
    );
}

// Every option of swanctl.conf(5) is supported or refused by name, and none is unknown.
#[test]
fn every_option_is_known() {
    let connection = "aggressive childless dpd_delay dpd_timeout dscp encap fragmentation if_id_in if_id_out keyingtries \
                      local_addrs local_port mediated_by mediation mediation_peer mobike over_time pools ppk_id ppk_required \
                      ocsp proposals pull rand_time reauth_time rekey_time remote_addrs remote_port send_cert send_certreq unique \
                      version vips";
    let child = "ah_proposals close_action copy_df copy_dscp copy_ecn dpd_action esp_proposals hostaccess hw_offload if_id_in \
                 icmp if_id_out inactivity interface ipcomp label label_mode life_bytes life_packets life_time local_ts mark_in \
                 mark_in_sa mark_out mode per_cpu_sas policies policies_fwd_out priority rand_bytes rand_packets rand_time rekey_bytes \
                 rekey_packets rekey_time remote_ts replay_window reqid set_mark_in set_mark_out sha256_96 start_action \
                 tfc_padding";
    for name in connection.split_whitespace() {
        let why = refused(&format!("{name} = %nonsense%"));
        assert!(why.contains(name) && why.starts_with("f:9:") && !why.contains("unknown"), "{name}: {why}");
    }
    for name in child.split_whitespace() {
        let why = refused(&format!("children {{\n c {{\n{name} = %nonsense%\n }}\n}}"));
        assert!(why.contains(name) && why.contains("f:11:") && !why.contains("unknown"), "{name}: {why}");
    }
    for (side, names) in [
        ("local", "aaa_id auth certs eap_id pubkeys radius radius_accounting radius_authorizers round xauth_id"),
        (
            "remote",
            "auth ca_id cacerts cert_policy certs eap_id groups pubkeys radius radius_accounting radius_authorizers revocation round",
        ),
    ] {
        for name in names.split_whitespace() {
            let other = if side == "local" { "remote" } else { "local" };
            let text = format!(
                "connections {{\n t {{\n {other} {{\n auth = psk\n }}\n {side} {{\n auth = psk\n {name} = %nonsense%\n }}\n }}\n}}\n"
            );
            let why = read(&text).unwrap_err();
            assert!(why.contains(name) && why.starts_with("f:8:") && !why.contains("unknown"), "{side} {name}: {why}");
        }
    }
}

#[test]
fn mistakes_have_their_place_and_a_hint() {
    for (inside, expected) in [
        ("remote_adrs = 192.0.2.1", "f:9:15: unknown option: remote_adrs; did you mean remote_addrs?"),
        ("proposals = aes999-foo", "f:9:13: invalid value for: proposals, `aes999`"),
        ("version = 3", "f:9:11: invalid value for: version, expected 0, 1, 2"),
        ("version = 2\naggressive = yes", "`aggressive` is of IKEv1: say version = 1"),
        ("children {\n c {\n local_ts = nowhere\n }\n}", "f:11:13: invalid value for: local_ts"),
        ("children {\n c {\n start_action = start\n }\n}", "needs a peer to initiate to in remote_addrs"),
        (
            "remote_addrs = 192.0.2.2\nchildren {\n c {\n start_action = trap\n }\n}",
            "needs an address of this host in local_addrs",
        ),
        ("version = 1\nremote2 {\n auth = psk\n id = x\n}", "a second round that is no login is of IKEv2"),
        ("local2 {\n auth = psk\n}", "a further round of the side `local` says who it is"),
        ("local2 {\n auth = null\n id = x\n}", "who proves nothing has no other round"),
        ("remote2 {\n}\nremote3 {\n}\nremote4 {\n}\nremote5 {\n}", "a side proves itself 4 times at most"),
        ("childen {\n}", "f:9:1: unknown section: childen; did you mean children?"),
        ("local_addrs = 192.0.2.1\nremote_addrs = 2001:db8::1", "different families"),
        ("children {\n c {\n rekey_time = 1h\n life_time = 30m\n }\n}", "would end before it is rekeyed"),
    ] {
        let why = refused(inside);
        assert!(why.contains(expected), "{inside}: {why}");
    }
    assert!(read("secrets {\n ike {\n secert = x\n }\n}\n").unwrap_err().contains("f:3:11: unknown option: secert"));
    assert!(
        read("secrets {\n ntlm {\n secret = x\n }\n}\n").unwrap_err().contains("hashes of passwords are not taken")
    );
    assert!(read("connection {\n}\n").unwrap_err().contains("did you mean connections?"));
}

#[test]
fn a_file_is_taken_whole_and_only_what_changed_is_touched() {
    let folder = std::env::temp_dir().join(format!("ravelin-swanctl-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path: PathBuf = folder.join("swanctl.conf");
    let write = |second: &str, secret: &str| {
        let connection = |name: &str, remote: &str| {
            format!(
                " {name} {{\n  remote_addrs = 192.0.2.2\n  local {{\n   auth = psk\n  }}\n  remote {{\n   auth = psk\n  }}\n  children \
                 {{\n   net {{\n    local_ts = 10.1.0.0/16\n    remote_ts = {remote}\n    start_action = trap\n   }}\n  }}\n }}\n"
            )
        };
        let text = format!(
            "connections {{\n{}{}}}\nsecrets {{\n ike-x {{\n  id-1 = gw\n  secret = {secret}\n }}\n}}\n",
            connection("a", "10.2.0.0/16"),
            connection("b", second)
        );
        std::fs::write(&path, text).unwrap();
    };
    write("10.3.0.0/16", "one");
    let first = load(&path, &Model::new(), &|_| false).unwrap().model;
    let id = |model: &Model, name: &str| model.policy(name).unwrap().id;
    assert_eq!(first.connections().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.secrets().collect::<Vec<_>>(), ["ike-x"]);
    // The same again changes nothing.
    assert!(first.difference(&load(&path, &first, &|_| false).unwrap().model).is_empty());
    write("10.4.0.0/16", "two");
    let second = load(&path, &first, &|_| false).unwrap().model;
    assert_eq!(id(&first, "a.net"), id(&second, "a.net"));
    assert_ne!(id(&first, "b.net"), id(&second, "b.net"));
    assert_eq!(first.difference(&second).len(), 2, "one policy comes and one goes");
    write("nowhere", "three");
    assert!(load(&path, &second, &|_| false).unwrap_err().to_string().contains("remote_ts"));
    std::fs::write(&path, "").unwrap();
    assert!(load(&path, &second, &|_| false).unwrap().model.connections().is_empty());
    std::fs::remove_dir_all(folder).unwrap();
}

// RFC 4301 §4.4.3.1: the PAD is ordered. Of connections that take the same peers the first of the file is asked first.
#[test]
fn connections_come_in_the_order_of_the_file() {
    let connection = |name: &str, lifetime: &str| {
        let text = format!(
            "connections {{\n {name} {{\n version = 2\n rekey_time = {lifetime}\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n }}\n}}\n"
        );
        read(&text).unwrap().connections.remove(0)
    };
    let order = |model: &Model| {
        let remotes = &model.ike_config(&Default::default()).remotes;
        remotes.iter().map(|remote| remote.name.to_string()).collect::<Vec<_>>()
    };
    let file = |names: &[&str]| Contents {
        connections: names.iter().map(|name| connection(name, "1h")).collect(),
        ..Contents::default()
    };
    let mut model = Model::new();
    model.replace_loaded(file(&["zeta", "alpha", "mu"])).unwrap();
    assert_eq!(order(&model), ["zeta", "alpha", "mu"]);
    // Another in the place of one keeps its place, a new one comes last, and a file says it anew.
    model.load_connection(connection("alpha", "2h")).unwrap();
    model.load_connection(connection("beta", "1h")).unwrap();
    assert_eq!(order(&model), ["zeta", "alpha", "mu", "beta"]);
    model.replace_loaded(file(&["mu", "zeta", "beta"])).unwrap();
    assert_eq!(order(&model), ["mu", "zeta", "beta"]);
}

// As with strongSwan: a key may be that of a network, a range, a domain or everybody; a password is that of users.
#[test]
fn a_key_of_ike_belongs_to_many_where_its_owner_says_so() {
    let owners = |section: &str, ids: &str| {
        let text = format!("secrets {{\n {section} {{\n {ids}\n secret = x\n }}\n}}\n");
        let owners = read(&text).unwrap().secrets.remove(0).owners;
        owners.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let many =
        "id-a = 10.1.0.0/16\n id-b = 10.3.0.1-10.3.0.9\n id-c = *@example.org\n id-d = %any\n id-e = gw.example.org";
    let expected = ["10.1.0.0-10.1.255.255", "10.3.0.1-10.3.0.9", "*@example.org", "%any", "fqdn:gw.example.org"];
    assert_eq!(owners("ike-x", many), expected);
    let all = ["0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"];
    assert_eq!(owners("ike-x", "id = 0.0.0.0/0 0::0/0"), all);
    assert_eq!(owners("ike-x", "id = \"C=CH, O=10.0.0.1 10.0.0.2\"").len(), 1);
    assert_eq!(owners("eap-x", "id = carol"), ["fqdn:carol"]);
}

// RFC 4739: several proofs of a side, in the order of `round`, else as they are written.
#[test]
fn a_side_proves_itself_more_than_once() {
    let spec = connection(
        "remote_addrs = 192.0.2.2\nlocal-z {\n auth = psk\n id = third\n round = 3\n}\nlocal-y {\n auth = eap-mschapv2\n \
         eap_id = carol\n round = 2\n}\nremote-2 {\n auth = psk\n id = *.example.org\n}",
    );
    let spec = spec.remote.unwrap();
    let names: Vec<String> = spec.rounds.own.iter().map(|round| round.id.to_string()).collect();
    assert_eq!(names, ["fqdn:carol", "fqdn:third"]);
    assert!(matches!(&spec.rounds.own[0].by, OwnBy::Eap(eap, None) if eap.initiates()));
    assert_eq!(spec.rounds.own[1].by, OwnBy::Psk(None));
    assert_eq!(spec.rounds.peer[0].peers.to_string(), "*.example.org");
    assert!(spec.initiate && !spec.accept, "a user begins");
    let asked = connection("remote_addrs = 192.0.2.2\nremote-2 {\n auth = eap-md5\n eap_id = %any\n}").remote.unwrap();
    assert!(!asked.initiate && asked.accept);
    let both = connection("version = 0\nremote_addrs = 192.0.2.2\nremote-2 {\n auth = psk\n id = x\n}");
    assert_eq!(both.older, None);
}

// RFC 5739, which strongSwan has not.
#[test]
fn a_connection_asks_for_prefixes_and_a_pool_has_them() {
    let asks = connection(
        "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nprefixes = yes\nchildren {\n net {\n remote_ts = ::/0\n }\n}",
    );
    assert!(asks.remote.unwrap().internal.prefixes && asks.policies[0].local.is_empty());
    let pool = |text: &str| {
        let text = format!("pools {{\n nets {{\n {text}\n }}\n}}\n");
        read(&text)
    };
    let nets = pool("addrs = 2001:db8:100::/48\n prefix = 56").unwrap().pools.remove(0).pool;
    assert_eq!(nets.prefix, Some(56));
    assert_eq!(
        nets.addresses,
        "2001:db8:100::".parse().unwrap()..="2001:db8:100:ffff:ffff:ffff:ffff:ffff".parse().unwrap()
    );
    for bad in [
        "addrs = 10.3.0.0/16\n prefix = 24",
        "addrs = 2001:db8::/48\n prefix = 40",
        "addrs = 2001:db8::/48\n prefix = 128",
    ] {
        assert!(pool(bad).is_err(), "{bad}");
    }
}

// RFC 8598, of which strongSwan has the attributes by number alone.
#[test]
fn a_pool_tells_of_domains_and_a_connection_takes_which() {
    let asks = |names: &str| {
        connection(&format!(
            "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nvips = 0.0.0.0\n{names}\nchildren {{\n net {{\n remote_ts = 10.2.0.0/16\n }}\n}}"
        ))
    };
    let internal = asks("dns_domains = a.test, b.test\ndnssec_domains = a.test").remote.unwrap().internal;
    assert_eq!(
        (internal.domains.join(" "), internal.anchored.join(" ")),
        ("a.test b.test".to_owned(), "a.test".to_owned())
    );
    let pool =
        |text: &str| read(&format!("pools {{\n rw {{\n addrs = 10.3.0.0/24\n dns = 10.1.0.53\n {text}\n }}\n}}\n"));
    let told =
        pool("dnssec = a.test 1 8 2 AB, b.test 2 8 2 CD\n dns_domain = a.test, b.test").unwrap().pools.remove(0).pool;
    let grant = ravelin_ike::address::Grant { attributes: told.attributes, ..Default::default() };
    let anchors: Vec<_> = grant.anchors().map(|(domain, anchor)| (domain.to_owned(), anchor.key_tag)).collect();
    assert_eq!(anchors, [("a.test".to_owned(), 1), ("b.test".to_owned(), 2)]);
    for bad in ["dnssec = a.test 1 8 2 AB", "dnssec = a.test\n dns_domain = a.test", "dns_domain = a b"] {
        assert!(pool(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_road_warrior_asks_for_addresses_and_its_side_is_theirs() {
    let read = connection(
        "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nvips = 0.0.0.0, %any6, 10.3.0.7\n\
         children {\n net {\n remote_ts = 10.2.0.0/16, 2001:db8:2::/48\n }\n}",
    );
    let remote = read.remote.unwrap();
    let asks: Vec<String> = remote.internal.ask.iter().map(ToString::to_string).collect();
    assert_eq!(asks, ["0.0.0.0", "::", "10.3.0.7"]);
    let policy = &read.policies[0];
    assert!(policy.local.is_empty() && policy.remote.len() == 2);
    assert_eq!(policy.esp.as_ref().unwrap().dynamic.local.len(), 1);
    let refused = refused(
        "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nvips = 0.0.0.0\nchildren {\n net {\n start_action = trap\n }\n}",
    );
    assert!(refused.contains("does not go with vips"), "{refused}");
    assert!(self::refused("vips = nowhere").contains("is not an address; expected one, 0.0.0.0 for any"));
}

#[test]
fn pools_have_addresses_and_what_goes_with_them() {
    let text = "pools {\n rw {\n addrs = 10.3.0.0/24\n dns = 10.1.0.53, 2001:db8::53\n subnet = 10.1.0.0/16\n\
                split_include = 10.1.0.0/16, 10.4.0.0/16\n 25 = corp.example\n }\n}\n";
    let pool = read(text).unwrap().pools.remove(0).pool;
    assert_eq!((pool.name.as_str(), pool.addresses.end().to_string().as_str()), ("rw", "10.3.0.254"));
    let kinds: Vec<String> = pool.attributes.iter().map(|attribute| attribute.kind.to_string()).collect();
    let expected = ["INTERNAL_IP4_DNS", "INTERNAL_IP6_DNS", "INTERNAL_IP4_SUBNET", "28676", "INTERNAL_DNS_DOMAIN"];
    assert_eq!(kinds, expected);
    assert_eq!(pool.attributes[3].value.emit().len(), 28);
    for (bad, why) in [
        ("dns = 10.1.0.53", "`addrs` is missing"),
        ("addrs = everywhere", "is not a range of addresses"),
        ("addrs = 10.3.0.0/24\nsubnet = 10.1.0.0", "is not a subnet"),
        ("addrs = 10.3.0.0/24\nmystery = 1", "unknown option: mystery"),
        ("addrs = 10.3.0.0/24\n1 = 10.3.0", "INTERNAL_IP4_ADDRESS has a value of a wrong form"),
    ] {
        let error = read(&format!("pools {{\n rw {{\n{bad}\n }}\n}}\n")).unwrap_err();
        assert!(error.contains(why), "{bad}: {error}");
    }
    let unknown = "connections {\n t {\n pools = rv\n local {\n auth = psk\n }\n remote {\n auth = psk\n }\n }\n}\npools {\n rw {\n\
                   addrs = 10.3.0.0/24\n }\n}\n";
    assert!(read(unknown).unwrap_err().contains("there is no pool rv; did you mean rw?"));
}

#[test]
fn no_address_is_in_two_pools() {
    let load = |text: &str| {
        let mut model = Model::new();
        model.replace_loaded(read(text).unwrap()).map_err(|misfit| format!("{}: {}", misfit.name, misfit.error))
    };
    let two = |other: &str| format!("pools {{\n a {{\n addrs = 10.3.0.0/24\n }}\n b {{\n addrs = {other}\n }}\n}}\n");
    assert_eq!(load(&two("10.3.1.0/24")), Ok(()));
    assert_eq!(
        load(&two("10.3.0.254-10.3.1.9")),
        Err("b: the pools b and a have addresses in common: give one of the two others".to_owned())
    );
}

#[test]
fn the_side_with_eap_is_the_user() {
    let text = |local: &str, remote: &str| {
        format!(
            "connections {{\n t {{\n remote_addrs = 192.0.2.2\n local {{\n {local} }}\n remote {{\n {remote} }}\n }}\n}}\n"
        )
    };
    let spec = |local: &str, remote: &str| {
        let mut contents = read(&text(local, remote)).unwrap();
        contents.connections.remove(0).remote.unwrap()
    };
    let user =
        spec("auth = eap-mschapv2\n id = a.example.org\n eap_id = carol\n", "auth = pubkey\n id = gw.example.org\n");
    let eap = user.eap.unwrap();
    assert_eq!((user.initiate, user.accept, eap.beside, eap.methods.len()), (true, false, Beside::Certificate, 1));
    assert!(matches!(eap.role, Role::User(user) if user.to_string() == "fqdn:carol"));
    let gateway = spec("auth = psk\n id = gw\n", "auth = eap\n eap_id = *@example.org\n");
    let eap = gateway.eap.unwrap();
    assert_eq!((gateway.initiate, gateway.accept, eap.beside, eap.methods.len()), (false, true, Beside::Psk, 3));
    let Role::Authenticator { ask_identity, users, .. } = eap.role else { panic!() };
    // A certificate comes last, where there is one on this side, too.
    for (word, methods) in [("eap-dynamic", 4), ("eap", 4), ("eap-md5", 1)] {
        let eap = spec("auth = pubkey\n id = gw\n", &format!("auth = {word}\n eap_id = %any\n")).eap.unwrap();
        assert_eq!((eap.methods.len(), eap.methods.last() == Some(&Method::Tls)), (methods, methods == 4), "{word}");
    }
    let tls =
        spec("auth = eap-tls\n id = carol\n aaa_id = aaa\n", "auth = eap-tls\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((tls.beside, tls.server), (Beside::Nothing, Some(Identity::Fqdn("aaa".into()))));
    assert_eq!((ask_identity, users.to_string().as_str()), (true, "*@example.org"));
    // Whatever method the other side asks for.
    let any = spec("auth = eap\n id = carol\n aaa_id = aaa\n", "auth = pubkey\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((any.methods.len(), any.methods[0], any.server.is_some()), (5, Method::Ttls, true));
    let both = spec("auth = eap\n id = carol\n", "auth = eap-ttls\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((both.beside, both.methods), (Beside::Nothing, vec![Method::Ttls]));
    let both = spec("auth = eap\n id = carol\n", "auth = eap\n id = gw.example.org\n").eap.unwrap();
    assert!(!both.methods.is_empty() && both.methods.iter().all(|method| method.is_mutual()), "{:?}", both.methods);
    // Whoever may prove himself by a certificate is asked whether it was revoked.
    for (local, remote) in [("pubkey", "eap-tls"), ("psk", "eap-peap"), ("pubkey", "eap"), ("eap-tls", "eap-tls")] {
        let strict = format!("auth = {remote}\n id = b\n revocation = strict\n");
        let eap = spec(&format!("auth = {local}\n id = a\n"), &strict).eap.unwrap();
        assert_eq!(eap.revocation, ravelin_pki::Demand::Strict, "{local} {remote}");
    }
    for (local, remote, words) in [
        ("auth = psk\n", "auth = eap-md5\n revocation = strict\n", "it goes with auth = pubkey or eap-tls"),
        (
            "auth = eap-fast\n",
            "auth = psk\n",
            "expected EAP-MD5, EAP-GTC, EAP-MSCHAPV2, EAP-TLS, EAP-TTLS, EAP-TTLS-PAP, EAP-PEAP, EAP-SIM, EAP-AKA, EAP-AKA-PRIME",
        ),
        ("auth = eap\n eap_id = %any\n", "auth = psk\n", "`eap_id` of the side `local` is one user"),
        ("auth = eap-md5\n", "auth = eap\n", "EAP on both sides takes one method that proves both"),
        (
            "auth = psk\n certs = own.pem\n",
            "auth = pubkey\n",
            "`certs` is not supported with this value: it goes with auth",
        ),
        ("auth = rsa-2048-md5\n", "auth = pubkey\n", "signatures with this hash are not accepted"),
        ("auth = eap-md5:rsa-2048\n", "auth = pubkey\n", "those of certificates in TLS"),
        ("auth = psk\n", "auth = psk\n groups = admin\n", "an attribute certificate or a RADIUS server says"),
        ("auth = pubkey\n", "auth = pubkey\n ca_id = ca.example.org\n", "the distinguished name of an authority"),
        ("auth = psk\n eap_id = carol\n", "auth = psk\n", "it goes with auth = eap-mschapv2"),
        ("auth = eap-md5\n aaa_id = radius\n", "auth = psk\n", "behind auth = eap-tls"),
    ] {
        let why = read(&text(local, remote)).unwrap_err();
        assert!(why.contains(words), "{local}{remote}: {why}");
    }
}

#[test]
fn radius_servers_may_know_the_users() {
    let connection = |local: &str, remote: &str| {
        read(&format!(
            "connections {{\n rw {{\n local_addrs = 192.0.2.1\n local {{\n {local}\n id = gw.example.org\n }}\n remote {{\n \
             {remote}\n }}\n }}\n}}\n"
        ))
    };
    let servers = "auth = eap-radius\n radius = 10.1.0.10, 10.1.0.11:1645\n radius_accounting = 10.1.0.10\n radius_authorizers = \
                   10.1.0.12\n eap_id = %any\n groups = staff, guests";
    let read = connection("auth = psk", servers).unwrap_or_else(|error| panic!("{error}"));
    let connection_alone = read.connections.into_iter().next().unwrap();
    // As VICI brings it: its secret comes before.
    let why = Model::new().load_connection(connection_alone.clone()).unwrap_err().to_string();
    assert!(why.contains("no secret for the RADIUS server 10.1.0.10"), "{why}");
    let remote = connection_alone.remote.unwrap();
    let eap = remote.eap.unwrap();
    let servers: Vec<String> = eap.radius.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.1.0.10:1812", "10.1.0.11:1645"]);
    let accounting: Vec<String> = eap.radius.accounting.iter().map(ToString::to_string).collect();
    let authorizers: Vec<String> = eap.radius.authorizers.iter().map(ToString::to_string).collect();
    assert_eq!((accounting, authorizers), (vec!["10.1.0.10:1813".to_owned()], vec!["10.1.0.12".to_owned()]));
    assert_eq!(eap.radius.groups, ["staff", "guests"]);
    assert!(eap.methods.is_empty() && !remote.initiate && remote.accept, "the servers choose");
    for (local, remote, words) in [
        ("auth = psk", "auth = eap-radius", "needs `radius = ADDRESS[:PORT], ...`"),
        ("auth = eap-radius", "auth = psk", "the side of the users"),
        ("auth = psk", "auth = psk\n radius = 192.0.2.1", "it goes with auth = eap-radius"),
    ] {
        let why = connection(local, remote).unwrap_err();
        assert!(why.contains(words), "{local}, {remote}: {why}");
    }
}

#[test]
fn a_radius_server_without_a_secret_is_refused_where_it_stands() {
    let folder = std::env::temp_dir().join(format!("ravelin-radius-secret-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("swanctl.conf");
    let load = |servers: &str, rounds: &str, secrets: &str| {
        let text = format!(
            "connections {{\n other {{\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n }}\n rw {{\n local_addrs = 192.0.2.1\n \
             local {{\n auth = psk\n id = gw\n }}\n {rounds} remote-2 {{\n auth = eap-radius\n radius = {servers}\n }}\n }}\n}}\n\
             secrets {{\n ike {{\n {secrets}\n secret = x\n }}\n}}\n"
        );
        std::fs::write(&file, text).unwrap();
        load(&file, &Model::new(), &|_| false).map(drop).map_err(|error| error.to_string())
    };
    let two = "remote {\n auth = psk\n id = a\n }\n";
    for rounds in ["", two] {
        assert_eq!(load("10.1.0.10, 10.1.0.11", rounds, "id = 10.1.0.10"), Ok(()));
        // That of everybody, and that of another, are not its.
        for (servers, secrets) in [("10.1.0.10", ""), ("10.1.0.11, 10.1.0.10", "id = 10.1.0.10")] {
            let why = load(servers, rounds, secrets).unwrap_err();
            let (first, _) = servers.split_once(',').unwrap_or((servers, ""));
            assert!(
                why.contains(&format!("swanctl.conf:10:2: rw: there is no secret for the RADIUS server {first}")),
                "{why}"
            );
            assert!(why.contains(&format!("id = {first}")), "{why}");
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
