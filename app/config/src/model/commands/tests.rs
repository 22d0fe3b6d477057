//! Any configuration that can be typed is read from its own lines as it was.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use proptest::strategy::ValueTree;

use super::*;
use crate::rc;
use ravelin_types::selector::TrafficSelector;

use crate::spec::{PolicySpec, RemoteSpec};

/// A folder with keys, two of them under odd names.
fn folder() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let path = std::env::temp_dir().join(format!("ravelin-commands-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        for name in ["psk", "p s'k", "p\"s\\k", "key"] {
            std::fs::write(path.join(name), "00".repeat(20)).unwrap();
            std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    };
    MADE.get_or_init(make).clone()
}

/// What a model says, without the numbers of its policies.
fn said(model: &Model) -> (Vec<PolicySpec>, Vec<RemoteSpec>) {
    let policies = model.policies().map(|entry| entry.spec.clone()).collect();
    (policies, model.remotes().map(|entry| entry.spec.clone()).collect())
}

fn loaded(text: &str) -> Model {
    let loaded = rc::apply(text, Path::new("ike_rc"), &folder(), &Model::new());
    loaded.unwrap_or_else(|error| panic!("{error}\nin:\n{text}")).model
}

/// Sometimes one of these.
fn maybe(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    any::<(bool, Index)>().prop_map(|(given, at)| if given { format!(" {}", at.get(words)) } else { String::new() })
}

/// Some of these behind a flag, in any order, or the default.
fn list(flag: &'static str, names: &'static [&'static str]) -> impl Strategy<Value = String> {
    let some = subsequence(names, 0..=names.len()).prop_shuffle();
    some.prop_map(move |some| if some.is_empty() { String::new() } else { format!(" {flag} {}", some.join(",")) })
}

const CIPHERS: &[&str] = &["AES128-GCM", "AES-CBC-256", "3DES", "chacha20poly1305", "CAMELLIA192", "AES256CCM8"];
const HASHES: &[&str] = &["sha256", "HMAC-SHA-2-384", "SHA512", "HMAC-SHA-1", "MD5"];

prop_compose! {
    fn policy()(
        tunnel in any::<bool>(),
        ends in prop_oneof![
            Just("-p any -s any -d 10.2.0.0/255.255.0.0"),
            Just("-p tcp -s 10.1.0.40-.60,1500 -d any,1-1024"),
            Just("-p udp -s 10.1.0.0/24,opaque -s 10.1.2.3,53 -d 10.2.0.1"),
            Just("-p icmp/8 -s 10.1.0.0/16 -d 10.2.0.0/16 -d 10.3.0.0/16,opaque"),
            Just("-p icmp6/133-137 -s any6 -d fe80::/10"),
            Just("-p mh/5 -s 2001:db8::1 -d any6"),
            Just("-p 89 -s fe80::1-fe80::9 -d ff02::5"),
            Just("-p icmp/3/1 -s any -d 0.0.0.0-10.0.0.1"),
        ],
        algorithms in prop_oneof![
            (list("-e", CIPHERS), list("-a", HASHES)).prop_map(|(e, a)| e + &a),
            list("-a", HASHES).prop_map(|a| format!(" -t AH{a} --ah-align64")),
            Just(" -t esp -e NULL_ENC -a AES-XCBC".to_owned()),
            Just(" -e AES192-GMAC,AES256-GCM-IIV".to_owned()),
        ],
        options in (
            maybe(&["--pfs ECP256,MODP2048", "--pfs none", "--pfs ML-KEM-768", "--pfs ECP256,KE1_ML-KEM-768,KE1_NONE"]),
            maybe(&["--esn require", "--esn off", "--esn prefer"]),
            maybe(&["--replay-window 0", "--replay-window 4096"]),
            maybe(&["-l 1", "-l lowest", "-l 4500"]),
            maybe(&["-k 100ms -k 7", "-k 1h", "-k 12.5", "-k 3333.333"]),
            maybe(&["--life-bytes 3G", "--life-packets 7k", "--life-bytes 1M --life-packets 11"]),
            maybe(&["--pfp all", "--clone local,remote-port", "--inactivity 90.5", "--start now"]),
        ),
        more in (
            maybe(&["--mtu 1400 --fragment after", "--mss path", "--mss 1300"]),
            maybe(&["-h", "--set-mark 7/0xf", "--if-id 7"]),
            maybe(&["--ecn none --dscp 46 --df set --hop-limit 9", "--df copy --dscp 0", "--local 2001:db8::9"]),
            maybe(&["-c", "-c --tfc-max 77 --pad-check off", "-y --dummy-interval 0.25 --dummy-size 3", "-y"]),
            maybe(&["--interface vti-1", "--updown '/usr/lib/ipsec/_updown iptables'", "--updown \"a 'b' \\\"$c\\\" \\\\d; #e\""]),
        ),
        action in maybe(&["--action bypass", "--action drop", "--action drop --direction in"]),
    ) -> String {
        let traffic = format!("ipsec policy -n NAME {ends}");
        if !action.is_empty() {
            return format!("{traffic}{action}{}", options.3);
        }
        let (mtu, hash, tunnels, esp, interface) = more;
        let peer = if tunnel {
            format!("{traffic} -g gw -m Tunnel -r 2001:db8::2{tunnels}{interface}")
        } else {
            "ipsec policy -n NAME -p tcp -s 2001:db8::1,80 -d 2001:db8::2 -g gw -m transport -r 2001:db8::2".to_owned()
        };
        let esp = if algorithms.contains("AH") { String::new() } else { esp };
        let (pfs, esn, window, level, life, volume, when) = options;
        format!("{peer}{algorithms}{pfs}{esn}{window}{level}{life}{volume}{when}{mtu}{hash}{esp}")
    }
}

prop_compose! {
    fn remote()(
        version in prop_oneof![
            (list("-e", CIPHERS), list("-a", HASHES), list("-p", HASHES),
             list("-d", &["MODP768", "x25519", "ECP256", "KE1_NONE", "KE1_mlkem768", "KE2_ML-KEM-1024"]))
                .prop_flat_map(|(e, a, p, d)| {
                    let more = maybe(&["--mobike", "--childless force", "--resumption", "--mobike --childless never",
                        "--follow %any --follow 192.0.2.0/24 --redirect vpn.example.org", "--follow 2001:db8::7 --redirect 192.0.2.1",
                        "--full-transcript require", "--full-transcript never --mobike", "--ocsp both --hash-and-url anywhere", "--ocsp never --hash-and-url http://a/b/ --hash-and-url http://c/",
                        "--ppk-id keyid:x --ppk-file psk --ppk-required --ppk-in auth",
                        "--then-own PSK,id=fqdn:x,file=psk --then-own PSK,id=keyid:01,file=psk --then-peer PSK,id=*.example.org,file=psk",
                        "--then-peer PSK,id=192.0.2.0/24,file=psk --then-peer RSASIG,id=fqdn:x",
                        "--then-peer 'RSASIG,id=asn1dn:C=CH, O=Lab, CN=*' --then-own 'PSK,id=asn1dn:C=CH, O=\"A\\, B\",file=psk'",
                        "--if-id %unique", "--if-id 42/43"]);
                    more.prop_map(move |more| format!(" -z 2{e}{a}{p}{}{more}", with_a_group(d.clone())))
                }),
            (list("-e", &["3DES", "AES256"]), list("-a", HASHES), list("-d", &["MODP1024", "ECP384"]), any::<bool>())
                .prop_map(|(e, a, d, aggressive)| format!(" -z 1{e}{a}{d}{}", if aggressive { " --aggressive" } else { "" })),
        ],
        roles in prop_oneof![Just("-w"), Just("-u"), Just("-wu")],
        secret in prop_oneof![Just("psk"), Just("'p s'\\''k'"), Just("'p\"s\\k'")],
        peer in maybe(&[
            "-f ipv4:10.0.0.78", "-f keyid:0x3078", "-f keyid:0x00ff", "-f rfc822:o\\'n@b", "-f fqdn:gw.Ünï.org", "-f 'asn1dn:C=CH, O=\"A\\, B\", CN=gw'"
        ]),
        own in prop_oneof![Just("--local 2001:db8::1"), Just("-g user@example.org"), Just("-g keyid:site-7")],
        times in (maybe(&["-l 1d", "-l 7.75"]), maybe(&["-i 50ms", "-i 1.1"]), maybe(&["--tries 20"]),
                  maybe(&["--liveness off", "--liveness 1.5", "--liveness-regular"]), maybe(&["--encap"])),
    ) -> String {
        let (l, i, tries, liveness, encap) = times;
        format!("ike remote -n gw -r 2001:db8::2 {roles} -h {secret}{peer} {own}{version}{l}{i}{tries}{liveness}{encap}")
    }
}

/// Additional key exchanges need a first one.
fn with_a_group(list: String) -> String {
    let first = ["MODP768", "x25519", "ECP256"].iter().any(|name| list.contains(name));
    if first || list.is_empty() { list } else { format!("{list},ECP521") }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_typed_is_read_from_its_own_lines(remote in remote(), policies in prop::collection::vec(policy(), 0..4)) {
        let mut text = format!("{remote}\n");
        let mut taken = Vec::new();
        // What the grammar refuses together (`--esn require` without a window) is tested elsewhere.
        for (number, policy) in policies.iter().enumerate() {
            let line = format!("{}\n", policy.replace("NAME", &format!("p{number}")));
            if rc::apply(&format!("{text}{line}"), Path::new("ike_rc"), &folder(), &Model::new()).is_ok() {
                text.push_str(&line);
                taken.push(line);
            }
        }
        let model = loaded(&text);
        prop_assert_eq!(model.remotes().count(), 1);
        prop_assert_eq!(model.policies().filter(|entry| !entry.automatic).count(), taken.len());
        let written = model.commands();
        prop_assert!(written.left_out.is_empty());
        let again = loaded(&written.lines.join("\n"));
        prop_assert_eq!(said(&again), said(&model));
        prop_assert_eq!(again.commands(), written);
    }
}

// RFC 9464: a resolver in words, of both families and with the digest of its key.
#[test]
fn a_pool_with_encrypted_resolvers_is_written_as_it_was_read() {
    let digest = "0f".repeat(32);
    let text = format!(
        "ike pool -n rw -a 10.3.0.0/28 --encrypted-dns \"dns.test 10.1.0.53 fd00::53 alpn=dot port=8530 sha256={digest}\" \
         --encrypted-dns \"web.test 10.1.0.54 alpn=h2 alpn=h3 dohpath=/q{{?dns}} priority=2\"\n"
    );
    let model = loaded(&text);
    let pool = &model.pools().next().unwrap().pool;
    let kinds: Vec<u16> = pool.attributes.iter().map(|attribute| attribute.kind.0).collect();
    assert_eq!(kinds, [27, 28, 29, 27]);
    let written = model.commands();
    assert!(written.left_out.is_empty());
    let line = &written.lines[0];
    assert!(line.contains(&format!("dns.test fd00::53 alpn=dot port=8530 sha256={digest}")), "{line}");
    assert!(line.contains("web.test 10.1.0.54 alpn=h2 alpn=h3 dohpath=/q{?dns} priority=2"), "{line}");
    let again = loaded(&written.lines.join("\n"));
    let attributes = &again.pools().next().unwrap().pool.attributes;
    assert!(attributes.len() == 4 && attributes.iter().all(|attribute| pool.attributes.contains(attribute)));
    assert_eq!(again.commands(), written);
}

// RFC 8598: who gives them, and who takes which.
#[test]
fn domains_and_anchors_are_written_as_they_were_read() {
    let model = loaded(
        "ike pool -n rw -a 10.3.0.0/28 --dns 10.1.0.53 --dnssec \"a.test 1 8 2 AB\" --domain a.test --domain b.test --dnssec \"a.test 2 8 2 CD\"\n\
         ike remote -n up -z 2 -w -m PSK -h psk -r 192.0.2.1 --vip any --dns-domain a.test --dns-domain b.test --dnssec-domain a.test -f fqdn:up -g fqdn:me\n",
    );
    let pool = &model.pools().next().unwrap().pool;
    let grant = ravelin_ike::address::Grant { attributes: pool.attributes.clone(), ..Default::default() };
    assert_eq!(
        grant.anchors().map(|(domain, anchor)| (domain, anchor.key_tag)).collect::<Vec<_>>(),
        [("a.test", 1), ("a.test", 2)]
    );
    let written = model.commands();
    let lines = written.lines.join("\n");
    assert!(lines.contains("--dnssec \"a.test 1 8 2 AB\"") || lines.contains("--dnssec 'a.test 1 8 2 AB'"), "{lines}");
    assert!(lines.contains("--dns-domain a.test --dns-domain b.test --dnssec-domain a.test"), "{lines}");
    let again = loaded(&lines);
    assert_eq!(&again.pools().next().unwrap().pool, pool);
    assert_eq!(again.commands(), written);
}

// RFC 5739: of whole prefixes, and so of a range that lost no address when it was written as a network.
#[test]
fn a_pool_of_prefixes_is_written_as_it_was_read() {
    let model = loaded("ike pool -n nets -a 2001:db8:100::/48 --prefix 56 --fixed fqdn:box=2001:db8:100:100::\n");
    let written = model.commands();
    assert!(
        written.lines[0].contains("-a 2001:db8:100::-2001:db8:100:ffff:ffff:ffff:ffff:ffff --prefix 56"),
        "{written:?}"
    );
    let again = loaded(&written.lines.join("\n"));
    assert_eq!(again.pools().next(), model.pools().next());
    assert_eq!(again.commands(), written);
}

#[test]
fn pools_come_before_the_remotes_that_give_their_addresses_away() {
    let text = "ike pool -n rw -a 10.3.0.0/28 --fixed fqdn:box.example.org=10.3.0.9 --dns 10.1.0.53 --domain example.org --subnet 10.1.0.0/16\n\
                ike remote -n gw -z 2 -u -m PSK -h psk -r any --pool rw -f any -g fqdn:gw\n\
                ipsec policy -n net -g gw -m tunnel -r any -s 10.1.0.0/16 -d internal -e AES128-GCM\n\
                ike remote -n up -z 2 -w -m PSK -h psk -r 2001:db8::2 --vip any --vip any6 -f fqdn:up -g fqdn:me\n\
                ipsec policy -n out -g up -m tunnel -r 2001:db8::2 -s internal6 -d any6 -e AES128-GCM\n";
    let model = loaded(text);
    let written = model.commands();
    let expected = "ike pool -n rw -a 10.3.0.1-10.3.0.14 --fixed fqdn:box.example.org=10.3.0.9 --dns 10.1.0.53 --domain example.org \
                    --subnet 10.1.0.0/16";
    assert_eq!(written.lines[0], expected);
    assert!(written.lines.iter().any(|line| line.contains("-d internal ") && line.contains("-s 10.1.0.0/16")));
    assert!(written.lines.iter().any(|line| line.contains("-s internal6 -d any6")));
    assert!(written.lines.iter().any(|line| line.ends_with("--vip any --vip any6")));
    let again = loaded(&written.lines.join("\n"));
    assert_eq!(again.commands(), written);
    let config = again.ike_config(&Default::default());
    assert_eq!(config.pools.len(), 1);
    let child = |name: &str| config.policies.iter().find(|child| child.policy.name == name).unwrap();
    assert_eq!(child("net").dynamic.remote, [TrafficSelector::any_v4()]);
    assert_eq!(
        (child("out").dynamic.local.clone(), child("out").policy.local.len()),
        (vec![TrafficSelector::any_v6()], 0)
    );
}

#[test]
fn interfaces_come_before_the_policies_that_use_them() {
    let text = "vti add vti1 --address 10.9.0.1/24 --address fd00::1 --mtu 1400 --netns lab\n\
                vti add vti0 --key 20 --remote 192.0.2.2 --vrf blue\n\
                ipsec policy -n p --action discard --interface vti1 -s any -d any\n";
    let written = loaded(text).commands();
    assert_eq!(
        written.lines,
        [
            "vti add vti0 --vrf blue --key 20 --remote 192.0.2.2",
            "vti add vti1 --address 10.9.0.1/24 --address fd00::1/128 --mtu 1400 --netns lab",
            "ipsec policy -n p --action discard -p any -s any -d any -l 4 --interface vti1",
        ]
    );
    assert_eq!(loaded(&written.lines.join("\n")).commands(), written);
}

#[test]
fn peers_that_may_be_anywhere_are_written_as_they_were_typed() {
    for (peers, names) in
        [("any", "any"), ("*@example.org", "rfc822:joe@example.org"), ("10.1.0.0/16", "*.example.org")]
    {
        let text = format!(
            "ike remote -n road -u -g fqdn:gw -h psk -r any -f {peers}\n\
             ipsec policy -n p -g road -s 10.1.0.0/16 -d any -r any -m tunnel --for {names} --for fqdn:b\n"
        );
        let model = loaded(&text);
        let again = loaded(&model.commands().lines.join("\n"));
        assert_eq!(said(&again), said(&model), "{peers}");
    }
}

#[test]
fn most_of_what_is_tried_is_taken() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let taken = (0..200).filter(|_| {
        let line = policy().new_tree(&mut runner).unwrap().current().replace("NAME", "p");
        let text = format!("{line}\nike remote -n gw -u -r 2001:db8::2 -g a -h psk\n");
        rc::apply(&text, Path::new("ike_rc"), &folder(), &Model::new()).is_ok()
    });
    assert!(taken.count() > 80);
}

#[test]
fn certificates_and_keys_in_files_are_named_and_typed_keys_are_not() {
    let folder = folder();
    let text = "ipsec addsa -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16 -p udp -w 300 -x 0x200 -e AES128-GCM \
                -f file:key -g file:key --tfc\n\
                ipsec addsa -m transport -r 10.0.0.2 -s 10.0.0.1 -d 10.0.0.2 -y 301 -z 302 -a HMAC-SHA-1 \
                -b 000102030405060708090a0b0c0d0e0f10111213 -c file:key\n";
    let model = loaded(text);
    let written = model.commands();
    assert_eq!(written.lines.len(), 1);
    let key = folder.join("key").display().to_string();
    let words = ["-m tunnel", "-p udp", "-w 300 -x 512 -e AES128-GCM", &format!("-f file:{key} -g file:{key} --tfc")];
    assert!(words.iter().all(|words| written.lines[0].contains(words)), "{}", written.lines[0]);
    assert!(!written.left_out[0].contains("0001") && written.left_out[0].contains("file:PATH"), "{written:?}");
    assert_eq!(loaded(&written.lines[0]).commands().lines, written.lines);
}
