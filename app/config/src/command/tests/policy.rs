//! `ipsec policy`: traffic, and what becomes of it.

use ravelin_types::transform::IntegId;

use super::*;

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
        ("ike pool -n p -a 10.3.0.0/24 --prefix 24".to_owned(), "--prefix"),
        ("ike pool -n p -a 2001:db8::/48 --prefix 47".to_owned(), "--prefix"),
        ("ike pool -n p -a 2001:db8::1-2001:db8::ffff --prefix 120".to_owned(), "--prefix"),
        ("ike pool -n p -a 2001:db8::/48 --prefix 128".to_owned(), "128"),
        ("ike pool -n p -a 2001:db8::/48 --prefix 64 --fixed box=2001:db8::1".to_owned(), "--fixed"),
        ("ike pool -n p -a 10.3.0.0/24 --fixed box=fec3::1".to_owned(), "--fixed"),
        ("ike pool -n p -a 10.3.0.0/24 --fixed a=10.3.0.9 --fixed b=10.3.0.9".to_owned(), "--fixed"),
        ("ike remote -n gw -r 10.0.0.2 -u -m PSK -h s -g a -f b --vip any".to_owned(), "--vip"),
        ("ike remote -n gw -r 10.0.0.2 -w -m PSK -h s -g a -f b --pool p".to_owned(), "--pool"),
    ] {
        assert_eq!(bad(&line).0.as_deref(), Some(at), "{line}");
    }
}

// RFC 4301 §4.4.1.1: entries with names, for peers that come from wherever they are.
#[test]
fn a_policy_may_be_for_peers_of_a_name() {
    let remote = "ike remote -n road -u -g fqdn:gw -h f";
    let Command::AddRemote(spec) = good(&format!("{remote} -r any -f *@example.org")).command else { panic!() };
    assert_eq!(spec.endpoint.address(), Some("0.0.0.0".parse().unwrap()));
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

// Document 003 §3.13. AH has algorithms of its own; ESP has them, too, where its cipher needs one.
#[test]
fn ah_may_be_around_esp() {
    for (words, esp, ah) in [
        ("-e AES128-GCM -a HMAC-SHA-2-384", "ESP: AES128-GCM, ESN, NO-ESN", vec![IntegId::HMAC_SHA2_384_192]),
        ("-e AES128-CBC -a HMAC-SHA-1", "ESP: AES128-CBC, HMAC-SHA-1, ESN, NO-ESN", vec![IntegId::HMAC_SHA1_96]),
        ("-e AES128-GCM", "ESP: AES128-GCM, ESN, NO-ESN", crate::value::algorithm::DEFAULT_INTEG.to_vec()),
    ] {
        let line = POLICY.replace("-t ESP -e AES128-GCM", &format!("-t AHESP {words}"));
        let parsed = good(&line);
        assert!(!parsed.notes.iter().any(|note| note.contains("no effect")), "{:?}", parsed.notes);
        let Command::AddPolicy(spec) = parsed.command else { panic!() };
        let Command::AddPolicy(again) = good(&spec.line().to_string()).command else { panic!() };
        assert_eq!(again, spec);
        let sa = spec.esp.unwrap();
        assert_eq!((sa.proposals[0].to_string(), sa.ah), (esp.to_owned(), ah), "{words}");
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

// Document 003 §5.2, with what it names, and AH.
#[test]
fn legacy_and_ah_are_taken_from_those_who_name_them() {
    let parsed = good(&POLICY.replace("AES128-GCM", "3DES-CBC -a HMAC-SHA-2-512"));
    assert!(parsed.notes.is_empty(), "that they are weak the model says");
    let Command::AddPolicy(spec) = parsed.command else { panic!() };
    assert_eq!(spec.esp.unwrap().proposals[0].to_string(), "ESP: 3DES-CBC, HMAC-SHA-2-512, ESN, NO-ESN");
    let ah = POLICY.replace("-t ESP -e AES128-GCM", "-t AH -a HMAC-SHA-1,AES128-GMAC,HMAC-MD5");
    let parsed = good(&ah);
    let Command::AddPolicy(spec) = parsed.command else { panic!() };
    assert_eq!(spec.esp.unwrap().proposals[0].to_string(), "AH: HMAC-SHA-1, AES128-GMAC, HMAC-MD5, ESN, NO-ESN");
    let (at, message) = bad(&ah.replace("-t AH", "-t AH -e AES128-GCM"));
    assert!(at.as_deref() == Some("-e") && message.contains("AH does not encrypt"), "{message}");
    let (at, message) = bad(&POLICY.replace("AES128-GCM", "AES128-CBC -a AES128-GMAC"));
    assert!(at.as_deref() == Some("-a") && message.contains("-e AES128-GMAC"), "{message}");
}

#[test]
fn bypass_and_discard_need_no_remote() {
    let Command::AddPolicy(spec) = good("ipsec policy -n b --action bypass -s any -d any -p udp").command else {
        panic!()
    };
    assert_eq!((spec.action, spec.esp), (ActionWord::Bypass, None));
    assert!(matches!(good("ipsec policy -n b --action drop -s any6 -d any6").command, Command::AddPolicy(_)));
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
