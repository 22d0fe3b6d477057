//! `ike remote`: the peer, and how the two prove who they are.

use ravelin_ike::extensions::FullTranscript;
use ravelin_types::HostName;
use ravelin_types::if_id::{IfId, IfIds};

use super::*;

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

#[test]
fn a_policy_has_the_virtual_interface_of_its_remote() {
    let Command::AddRemote(spec) = good("ike remote -n a -u -r any -f any -g fqdn:gw -h f --if-id %unique").command
    else {
        panic!()
    };
    assert_eq!(spec.if_ids, IfIds::both(IfId::Unique));
    let Command::AddPolicy(spec) = good("ipsec policy -n p -g a -m tunnel -r any -s any -d any --if-id %ike").command
    else {
        panic!()
    };
    assert_eq!(spec.esp.unwrap().options.if_ids, IfIds::both(IfId::OfIkeSa));
    let standing = "ipsec policy -n p -g a -m tunnel -r 10.0.0.2 -s any -d any --if-id %ike";
    assert!(bad(standing).1.contains("holds traffic before there is an SA"));
    assert!(bad("ike remote -n a -u -r any -f any -g fqdn:gw -h f --if-id %ike").1.contains("expected a number"));
}

#[test]
fn a_remote_may_be_given_by_its_name() {
    let line = "ike remote -n gw -z 2 -w -u -r GW.example.org -m PSK -h f -g fqdn:a";
    let Command::AddRemote(spec) = good(line).command else { panic!() };
    assert_eq!(
        (spec.endpoint.to_string(), spec.peer_id.to_string()),
        ("gw.example.org".into(), "fqdn:gw.example.org".into())
    );
    assert!(spec.line().to_string().contains(" -r gw.example.org "), "{}", spec.line());
    let line = "ike remote -n gw -w -u -r 192.0.2.2 -r gw.example.org -f fqdn:b -h f -g fqdn:a --local 192.0.2.1";
    let Command::AddRemote(spec) = good(line).command else { panic!() };
    assert_eq!(spec.hosts().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.2", "gw.example.org"]);

    let policy = "ipsec policy -n p -g gw -r gw.example.org -s 10.1.0.0/16 -d 10.2.0.0/16";
    let Command::AddPolicy(spec) = good(&format!("{policy} -m tunnel")).command else { panic!() };
    assert!(spec.trap && spec.esp.unwrap().endpoint.to_string() == "gw.example.org");
    for (line, at, words) in [
        (format!("{policy} -m transport"), "-r", "in transport mode both ends are addresses"),
        (policy.replace("gw.example", "gw..example"), "gw..example.org", "1 to 63 characters"),
        (policy.replace("gw.example.org", "192.0.2"), "192.0.2", "would be taken for an address"),
        (policy.replace("gw.example.org", "gw.exämple.org"), "gw.exämple.org", "xn--"),
        ("ike remote -n gw -w -r gw.example.org -h f -g fqdn:a --local any".into(), "any", "any is what it is without"),
    ] {
        let (place, message) = bad(&line);
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
        assert!(message.contains(words), "{line}: {message}");
    }
}

#[test]
fn this_host_may_have_a_name() {
    let line = "ike remote -n gw -w -u -r gw.example.org -h f --local here.example.org";
    let Command::AddRemote(spec) = good(line).command else { panic!() };
    let names: Vec<&str> = spec.names().map(HostName::as_str).collect();
    assert_eq!((spec.local, names), (None, vec!["gw.example.org", "here.example.org"]));
    assert_eq!(
        (spec.own_id.to_string(), spec.peer_id.to_string()),
        ("fqdn:here.example.org".into(), "fqdn:gw.example.org".into())
    );
    assert!(spec.line().to_string().contains("-r gw.example.org --local here.example.org"), "{}", spec.line());
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

// Document 003 §5.1: MODP768 and 3DES for IKE.
#[test]
fn legacy_of_ike_is_taken_from_those_who_name_it() {
    let parsed = good(&REMOTE.replace("AES256-CBC", "3DES-CBC").replace("ECP384", "MODP768"));
    assert!(parsed.notes.is_empty(), "that they are weak the model says");
    let Command::AddRemote(spec) = parsed.command else { panic!() };
    let text = spec.proposals[0].to_string();
    assert!(text.starts_with("IKE: 3DES-CBC, ") && text.ends_with(", MODP768"), "{text}");
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
    assert_eq!(spec.proposals[0].transforms.len(), 2 + 3 + 5);
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
    assert!(client.signature.as_ref().unwrap().own.is_empty());
    let asking = spec(&format!("{gateway} -m HYBRID -c own.pem --xauth-users users"));
    let signing = spec(&format!("{gateway} -w -m RSASIG -c own.pem --xauth-login me --aggressive"));
    for written in [server, client, asking, signing] {
        assert_eq!(spec(&written.line().to_string()), written, "{}", written.line());
    }
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

// RFC 5723, RFC 6290, RFC 6311, RFC 7296 §2.3, RFC 9593: nothing of it without being asked for, and it is written as it was read.
#[test]
fn a_remote_resumes_has_windows_and_tokens_and_may_be_a_cluster() {
    let remote = "ike remote -n gw -w -r 192.0.2.2 -g fqdn:gw -h psk";
    let read = |line: &str| match good(line).command {
        Command::AddRemote(spec) => spec,
        other => panic!("{other:?}"),
    };
    for (flags, resumption, window, cluster, [crash_detection, announce]) in [
        ("", false, 1, false, [false, false]),
        ("--resumption", true, 1, false, [false, false]),
        ("--window 8", false, 8, false, [false, false]),
        ("--cluster --window 32", false, 32, true, [false, false]),
        ("--crash-detection", false, 1, false, [true, false]),
        ("--announce", false, 1, false, [false, true]),
    ] {
        let spec = read(&format!("{remote} {flags}"));
        let again = read(&spec.line().to_string());
        for spec in [spec, again] {
            let extensions = &spec.extensions;
            assert_eq!(
                (extensions.resumption, extensions.window, extensions.cluster),
                (resumption, window, cluster),
                "{flags}"
            );
            assert_eq!([extensions.crash_detection, extensions.announce], [crash_detection, announce], "{flags}");
        }
    }
    for window in ["0", "33", "many"] {
        let (place, said) = bad(&format!("{remote} --window {window}"));
        assert_eq!(place.as_deref(), Some(window), "{said}");
    }
    let old = "ike remote -z 1 -n gw -w -r 192.0.2.2 -g fqdn:gw -h psk";
    for flags in
        ["--full-transcript require", "--resumption", "--window 2", "--cluster", "--crash-detection", "--announce"]
    {
        let (_, said) = bad(&format!("{old} {flags}"));
        assert!(said.contains("IKEv2"), "{flags}: {said}");
    }
}

// Both do it where both do it, unless it is asked for or kept from.
#[test]
fn a_remote_proves_the_whole_of_ike_sa_init_where_its_peer_does() {
    let remote = "ike remote -n gw -w -r 192.0.2.2 -g fqdn:gw -h psk";
    for (flags, when, written) in [
        ("", FullTranscript::Allow, false),
        ("--full-transcript allow", FullTranscript::Allow, false),
        ("--full-transcript require", FullTranscript::Require, true),
        ("--full-transcript never", FullTranscript::Never, true),
    ] {
        let read = |line: &str| match good(line).command {
            Command::AddRemote(spec) => spec,
            other => panic!("{other:?}"),
        };
        let spec = read(&format!("{remote} {flags}"));
        let line = spec.line().to_string();
        assert_eq!(line.contains("--full-transcript"), written, "{line}");
        assert_eq!([spec.extensions.full_transcript, read(&line).extensions.full_transcript], [when; 2], "{flags}");
    }
    let (place, said) = bad(&format!("{remote} --full-transcript allways"));
    assert_eq!(place.as_deref(), Some("allways"));
    assert!(said.contains("expected never, allow or require"), "{said}");
}
