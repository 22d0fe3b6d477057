//! The grammar; what each verb takes is below.

use std::time::Duration;

use ravelin_ike::config::{IkeVersion, Liveness, V1};
use ravelin_types::Identity;
use ravelin_types::options::{Df, Dscp, Dummies, Fragmentation, IpComp, Mark, Mss, Offload, Processors, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{DeviceName, Mode, Ways};
use ravelin_types::sa::Direction;
use ravelin_types::selector::TrafficSelector;

use super::*;
use crate::spec::{ActionWord, Beside, EapSpec, NullSides, Role, Start, XauthSpec};
use crate::value::algorithm::DEFAULT_ENCR;
use crate::value::protocol::Protocol;

mod eap;
mod manual;
mod options;
mod policy;
mod remote;

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

#[test]
fn what_is_not_there_is_refused_by_name() {
    for (line, at, words) in [
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
fn where_certificates_lie_is_said_of_their_authority_and_of_who_is_looked_up() {
    let line = "ce x509 -a ca.pem -d 1 --cert-uri-base http://certs/ --bundle-uri-base http://bundles/";
    let Command::AddCertificate(spec) = good(line).command else { panic!() };
    assert_eq!(spec.line().to_string(), line);
    assert!(bad("ce x509 -a ca.pem --cert-uri-base https://certs/").1.contains("is not asked"));
    assert!(bad("ce x509 -v --cert-uri-base http://certs/").1.contains("--add"));
    for (flag, words) in [
        ("--hash-and-url http://certs", "with a slash at its end"),
        ("--hash-and-url yes", "expected anywhere or"),
        ("--ocsp maybe", "expected reply, request, both or never"),
    ] {
        let (_, why) = bad(&format!("{REMOTE} {flag}"));
        assert!(why.contains(words), "{flag}: {why}");
    }
    let v1 = REMOTE.replace("-z 2", "-z 1");
    for flag in ["--ocsp both", "--hash-and-url anywhere"] {
        assert!(bad(&format!("{v1} {flag}")).1.contains("is of IKEv2"), "{flag}");
    }
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
