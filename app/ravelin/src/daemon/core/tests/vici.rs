//! VICI's commands over the core, as clients of strongSwan send them.

use super::*;

impl Bench {
    /// Sends a command; what is said because of it.
    fn vici(&mut self, name: &str, message: Message) -> Vec<Said> {
        let request = Request { client: self.client, name: name.to_owned(), message };
        assert!(self.core.request(&request, self.now), "{name}");
        self.core.said()
    }

    /// The one answer of a command.
    pub(super) fn answer(&mut self, name: &str, message: Message) -> Message {
        match self.vici(name, message).pop() {
            Some(Said::Answer(_, answer)) => answer,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The events that a listing streams.
    pub(super) fn streamed(&mut self, name: &str, message: Message) -> Vec<Message> {
        match self.vici(name, message).pop() {
            Some(Said::Stream(_, _, events)) => events,
            other => panic!("{name}: {other:?}"),
        }
    }
}

const POLICY: &str = "ipsec policy -n net -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16";
const REMOTE: &str = "ike remote -n gw -w -u -r 10.0.0.2 -f fqdn:gw.lab -g fqdn:own.lab -h psk";

fn configured(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.ok(POLICY);
    bench.ok(REMOTE);
    bench
}

#[test]
fn what_the_command_line_configured_is_listed_to_vici() {
    let mut bench = configured("vici-list");
    let conns = bench.streamed("list-conns", Message::new());
    let conn = conns[0].section("gw").unwrap();
    assert_eq!(conn.list("remote_addrs"), Some(vec!["10.0.0.2"]));
    assert_eq!(conn.section("local-1").unwrap().text("id"), Some("own.lab"));
    let child = conn.section("children").unwrap().section("net").unwrap();
    assert_eq!((child.text("mode"), child.list("local-ts")), (Some("TUNNEL"), Some(vec!["10.1.0.0/16"])));
    assert!(bench.streamed("list-conns", Message::new().with("ike", "nobody")).is_empty());
    let all = Message::new().with("trap", "yes").with("drop", "yes").with("pass", "yes");
    let policies = bench.streamed("list-policies", all);
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0].section("gw/net").unwrap().text("mode"), Some("TUNNEL"));
    assert!(bench.streamed("list-policies", Message::new().with("drop", "yes")).is_empty());
    assert!(bench.streamed("list-sas", Message::new()).is_empty());
}

#[test]
fn an_initiation_streams_its_log_to_the_client_that_asked_and_ends_with_its_time() {
    let mut bench = configured("vici-initiate");
    let said = bench.vici("initiate", Message::new().with("child", "net").with("timeout", 500).with("loglevel", 1));
    let lines: Vec<&str> = said
        .iter()
        .filter_map(|said| match said {
            Said::Progress(ClientId(1), "control-log", line) => line.text("msg"),
            _ => None,
        })
        .collect();
    assert!(
        lines.iter().any(|line| line.starts_with("sending packet: from 10.0.0.1[500] to 10.0.0.2[500]")),
        "{lines:?}"
    );
    let sas = bench.streamed("list-sas", Message::new());
    let sa = sas[0].section("gw").unwrap();
    assert_eq!((sa.text("state"), sa.text("uniqueid")), (Some("CONNECTING"), Some("1")));
    assert!(bench.core.deadline().is_some_and(|at| at <= bench.now + Duration::from_millis(500)));
    bench.core.timer(bench.now + Duration::from_millis(501));
    let (client, answer) = bench.answers().pop().unwrap();
    assert_eq!((client, answer.text("success")), (ClientId(1), Some("no")));
    // A half-open IKE SA goes at once, and with it the wait.
    let answer = bench.answer("terminate", Message::new().with("ike", "gw"));
    assert_eq!((answer.text("matches"), answer.text("terminated")), (Some("1"), Some("1")));
    assert!(bench.streamed("list-sas", Message::new()).is_empty());
}

#[test]
fn what_cannot_be_done_is_answered_in_the_words_that_clients_know() {
    let mut bench = configured("vici-refused");
    for (command, message, errmsg) in [
        ("initiate", Message::new().with("child", "nothere"), "CHILD_SA config 'nothere' not found"),
        ("initiate", Message::new(), "missing configuration name"),
        ("terminate", Message::new(), "missing terminate selector"),
        ("terminate", Message::new().with("ike", "gw"), "no matching SAs to terminate found"),
        ("rekey", Message::new().with("child", "net"), "no matching SAs to rekey found"),
        ("initiate", Message::new().with("child", "net").with("timeout", "soon"), "invalid value for: timeout"),
        ("get-counters", Message::new().with("name", "nobody"), "no counters found for 'nobody'"),
    ] {
        let answer = bench.answer(command, message);
        assert_eq!(answer.text("success"), Some("no"), "{command}");
        assert!(answer.text("errmsg").unwrap().starts_with(errmsg), "{command}: {answer:?}");
    }
    let unknown = Request { client: ClientId(1), name: "no-such-command".to_owned(), message: Message::new() };
    assert!(!bench.core.request(&unknown, bench.now));
}

#[test]
fn whoever_registered_for_the_log_hears_of_every_message() {
    let mut bench = configured("vici-log");
    bench.core.awaited(["log"].into());
    let said = bench.vici("initiate", Message::new().with("child", "net").with("timeout", -1));
    let heard = said.iter().filter(|said| matches!(said, Said::Event("log", line) if line.text("thread").is_some()));
    assert!(heard.count() >= 3, "{said:?}");
    assert!(matches!(said.last(), Some(Said::Answer(_, answer)) if answer.text("success") == Some("yes")));
    let counters = bench.answer("get-counters", Message::new().with("all", "yes"));
    let row = counters.section("counters").unwrap().section("gw").unwrap();
    assert_eq!(row.text("ike-init-out-req"), Some("1"));
}

// In IKEv1 no flag says whose message it is, and the two SPIs stand in the same order both ways.
#[test]
fn each_message_is_of_its_connection_with_either_version() {
    for (index, version) in ["", "-z 1 -e AES128-CBC -a SHA256 -d MODP2048"].into_iter().enumerate() {
        let mut pair = super::pair::Pair::new(&format!("vici-log-{index}"), [version, ""], [version, ""]);
        pair.0.iter_mut().for_each(|bench| bench.core.awaited(["log"].into()));
        pair.initiate();
        for (at, bench) in pair.0.iter_mut().enumerate() {
            let packet = |said: Said| match said {
                Said::Event("log", line) if line.text("group") == Some("NET") => Some(line),
                _ => None,
            };
            let packets: Vec<Message> = bench.core.said().into_iter().filter_map(packet).collect();
            assert!(packets.len() >= 4, "{packets:?}");
            // Who answers has no IKE SA yet when the first one comes.
            let strangers = packets.iter().take_while(|line| line.text("ikesa-name").is_none()).count();
            assert_eq!(strangers, at, "{packets:?}");
            assert!(packets[at..].iter().all(|line| line.text("ikesa-name") == Some("gw")), "{packets:?}");
        }
    }
}

#[test]
fn a_peer_that_does_not_answer_is_an_alert() {
    let mut bench = configured("vici-alert");
    bench.core.awaited(["alert"].into());
    bench.vici("initiate", Message::new().with("child", "net").with("timeout", -1));
    let mut heard = Vec::new();
    while let (true, Some(at)) = (heard.is_empty(), bench.core.deadline()) {
        bench.core.timer(at);
        heard.extend(bench.core.said().into_iter().filter_map(|said| match said {
            Said::Event("alert", alert) => alert.text("type").map(str::to_owned),
            _ => None,
        }));
    }
    assert_eq!(heard, ["peer-init-unreachable"]);
}

/// A message from a text in the syntax of `swanctl.conf`.
pub(super) fn message(text: &str) -> Message {
    use ravelin_config::swanctl::{parse, tree::Section};
    fn convert(section: &Section) -> Message {
        let mut message = Message::new();
        for setting in &section.settings {
            let items = setting.items().unwrap();
            let listed = setting.name.ends_with("_addrs") || setting.name.ends_with("_ts") || setting.name == "owners";
            match listed || setting.name.ends_with("proposals") {
                true => message.put_list(&setting.name, items),
                false => message.put(&setting.name, items.join(",")),
            }
        }
        for named in &section.sections {
            message.put_section(&named.name, convert(&named.section));
        }
        message
    }
    convert(&parse::parse(text, std::path::Path::new("test")).unwrap())
}

const CONNECTION: &str = "
t {
  version = 2
  local_addrs = 192.0.2.1
  remote_addrs = 192.0.2.2
  proposals = aes128-sha256-x25519
  local {
    id = l.lab
    auth = psk
  }
  remote {
    id = r.lab
    auth = psk
  }
  children {
    net {
      local_ts = 10.1.0.0/16
      remote_ts = 10.2.0.0/16
      esp_proposals = aes128gcm16
    }
  }
}
";

#[test]
fn a_loaded_connection_is_seen_by_every_listing() {
    let mut bench = Bench::new("vici-load");
    let answer = bench.answer("load-conn", message(CONNECTION));
    assert_eq!(answer.text("errmsg"), None);
    assert_eq!(bench.answer("get-conns", Message::new()).list("conns"), Some(vec!["t"]));
    let conns = bench.streamed("list-conns", Message::new());
    let child = conns[0].section("t").unwrap().section("children").unwrap().section("net").unwrap();
    assert_eq!((child.text("mode"), child.text("dpd_action")), (Some("TUNNEL"), Some("none")));
    let policies = bench.ok("ipsec policy -v -n t.net");
    let row = policies.section("policies").unwrap().section("1").unwrap();
    assert_eq!((row.text("source"), row.text("destination")), (Some("10.1.0.0/16"), Some("10.2.0.0/16")));
    assert_eq!(bench.ok("ike remote -v").section("remotes").unwrap().section("1").unwrap().text("name"), Some("t"));
    // It is in force with its SA or a trap, and not before.
    let in_force = |bench: &Bench| bench.plane.0.borrow().policies.values().any(|policy| policy.name == "t.net");
    assert!(!in_force(&bench));
    assert_eq!(bench.answer("install", Message::new().with("child", "net")).text("success"), Some("yes"));
    assert!(in_force(&bench));
    let all = || Message::new().with("trap", "yes");
    assert_eq!(bench.streamed("list-policies", all()).len(), 1);
    assert_eq!(bench.answer("uninstall", Message::new().with("child", "net")).text("success"), Some("yes"));
    assert!(!in_force(&bench) && bench.streamed("list-policies", all()).is_empty());
    assert_eq!(bench.answer("unload-conn", Message::new().with("name", "t")).text("success"), Some("yes"));
    let answer = bench.answer("unload-conn", Message::new().with("name", "t"));
    assert_eq!(answer.text("errmsg"), Some("unload: connection 't' not found"));
    assert!(bench.streamed("list-conns", Message::new()).is_empty());
}

#[test]
fn a_connection_that_cannot_be_is_discarded_whole() {
    let mut bench = Bench::new("vici-discard");
    bench.answer("load-conn", message(CONNECTION));
    let before = bench.state();
    for (from, to, errmsg) in [
        ("version = 2", "nonsense = 1", "unknown option: nonsense, config discarded"),
        ("aes128-sha256-x25519", "aes999-foo", "invalid value for: proposals, `aes999`"),
        ("auth = psk", "auth = eap-md5", "EAP on both sides takes one method that proves both"),
        ("version = 2", "version = 1\nppk_required = yes", "of IKEv2"),
        ("10.2.0.0/16", "2001:db8::/32", "each address family"),
    ] {
        let answer = bench.answer("load-conn", message(&CONNECTION.replace(from, to)));
        assert_eq!(answer.text("success"), Some("no"));
        assert!(answer.text("errmsg").unwrap().contains(errmsg), "{answer:?}");
        assert_eq!(bench.state(), before, "{to}");
    }
    // What the command line made is not replaced.
    bench.ok("ike remote -n u -w -u -r 10.0.0.2 -f fqdn:gw.lab -g fqdn:own.lab -h psk");
    let answer = bench.answer("load-conn", message(&CONNECTION.replace("t {", "u {")));
    assert!(answer.text("errmsg").unwrap().contains("ike remote -x u"), "{answer:?}");
}

#[test]
fn ike_works_with_loaded_connections_before_anything_happens_and_soon_if_nothing_does() {
    let mut bench = Bench::new("vici-many");
    let load = |bench: &mut Bench, name: &str| {
        let named =
            CONNECTION.replace("\nt {", &format!("\n{name} {{")).replace("192.0.2.2", &format!("{name}.example.org"));
        assert_eq!(bench.answer("load-conn", message(&named)).text("errmsg"), None);
    };
    // What IKE has to work with has its name looked up.
    let looked_up = |bench: &mut Bench| bench.core.questions().len();
    ["a", "b", "c"].into_iter().for_each(|name| load(&mut bench, name));
    assert_eq!(looked_up(&mut bench), 0, "another may follow");
    bench.now = bench.core.deadline().expect("a time by which it is");
    bench.core.timer(bench.now);
    assert_eq!(looked_up(&mut bench), 3);
    load(&mut bench, "d");
    assert!(!bench.streamed("list-conns", Message::new()).is_empty());
    assert_eq!(looked_up(&mut bench), 1, "whoever asks for anything else finds IKE at work with it");
    load(&mut bench, "e");
    bench.core.plane_events(bench.now, 1);
    assert_eq!(looked_up(&mut bench), 0, "nothing has happened");
    bench.core.alive(Spi(0x1234), bench.now);
    assert_eq!(looked_up(&mut bench), 1);
    // One that IKE could never work with is refused at once, whatever else was loaded.
    let before = bench.state();
    bench.plane.0.borrow_mut().lacks = Some(EncrId::AES_GCM_16);
    let answer = bench.answer("load-conn", message(&CONNECTION.replace("\nt {", "\nf {")));
    assert!(answer.text("errmsg").unwrap().contains("f.net has no usable proposal"), "{answer:?}");
    assert_eq!(bench.state(), before);
}

#[test]
fn secrets_are_listed_by_name_and_never_shown() {
    let mut bench = Bench::new("vici-secrets");
    bench.answer("load-shared", message("id = lab\ntype = IKE\ndata = hunter2\nowners = l.lab, r.lab\n"));
    bench.answer("load-shared", message("type = EAP\ndata = hunter2\nowners = alice\n"));
    assert_eq!(bench.answer("get-shared", Message::new()).list("keys"), Some(vec!["lab", "unnamed-1"]));
    assert!(!bench.state().contains("hunter2"));
    let missing = bench.answer("load-shared", Message::new().with("data", "x"));
    assert_eq!(missing.text("errmsg"), Some("shared key type missing"));
    assert_eq!(bench.answer("unload-shared", Message::new().with("id", "lab")).text("success"), Some("yes"));
    assert_eq!(bench.answer("unload-shared", Message::new().with("id", "lab")).text("success"), Some("no"));
    bench.answer("clear-creds", Message::new());
    assert_eq!(bench.answer("get-shared", Message::new()).list("keys"), Some(Vec::new()));
}

#[test]
fn certificates_and_keys_are_loaded_listed_and_unloaded() {
    use ravelin_testkit::papers::{self, Kind};
    let mut bench = Bench::new("vici-papers");
    let root = papers::root("root", Kind::P256);
    let own = root.peer("own", &["l.lab"], Kind::P256);
    let signed = CONNECTION.replace("auth = psk", "auth = pubkey");
    // A connection may come before what it needs.
    assert_eq!(bench.answer("load-conn", message(&signed)).text("errmsg"), None);
    let cert = |flag: &str, data: &[u8]| Message::new().with("type", "X509").with("flag", flag).with_data("data", data);
    assert_eq!(bench.answer("load-cert", cert("NONE", &own.der)).text("success"), Some("yes"));
    assert_eq!(bench.answer("load-cert", cert("CA", root.pem.as_bytes())).text("success"), Some("yes"));
    let lists = Message::new().with("type", "X509_CRL").with_data("data", &root.crl(&[]));
    assert_eq!(bench.answer("load-cert", lists).text("success"), Some("yes"));
    let key = || Message::new().with("type", "any").with_data("data", &own.pkcs8);
    let id = bench.answer("load-key", key()).text("id").unwrap().to_owned();
    assert_eq!(id.len(), 40);
    assert_eq!(bench.answer("get-keys", Message::new()).list("keys"), Some(vec![id.as_str()]));
    let config = bench.core.model.ike_config(&Default::default());
    let ravelin_ike::config::LocalAuth::Signature(credential) = &config.remote("t").unwrap().local_auth else {
        panic!()
    };
    assert_eq!(credential.certificates[0].der(), own.der, "found by the identity of the connection");
    // Ours comes first, then authorities, then lists.
    let listed = bench.streamed("list-certs", Message::new());
    let shown: Vec<_> = listed.iter().map(|it| (it.text("type").unwrap(), it.text("has_privkey").is_some())).collect();
    assert_eq!(shown, [("X509", true), ("X509", false), ("X509_CRL", false)]);
    let authorities = bench.streamed("list-certs", Message::new().with("type", "X509").with("flag", "CA"));
    assert_eq!(authorities.iter().map(|it| it.data("data").unwrap()).collect::<Vec<_>>(), [&root.der[..]]);
    let x509 = bench.streamed("list-certs", Message::new().with("type", "X509").with("flag", "ANY"));
    assert_eq!(x509.len(), 2);
    assert!(!bench.state().contains(&id));
    for (command, message, errmsg) in [
        ("load-cert", cert("CA", &own.der), "ca certificate lacks CA basic constraint"),
        ("load-cert", cert("OCSP", &own.der), "neither certificates of OCSP responders nor answers"),
        ("load-cert", cert("AA", &root.der), "an attribute authority is no authority of certificates"),
        ("load-cert", cert("NONE", b"nonsense"), "no certificate"),
        ("load-key", Message::new().with("type", "rsa").with_data("data", &own.der), "no private key"),
        ("unload-key", Message::new().with("id", "00ff"), "key not found"),
        ("flush-certs", Message::new().with("type", "nonsense"), "invalid certificate type"),
    ] {
        let answer = bench.answer(command, message);
        assert!(answer.text("errmsg").is_some_and(|why| why.starts_with(errmsg)), "{command}: {answer:?}");
    }
    let authority = |text: &str, data: &[u8]| {
        let mut all = Message::new();
        let inner = message(text);
        all.put_section("lab", inner.with_data("cacert", data));
        all
    };
    let answer = bench.answer("load-authority", authority("crl_uris = https://lab/ca.crl\n", &root.der));
    assert!(answer.text("errmsg").unwrap().contains("`https://lab/ca.crl` is not asked"), "{answer:?}");
    let uris = "crl_uris = http://lab/ca.crl, http://lab/b.crl\nocsp_uris = http://lab:8080\ncert_uri_base = http://lab/certs/\n";
    assert_eq!(bench.answer("load-authority", authority(uris, &root.der)).text("success"), Some("yes"));
    assert_eq!(bench.answer("get-authorities", Message::new()).list("authorities"), Some(vec!["lab"]));
    let listed = bench.streamed("list-authorities", Message::new());
    let lab = listed[0].section("lab").unwrap();
    assert_eq!(lab.text("cacert"), Some("C=CH, O=Ravelin, CN=root"));
    assert_eq!(lab.list("crl_uris"), Some(vec!["http://lab/ca.crl", "http://lab/b.crl"]));
    assert_eq!(lab.list("ocsp_uris"), Some(vec!["http://lab:8080"]));
    assert_eq!(lab.text("cert_uri_base"), Some("http://lab/certs/"));
    assert_eq!(bench.answer("unload-key", Message::new().with("id", &id)).text("success"), Some("yes"));
    bench.answer("load-key", key());
    bench.answer("clear-creds", Message::new());
    assert_eq!(bench.answer("get-keys", Message::new()).list("keys"), Some(Vec::new()));
    // What an authority is named for stays.
    assert_eq!(bench.streamed("list-certs", Message::new()).len(), 1);
    assert_eq!(bench.answer("unload-authority", Message::new().with("name", "lab")).text("success"), Some("yes"));
    assert!(bench.streamed("list-certs", Message::new()).is_empty());
}

#[test]
fn a_redirect_says_what_is_wrong_with_it() {
    let mut bench = configured("vici-redirect");
    let mut refusal = |pairs: &[(&str, &str)]| {
        let message = pairs.iter().fold(Message::new(), |message, (name, value)| message.with(name, value));
        let answer = bench.answer("redirect", message);
        assert_eq!(answer.text("success"), Some("no"), "{pairs:?}");
        answer.text("errmsg").unwrap().to_owned()
    };
    let to = ("gateway", "192.0.2.9");
    assert_eq!(refusal(&[("ike", "gw")]), "missing target gateway");
    for wrong in ["0.0.0.0", "224.0.0.1", "192.0.2.999", "gate way", ""] {
        assert!(refusal(&[("ike", "gw"), ("gateway", wrong)]).contains("address of a gateway, or its name"), "{wrong}");
    }
    assert_eq!(refusal(&[to]), "missing redirect selector");
    assert!(refusal(&[to, ("peer-ip", "nobody")]).contains("nobody"));
    let all = [to, ("ike", "gw"), ("ike-id", "1"), ("peer-ip", "10.0.0.0/8"), ("peer-id", "*.lab")];
    assert_eq!(refusal(&all), "no matching SAs to redirect found");
}

#[test]
fn what_is_not_there_is_said_to_be_so() {
    let mut bench = Bench::new("vici-not-there");
    for (message, why) in [
        (Message::new(), "`handle` with the ID of the key"),
        (Message::new().with("handle", "0x"), "expected hexadecimal digits"),
        (Message::new().with("handle", "01").with("module", "nobody"), "no module nobody is registered with p11-kit"),
        (Message::new().with("handle", "01").with("module", "/nonexistent.so"), "the module /nonexistent.so cannot be"),
    ] {
        let answer = bench.answer("load-token", message);
        assert!(answer.text("errmsg").is_some_and(|errmsg| errmsg.contains(why)), "{answer:?}");
    }
    assert_eq!(bench.answer("get-pools", Message::new()), Message::new());
}

impl Bench {
    fn reload(&mut self, file: Option<&str>, dry_run: bool) -> Message {
        let file = file.map(|file| self.directory.join(file).display().to_string()).unwrap_or_default();
        let line = format!("ike reload {file}{}", if dry_run { " --dry-run" } else { "" });
        self.send(&line).unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.directory.join(file), text).unwrap();
    }

    fn in_force(&self) -> Vec<String> {
        self.plane.0.borrow().policies.values().map(|policy| policy.name.clone()).collect()
    }
}

#[test]
fn a_reload_shows_the_difference_first_and_touches_only_what_changed() {
    let mut bench = Bench::new("reload");
    assert!(bench.reload(None, false).text("errmsg").unwrap().contains("without a file"));
    let rc = "ipsec policy -n p1 -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16\n\
              ipsec policy -n p2 -g gw -m tunnel -r 10.0.0.2 -s 10.3.0.0/16 -d 10.2.0.0/16\n\
              ike remote -n gw -w -u -r 10.0.0.2 -g fqdn:here -h psk\n";
    bench.write("rc", rc);
    let trap = |conf: &str| {
        format!("connections {{\n{}\n}}\n", conf.replace("esp_proposals", "start_action = trap\n esp_proposals"))
    };
    bench.write("c.conf", &trap(CONNECTION));
    let files = crate::daemon::reload::Files {
        rc: Some(bench.directory.join("rc")),
        swanctl: Some(bench.directory.join("c.conf")),
        test_bypass: false,
    };
    bench.core.started_with(files, Vec::new(), bench.now);
    let first = ["+ policy p1", "+ policy p2", "+ policy t.net", "+ remote gw", "+ remote t"];
    let shown = bench.reload(None, true);
    assert_eq!(shown.list("changes"), Some(first.to_vec()));
    assert!(bench.in_force().is_empty(), "a dry run changes nothing");
    assert_eq!(bench.reload(None, false).list("changes"), Some(first.to_vec()));
    let id = |bench: &Bench, name: &str| bench.core.model.policy(name).unwrap().id;
    let before = (id(&bench, "p1"), id(&bench, "t.net"));
    // The same files again: nothing to do.
    assert_eq!(bench.reload(None, false).list("changes"), Some(vec![]));
    bench.write("rc", &rc.replace("10.3.0.0", "10.4.0.0"));
    assert_eq!(bench.reload(None, true).list("changes"), Some(vec!["~ policy p2"]));
    bench.reload(None, false);
    assert_eq!((id(&bench, "p1"), id(&bench, "t.net")), before);
    // A mistake anywhere leaves everything as it was.
    let state = bench.state();
    bench.write("rc", &rc.replace("-m tunnel", "-m tunel"));
    assert!(bench.reload(None, false).text("errmsg").unwrap().contains("tunel"));
    bench.write("rc", rc);
    bench.plane.0.borrow_mut().refuse = Some("p2".to_owned());
    assert!(bench.reload(None, false).text("errmsg").unwrap().contains("the policy p2 is refused"));
    assert_eq!(bench.state(), state);
    // A file of connections takes the place of those alone.
    bench.plane.0.borrow_mut().refuse = None;
    bench.write("d.conf", &trap(&CONNECTION.replace("\nt {", "\nu {")));
    let lines = bench.reload(Some("d.conf"), false);
    let expected = ["- policy t.net", "+ policy u.net", "- remote t", "+ remote u"];
    assert_eq!(lines.list("changes"), Some(expected.to_vec()));
    assert_eq!(bench.in_force().len(), 3);
}
