use super::*;
use crate::papers::Loaded;
use crate::swanctl::{Contents, contents};
use ravelin_types::options::IpComp;
use ravelin_types::policy::Mode;
use std::time::Duration;

use crate::spec::{ActionWord, Beside, Role, Start};

/// What the files say, where `auto=add` is the default.
fn read(conf: &str, secrets: &str) -> Result<Contents, String> {
    let conf = format!("{conf}conn %default\n auto=add\n");
    let root = parse((&conf, Path::new("ipsec.conf")), Some((secrets, Path::new("ipsec.secrets"))), &|_| false);
    root.and_then(|(root, _)| contents(&root, Loaded::default())).map_err(|error| error.to_string())
}

#[test]
fn scripts_of_this_side_are_run() {
    let of = |more: &str| {
        let conf = format!("conn a\n right=192.0.2.2\n authby=secret\n{more}");
        read(&conf, "").map(|found| found.connections[0].policies[0].esp.clone().unwrap().updown)
    };
    assert_eq!(of(""), Ok(None));
    assert_eq!(of(" leftupdown=\"/etc/x y\"\n"), Ok(Some("/etc/x y".into())));
    assert_eq!(of(" leftupdown=%disabled\n"), Ok(None));
    assert_eq!(of(" leftfirewall=no\n leftupdown=/x\n"), Ok(Some("/x".into())));
    let own = "export PLUTO_HOST_ACCESS=1; ipsec _updown iptables";
    assert_eq!(of(" leftfirewall=yes\n lefthostaccess=yes\n"), Ok(Some(own.into())));
    for (more, why) in [
        (" leftfirewall=yes\n leftupdown=/x\n", "ipsec.conf:4:"),
        (" leftfirewall=maybe\n", "expected yes or no"),
        (" rightupdown=/x\n", "leftupdown"),
    ] {
        let refused = of(more).unwrap_err();
        assert!(refused.contains(why), "{refused}");
    }
}

const CONF: &str = "\
# basic configuration
config setup
    charondebug=\"ike 2\"

conn %default
    ikelifetime=60m
    keylife=20m
    rekeymargin=3m
    keyingtries=1
    keyexchange=ikev2
    authby=secret

conn net-net
    left=192.168.0.1
    leftsubnet=10.1.0.0/16
    leftid=@moon.strongswan.org
    right=192.168.0.2
    rightsubnet=10.2.0.0/16,10.3.0.0/16
    rightid=@sun.strongswan.org
    ike=aes128-sha256-x25519!
    auto=add

conn l2tp
    also=net-net
    leftsubnet=
    rightsubnet=
    leftprotoport=17/1701
    rightprotoport=udp/l2tp
    type=transport
    dpdaction=restart
    auto=start

conn ssh
    type=passthrough
    leftsubnet=10.1.0.0/16[tcp/22]
    rightsubnet=10.1.0.0/16
    auto=route
";

const SECRETS: &str = "\
# /etc/ipsec.secrets
@moon.strongswan.org @sun.strongswan.org : PSK 0sv+NkxY9LLZvwj4qCC2o/gGrWDF2d21jL
: PSK \"This is a strong password\"
carol : EAP \"Ar3etTnp\"
";

#[test]
fn the_old_files_come_to_the_same_connections_and_secrets() {
    let contents = read(&CONF.replace("leftsubnet=\n", "").replace("    rightsubnet=\n", ""), SECRETS).unwrap();
    let names: Vec<&str> = contents.connections.iter().map(|connection| connection.name.as_str()).collect();
    assert_eq!(names, ["net-net", "l2tp", "ssh"]);
    let net = &contents.connections[0];
    let remote = net.remote.as_ref().unwrap();
    assert_eq!(
        (remote.own_id.to_string(), remote.peer_id.to_string()),
        ("fqdn:moon.strongswan.org".into(), "fqdn:sun.strongswan.org".into())
    );
    assert_eq!(remote.lifetime, Duration::from_secs(57 * 60));
    assert_eq!(remote.proposals.len(), 1, "with ! nothing follows");
    let policy = &net.policies[0];
    assert_eq!((policy.name.as_str(), policy.remote.len(), policy.trap), ("net-net.net-net", 2, false));
    let esp = policy.esp.as_ref().unwrap();
    let seconds = |limits: ravelin_types::lifetime::Limits| limits.time.map(|time| time.as_secs());
    assert_eq!((seconds(esp.lifetime.soft), seconds(esp.lifetime.hard)), (Some(17 * 60), Some(20 * 60)));
    let ssh = &contents.connections[2];
    assert!(ssh.remote.is_none() && ssh.policies[0].action == ActionWord::Bypass && ssh.policies[0].trap);
    let kinds: Vec<(usize, usize)> = contents.secrets.iter().map(|s| (s.owners.len(), s.secret.len())).collect();
    assert_eq!(kinds, [(2, 24), (0, 25), (1, 8)]);
}

#[test]
fn also_inherits_what_a_section_does_not_say_itself() {
    let conf = CONF
        .replace("    leftsubnet=\n    rightsubnet=\n", "    leftsubnet=192.168.0.1\n    rightsubnet=192.168.0.2\n");
    let contents = read(&conf, "").unwrap();
    let l2tp = &contents.connections[1].policies[0];
    assert_eq!(l2tp.local[0].to_string(), "192.168.0.1[17/1701]");
    assert_eq!(l2tp.remote[0].to_string(), "192.168.0.2[17/1701]");
    let esp = l2tp.esp.as_ref().unwrap();
    assert_eq!((esp.mode, esp.start), (Mode::Transport, Start::Now));
}

#[test]
fn a_side_of_a_name_is_that_host_wherever_it_is() {
    let of = |more: &str| {
        let found = read(&format!("conn a\n authby=secret\n{more}"), "").unwrap();
        found.connections[0].remote.clone().unwrap()
    };
    let plain = of(" right=gw.example.org\n");
    assert_eq!((plain.endpoint.to_string().as_str(), plain.initiate), ("gw.example.org", true));
    assert_eq!((plain.peer_id.to_string().as_str(), plain.peers), ("fqdn:gw.example.org", None));
    assert!(plain.loaded.unwrap().from.is_empty(), "it comes from where its name leads");
    // Whoever it is that comes, it is known by who it says it is.
    for anywhere in [" right=%gw.example.org\n", " right=gw.example.org\n rightallowany=yes\n"] {
        let spec = of(anywhere);
        assert_eq!((spec.endpoint.to_string().as_str(), spec.loaded.unwrap().from.len()), ("gw.example.org", 2));
        assert_eq!(spec.peer_id.to_string(), "fqdn:gw.example.org");
    }
    assert_eq!(of(" right=192.0.2.2\n").peer_id.to_string(), "ipv4:192.0.2.2");
    assert!(of(" right=%any\n").peers.is_some() && of(" right=10.0.0.0/8\n").peers.is_some());
    let named = of(" left=here.example.org\n right=gw.example.org\n rightid=@other\n");
    assert_eq!(
        (named.own_id.to_string(), named.peer_id.to_string()),
        ("fqdn:here.example.org".into(), "fqdn:other".into())
    );
    assert_eq!((named.local, named.own_names.len()), (None, 1));
}

#[test]
fn packets_may_be_compressed() {
    let of = |word: &str| {
        let found = read(&format!("conn a\n right=192.0.2.2\n authby=secret\n compress={word}\n"), "").unwrap();
        found.connections[0].policies[0].esp.as_ref().unwrap().options.ipcomp
    };
    assert_eq!((of("yes"), of("no")), (IpComp::Negotiate, IpComp::Off));
}

#[test]
fn mistakes_have_their_place_in_either_file() {
    for (conf, secrets, expected) in [
        (
            "conn a\n  authby=secret\n  rigth=1.2.3.4\n",
            "",
            "ipsec.conf:3:9: unknown option: rigth; did you mean right?",
        ),
        ("conn a\n  authby=secret\n  compress=maybe\n", "", "ipsec.conf:3:12: invalid value for: ipcomp"),
        ("conn a\n  authby=secret\n  esp=aes999\n", "", "ipsec.conf:3:7: invalid value for: esp_proposals"),
        ("conn a\n  also=b\n  authby=secret\n", "", "ipsec.conf:2:8: there is no conn b"),
        ("con a\n", "", "ipsec.conf:1:1: expected conn NAME or config setup, found `con`; did you mean conn?"),
        ("conn a\n  nonsense\n", "", "ipsec.conf:2:3: expected PARAMETER=VALUE"),
        ("conn a\n  also=a\n  authby=secret\n", "", "too deeply"),
        ("", "nonsense\n", "ipsec.secrets:1:1: expected [ID...]"),
        ("", "# x\n: PIN key.pem\n", "ipsec.secrets:2:1: `PIN`: a key on a token"),
    ] {
        let error = read(conf, secrets).unwrap_err();
        assert!(error.contains(expected), "{conf}{secrets}: {error}");
    }
}

#[test]
fn source_addresses_are_asked_for_and_given() {
    let conf = "conn %default\n authby=secret\n keyexchange=ikev2\nconn rw\n left=192.0.2.1\n leftsubnet=10.1.0.0/16\n right=%any\n \
                rightsourceip=10.3.0.0/24\n rightdns=10.1.0.53\nconn rw2\n left=192.0.2.1\n right=%any\n rightid=@rw2\n rightsourceip=10.3.0.0/24\n\
                conn home\n left=%any\n leftsourceip=%config,%config6\n right=192.0.2.9\n rightsubnet=10.9.0.0/16\n";
    let contents = read(conf, "").unwrap();
    let internal = |name: &str| {
        let found = contents.connections.iter().find(|connection| connection.name == name).unwrap();
        found.remote.as_ref().unwrap().internal.clone()
    };
    assert_eq!(contents.pools.len(), 1, "two connections share a pool");
    assert_eq!((internal("rw").pools, internal("rw2").pools), (vec!["10.3.0.0-24".into()], vec!["10.3.0.0-24".into()]));
    assert_eq!(contents.pools[0].pool.attributes.len(), 1);
    assert_eq!(internal("home").ask.len(), 2);
}

#[test]
fn an_address_that_is_asked_for_is_of_the_family_of_the_networks() {
    for (more, expected) in [
        ("leftsourceip=%config", "0.0.0.0"),
        ("leftsourceip=%config\n rightsubnet=fec1::/16", "::"),
        ("leftsourceip=%cfg\n rightsubnet=10.1.0.0/16,fec1::/16", "0.0.0.0"),
        ("leftsourceip=%config4\n rightsubnet=fec1::/16", "0.0.0.0"),
        ("leftsourceip=%modeconfig\n left=2001:db8::1", "::"),
    ] {
        let conf = format!("conn home\n authby=secret\n right=%any\n {more}\n");
        let asked = read(&conf, "").unwrap().connections[0].remote.as_ref().unwrap().internal.ask.clone();
        assert_eq!(asked, [expected.parse::<IpAddr>().unwrap()], "{more}");
    }
}

#[test]
fn connections_without_auto_are_for_others_to_refer_to() {
    let conf = "conn base\n authby=secret\n right=192.0.2.2\n\
                conn eager\n also=base\n rightid=@eager\n auto=start\n\
                conn forgotten\n also=base\n\
                conn heir\n also=eager\n rightid=@heir\n\
                conn never\n also=eager\n auto=ignore\n";
    let (root, notes) = parse((conf, Path::new("ipsec.conf")), None, &|_| false).unwrap();
    let contents = contents(&root, Loaded::default()).unwrap();
    let start = |policy: &crate::spec::PolicySpec| policy.esp.as_ref().unwrap().start;
    let found: Vec<_> = contents.connections.iter().map(|it| (it.name.clone(), start(&it.policies[0]))).collect();
    assert_eq!(found, [("eager".into(), Start::Now), ("heir".into(), Start::Now)]);
    let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes, ["ipsec.conf:8:1: conn forgotten: it is not loaded without auto; say auto=add"]);
}

// In the order of the file: the first that fits decides.
#[test]
fn connections_that_say_the_same_of_the_peer_are_one() {
    let conf = "conn %default\n authby=secret\n keyexchange=ikev1\n left=192.0.2.1\n right=192.0.2.2\n auto=start\n\
                conn uplink\n\
                conn net\n also=uplink\n leftsubnet=10.1.0.0/16\n rightsubnet=10.2.0.0/16\n esp=aes256-sha256!\n\
                conn other\n also=net\n rightid=@other\n\
                conn slow\n also=net\n dpdaction=clear\n\
                conn pass\n authby=never\n type=pass\n leftsubnet=10.1.0.0/16\n rightsubnet=10.1.0.0/16\n\
                conn pass2\n also=pass\n rightsubnet=10.9.0.0/16\n";
    let contents = read(conf, "").unwrap();
    let names = |index: usize| {
        let connection = &contents.connections[index];
        let policies = connection.policies.iter().map(|policy| policy.name.to_string()).collect::<Vec<_>>();
        (connection.name.clone(), policies.join(" "))
    };
    let expected = [
        ("uplink", "uplink.uplink uplink.net"),
        ("other", "other.other"),
        ("slow", "slow.slow"),
        ("pass", "pass.pass"),
        ("pass2", "pass2.pass2"),
    ];
    let found: Vec<_> = (0..contents.connections.len()).map(names).collect();
    assert_eq!(found, expected.map(|(name, policies)| (name.into(), policies.into())));
}

#[test]
fn eap_of_the_old_files_is_that_of_the_new_one() {
    let conf = "conn rw\n left=192.0.2.1\n right=%any\n leftauth=secret\n rightauth=eap-md5\n eap_identity=%identity\n auto=add\n";
    let contents = read(conf, SECRETS).unwrap();
    let eap = contents.connections[0].remote.as_ref().unwrap().eap.clone().unwrap();
    assert!(matches!(eap.role, Role::Authenticator { ask_identity: true, .. }), "{eap:?}");
    let conf = "conn home\n left=192.0.2.1\n right=192.0.2.2\n leftauth=eap-mschapv2\n rightauth=psk\n eap_identity=carol\n auto=add\n";
    let eap = read(conf, SECRETS).unwrap().connections[0].remote.as_ref().unwrap().eap.clone().unwrap();
    assert!(matches!(eap.role, Role::User(user) if user.to_string() == "fqdn:carol"));
}

#[test]
fn who_logs_in_by_eap_may_take_any_proof() {
    let eap = |left: &str| {
        let conf = format!(
            "conn home\n right=192.0.2.2\n leftauth={left}\n rightauth=any\n rightid=@gw\n eap_identity=carol\n"
        );
        read(&conf, "").map(|contents| contents.connections[0].remote.as_ref().unwrap().eap.clone().unwrap())
    };
    let any = eap("eap").unwrap();
    assert!(any.methods.iter().all(|method| method.is_mutual()) && any.beside == Beside::Nothing, "{any:?}");
    assert!(eap("eap-md5").unwrap_err().contains("EAP on both sides"));
    assert!(eap("pubkey").unwrap_err().contains("`auth` is not supported with this value"));
}

#[test]
fn authentication_anew_and_unique_ids_are_those_of_all_connections() {
    use ravelin_ike::Unique;
    let extensions = |setup: &str, conn: &str| {
        let conf = format!("config setup\n\t{setup}\nconn gw\n\tright=192.0.2.2\n\tauthby=psk\n\t{conn}\n");
        let contents = read(&conf, ": PSK \"a\"").unwrap();
        let remote = contents.connections[0].remote.clone().unwrap();
        (remote.extensions.unique, remote.extensions.reauth.map(|time| time.as_secs()), remote.lifetime.as_secs())
    };
    // Three hours less nine minutes.
    assert_eq!(extensions("charondebug=\"ike 2\"", "auto=add"), (Unique::Replace, None, 10_260));
    for (word, unique) in
        [("no", Unique::No), ("yes", Unique::Replace), ("never", Unique::Never), ("keep", Unique::Keep)]
    {
        assert_eq!(extensions(&format!("uniqueids = {word}"), "reauth=no"), (unique, None, 10_260));
    }
    assert_eq!(extensions("uniqueids=no", "reauth=yes"), (Unique::No, Some(10_260), 0));
    let bad = read("config setup\n\tuniqueids=perhaps\nconn gw\n\tright=192.0.2.2\n\tauthby=psk\n", "").unwrap_err();
    assert!(bad.contains("ipsec.conf:2") && bad.contains("expected never, no, replace, keep"), "{bad}");
}

/// A folder that goes with its test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(format!("ravelin-ipsec-conf-{name}-{}", std::process::id()));
        for (file, content) in files {
            let path = folder.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Folder(folder)
    }

    fn load(&self) -> Result<Contents, String> {
        let root = load(&self.0.join("ipsec.conf"), &|_| false);
        root.and_then(|(root, _)| contents(&root, Loaded::default())).map_err(|error| error.to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

// As Debian installs them.
#[test]
fn both_files_may_include_others() {
    let conf =
        "conn %default\n\tauthby=secret\n\tright=192.0.2.2\ninclude more/*.conf\ninclude /nowhere/ipsec.conf.inc\n";
    let folder = Folder::new(
        "include",
        &[
            ("ipsec.conf", conf),
            ("more/a.conf", "conn a\n\tauto=add\ninclude deeper/b.inc\n"),
            ("more/deeper/b.inc", "conn b\n\trightid=@b\n\tauto=add\n"),
            (
                "ipsec.secrets",
                "include ipsec.d/*.secrets /nowhere/ipsec.secrets.inc\n: PSK \"the last of all secrets\"\n",
            ),
            ("ipsec.d/a.secrets", "\"C=CH, O=Example, CN=a\" 192.0.2.2 : PSK \"one with two owners\"\n"),
            ("ipsec.d/b.secrets", "carol : EAP \"Ar3etTnp\"\n"),
        ],
    );
    let contents = folder.load().unwrap();
    let names: Vec<&str> = contents.connections.iter().map(|connection| connection.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let shown: Vec<(&str, Vec<String>)> = contents
        .secrets
        .iter()
        .map(|secret| (secret.name.as_str(), secret.owners.iter().map(ToString::to_string).collect()))
        .collect();
    let owners = vec!["asn1dn:C=CH, O=Example, CN=a".to_owned(), "ipv4:192.0.2.2".to_owned()];
    assert_eq!(shown, [("ike-1", owners), ("eap-2", vec!["fqdn:carol".to_owned()]), ("ike-3", Vec::new())]);
    // A mistake has the place in the file where it stands, and a file that includes itself ends.
    let folder = Folder::new(
        "loop",
        &[("ipsec.conf", "include ipsec.conf\nconn a\n\tauto=add\n\tauthby=secret\n\trigth=192.0.2.2\n")],
    );
    assert!(folder.load().unwrap_err().contains("include each other too deeply"));
    let folder = Folder::new(
        "place",
        &[("ipsec.conf", "include a.conf\n"), ("a.conf", "conn a\n\trigth=192.0.2.2\n\tauto=add\n")],
    );
    assert!(folder.load().unwrap_err().contains("a.conf:2:8: unknown option: rigth"), "{}", folder.load().unwrap_err());
}

#[test]
fn a_side_may_prove_itself_twice() {
    let conf = "conn a\n right=192.0.2.2\n leftid=@gw\n rightid=@box\n authby=psk\n leftauth2=eap-mschapv2\n leftid2=carol\n \
                eap_identity=carol\n rightauth2=psk\n rightid2=@second\n";
    let remote = read(conf, "").unwrap().connections.remove(0).remote.unwrap();
    assert_eq!((remote.rounds.own.len(), remote.rounds.peer.len()), (1, 1));
    assert_eq!(remote.rounds.own[0].id.to_string(), "fqdn:carol");
}

#[test]
fn strict_revocation_is_that_of_all_peers() {
    use ravelin_pki::Demand;
    let of = |word: &str| {
        let conf = format!("config setup\n\tstrictcrlpolicy={word}\nconn a\n\tright=192.0.2.2\n");
        let contents = read(&conf, "").map_err(|why| why.to_string())?;
        let remote = contents.connections[0].remote.clone().unwrap();
        Ok::<_, String>(remote.loaded.unwrap().believes.unwrap().revocation)
    };
    assert_eq!((of("yes"), of("no"), of("ifuri")), (Ok(Demand::Strict), Ok(Demand::Relaxed), Ok(Demand::IfUri)));
    assert!(of("perhaps").unwrap_err().contains("ipsec.conf:2"));
    for (auth, demand) in [("eap-tls", Demand::Strict), ("eap", Demand::Strict), ("eap-md5", Demand::Relaxed)] {
        let conf = format!(
            "config setup\n\tstrictcrlpolicy=yes\nconn a\n\tright=192.0.2.2\n\trightauth={auth}\n\tleftid=@gw\n\tauto=add\n"
        );
        let remote = read(&conf, "").unwrap().connections[0].remote.clone().unwrap();
        assert_eq!(remote.eap.unwrap().revocation, demand, "{auth}");
    }
}

#[test]
fn the_side_that_is_this_host_is_ours_whatever_its_name() {
    let conf = "conn a\n left=192.0.2.1\n leftsubnet=10.1.0.0/16\n leftid=@moon\n right=192.0.2.2\n rightid=@sun\n authby=secret\n auto=add\n";
    let own = |own: &'static [&'static str]| {
        let is_own = move |address: IpAddr| own.contains(&address.to_string().as_str());
        let (root, notes) = parse((conf, Path::new("ipsec.conf")), None, &is_own).unwrap();
        let remote = contents(&root, Loaded::default()).unwrap().connections.remove(0).remote.unwrap();
        let notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        (remote.local.unwrap().to_string(), remote.own_id.to_string(), remote.peer_id.to_string(), notes)
    };
    let (moon, sun) = ("fqdn:moon".to_owned(), "fqdn:sun".to_owned());
    // Neither, and both, is left as it is.
    for ours in [[].as_slice(), &["192.0.2.1"], &["192.0.2.1", "192.0.2.2"]] {
        assert_eq!(own(ours), ("192.0.2.1".into(), moon.clone(), sun.clone(), vec![]), "{ours:?}");
    }
    let (local, own_id, peer_id, notes) = own(&["192.0.2.2"]);
    assert_eq!((local.as_str(), own_id, peer_id), ("192.0.2.2", sun, moon));
    assert!(
        notes.len() == 1 && notes[0].starts_with("ipsec.conf:1:1: conn a: right is an address of this host"),
        "{notes:?}"
    );
}

#[test]
fn a_user_of_eap_over_tls_has_a_certificate() {
    let certificate = |auth: &str| {
        let conf = format!(
            "conn a\n right=192.0.2.2\n rightauth={auth}\n rightcert=b.pem\n leftauth={auth}\n leftcert=a.pem\n auto=add\n"
        );
        let (root, _) = parse((&conf, Path::new("ipsec.conf")), None, &|_| false).unwrap();
        let conn = &root.section("connections").unwrap().section.section("a").unwrap().section;
        ["local", "remote"].map(|side| conn.section(side).unwrap().section.setting("certs").is_some())
    };
    assert_eq!(certificate("pubkey"), [true, true]);
    for auth in ["eap", "eap-tls", "eap-ttls", "eap-peap"] {
        assert_eq!(certificate(auth), [true, false], "{auth}");
    }
    assert_eq!(certificate("eap-md5"), [false, false]);
}
