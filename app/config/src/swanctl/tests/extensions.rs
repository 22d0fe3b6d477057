//! What a connection says beyond RFC 7296.

use super::*;

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

// RFC 8784: a key by its name, of IKEv2 alone.
#[test]
fn a_connection_names_a_post_quantum_key_and_insists_on_it() {
    let spec = connection("remote_addrs = 192.0.2.2\nppk_id = ppk.lab\nppk_required = yes").remote.unwrap();
    assert_eq!(spec.extensions.ppk_id, Some(IdPattern::Exactly(Identity::Fqdn("ppk.lab".into()))));
    assert!(spec.extensions.ppk_required && spec.extensions.mobike);
    let spec = connection("remote_addrs = 192.0.2.2\nppk_id = *@ppk.lab").remote.unwrap();
    assert_eq!(spec.extensions.ppk_id, Some(IdPattern::Ending(IdType::RFC822_ADDR, "@ppk.lab".into())));
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
        &|_| false,
    );
    let contents = libreswan.and_then(|(root, _)| contents(&root, papers::Loaded::default())).unwrap();
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
    let libreswan = super::ipsec_conf::parse((text, Path::new("ipsec.conf")), None, &|_| false);
    let contents = libreswan.and_then(|(root, _)| contents(&root, papers::Loaded::default())).unwrap();
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
        let libreswan = super::ipsec_conf::parse((text.as_str(), Path::new("ipsec.conf")), None, &|_| false);
        let contents = libreswan.and_then(|(root, _)| contents(&root, papers::Loaded::default())).unwrap();
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
    let libreswan = super::ipsec_conf::parse((text, Path::new("ipsec.conf")), None, &|_| false);
    let contents = libreswan.and_then(|(root, _)| contents(&root, papers::Loaded::default())).unwrap();
    assert!(contents.connections[0].remote.as_ref().unwrap().extensions.announce);
    assert_eq!([read("cluster = yes"), read("crash_detection = yes")], [(1, true, false), (1, false, true)]);
    assert!(refused("window = 33").contains("window") && refused("cluster = perhaps").contains("cluster"));
}
