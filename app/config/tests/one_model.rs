//! Whatever configures, any listing shows: each option, once said, is in the lines of `ike commands`, and these read back to the
//! same. The daemon lists the same lines over VICI, and the C interface writes them.
//!
//! The tables have a row for each option of the grammar and of swanctl.conf; one without a row fails.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::strategy::ValueTree;
use ravelin_config::command::grammar;
use ravelin_config::{Model, rc, swanctl};
use ravelin_testkit::papers::{self, Kind};

/// An option by its long name, what it needs beside it, and itself.
type Row = (&'static str, &'static str, &'static str);

/// The options of `ike remote`. `P` is a peer with an identity, `K` a key.
const REMOTE: &[Row] = &[
    ("name", "P K -w", ""),
    ("version", "P K -w -z 1", ""),
    ("aggressive", "P K -w -z 1", "--aggressive"),
    ("xauth-users", "P K -u -z 1", "--xauth-users users"),
    ("xauth-login", "P K -w -z 1", "--xauth-login login"),
    ("initiate", "P K -w", ""),
    ("accept", "P K -u", ""),
    ("endpoint", "-f fqdn:b -g fqdn:a K -w", "-r 192.0.2.2 -r gw.example.org"),
    ("local", "P K -w", "--local here.example.org"),
    ("peer-id", "-r any -g fqdn:a K -u", "-f *@example.org"),
    ("own-id", "P K -w", ""),
    ("auth", "P -w -m RSASIG -c own.pem", ""),
    ("null", "-r 192.0.2.2 -g fqdn:a K -w", "--null peer"),
    ("eap-id", "P -w -m EAP-MSCHAPV2 -h login", "--eap-id fqdn:carol"),
    ("aaa-id", "P -w -m EAP-TTLS -h login", "--aaa-id fqdn:aaa"),
    ("radius", "P K -u -m EAP-RADIUS -c own.pem", "--radius aaa.example.org,192.0.2.9:1645"),
    (
        "radius-accounting",
        "P K -u -m EAP-RADIUS -c own.pem --radius 192.0.2.9",
        "--radius-accounting aaa.example.org:1646",
    ),
    ("radius-authorizers", "P K -u -m EAP-RADIUS -c own.pem --radius 192.0.2.9", "--radius-authorizers 192.0.2.8"),
    ("user-groups", "P K -u -m EAP-RADIUS -c own.pem --radius 192.0.2.9", "--user-groups staff,guests"),
    ("eap-only", "P -w -m EAP-TLS -c own.pem", "--eap-only"),
    ("then-own", "P K -w", "--then-own PSK,id=fqdn:x,file=psk"),
    ("then-peer", "P K -w", "--then-peer RSASIG,id=*.example.org"),
    ("secret-file", "P K -w", ""),
    ("encryption", "P K -w", "-e AES256-CBC"),
    ("integrity", "P K -w", "-e AES256-CBC -a HMAC-SHA-2-384"),
    ("prf", "P K -w", "-p HMAC-SHA-2-384"),
    ("groups", "P K -w", "-d ECP384,KE1_ML-KEM-768"),
    ("lifetime", "P K -w", "-l 7000"),
    ("retransmit", "P K -w", "-i 1.5"),
    ("tries", "P K -w", "--tries 5"),
    ("liveness", "P K -w", "--liveness 7"),
    ("liveness-regular", "P K -w", "--liveness-regular"),
    ("login-time", "P -u -m EAP-MSCHAPV2 -c own.pem -h users", "--login-time 60"),
    ("encap", "P K -w", "--encap"),
    ("if-id", "P K -w", "--if-id 42/43"),
    ("vip", "P K -w", "--vip any --vip any6"),
    ("prefixes", "P K -w", "--prefixes"),
    ("pool", "P K -u", "--pool inside"),
    ("dns-domain", "P K -w --vip any", "--dns-domain corp.example"),
    ("dnssec-domain", "P K -w --vip any", "--dnssec-domain corp.example"),
    ("mobike", "P K -w", "--mobike"),
    ("tcp", "P K -w", "--tcp fallback"),
    ("tcp-port", "P K -w", "--tcp always --tcp-port 443"),
    ("childless", "P K -w", "--childless force"),
    ("reauth", "P K -w", "--reauth 3h"),
    ("over-time", "P K -w", "--over-time 77"),
    ("unique", "P K -w", "--unique replace"),
    ("follow", "P K -w", "--follow 192.0.2.0/24"),
    ("redirect", "P K -u", "--redirect vpn.example.org"),
    ("resumption", "P K -w", "--resumption"),
    ("crash-detection", "P K -w", "--crash-detection"),
    ("announce", "P K -w", "--announce"),
    ("full-transcript", "P K -w", "--full-transcript require"),
    ("ppk-id", "P K -w", "--ppk-id keyid:x --ppk-file psk"),
    ("ppk-file", "P K -w", "--ppk-id keyid:x --ppk-file psk"),
    ("ppk-required", "P K -w", "--ppk-id keyid:x --ppk-file psk --ppk-required"),
    ("ppk-in", "P K -w", "--ppk-id keyid:x --ppk-file psk --ppk-in auth"),
    ("window", "P K -w", "--window 4"),
    ("cluster", "P K -w", "--cluster"),
    ("ocsp", "P -w -m RSASIG -c own.pem", "--ocsp both"),
    ("hash-and-url", "P -w -m RSASIG -c own.pem", "--hash-and-url http://a.example/b/"),
    ("peer-certificate", "P -w -m RSASIG -c own.pem", "-b peer.pem"),
    ("certificate", "P -w -m RSASIG", "-c own.pem,ca.pem"),
    ("revocation", "P -w -m RSASIG -c own.pem", "--revocation strict"),
    ("peer-signatures", "P -w -m RSASIG -c own.pem", "--peer-signatures rsa-3072-ecdsa-384"),
    ("own-signatures", "P -w -m RSASIG -c own.pem", "--own-signatures pubkey-sha384"),
];

/// The options of `ipsec policy`. `T` is a tunnel, `S` its traffic.
const POLICY: &[Row] = &[
    ("name", "T S", ""),
    ("source", "T", "-s 10.1.0.0/16,80 -d 10.2.0.0/16 -p tcp"),
    ("destination", "T", "-s 10.1.0.0/16 -d 10.2.0.0/16 -d 10.3.0.0/16"),
    ("protocol", "T S", "-p icmp/8"),
    ("action", "S", "--action bypass"),
    ("direction", "S", "--action discard --direction out"),
    ("device", "S", "--action bypass --device eth0"),
    ("remote", "T S", ""),
    ("endpoint", "T S", ""),
    ("for", "-g any -m tunnel -r any -s 10.1.0.0/16 -d any", "--for *.example.org"),
    ("local", "T S", "--local 192.0.2.1"),
    ("mode", "-g gw -r 192.0.2.2 -m transport -s 192.0.2.1 -d 192.0.2.2", ""),
    ("type", "T S -t AH", ""),
    ("encryption", "T S", "-e AES256-GCM"),
    ("integrity", "T S", "-e AES128-CBC -a HMAC-SHA-2-512"),
    ("pfs", "T S", "--pfs ECP384"),
    ("esn", "T S", "--esn off"),
    ("interface", "T S", "--interface vti1"),
    ("replay-window", "T S", "--replay-window 64"),
    ("priority", "T S", "-l 4500"),
    ("lifetime", "T S", "-k 1000"),
    ("life-bytes", "T S", "--life-bytes 1G"),
    ("life-packets", "T S", "--life-packets 1M"),
    ("pfp", "T S", "--pfp remote"),
    ("inactivity", "T S", "--inactivity 60"),
    ("start", "T S", "--start now"),
    ("updown", "T S", "--updown '/usr/bin/logger \"up\"'"),
    ("tfc", "T S", "-c"),
    ("tfc-max", "T S", "-c --tfc-max 300"),
    ("dummy", "T S", "-y"),
    ("dummy-size", "T S", "-y --dummy-size 99"),
    ("dummy-interval", "T S", "-y --dummy-interval 5"),
    ("short-icv", "T S", "-h"),
    ("ah-align64", "T S -t AH", "--ah-align64"),
    ("ecn", "T S", "--ecn none"),
    ("dscp", "T S", "--dscp 46"),
    ("df", "T S", "--df copy"),
    ("hop-limit", "T S", "--hop-limit 9"),
    ("pad-check", "T S", "--pad-check off"),
    ("mtu", "T S", "--mtu 1400"),
    ("fragment", "T S", "--fragment after"),
    ("mss", "T S", "--mss path"),
    ("mark", "T S", "--mark 5"),
    ("set-mark", "T S", "--set-mark 7/0xf"),
    ("output-mark", "T S", "--output-mark 3"),
    ("offload", "T S", "--offload packet"),
    ("if-id", "T S", "--if-id 7"),
    ("per-cpu", "T S", "--per-cpu"),
    ("ipcomp", "T S", "--ipcomp"),
    ("iptfs", "T S", "--iptfs 2M"),
];

/// What is no option of what is configured.
const OTHERS: &[&str] = &["help", "view", "delete", "json"];

/// Before every line: certificates, a pool and the remotes of policies.
const BEFORE: &str = "ce x509 -a ca.pem -d 1\nce x509 -a own.pem -d 1 -k own.key\nce x509 -a peer.pem -d 1\n\
                      ike pool -n inside -a 10.3.0.0/28\n\
                      ike remote -n gw -w -r 192.0.2.2 -f fqdn:b -g fqdn:a -h psk\n\
                      ike remote -n any -u -r any -f any -g fqdn:a -h psk\n";

fn folder() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("ravelin-one-model-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let root = papers::root("ca", Kind::P256);
        let (own, peer) = (root.peer("own", &["a"], Kind::P256), root.peer("peer", &["b"], Kind::P256));
        for (name, text) in [
            ("ca.pem", root.pem.as_str()),
            ("own.pem", &own.pem),
            ("own.key", &own.key_pem),
            ("peer.pem", &peer.pem),
            ("psk", "a secret of two\n"),
            ("login", "carol secret\n"),
            ("users", "carol : EAP \"secret\"\n"),
        ] {
            fs::write(path.join(name), text).unwrap();
            fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    };
    MADE.get_or_init(make).clone()
}

fn read(text: &str) -> Result<Model, String> {
    let loaded = rc::apply(text, Path::new("ike_rc"), &folder(), &Model::new());
    loaded.map(|loaded| loaded.model).map_err(|error| format!("{error}\nin:\n{text}"))
}

/// Remotes and policies, without numbers.
fn said(model: &Model) -> String {
    let policies: Vec<_> = model.policies().filter(|entry| !entry.automatic).map(|entry| &entry.spec).collect();
    format!("{:#?}\n{policies:#?}", model.remotes().map(|entry| &entry.spec).collect::<Vec<_>>())
}

fn remote_line(name: &str, words: &str) -> String {
    format!("ike remote -n {name} {}\n", filled(words))
}

fn policy_line(name: &str, words: &str) -> String {
    format!("ipsec policy -n {name} {}\n", filled(words))
}

fn filled(words: &str) -> String {
    let filled = words.split(' ').map(|word| match word {
        "P" => "-r 192.0.2.2 -f fqdn:b -g fqdn:a",
        "K" => "-h psk",
        "T" => "-g gw -m tunnel -r 192.0.2.2",
        "S" => "-s 10.1.0.0/16 -d 10.2.0.0/16",
        word => word,
    });
    filled.collect::<Vec<_>>().join(" ")
}

/// The options of a verb, each by its long name with its flags.
fn options(family: &str, verb: &str) -> Vec<(String, Vec<String>)> {
    let grammar = grammar();
    let verb = grammar.find_subcommand(family).unwrap().find_subcommand(verb).unwrap();
    let flags = |arg: &clap::Arg| {
        let long = arg.get_long()?.to_owned();
        let short = arg.get_short().map(|short| format!("-{short}"));
        (!OTHERS.contains(&long.as_str()))
            .then(|| (long.clone(), short.into_iter().chain([format!("--{long}")]).collect()))
    };
    verb.get_arguments().filter_map(flags).collect()
}

/// The lines of a model, which make it again.
fn written(model: &Model, text: &str) -> Vec<String> {
    let commands = model.commands();
    assert_eq!(commands.left_out, Vec::<String>::new(), "{text}");
    let again = read(&commands.lines.join("\n")).unwrap();
    assert_eq!(said(&again), said(model), "{text}");
    assert_eq!(again.commands(), commands, "{text}");
    commands.lines
}

#[test]
fn every_option_of_the_command_line_is_in_its_lines() {
    for (family, verb, table) in [("ike", "remote", REMOTE), ("ipsec", "policy", POLICY)] {
        let options = options(family, verb);
        let known: BTreeSet<&str> = options.iter().map(|(long, _)| long.as_str()).collect();
        assert_eq!(known, table.iter().map(|(long, ..)| *long).collect(), "{family} {verb}");
        for (long, flags) in &options {
            let (_, base, own) = table.iter().find(|(name, ..)| name == long).unwrap();
            let words = format!("{base} {own}");
            let line = if verb == "remote" { remote_line("own", &words) } else { policy_line("own", &words) };
            let text = format!("{BEFORE}{line}");
            let model = read(&text).unwrap_or_else(|error| panic!("{long}: {error}"));
            let written = written(&model, &text);
            let line = written.iter().find(|line| line.starts_with(&format!("{family} {verb} -n own "))).unwrap();
            let has = |flag: &String| line.split_whitespace().any(|word| word == flag);
            assert!(flags.iter().any(has), "--{long} is not in: {line}");
        }
    }
}

/// Options of several rows, with what the first needs.
fn composed(table: &'static [Row]) -> impl Strategy<Value = String> {
    let some = subsequence(table, 1..6).prop_shuffle();
    some.prop_map(|rows| rows.iter().fold(rows[0].1.to_owned(), |words, (.., own)| format!("{words} {own}")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_composed_of_options_is_read_from_its_own_lines(
        remotes in prop::collection::vec(composed(REMOTE), 1..3),
        policies in prop::collection::vec(composed(POLICY), 0..3),
    ) {
        let mut text = BEFORE.to_owned();
        let remotes = remotes.iter().enumerate().map(|(at, words)| remote_line(["own", "other"][at], words));
        let policies = policies.iter().enumerate().map(|(at, words)| policy_line(["own", "other"][at], words));
        for line in remotes.chain(policies) {
            if read(&format!("{text}{line}")).is_ok() {
                text.push_str(&line);
            }
        }
        written(&read(&text).unwrap(), &text);
    }
}

#[test]
fn most_of_what_is_composed_is_taken() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for (table, line) in [(REMOTE, remote_line as fn(&str, &str) -> String), (POLICY, policy_line)] {
        let taken = (0..200).filter(|_| {
            let words = composed(table).new_tree(&mut runner).unwrap().current();
            read(&format!("{BEFORE}{}", line("own", &words))).is_ok()
        });
        let taken = taken.count();
        assert!(taken > 60, "{taken} of 200");
    }
}

/// Options of a connection, with what they need beside them, and a value that is not the default.
const CONNECTION: &[Row] = &[
    ("aggressive", "version = 1", "yes"),
    ("announce", "", "yes"),
    ("childless", "", "force"),
    ("cluster", "", "yes"),
    ("crash_detection", "", "yes"),
    ("dpd_delay", "", "7s"),
    ("encap", "", "yes"),
    ("follow_redirects", "", "192.0.2.0/24"),
    ("full_transcript_auth", "", "require"),
    ("hash_and_url", "", "yes"),
    ("if_id_in", "", "5"),
    ("if_id_out", "", "6"),
    ("local_addrs", "", "192.0.2.1"),
    ("mobike", "", "no"),
    ("ocsp", "", "both"),
    ("over_time", "", "77s"),
    ("pools", "", "inside"),
    ("ppk_id", "", "x"),
    ("ppk_in", "ppk_id = x", "auth"),
    ("ppk_required", "ppk_id = x", "yes"),
    ("prefixes", "", "yes"),
    ("proposals", "", "aes256-sha384-ecp384"),
    ("pull", "version = 1", "no"),
    ("reauth_time", "", "3h"),
    ("redirect_to", "", "vpn.example.org"),
    ("rekey_time", "", "1h"),
    ("remote_addrs", "", "192.0.2.2, gw.example.org"),
    ("session_resumption", "", "yes"),
    ("tcp", "", "fallback"),
    ("tcp_port", "tcp = always", "443"),
    ("unique", "", "replace"),
    ("version", "", "1"),
    ("vips", "", "0.0.0.0, ::"),
    ("window", "", "4"),
];

/// The same of a child.
const CHILD: &[Row] = &[
    ("ah_proposals", "", "sha256"),
    ("close_action", "", "trap"),
    ("copy_df", "", "no"),
    ("copy_dscp", "", "no"),
    ("copy_ecn", "", "no"),
    ("dpd_action", "", "trap"),
    ("esp_proposals", "", "aes256gcm16-ecp384"),
    ("hostaccess", "updown = /x", "yes"),
    ("hw_offload", "", "packet"),
    ("if_id_in", "", "5"),
    ("if_id_out", "", "6"),
    ("inactivity", "", "60s"),
    ("ipcomp", "", "yes"),
    ("life_bytes", "", "1000000"),
    ("life_packets", "", "1000"),
    ("life_time", "", "2h"),
    ("local_ts", "", "10.3.0.0/16"),
    ("mark_in", "", "5"),
    ("mark_out", "", "5"),
    ("mode", "", "iptfs"),
    ("per_cpu_sas", "", "yes"),
    ("priority", "", "9000"),
    ("rekey_bytes", "", "1000000"),
    ("rekey_packets", "", "1000"),
    ("rekey_time", "", "10m"),
    ("remote_ts", "", "10.3.0.0/16"),
    ("replay_window", "", "64"),
    ("set_mark_in", "", "5"),
    ("set_mark_out", "", "5"),
    ("sha256_96", "esp_proposals = aes128-sha256", "yes"),
    ("start_action", "", "start"),
    ("updown", "", "/usr/bin/logger"),
];

/// What only a connection can say: the lines do not have it, and VICI lists it.
const ONLY_LOADED: &[&str] = &["close_action", "dpd_action", "ppk_id", "ppk_in", "pull"];

/// The lines for what a swanctl.conf says.
fn lines_of(connection: &str, child: &str) -> String {
    static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = folder().join(format!("swanctl-{number}.conf"));
    let text = format!(
        "connections {{\n t {{\n{connection}\n local {{\n auth = psk\n id = a\n }}\n remote {{\n auth = psk\n id = b\n }}\n children {{\n c \
         {{\n{child}\n }}\n }}\n }}\n}}\nsecrets {{\n ike {{\n secret = x\n }}\n ppk {{\n id = x\n secret = y\n }}\n}}\npools {{\n inside {{\n \
         addrs = 10.9.0.0/24\n }}\n}}\n"
    );
    fs::write(&path, &text).unwrap();
    let loaded = swanctl::load(&path, &Model::new(), &|_| false).unwrap_or_else(|error| panic!("{error}\nin:\n{text}"));
    let model = loaded.model;
    let remotes = model.remotes().map(|entry| entry.spec.line().to_string());
    let policies = model.policies().filter(|entry| !entry.automatic).map(|entry| entry.spec.line().to_string());
    remotes.chain(policies).collect::<Vec<_>>().join("\n")
}

/// Without what a row says itself.
fn beside(own: &str, words: &[(&str, &str)]) -> String {
    words.iter().filter(|(name, _)| *name != own).map(|(name, value)| format!("{name} = {value}\n")).collect()
}

#[test]
fn every_option_of_a_connection_is_in_its_lines() {
    let (peer, traffic) =
        ([("remote_addrs", "192.0.2.2")], [("local_ts", "10.1.0.0/16"), ("remote_ts", "10.2.0.0/16")]);
    let mut unseen = BTreeSet::new();
    for (name, needs, value) in CONNECTION {
        let of = |own: &str| lines_of(&format!("{}{needs}\n{own}", beside(name, &peer)), &beside("", &traffic));
        let without = if *name == "remote_addrs" { "remote_addrs = 192.0.2.2".to_owned() } else { String::new() };
        if of(&without) == of(&format!("{name} = {value}")) {
            unseen.insert(*name);
        }
    }
    for (name, needs, value) in CHILD {
        let of = |own: &str| lines_of(&beside("", &peer), &format!("{}{needs}\n{own}", beside(name, &traffic)));
        let without = match traffic.iter().find(|(traffic, _)| traffic == name) {
            Some((name, value)) => format!("{name} = {value}"),
            None => String::new(),
        };
        if of(&without) == of(&format!("{name} = {value}")) {
            unseen.insert(*name);
        }
    }
    assert_eq!(unseen, ONLY_LOADED.iter().copied().collect());
}
