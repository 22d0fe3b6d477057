use std::path::PathBuf;

use super::*;
use std::time::Duration;

use ravelin_eap::Method;
use ravelin_ike::config::{IdPattern, IkeVersion, Liveness, V1};
use ravelin_ike::extensions::Childless;
use ravelin_ike::{Tcp, Unique};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::if_id::{IfId, IfIds};
use ravelin_types::policy::{Action, Mode};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::{HostName, Identity};

use crate::spec::{ActionWord, Afterwards, Beside, OwnBy, Role, SecretKind, Start};
use crate::value::if_id;

fn read(text: &str) -> Result<Contents, String> {
    let root = parse::parse(text, Path::new("f")).map_err(|error| error.to_string())?;
    contents(&root, Loaded::default()).map_err(|error| error.to_string())
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
fn a_child_is_about_both_address_families() {
    let child = |ends: &str| {
        format!(
            "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nchildren {{\n c {{\n{ends}\nstart_action = trap\n }}\n}}"
        )
    };
    let both = child("local_ts = 10.1.0.0/16, fd01::/64\nremote_ts = fd02::/64, 10.2.0.0/16, fd03::/64");
    let policy = connection(&both).policies.remove(0);
    let shown = |ends: &[TrafficSelector]| ends.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(&policy.local), "10.1.0.0/16 fd01::/64");
    assert_eq!(shown(&policy.remote), "10.2.0.0/16 fd02::/64 fd03::/64");
    for ends in ["local_ts = 10.1.0.0/16, fd01::/64\nremote_ts = fd02::/64", "remote_ts = 10.2.0.0/16, fd02::/64"] {
        assert!(refused(&child(ends)).contains("each address family"), "{ends}");
    }
}

#[test]
fn a_connection_says_how_long_an_authentication_is_good_and_how_many_there_may_be() {
    let spec = |text: &str| connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap();
    let plain = spec("reauth_time = 0s");
    assert_eq!((plain.extensions.reauth, plain.extensions.unique), (None, Unique::No));
    let set = spec("reauth_time = 2h\nunique = replace");
    assert_eq!((set.extensions.reauth, set.extensions.unique), (Some(Duration::from_secs(7200)), Unique::Replace));
    // With IKEv1 another phase 1 is both.
    let old = spec("version = 1\nreauth_time = 2h\nrekey_time = 3h");
    assert_eq!((old.extensions.reauth, old.lifetime), (None, Duration::from_secs(7200)));
    assert_eq!(spec("version = 1\nreauth_time = 2h\nrekey_time = 0s").lifetime, Duration::from_secs(7200));
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
        assert!(model.host_found(&name, &found) && !model.host_found(&name, &found));
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
fn dynamic_selectors_are_the_addresses_where_these_are_known() {
    let read = connection(
        "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nchildren {\n h {\n mode = transport\n local_ts = dynamic[udp/1701]\n }\n}",
    );
    let policy = &read.policies[0];
    assert_eq!(policy.local[0].to_string(), "192.0.2.1[17/1701]");
    assert_eq!(policy.remote[0].to_string(), "192.0.2.2");
}

#[test]
fn children_that_let_pass_or_drop_need_nobody() {
    let text = "connections {\n shunts {\n children {\n ssh {\n mode = pass\n start_action = trap\n local_ts = 10.0.0.0/8[tcp/ssh]\n \
                remote_ts = 10.0.0.0/8\n }\n all {\n mode = drop\n local_ts = 10.0.0.0/8\n remote_ts = 0.0.0.0/0\n }\n }\n }\n}\n";
    let read = read(text).unwrap().connections.remove(0);
    assert!(read.remote.is_none());
    assert_eq!(read.policies.iter().map(|p| p.action).collect::<Vec<_>>(), [ActionWord::Bypass, ActionWord::Discard]);
    assert_eq!(read.policies.iter().map(|p| p.trap).collect::<Vec<_>>(), [true, false]);
    // The narrower one is consulted first.
    assert!(read.policies[0].priority < read.policies[1].priority);
}

#[test]
fn identities_may_have_wildcards() {
    let text = "connections {\n t {\n local {\n auth = psk\n id = gw.example.org\n }\n remote {\n auth = psk\n id = *@example.org\n }\n }\n}\n";
    let remote = read(text).unwrap().connections.remove(0).remote.unwrap();
    assert_eq!(remote.own_id, Identity::Fqdn("gw.example.org".into()));
    assert_eq!(remote.peers.unwrap().to_string(), "*@example.org");
}

// S-006, S-007: IKEv1 where it is asked for alone, with its own defaults; 0 initiates version 2 and accepts both.
#[test]
fn a_connection_has_the_versions_that_it_names() {
    let plain = connection("remote_addrs = 192.0.2.2");
    assert_eq!((plain.remote.unwrap().version, plain.older), (IkeVersion::V2, None));
    let one = connection("remote_addrs = 192.0.2.2\nversion = 1\naggressive = yes").remote.unwrap();
    assert_eq!(one.version, IkeVersion::V1(V1 { aggressive: true, ..V1::default() }));
    assert!(one.initiate && one.accept);
    let lines: Vec<String> = one.proposals.iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("IKE: AES256-CBC, AES128-CBC, PRF-HMAC-SHA-2-256"), "{lines:?}");
    let both = connection("remote_addrs = 192.0.2.2\nversion = 0");
    let older = both.older.unwrap();
    assert_eq!((both.remote.unwrap().version, older.version), (IkeVersion::V2, IkeVersion::V1(V1::default())));
    assert!(!older.initiate && older.accept);
    // What is for IKEv2 alone is offered to nobody else.
    assert_eq!(
        connection("remote_addrs = 192.0.2.2\nversion = 0\nproposals = aes128gcm16-prfsha256-x25519").older,
        None
    );
}

#[test]
fn a_child_marks_what_it_opened_and_what_it_sealed() {
    let of = |inside: &str| {
        let esp = connection(&format!("children {{\n c {{\n{inside}\n }}\n}}")).policies.remove(0).esp.unwrap();
        let mark = |mark: Option<ravelin_types::options::Mark>| mark.map(|mark| (mark.value, mark.mask));
        (mark(esp.options.set_mark), mark(esp.options.output_mark))
    };
    assert_eq!(of("set_mark_in = 0x2a/0xff\nset_mark_out = 7"), (Some((0x2a, 0xff)), Some((7, u32::MAX))));
    assert_eq!(of("set_mark_in = 0/0x00000000\nset_mark_out = 0"), (None, None));
    let same = "mark_in = 10/0xff\nmark_out = 10/0xff\nset_mark_in = %same\nset_mark_out = %same/0xf";
    assert_eq!(of(same), (Some((10, u32::MAX)), Some((10, 0xf))));
    let why = refused("children {\n c {\nset_mark_out = %same\n }\n}");
    assert!(why.contains("f:11:") && why.contains("is that of mark_in or mark_out"), "{why}");
}

#[test]
fn a_child_has_a_command_for_up_and_down() {
    let of = |inside: &str| connection(&format!("children {{\n c {{\n{inside}\n }}\n}}")).policies.remove(0).esp;
    assert_eq!(of("").unwrap().updown, None);
    let command = Some("/usr/lib/ipsec/_updown iptables".to_owned());
    assert_eq!(of("updown = /usr/lib/ipsec/_updown iptables").unwrap().updown, command);
    let with_access = of("updown = /x\nhostaccess = yes").unwrap().updown;
    assert_eq!(with_access.as_deref(), Some("export PLUTO_HOST_ACCESS=1; /x"));
    // What has no SAs has nothing to run it for.
    assert_eq!(of("mode = drop\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16\nupdown = /x"), None);
    let why = refused(&format!("children {{\n c {{\nupdown = {}\n }}\n}}", "x".repeat(2000)));
    assert!(why.contains("f:11:") && why.contains("1 to 1024 bytes"), "{why}");
}

#[test]
fn interfaces_have_numbers_of_the_child_or_of_the_connection() {
    let of = |of_connection: &str, of_child: &str| {
        let read = connection(&format!("{of_connection}\nchildren {{\n c {{\n{of_child}\n }}\n}}"));
        let esp = read.policies[0].esp.clone().unwrap();
        (if_id::written(read.remote.unwrap().if_ids), esp.options.if_ids)
    };
    let number = |number: u32| IfIds::both(number.into());
    assert_eq!(of("", "if_id_in = 42\nif_id_out = 0x2a"), ("0".into(), number(42)));
    assert_eq!(of("if_id_in = 7\nif_id_out = 8", "").1, IfIds { inbound: 7.into(), outbound: 8.into() });
    assert_eq!(of("if_id_in = 7\nif_id_out = 8", "if_id_out = 9").1, IfIds { inbound: 7.into(), outbound: 9.into() });
    let unique = "if_id_in = %unique\nif_id_out = %unique";
    assert_eq!(of(unique, ""), ("%unique".into(), IfIds::both(IfId::OfIkeSa)));
    assert_eq!(of(unique, "if_id_in = %unique-dir").1, IfIds { inbound: IfId::UniqueDir, outbound: IfId::OfIkeSa });
    let ends = "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\n";
    let why = refused(&format!("{ends}{unique}\nchildren {{\n c {{\nstart_action = trap\n }}\n}}"));
    assert!(why.contains("comes with the SA"), "{why}");
    let why = refused(&format!("{ends}children {{\n c {{\nmode = drop\nif_id_in = 3\n }}\n}}"));
    assert!(why.contains("go with protection"), "{why}");
    for mark in ["mark_in = 3\nmark_out = 3", "set_mark_in = 3", "set_mark_out = 3/0xff"] {
        let why = refused(&format!("{ends}children {{\n c {{\nmode = pass\n{mark}\n }}\n}}"));
        assert!(why.contains("with every mark"), "{why}");
    }
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
        ("aggressive = yes", "`aggressive` is of IKEv1: say version = 1"),
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
    let first = load(&path, &Model::new()).unwrap();
    let id = |model: &Model, name: &str| model.policy(name).unwrap().id;
    assert_eq!(first.connections().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(first.secrets().collect::<Vec<_>>(), ["ike-x"]);
    // The same again changes nothing.
    assert!(first.difference(&load(&path, &first).unwrap()).is_empty());
    write("10.4.0.0/16", "two");
    let second = load(&path, &first).unwrap();
    assert_eq!(id(&first, "a.net"), id(&second, "a.net"));
    assert_ne!(id(&first, "b.net"), id(&second, "b.net"));
    assert_eq!(first.difference(&second).len(), 2, "one policy comes and one goes");
    write("nowhere", "three");
    assert!(load(&path, &second).unwrap_err().to_string().contains("remote_ts"));
    std::fs::write(&path, "").unwrap();
    assert!(load(&path, &second).unwrap().connections().is_empty());
    std::fs::remove_dir_all(folder).unwrap();
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

// RFC 8784: a key by its name, of IKEv2 alone.
#[test]
fn a_connection_names_a_post_quantum_key_and_insists_on_it() {
    let spec = connection("remote_addrs = 192.0.2.2\nppk_id = ppk.lab\nppk_required = yes").remote.unwrap();
    assert_eq!(spec.extensions.ppk_id, Some(Identity::Fqdn("ppk.lab".into())));
    assert!(spec.extensions.ppk_required && spec.extensions.mobike);
    assert_eq!(spec.extensions.childless, Childless::Allow);
    assert_eq!(connection("remote_addrs = 192.0.2.2\nversion = 0\nppk_required = yes").older, None);
    assert!(refused("version = 1\nppk_required = yes").contains("of IKEv2"));
    let secrets =
        read("secrets {\n ppk-1 {\n id-a = ppk.lab\n id-b = other\n secret = 0x0102\n }\n}\n").unwrap().secrets;
    assert_eq!((secrets[0].kind, secrets[0].owners.len()), (SecretKind::Ppk, 2));
}

// RFC 5685: strongSwan's daemon follows unless it is told not to.
#[test]
fn a_connection_follows_to_other_gateways_and_sends_peers_there() {
    let read = |text: &str| connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions;
    let follow = |text: &str| read(text).follow.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((follow(""), follow("follow_redirects = yes")), (vec!["%any".to_owned()], vec!["%any".to_owned()]));
    assert!(follow("follow_redirects = no").is_empty());
    let listed = follow("follow_redirects = 192.0.2.9, 198.51.100.0/30, ::/0");
    assert_eq!(listed, ["192.0.2.9", "198.51.100.0-198.51.100.3", "%any6"]);
    assert!(refused("follow_redirects = perhaps").contains("is not an address"));
    assert_eq!(read("").redirect, None);
    assert_eq!(read("redirect_to = vpn.example.org").redirect.unwrap().to_string(), "vpn.example.org");
    assert!(refused("redirect_to = 0.0.0.0").contains("expected the address of a gateway, or its name"));
}

// RFC 9329 §2, RFC 9329 §5: the registered port unless another is named, and only where it is asked for.
#[test]
fn a_connection_goes_in_tcp_when_it_says_so() {
    let tcp = |text: &str| connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions.tcp;
    assert_eq!((tcp(""), tcp("tcp = no")), (None, None));
    assert_eq!(tcp("tcp = fallback"), Some(Tcp { port: 4500, at_once: false }));
    assert_eq!(tcp("tcp = always\ntcp_port = 443"), Some(Tcp { port: 443, at_once: true }));
    assert!(refused("tcp = maybe").contains("expected no, fallback, always"));
    assert!(refused("tcp = always\ntcp_port = 0").contains("expected a port"));
    let libreswan = super::ipsec_conf::parse(
        (
            "conn a\n left=192.0.2.1\n right=192.0.2.2\n authby=secret\n enable-tcp=fallback\n tcp-remoteport=4510\n auto=add\n",
            Path::new("ipsec.conf"),
        ),
        None,
    );
    let contents = libreswan.and_then(|root| contents(&root, Loaded::default())).unwrap();
    let remote = contents.connections[0].remote.as_ref().unwrap();
    assert_eq!(remote.extensions.tcp, Some(Tcp { port: 4510, at_once: false }));
}

// RFC 5723: off unless asked for, here and in Libreswan.
#[test]
fn a_connection_is_resumed_when_it_says_so() {
    let resumption =
        |text: &str| connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions.resumption;
    assert!(!resumption("") && !resumption("session_resumption = no") && resumption("session_resumption = yes"));
    assert!(refused("session_resumption = maybe").contains("expected"));
    let text = "conn a\n left=192.0.2.1\n right=192.0.2.2\n authby=secret\n session-resumption=yes\n auto=add\n";
    let libreswan = super::ipsec_conf::parse((text, Path::new("ipsec.conf")), None);
    let contents = libreswan.and_then(|root| contents(&root, Loaded::default())).unwrap();
    assert!(contents.connections[0].remote.as_ref().unwrap().extensions.resumption);
}

// strongSwan has a switch of its whole daemon, Libreswan three words.
#[test]
fn a_connection_proves_the_whole_of_ike_sa_init() {
    use ravelin_ike::extensions::FullTranscript::{Allow, Never, Require};
    let read = |text: &str| {
        connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions.full_transcript
    };
    assert_eq!(read(""), Allow);
    for (word, when) in [("never", Never), ("allow", Allow), ("require", Require), ("no", Never), ("auto", Allow)] {
        assert_eq!(read(&format!("full_transcript_auth = {word}")), when, "{word}");
    }
    assert!(refused("full_transcript_auth = maybe").contains("full_transcript_auth"));
    for (word, when) in [("no", Never), ("auto", Allow), ("yes", Require)] {
        let text = format!(
            "conn a\n left=192.0.2.1\n right=192.0.2.2\n authby=secret\n ike-sa-init-full-transcript-auth={word}\n auto=add\n"
        );
        let libreswan = super::ipsec_conf::parse((text.as_str(), Path::new("ipsec.conf")), None);
        let contents = libreswan.and_then(|root| contents(&root, Loaded::default())).unwrap();
        assert_eq!(contents.connections[0].remote.as_ref().unwrap().extensions.full_transcript, when, "{word}");
    }
}

#[test]
fn a_connection_has_windows_and_tokens_and_may_be_with_a_cluster() {
    let read = |text: &str| {
        let extensions = connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions;
        (extensions.window, extensions.cluster, extensions.crash_detection)
    };
    assert_eq!([read(""), read("window = 8")], [(1, false, false), (8, false, false)]);
    let announce =
        |text: &str| connection(&format!("remote_addrs = 192.0.2.2\n{text}")).remote.unwrap().extensions.announce;
    assert!(!announce("") && announce("announce = yes") && refused("announce = 7").contains("announce"));
    let text =
        "conn a\n left=192.0.2.1\n right=192.0.2.2\n authby=secret\n send-supported-auth-methods=yes\n auto=add\n";
    let libreswan = super::ipsec_conf::parse((text, Path::new("ipsec.conf")), None);
    let contents = libreswan.and_then(|root| contents(&root, Loaded::default())).unwrap();
    assert!(contents.connections[0].remote.as_ref().unwrap().extensions.announce);
    assert_eq!([read("cluster = yes"), read("crash_detection = yes")], [(1, true, false), (1, false, true)]);
    assert!(refused("window = 33").contains("window") && refused("cluster = perhaps").contains("cluster"));
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
        model.replace_loaded(read(text).unwrap()).map_err(|(what, error)| format!("{what}: {error}"))
    };
    let two = |other: &str| format!("pools {{\n a {{\n addrs = 10.3.0.0/24\n }}\n b {{\n addrs = {other}\n }}\n}}\n");
    assert_eq!(load(&two("10.3.1.0/24")), Ok(()));
    assert_eq!(load(&two("10.3.0.254-10.3.1.9")), Err("pool b: the pools b and a have addresses in common".to_owned()));
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
    let tls =
        spec("auth = eap-tls\n id = carol\n aaa_id = aaa\n", "auth = eap-tls\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((tls.beside, tls.server), (Beside::Nothing, Some(Identity::Fqdn("aaa".into()))));
    assert_eq!((ask_identity, users.to_string().as_str()), (true, "*@example.org"));
    // Whatever method the other side asks for.
    let any = spec("auth = eap\n id = carol\n aaa_id = aaa\n", "auth = pubkey\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((any.methods.len(), any.methods[0], any.server.is_some()), (5, Method::Ttls, true));
    let both = spec("auth = eap\n id = carol\n", "auth = eap-ttls\n id = gw.example.org\n").eap.unwrap();
    assert_eq!((both.beside, both.methods), (Beside::Nothing, vec![Method::Ttls]));
    for (local, remote, words) in [
        (
            "auth = eap-fast\n",
            "auth = psk\n",
            "expected EAP-MD5, EAP-GTC, EAP-MSCHAPV2, EAP-TLS, EAP-TTLS, EAP-TTLS-PAP, EAP-PEAP, EAP-SIM, EAP-AKA, EAP-AKA-PRIME",
        ),
        ("auth = eap\n eap_id = %any\n", "auth = psk\n", "`eap_id` of the side `local` is one user"),
        ("auth = eap\n", "auth = eap\n", "EAP on both sides takes one method that proves both"),
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
fn a_child_may_be_about_a_mark() {
    use ravelin_types::options::Mark;
    let child = |inside: &str| {
        let read = connection(&format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\n{inside}\n }}\n}}"));
        read.policies[0].esp.as_ref().unwrap().options
    };
    let ten = Some(Mark { value: 10, mask: u32::MAX });
    assert_eq!(child("mark_in = 10\nmark_out = 10").mark, ten);
    assert_eq!(child("mark_in_sa = yes").mark, None);
    assert_eq!(child("mark_in = 0/0x00000000").mark, None);
    for (inside, words) in
        [("mark_in = 10", "must be the same"), ("mark_in = %unique\nmark_out = %unique", "`%unique` is not there")]
    {
        let why = refused(&format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\n{inside}\n }}\n}}"));
        assert!(why.contains(words), "{inside}: {why}");
    }
}

#[test]
fn a_child_may_have_an_sa_for_each_processor() {
    use ravelin_types::options::Processors;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nper_cpu_sas = {words}\n }}\n}}");
    let processors = |words: &str| connection(&child(words)).policies[0].esp.as_ref().unwrap().options.processors;
    assert_eq!((processors("yes"), processors("no")), (Processors::Each, Processors::All));
    let why = refused(&child("encap"));
    assert!(why.contains("no ports of their own"), "{why}");
}

#[test]
fn packets_of_a_child_may_be_compressed() {
    use ravelin_types::options::IpComp;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nipcomp = {words}\n }}\n}}");
    let ipcomp = |words: &str| connection(&child(words)).policies[0].esp.as_ref().unwrap().options.ipcomp;
    assert_eq!((ipcomp("yes"), ipcomp("no")), (IpComp::Negotiate, IpComp::Off));
}

#[test]
fn packets_of_a_child_may_share_payloads() {
    use ravelin_types::options::AggFrag;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nmode = {words}\n }}\n}}");
    let of = |words: &str| {
        let esp = connection(&child(words)).policies[0].esp.clone().unwrap();
        (esp.mode, esp.options.aggfrag)
    };
    assert_eq!(of("iptfs"), (Mode::Tunnel, Some(AggFrag { rate: None, fragments: true })));
    assert_eq!(of("tunnel"), (Mode::Tunnel, None));
    for (words, said) in
        [("iptfs\nipcomp = yes", "not compressed ones"), ("iptfs\nah_proposals = sha256", "of ESP alone")]
    {
        let why = refused(&child(words));
        assert!(why.contains(said), "{why}");
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
    let remote = read.connections.into_iter().next().unwrap().remote.unwrap();
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
