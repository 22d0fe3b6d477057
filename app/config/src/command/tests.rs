use super::*;
use crate::value::algorithm::DEFAULT_ENCR;
use crate::value::protocol::Protocol;
use ravelin_ike::config::{IkeVersion, Liveness, V1};
use ravelin_types::Identity;
use ravelin_types::options::{Df, Dscp, Dummies, Fragmentation, Mark, Mss, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{DeviceName, Mode, Ways};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;
use std::time::Duration;

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn good(line: &str) -> Parsed {
    parse(&words(line)).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn bad(line: &str) -> (Option<String>, String) {
    let arguments = words(line);
    let error = parse(&arguments).expect_err(line);
    let at = error.at.map(|at| arguments[at.argument][at.offset..].to_owned());
    (at, error.message)
}

const POLICY: &str = "ipsec policy -n policy1 -g remoteINFO -t ESP -e AES128-GCM -m transport -p tcp -r 10.0.0.78 \
                      -s 10.0.0.77 -d 10.0.0.78";
const REMOTE: &str = "ike remote -n remoteINFO -z 2 -w -u -a HMAC-SHA-2-384 -e AES256-CBC -p HMAC-SHA-2-384 \
                      -m PresharedKey -d ECP384 -r 10.0.0.78 -f ipv4:10.0.0.78 -g ipv4:10.0.0.77 -h secret_file.txt";

// Document 003 §5.1 with modern algorithms.
#[test]
fn the_documents_policy() {
    let Command::AddPolicy(spec) = good(POLICY).command else { panic!() };
    assert_eq!((spec.name.as_str(), spec.priority.number(), spec.local[0].protocol()), ("policy1", 4000, 6));
    let esp = spec.esp.unwrap();
    assert_eq!(esp.mode, Mode::Transport);
    assert_eq!(esp.local, Some([10, 0, 0, 77].into()));
    assert_eq!(esp.proposals[0].to_string(), "ESP: AES128-GCM, ESN, NO-ESN");
    assert_eq!(esp.lifetime.hard.time.unwrap().as_secs(), 3600);
    assert_eq!(esp.lifetime.soft.time.unwrap().as_secs(), 3240);
}

#[test]
fn the_documents_remote() {
    let Command::AddRemote(spec) = good(REMOTE).command else { panic!() };
    assert!(spec.initiate && spec.accept);
    assert_eq!(spec.own_id.to_string(), "ipv4:10.0.0.77");
    assert_eq!(
        spec.proposals.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["IKE: AES256-CBC, HMAC-SHA-2-384, PRF-HMAC-SHA-2-384, ECP384"]
    );
    let bare = good(REMOTE.strip_prefix("ike ").unwrap());
    assert!(matches!(bare.command, Command::AddRemote(other) if other == spec));
}

#[test]
fn defaults_are_modern() {
    let Command::AddRemote(spec) = good("ike remote -n a -w -r ::1 --local ::2 -h f").command else { panic!() };
    assert_eq!(spec.peer_id.to_string(), "ipv6:::1");
    assert_eq!(spec.own_id.to_string(), "ipv6:::2");
    // With ML-KEM-768 behind the first key exchange, and then the same without.
    assert_eq!(spec.proposals.len(), 4);
    let encr = spec.proposals.iter().flat_map(|p| &p.transforms).filter(|t| t.kind().0 == 1).count();
    assert_eq!(encr, 2 * DEFAULT_ENCR.len());
    let hybrid = |proposal: &ravelin_types::proposal::Proposal| proposal.to_string().ends_with(", KE1-ML-KEM-768");
    assert_eq!(spec.proposals.iter().map(hybrid).collect::<Vec<_>>(), [true, true, false, false]);
}

#[test]
fn every_short_flag_has_a_long_name() {
    let line = "ipsec policy --name p --remote r --type esp --encryption AES128-CBC --integrity HMAC-SHA-1 \
                --mode TUNNEL --protocol udp --endpoint 10.0.0.2 --source 10.1.0.0/16,53 --destination any \
                --lifetime 10m --priority 3 --life-bytes 10G --life-packets 1M --replay-window 64 --esn off \
                --pfs ECP256 --start now --local 10.0.0.1";
    let Command::AddPolicy(spec) = good(line).command else { panic!() };
    let esp = spec.esp.unwrap();
    assert_eq!(esp.proposals[0].to_string(), "ESP: AES128-CBC, HMAC-SHA-1, ECP256, NO-ESN");
    assert_eq!((esp.replay_window, esp.start, esp.mode), (64, Start::Now, Mode::Tunnel));
    assert_eq!(esp.lifetime.hard.packets, Some(1_000_000));
    assert_eq!(spec.local[0].to_string(), "10.1.0.0/16[17/53]");
}

#[test]
fn a_virtual_interface_is_for_tunnels() {
    let line = "ipsec policy -n p -g gw -r 10.0.0.2 -s any -d any";
    let Command::AddPolicy(spec) = good(&format!("{line} -m tunnel --interface vti0")).command else { panic!() };
    assert_eq!(spec.interface.as_deref(), Some("vti0"));
    let bare = "ipsec policy -n p -s any -d any";
    for (line, at) in [
        (format!("{line} -m tunnel --interface ../x"), "../x"),
        (format!("{line} -m transport --interface vti0"), "-m"),
        (format!("{bare} --action bypass --interface vti0"), "--interface"),
    ] {
        assert_eq!(bad(&line).0.as_deref(), Some(at), "{line}");
    }
}

#[test]
fn internal_addresses_are_those_of_a_tunnel_with_an_sa() {
    let ends = "-g gw -r 10.0.0.2 -s internal -d any";
    let Command::AddPolicy(spec) = good(&format!("ipsec policy -n p {ends} -m tunnel -p tcp")).command else {
        panic!()
    };
    assert!(spec.local.is_empty() && !spec.trap, "nobody knows the address before");
    assert_eq!(spec.esp.unwrap().dynamic.local[0].to_string(), "0.0.0.0/0[6]");
    for (line, at) in [
        (format!("ipsec policy -n p {ends} -m transport"), "-m"),
        (format!("ipsec policy -n p {ends} -m tunnel --interface vti0"), "--interface"),
        ("ipsec policy -n p -s internal -d any --action bypass".to_owned(), "--action"),
        ("ipsec policy -n p -g gw -r 10.0.0.2 -m tunnel -s internal6 -d any".to_owned(), "-d"),
        ("ike pool -n p -a 10.3.0.0/33".to_owned(), "10.3.0.0/33"),
        ("ike pool -n p -a 10.3.0.0/24 --fixed box=fec3::1".to_owned(), "--fixed"),
        ("ike pool -n p -a 10.3.0.0/24 --fixed a=10.3.0.9 --fixed b=10.3.0.9".to_owned(), "--fixed"),
        ("ike remote -n gw -r 10.0.0.2 -u -m PSK -h s -g a -f b --vip any".to_owned(), "--vip"),
        ("ike remote -n gw -r 10.0.0.2 -w -m PSK -h s -g a -f b --pool p".to_owned(), "--pool"),
    ] {
        assert_eq!(bad(&line).0.as_deref(), Some(at), "{line}");
    }
}

// RFC 4301 §4.4.3.1: an entry is for one identity, a sub-tree of names or a range of addresses, with either version.
#[test]
fn a_remote_may_be_a_group_of_peers() {
    for (word, shown, takes, refuses) in [
        ("any", "%any", "fqdn:x", None),
        ("*@example.org", "*@example.org", "rfc822:joe@example.org", Some("fqdn:joe.example.org")),
        ("*.example.org", "*.example.org", "fqdn:a.example.org", Some("fqdn:example.org")),
        ("10.1.0.0/16", "10.1.0.0-10.1.255.255", "ipv4:10.1.2.3", Some("ipv4:10.2.0.1")),
        (
            "2001:db8::/32",
            "2001:db8::-2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "ipv6:2001:db8::1",
            Some("ipv6:2001:db9::1"),
        ),
        ("O=Example,*", "O=Example, *", "asn1dn:O=Example, CN=a", Some("asn1dn:CN=a")),
        ("O=Example,CN=*", "O=Example, CN=*", "asn1dn:O=Example, CN=a", Some("asn1dn:O=Other, CN=a")),
    ] {
        for version in [1, 2] {
            let line = format!("ike remote -n group -z {version} -u -r any -f {word} -g fqdn:gw -h f");
            let Command::AddRemote(spec) = good(&line).command else { panic!("{line}") };
            let group = spec.peers.unwrap_or_else(|| panic!("{line}"));
            assert_eq!((group.to_string().as_str(), spec.version.number()), (shown, version));
            let id = |text: &str| crate::value::identity::identity(text).unwrap();
            assert!(group.takes(&id(takes)), "{line}");
            assert!(!refuses.is_some_and(|text| group.takes(&id(text))), "{line}");
        }
    }
}

// RFC 4301 §4.5.3: gateways that stand in for each other, and a peer with an address of each family.
#[test]
fn a_remote_has_as_many_addresses_as_are_written() {
    let remote = "ike remote -n gw -w -u -g fqdn:a -h f";
    let line = format!("{remote} -f fqdn:b -r 192.0.2.2 -r 192.0.2.3 -r 2001:db8::2");
    let Command::AddRemote(spec) = good(&line).command else { panic!() };
    let addresses: Vec<String> = spec.addresses().map(|address| address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.2", "192.0.2.3", "2001:db8::2"]);
    let many = " -r 192.0.2.3".repeat(8);
    for (line, at, words) in [
        (format!("{remote} -r 192.0.2.2 -r 192.0.2.3"), None, "expected -f"),
        (format!("{remote} -f fqdn:b -r 192.0.2.2 -r 192.0.2.2"), Some("-r"), "there twice"),
        (format!("{remote} -f fqdn:b -r 192.0.2.2{many}"), Some("-r"), "at most 8"),
        (format!("{} -f any -r 192.0.2.2 -r any", remote.replace("-w ", "")), Some("-r"), "has no other"),
        (format!("{line} --local 192.0.2.1"), Some("--local"), "different address families"),
    ] {
        let (place, message) = bad(&line);
        assert_eq!(place.as_deref(), at, "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

// RFC 7619: one side, the other, or both.
#[test]
fn a_remote_that_proves_nothing_is_nobody() {
    let read = |line: &str| match good(line).command {
        Command::AddRemote(spec) => spec,
        other => panic!("{other:?}"),
    };
    let both = read("ike remote -n guests -u -r any -m NULL");
    assert_eq!(both.null, NullSides { own: true, peer: true });
    assert_eq!((&both.own_id, &both.peer_id), (&Identity::Null, &Identity::Null));
    let own = read("ike remote -n gw -w -r 192.0.2.2 -f fqdn:gw -m RSASIG --null own");
    assert_eq!((own.null.own, own.null.peer, own.own_id.clone()), (true, false, Identity::Null));
    let peer = read("ike remote -n guests -u -r any -g fqdn:gw -c gw.pem -m RSASIG --null peer");
    assert_eq!((peer.null.own, peer.null.peer, peer.peer_id.clone()), (false, true, Identity::Null));
    for spec in [both, own, peer] {
        let again = read(&spec.line().to_string());
        assert_eq!(
            (again.null, &again.own_id, &again.peer_id),
            (spec.null, &spec.own_id, &spec.peer_id),
            "{}",
            spec.line()
        );
    }
    let remote = "ike remote -n gw -w -r 192.0.2.2";
    for (line, at, words) in [
        (format!("{remote} -m NULL -f fqdn:gw"), "-f", "is nobody"),
        (format!("{remote} -m NULL -h f"), "-h", "neither side proves"),
        (format!("{remote} -m NULL --null own"), "--null", "neither side proves"),
        (format!("{remote} -m NULL -z 1"), "-m", "of IKEv2"),
        (format!("{remote} -m EAP-TLS -g fqdn:a -c a.pem --null peer"), "--null", "of the other side"),
        (format!("{remote} -m RSASIG -c a.pem -f fqdn:gw --null own"), "-c", "proves nothing"),
    ] {
        let (place, message) = bad(&line);
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

// RFC 4301 §4.4.1.1: entries with names, for peers that come from wherever they are.
#[test]
fn a_policy_may_be_for_peers_of_a_name() {
    let remote = "ike remote -n road -u -g fqdn:gw -h f";
    let Command::AddRemote(spec) = good(&format!("{remote} -r any -f *@example.org")).command else { panic!() };
    assert!(spec.endpoint.is_unspecified() && spec.endpoint.is_ipv4());
    assert_eq!(spec.peers.map(|peers| peers.to_string()).as_deref(), Some("*@example.org"));
    let policy = "ipsec policy -n p -g road -s 10.1.0.0/16 -d any";
    let line = format!("{policy} -r any -m tunnel --for joe@example.org --for *.example.org");
    let Command::AddPolicy(spec) = good(&line).command else { panic!() };
    assert!(!spec.trap, "it is in force with its SAs");
    let names: Vec<String> = spec.esp.unwrap().names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["rfc822:joe@example.org", "*.example.org"]);
    for (line, at, words) in [
        (format!("{remote} -w -r any -f any"), Some("-w"), "-r any is for -u"),
        (format!("{remote} -r any6"), None, "expected -f"),
        (format!("{remote} -r ::1 -g any"), Some("-g"), "one identity"),
        (format!("{policy} -r any -m transport"), Some("-m"), "use -m tunnel"),
        (format!("{policy} -r any -m tunnel --start now"), Some("--start"), "starts by itself"),
        (format!("{policy} -r any -m tunnel --interface i"), Some("--interface"), "one endpoint"),
        ("ipsec policy -n p -s any -d any --action bypass --for any".into(), Some("--for"), "not protected"),
        (format!("{policy} -r any -m tunnel --for rfc822:joe"), Some("joe"), "a mail address"),
    ] {
        let line = if line.contains("-g any") { line.replace("-g fqdn:gw ", "") } else { line };
        let (place, message) = bad(&line);
        assert_eq!(place.as_deref(), at, "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

// RFC 4301 §4.4.1: SPD-O and SPD-I.
#[test]
fn what_passes_or_is_dropped_may_have_a_direction() {
    let bare = "ipsec policy -n p -s any -d any";
    for (word, ways) in [("both", Ways::Both), ("out", Ways::Outbound), ("in", Ways::Inbound)] {
        let Command::AddPolicy(spec) = good(&format!("{bare} --action discard --direction {word}")).command else {
            panic!()
        };
        assert_eq!(spec.ways, ways);
    }
    let (place, message) = bad(&format!("{POLICY} --direction in"));
    assert!(place.as_deref() == Some("--direction") && message.contains("both ways"), "{message}");
}

#[test]
fn what_passes_or_is_dropped_may_be_about_a_device() {
    let bare = "ipsec policy -n p -s any -d any --action bypass";
    let eth = DeviceName::new("eth1.10").unwrap();
    for (words, only) in
        [("", None), (" --direction out", Some(Direction::Outbound)), (" --direction in", Some(Direction::Inbound))]
    {
        let Command::AddPolicy(spec) = good(&format!("{bare} --device eth1.10{words}")).command else { panic!() };
        assert_eq!(spec.ways, Ways::Over(eth, only));
        let Command::AddPolicy(again) = good(&spec.line().to_string()).command else { panic!() };
        assert_eq!(again, spec);
    }
    for (line, at, words) in [
        (format!("{POLICY} --device eth1"), "--device", "--interface"),
        ("ipsec policy -n p -s any -d any --action discard --interface v --device e".to_owned(), "--device", "leave"),
        (format!("{bare} --device e;1"), "e;1", "device name"),
    ] {
        let (place, message) = bad(&line);
        assert!(place.as_deref() == Some(at) && message.contains(words), "{place:?} {message}");
    }
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    for (line, at, words) in [
        (POLICY.replace("ESP", "AHESP"), "-t", "use -t ESP"),
        (REMOTE.replace("-z 2", "-z 2 --aggressive"), "--aggressive", "say -z 1"),
        (REMOTE.replace("-z 2", "-z 1").replace("AES256-CBC", "AES256-GCM"), "-e", "use AES256-CBC"),
        (format!("{REMOTE} -b cert.pem"), "-b", "a certificate goes with -m RSASIG"),
        (format!("{REMOTE} -c a.pem,b.pem"), "-c", "a certificate goes with -m RSASIG"),
        (format!("{} -c a.pem", REMOTE.replace("PresharedKey", "RSASIG")), "-h", "does not go with -m RSASIG"),
        (format!("{REMOTE} -s x"), "-s", "-s has no meaning"),
        (REMOTE.replace("AES256-CBC", "NULL_ENC"), "NULL_ENC", "NULL_ENC is refused"),
        (REMOTE.replace("ipv4:10.0.0.77", "asn1dn:"), "-g", "goes with -m RSASIG"),
    ] {
        let (place, message) = bad(&line);
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

#[test]
fn mistakes_are_located() {
    for (line, at, words) in [
        (POLICY.replace("AES128-GCM", "AES128-CBC,AES128-GMC"), Some("AES128-GMC"), "did you mean AES128-GCM?"),
        (POLICY.replace("10.0.0.77", "10.0.0.777"), Some("10.0.0.777"), "is not an IP address"),
        (POLICY.replace("-m transport", "-m transprot"), Some("transprot"), "transport"),
        (POLICY.replace("-d 10.0.0.78", "-d 10.0.0.79"), Some("-d"), "in transport mode"),
        (POLICY.replace("-p tcp", "-p icmp6"), Some("-p"), "use -p icmp"),
        (POLICY.replace("-p tcp -r", "-r").replace("77", "77,80"), Some("-s"), "a port needs"),
        (POLICY.replace("-d 10.0.0.78", "-d any6"), Some("-d"), "different address families"),
        (format!("{POLICY} -l 8"), Some("8"), "4500 is between 4 and 5"),
        (format!("{POLICY} --replay-window=5000"), Some("5000"), "4096"),
        (format!("{POLICY} --replay-window=0 --esn=require"), Some("--esn=require"), "need the anti-replay check"),
        (format!("{POLICY} --lifetme 5"), Some("--lifetme"), "--lifetime"),
        (POLICY.replace("-n policy1", "-n a/b"), Some("/b"), "a name is made of"),
        (format!("{POLICY} -n twice"), None, "cannot be used multiple times"),
        (POLICY.replace("-g remoteINFO ", ""), None, "expected -g REMOTE"),
        (REMOTE.replace(" -w -u", ""), None, "expected -w"),
        (format!("{POLICY} --action bypass"), Some("-g"), "goes with --action secure"),
        ("ipsec netstart".into(), Some("netstart"), "netstat"),
        ("ipsec".into(), None, "expected a whole command"),
        (String::new(), None, "expected a whole command"),
        ("ike netstat -n a".into(), Some("-n"), "goes with -r"),
        ("ipsec flush".into(), None, "expected -a"),
    ] {
        let (place, message) = bad(&line);
        if at.is_some() {
            assert_eq!(place.as_deref(), at, "{line}: {message}");
        }
        assert!(message.contains(words), "{line}: {message}");
    }
}

#[test]
fn an_unused_flag_is_noted() {
    let parsed = good(&format!("{POLICY} -a HMAC-SHA-2-256"));
    assert_eq!(parsed.notes, ["-a has no effect here: every cipher of -e authenticates by itself"]);
    assert!(good(REMOTE).notes.is_empty());
    let parsed = good(&format!("{POLICY} --replay-window 0"));
    assert!(parsed.notes[0].contains("extended sequence numbers need"), "{:?}", parsed.notes);
}

// Document 003 §5.2, with what it names, and AH.
#[test]
fn legacy_and_ah_are_taken_from_those_who_name_them() {
    let parsed = good(&POLICY.replace("AES128-GCM", "3DES-CBC -a HMAC-SHA-2-512"));
    assert!(parsed.notes[0].starts_with("3DES-CBC: ") && parsed.notes.len() == 1, "{:?}", parsed.notes);
    let Command::AddPolicy(spec) = parsed.command else { panic!() };
    assert_eq!(spec.esp.unwrap().proposals[0].to_string(), "ESP: 3DES-CBC, HMAC-SHA-2-512, ESN, NO-ESN");
    let ah = POLICY.replace("-t ESP -e AES128-GCM", "-t AH -a HMAC-SHA-1,AES128-GMAC,HMAC-MD5");
    let parsed = good(&ah);
    assert!(parsed.notes[0].starts_with("HMAC-MD5: ") && parsed.notes.len() == 1, "{:?}", parsed.notes);
    let Command::AddPolicy(spec) = parsed.command else { panic!() };
    assert_eq!(spec.esp.unwrap().proposals[0].to_string(), "AH: HMAC-SHA-1, AES128-GMAC, HMAC-MD5, ESN, NO-ESN");
    let (at, message) = bad(&ah.replace("-t AH", "-t AH -e AES128-GCM"));
    assert!(at.as_deref() == Some("-e") && message.contains("AH does not encrypt"), "{message}");
    let (at, message) = bad(&POLICY.replace("AES128-GCM", "AES128-CBC -a AES128-GMAC"));
    assert!(at.as_deref() == Some("-a") && message.contains("-e AES128-GMAC"), "{message}");
}

// Document 003 §5.1: MODP768 and 3DES for IKE.
#[test]
fn legacy_of_ike_is_taken_from_those_who_name_it() {
    let parsed = good(&REMOTE.replace("AES256-CBC", "3DES-CBC").replace("ECP384", "MODP768"));
    let names: Vec<&str> = parsed.notes.iter().filter_map(|text| text.split(':').next()).collect();
    assert_eq!(names, ["3DES-CBC", "MODP768"]);
    let Command::AddRemote(spec) = parsed.command else { panic!() };
    let text = spec.proposals[0].to_string();
    assert!(text.starts_with("IKE: 3DES-CBC, ") && text.ends_with(", MODP768"), "{text}");
}

#[test]
fn bypass_and_discard_need_no_remote() {
    let Command::AddPolicy(spec) = good("ipsec policy -n b --action bypass -s any -d any -p udp").command else {
        panic!()
    };
    assert_eq!((spec.action, spec.esp), (ActionWord::Bypass, None));
    assert!(matches!(good("ipsec policy -n b --action drop -s any6 -d any6").command, Command::AddPolicy(_)));
}

#[test]
fn views_deletions_and_flushes() {
    assert!(matches!(good("ipsec policy -v").command, Command::ViewPolicies(None)));
    assert!(matches!(good("ike remote -v -n a").command, Command::ViewRemotes(Some(_))));
    assert!(matches!(good("ipsec policy -x ALLPOLICIES").command, Command::DeletePolicy(Which::All)));
    assert!(matches!(good("ike remote -x a").command, Command::DeleteRemote(Which::Named(_))));
    let Command::IkeFlush(flush) = good("ike flush").command else { panic!() };
    assert_eq!(flush, FlushIke { sas: Some(None), remotes: Some(None) });
    let Command::IkeFlush(flush) = good("ike flush -r -n a").command else { panic!() };
    assert_eq!(flush, FlushIke { sas: None, remotes: Some(Some("a".into())) });
    let Command::IpsecFlush(flush) = good("ipsec flush -c").command else { panic!() };
    assert_eq!(flush, FlushIpsec { sas: true, policies: false });
    let Command::IpsecNetstat(args) = good("ipsec netstat").command else { panic!() };
    assert!(args.wants_sas() && args.wants_policies() && !args.show_keys);
    let Command::IkeNetstat(args) = good("ike netstat -r -n a").command else { panic!() };
    assert!(!args.wants_sas() && args.wants_remotes());
    let Command::IkeNetstat(args) = good("ike netstat -p 2").command else { panic!() };
    assert_eq!((args.phase, args.wants_remotes()), (Some(Phase::V1Quick), false));
    let Command::IkeFlush(flush) = good("ike flush -p 3 -r").command else { panic!() };
    assert_eq!(flush, FlushIke { sas: Some(Some(Phase::V2)), remotes: Some(None) });
    assert!(bad("ike flush -p 4").1.contains("1 or 2, the phases of IKEv1, or 3, IKEv2"));
}

#[test]
fn files_are_called_written_and_read_again() {
    let Command::Call(file) = good("call more").command.seen_from(Path::new("/etc")) else { panic!() };
    assert_eq!(file, Path::new("/etc/more"));
    for line in ["reload --dry-run x.conf", "ike reload x.conf --dry-run"] {
        let Command::Reload(args) = good(line).command.seen_from(Path::new("/etc")) else { panic!() };
        assert_eq!((args.file.as_deref(), args.dry_run), (Some(Path::new("/etc/x.conf")), true), "{line}");
    }
    assert!(matches!(good("ike commands -f -").command, Command::Commands));
}

#[test]
fn arbitrary_arguments_never_panic() {
    let pieces = ["ipsec", "policy", "-n", "é", "-e", ",", "--", "-x", "=", "--name=", "-hfile", "\u{0}", "", "-wu"];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                let arguments: Vec<String> = ["ipsec", "policy", a, b, c].map(str::to_owned).to_vec();
                if let Err(BadLine { at: Some(at), .. }) = parse(&arguments) {
                    assert!(at.argument < arguments.len());
                }
            }
        }
    }
}

// Document 003 §3.8: the clone policy.
#[test]
fn a_policy_may_populate_selectors_from_packets_and_end_what_is_idle() {
    let Command::AddPolicy(spec) = good(&format!("{POLICY} --pfp all --inactivity 5m")).command else { panic!() };
    let esp = spec.esp.unwrap();
    assert_eq!(esp.pfp, Pfp::ALL);
    assert_eq!(esp.lifetime.idle.unwrap().as_secs(), 300);
    let Command::AddPolicy(spec) = good(&format!("{POLICY} --clone remote,remote-port")).command else { panic!() };
    assert_eq!(spec.esp.unwrap().pfp, Pfp { remote: true, remote_port: true, ..Pfp::NONE });
    let Command::AddPolicy(spec) = good(POLICY).command else { panic!() };
    let esp = spec.esp.unwrap();
    assert_eq!((esp.pfp, esp.lifetime.idle), (Pfp::NONE, None));
    assert_eq!(bad(&format!("{POLICY} --pfp local,ports")).0.as_deref(), Some("ports"));
    assert_eq!(bad(&format!("{POLICY} --pfp all --start now")).0.as_deref(), Some("--pfp"));
    assert_eq!(bad(&format!("{POLICY} --inactivity 60 --start now")).0.as_deref(), Some("--inactivity"));
    assert_eq!(bad("ipsec policy -n a -s any -d any --action bypass --pfp all").0.as_deref(), Some("--pfp"));
}

const ADDSA: &str = "ipsec addsa -m transport -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78 -p tcp";
const CBC: &str = "-e AES128-CBC -f 000102030405060708090a0b0c0d0e0f -g file:out.key -w 0x1000 -x 4097";
const SHA2: &str = "-a HMAC-SHA-2-256 -b file:in.auth -c file:out.auth";

// Document 003 §3.13: every letter.
#[test]
fn keys_are_given_by_hand() {
    let parsed = good(&format!("{ADDSA} {CBC} {SHA2}"));
    assert!(parsed.notes[0].contains("ps,") && parsed.notes[0].contains("file:PATH"), "{:?}", parsed.notes);
    let Command::AddSa(spec) = parsed.command else { panic!() };
    assert_eq!(
        (spec.protocol.clone(), spec.mode, spec.local),
        (Protocol::from(6), Mode::Transport, Some([10, 0, 0, 77].into()))
    );
    let Some((inbound, outbound, encr, _)) = &spec.esp else { panic!() };
    assert_eq!((inbound.0, outbound.0, encr.0.0), (4096, 4097, 12));
    assert_eq!((spec.ah, spec.integ.as_ref().map(|(id, _)| id.0)), (None, Some(12)));
    // The keys are printed nowhere.
    assert!(format!("{spec:?}").contains("Hex(Secret(16 bytes))"), "{spec:?}");

    let Command::AddSa(spec) = good(&format!("{ADDSA} {SHA2} -y 256 -z 257")).command else { panic!() };
    assert!(spec.esp.is_none());
    assert_eq!(spec.ah.map(|(inbound, outbound)| (inbound.0, outbound.0)), Some((256, 257)));
    assert!(good(&format!("{ADDSA} {SHA2} -y 256 -z 257")).notes.is_empty());
    assert_eq!(spec.options, SaOptions::default());
    let hidden = good(&format!("{ADDSA} {CBC} {SHA2} --tfc --short-icv")).command;
    let Command::AddSa(spec) = hidden else { panic!() };
    assert_eq!(spec.options, SaOptions { tfc: 256, short_icv: true, ..SaOptions::default() });
    let Command::AddSa(spec) = good(&format!("{ADDSA} {SHA2} -y 256 -z 257 --ah-align64")).command else { panic!() };
    assert!(spec.options.ah_align64);
    assert!(matches!(good("ipsec delsa -s 10.0.0.77 -d 10.0.0.78 -p tcp").command, Command::DeleteSa(_)));
}

#[test]
fn keys_that_cannot_be_taken_are_located() {
    for (rest, at, words) in [
        ("", None, "expected the SPIs of ESP"),
        ("-w 255 -x 256", Some("255"), "an SPI from 256"),
        ("-w 256", None, "-w and -x"),
        ("-w 256 -x 257", None, "expected -e CIPHER"),
        ("-e AES128-CBC -w 256 -x 257", None, "expected -f KEY and -g KEY"),
        ("-e AES128-CBC -f 00 -g 00 -w 256 -x 257", Some("-f"), "a key of 16 bytes"),
        ("-e AES128-CBC,AES256-CBC -w 256 -x 257", Some("AES128-CBC,AES256-CBC"), "expected one algorithm"),
        ("-y 256 -z 257", None, "expected -a ALGORITHM for AH"),
        ("-a HMAC-SHA-2-256 -y 256 -z 257", None, "expected -b KEY and -c KEY"),
        ("-b 00 -c 00 -y 256 -z 257", None, "expected -a ALGORITHM"),
        ("-f file:a -g file:b -w 256 -x 257", None, "expected -e CIPHER"),
        ("-a HMAC-SHA-2-256 -b file:a -c file:b -y 256 -z 257 --tfc", Some("--tfc"), "about ESP"),
        ("-e NULL_ENC -a HMAC-SHA-1 -b file:a -c file:b -w 256 -x 257 --ah-align64", Some("--ah-align64"), "about AH"),
    ] {
        let (place, message) = bad(&format!("{ADDSA} {rest}"));
        assert_eq!(place.as_deref(), at, "{rest}: {message}");
        assert!(message.contains(words), "{rest}: {message}");
    }
    let (place, message) = bad(&format!("{ADDSA} -e AES128-CBC -f secretzz -g file:b -w 256 -x 257"));
    assert_eq!(place.as_deref(), Some("secretzz"));
    // What is almost a key is not repeated: the message may go to a log.
    assert!(message.contains("hexadecimal digits") && !message.contains("secretzz"), "{message}");
}

// RFC 4301 §4.4.1.2: a selector is a set of values.
#[test]
fn a_policy_has_as_many_sources_and_destinations_as_are_written() {
    let several = POLICY.replace("transport", "tunnel").replace("-s 10.0.0.77", "-s 10.0.0.77,80 -s 10.1.0.0/16");
    let several = several.replace("-d 10.0.0.78", "-d 10.2.0.0/16 --destination 10.3.0.1 -d 10.4.0.1-.9");
    let Command::AddPolicy(spec) = good(&several).command else { panic!() };
    let shown = |ends: &[TrafficSelector]| ends.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&spec.local), ["10.0.0.77[6/80]", "10.1.0.0/16[6]"]);
    assert_eq!(shown(&spec.remote), ["10.2.0.0/16[6]", "10.3.0.1[6]", "10.4.0.1-10.4.0.9[6]"]);
    // The ends of an SA in transport mode are two hosts, whatever their ports are.
    let ports = POLICY.replace("-s 10.0.0.77", "-s 10.0.0.77,80 -s 10.0.0.77,443");
    let Command::AddPolicy(spec) = good(&ports).command else { panic!() };
    assert_eq!(spec.local.len(), 2);
    let many = " -s 10.9.0.1".repeat(63);
    for (line, at, words) in [
        (POLICY.replace("-s 10.0.0.77", "-s 10.0.0.77 -s 10.0.0.79"), "-s", "the one address of this host"),
        (POLICY.replace("-d 10.0.0.78", "-d 10.0.0.78 -d 10.0.0.79"), "-d", "is the remote endpoint itself"),
        (several.replace("-s 10.1.0.0/16", "-s any6"), "-s", "different address families"),
        (several.replace("--destination 10.3.0.1", "-d any6"), "-d", "different address families"),
        (format!("{several} -s any6"), "-s", "no -d of IPv6"),
        (several.replace("-p tcp", "-p icmp").replace(",80", "") + " -s any6 -d any6", "-p", "icmp6"),
        (format!("{several}{many}"), "-s", "at most 64"),
    ] {
        let (place, message) = bad(&line);
        assert!(message.contains(words), "{line}: {message}");
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
    }
}

#[test]
fn one_policy_is_about_both_address_families() {
    let mixed = POLICY.replace("transport", "tunnel").replace("-d 10.0.0.78", "-d 2001:db8:2::/48 -d 10.2.0.0/16");
    let mixed = mixed.replace("-s 10.0.0.77", "-s 10.1.0.0/16 -s 2001:db8:1::/48 -s 10.3.0.0/16");
    let Command::AddPolicy(spec) = good(&mixed).command else { panic!() };
    let shown = |ends: &[TrafficSelector]| ends.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&spec.local), ["10.1.0.0/16[6]", "2001:db8:1::/48[6]", "10.3.0.0/16[6]"]);
    assert_eq!(shown(&spec.remote), ["10.2.0.0/16[6]", "2001:db8:2::/48[6]"], "both sides begin with one family");
    let Command::AddPolicy(again) = good(&spec.line().to_string()).command else { panic!() };
    assert_eq!(again, spec);
    // With an address that comes with the SA too.
    let road = mixed.replace("-s 10.1.0.0/16 -s 2001:db8:1::/48 -s 10.3.0.0/16", "-s internal -s internal6");
    let Command::AddPolicy(spec) = good(&road).command else { panic!() };
    assert_eq!(shown(&spec.esp.unwrap().dynamic.local), ["0.0.0.0/0[6]", "::/0[6]"]);
    let (place, message) = bad(&road.replace(" -s internal6", ""));
    assert_eq!((place.as_deref(), message.contains("no -s of IPv6")), (Some("-d"), true), "{message}");
}

#[test]
fn the_options_of_a_policy_are_read_and_written_again() {
    let tunnel = POLICY.replace("transport", "tunnel");
    let options = |line: &str| match good(line).command {
        Command::AddPolicy(spec) => spec.esp.unwrap().options,
        other => panic!("{other:?}"),
    };
    assert_eq!(options(&tunnel), SaOptions::default());
    assert_eq!(options::written(&SaOptions::default()), "");
    let all = options(&format!(
        "{tunnel} -c --tfc-max 300 -y --dummy-size 100 --dummy-interval 5 -h --ecn none --dscp 46 --df copy --hop-limit \
         9 --pad-check off --mtu 1400 --fragment after --mss path --mark 5 --set-mark 0x2a/0xff --output-mark 3 --crypto-offload"
    ));
    let ah = tunnel.replace("-t ESP -e AES128-GCM", "-t AH");
    let wide = options(&format!("{ah} --ah-align64"));
    assert_eq!(wide, SaOptions { ah_align64: true, ..SaOptions::default() });
    assert_eq!(options(&format!("{ah} {}", options::written(&wide))), wide);
    let expected = SaOptions {
        full_ecn: false,
        dscp: Dscp::Set(46),
        df: Df::Copy,
        hop_limit: 9,
        pad_check: false,
        short_icv: true,
        ah_align64: false,
        mtu: Some(1400),
        fragmentation: Fragmentation::After,
        mss: Mss::Path,
        tfc: 300,
        dummies: Some(Dummies { size: 100, interval: Duration::from_secs(5) }),
        later_fragments: false,
        zero_checksum: false,
        mark: Some(Mark { value: 5, mask: u32::MAX }),
        set_mark: Some(Mark { value: 0x2a, mask: 0xff }),
        output_mark: Some(Mark { value: 3, mask: u32::MAX }),
        crypto_offload: true,
    };
    assert_eq!(all, expected);
    assert_eq!(options(&format!("{tunnel} {}", options::written(&all))), all);
    let hidden = options(&format!("{POLICY} -c -y --mss 1300"));
    assert_eq!((hidden.tfc, hidden.dummies, hidden.mss), (256, Some(Dummies::default()), Mss::Set(1300)));
    let copied =
        options(&format!("{tunnel} --dscp copy --df set --ecn full --pad-check on --fragment before --mss off"));
    assert_eq!(copied, SaOptions { df: Df::Set, ..SaOptions::default() });
}

#[test]
fn options_that_do_nothing_are_refused() {
    let tunnel = POLICY.replace("transport", "tunnel");
    let ah = tunnel.replace("-t ESP -e AES128-GCM", "-t AH");
    let bypass = "ipsec policy -n p -s 10.0.0.1 -d 10.0.0.2 --action bypass";
    for (line, at, words) in [
        (format!("{POLICY} --dscp 5"), "--dscp", "goes with -m tunnel"),
        (format!("{POLICY} --df set"), "--df", "goes with -m tunnel"),
        (format!("{POLICY} --hop-limit 5"), "--hop-limit", "goes with -m tunnel"),
        (format!("{POLICY} --ecn none"), "--ecn", "goes with -m tunnel"),
        (format!("{ah} -c"), "-c", "about ESP"),
        (format!("{tunnel} --ah-align64"), "--ah-align64", "about AH"),
        (format!("{ah} -y"), "-y", "about ESP"),
        (format!("{ah} --pad-check off"), "--pad-check", "about ESP"),
        (format!("{POLICY} --tfc-max 9"), "--tfc-max", "goes with -c"),
        (format!("{POLICY} --dummy-size 9"), "--dummy-size", "goes with -y"),
        (format!("{POLICY} --dummy-interval 9"), "--dummy-interval", "goes with -y"),
        (format!("{bypass} -c"), "-c", "goes with --action secure"),
        (format!("{bypass} --mtu 1400"), "--mtu", "goes with --action secure"),
        (format!("{tunnel} --dscp 64"), "64", "0 to 63"),
        (format!("{tunnel} --mss 535"), "535", "at least 536"),
        (format!("{tunnel} --mtu 575"), "575", "575"),
    ] {
        let (place, message) = bad(&line);
        assert!(message.contains(words), "{line}: {message}");
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
    }
}

// Document 003 §3.13, IKEv1: what -a names is the hash, and -p has no meaning.
#[test]
fn the_documents_remote_of_version_1() {
    let line = REMOTE.replace("-z 2", "-z 1").replace("HMAC-SHA-2-384 -e", "SHA -e");
    let parsed = good(&line);
    assert!(parsed.notes.iter().any(|note| note.contains("-p has no meaning with IKEv1")), "{:?}", parsed.notes);
    let Command::AddRemote(spec) = parsed.command else { panic!() };
    assert_eq!(spec.version, IkeVersion::V1(V1::default()));
    assert_eq!(spec.proposals[0].to_string(), "IKE: AES256-CBC, PRF-HMAC-SHA-1, ECP384");
    let Command::AddRemote(spec) =
        good("ike remote -n gw -z 1 -u --aggressive -r 10.0.0.2 -g fqdn:here -h psk").command
    else {
        panic!()
    };
    assert_eq!(spec.version, IkeVersion::V1(V1 { aggressive: true, ..V1::default() }));
    assert_eq!(spec.proposals[0].transforms.len(), 2 + 3 + 4);
}

// draft-beaulieu-ike-xauth-02; hybrid mode takes a certificate of one side alone.
#[test]
fn a_remote_of_version_1_may_log_in() {
    let spec = |line: &str| match good(line).command {
        Command::AddRemote(spec) => spec,
        other => panic!("{other:?}"),
    };
    let gateway = "ike remote -n gw -r 10.0.0.2 -g fqdn:here -z 1 -u";
    let server = spec(&format!("{gateway} -h psk --xauth-users users"));
    assert_eq!(server.xauth, Some(XauthSpec::Users(Some("users".into()))));
    let client = spec(&format!("{gateway} -w -m HYBRID --xauth-login me"));
    assert_eq!(client.version, IkeVersion::V1(V1 { hybrid: true, ..V1::default() }));
    assert_eq!(client.xauth, Some(XauthSpec::LoginFile("me".into())));
    assert!(client.signature.unwrap().own.is_empty());
    for (flags, why) in [
        ("-h psk -z 2 --xauth-users users", "XAuth is of IKEv1"),
        ("-z 1 -m HYBRID -c own.pem", "HYBRID takes --xauth-users on one side"),
        ("-z 1 -m HYBRID --xauth-users users", "expected -c FILES"),
        ("-z 1 -h psk --xauth-users users --xauth-login me", "cannot be used with"),
    ] {
        let (_, error) = bad(&format!("ike remote -n gw -r 10.0.0.2 -g fqdn:here -u {flags}"));
        assert!(error.contains(why), "{flags}: {error}");
    }
}

#[test]
fn who_asks_for_a_login_says_how_long_it_may_take() {
    let time = |line: &str| match good(line).command {
        Command::AddRemote(spec) => spec.login_time.as_secs(),
        _ => panic!("{line}"),
    };
    let gateway = "ike remote -n a -r ::1 -g fqdn:gw -h users -u";
    assert_eq!(time(&format!("{gateway} -m EAP-MSCHAPV2 -c own.pem")), 120);
    assert_eq!(time(&format!("{gateway} -m EAP-MSCHAPV2 -c own.pem --login-time 10m")), 600);
    assert_eq!(time(&format!("{gateway} -z 1 --xauth-users users --login-time 5")), 5);
    for (more, why) in [
        ("--login-time 60", "nobody logs in"),
        ("-m EAP-MSCHAPV2 -c own.pem --login-time 2", "from 5 seconds to an hour"),
        ("-m EAP-MSCHAPV2 -c own.pem --login-time 2h", "from 5 seconds to an hour"),
    ] {
        let (_, said) = bad(&format!("{gateway} {more}"));
        assert!(said.contains(why), "{more}: {said}");
    }
}

#[test]
fn a_remote_is_asked_whether_it_lives_when_something_is_sent_or_regularly() {
    let after = Duration::from_secs;
    for (flags, liveness) in [
        ("", Liveness::WhenSending(after(60))),
        ("--liveness 10", Liveness::WhenSending(after(10))),
        ("--liveness 5m --liveness-regular", Liveness::Regular(after(300))),
        ("--liveness off", Liveness::Off),
    ] {
        let line = format!("ike remote -n a -r ::1 -g fqdn:gw -h psk -w {flags}");
        let Command::AddRemote(spec) = good(&line).command else { panic!("{line}") };
        assert_eq!(spec.liveness, liveness, "{line}");
    }
    let (_, said) = bad("ike remote -n a -r ::1 -g fqdn:gw -h psk -w --liveness off --liveness-regular");
    assert!(said.contains("it needs a time"), "{said}");
}
