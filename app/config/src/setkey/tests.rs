//! The language, with examples in the words of the manual pages of FreeBSD, NetBSD and ipsec-tools.

use std::time::Duration;

use ravelin_types::Spi;
use ravelin_types::policy::Mode;
use ravelin_types::transform::{EncrId, IntegId};

use super::*;
use crate::spec::setkey::{Direction, Entry, Padding, Rule, Sa, SaProtocol, Treatment};

fn read(text: &str) -> Result<Script, FileError> {
    parse(text, Path::new("ipsec.conf"), SaOptions::default())
}

fn good(text: &str) -> Vec<Asked> {
    let script = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    script.statements.into_iter().map(|statement| statement.what).collect()
}

fn bad(text: &str) -> Vec<String> {
    let error = read(text).expect_err(text).to_string();
    error.lines().map(str::to_owned).collect()
}

fn sa(text: &str) -> Sa {
    let Some(Asked::Add(sa)) = good(text).pop() else { panic!("{text}") };
    *sa
}

fn entry(text: &str) -> Entry {
    let Some(Asked::AddEntry(entry)) = good(text).pop() else { panic!("{text}") };
    *entry
}

fn rules(text: &str) -> Vec<Rule> {
    let Treatment::Protect(rules) = entry(text).treatment else { panic!("{text}") };
    rules
}

const SA: &str = "add 10.0.11.41 10.0.11.33 esp";

#[test]
fn an_sa_has_its_ends_its_extensions_and_its_keys() {
    let text = "# Ravelin\nadd -4 10.0.11.41 10.0.11.33 esp 0x10001 # one way\n\t-m tunnel -u 7 -r 4 -f zero-pad -f nocyclic-seq\n\
                \t-lh 3600 -ls 3000 -bh 0 -bs 4096\n\t-E aes-cbc 0x000102030405060708090a0b0c0d0e0f\n\
                \t-A hmac-sha1 \"authentication key!!\" ;";
    let one = sa(text);
    assert_eq!((one.name.src.to_string(), one.name.dst.to_string()), ("10.0.11.41".into(), "10.0.11.33".into()));
    assert_eq!((one.name.protocol, one.name.spi), (SaProtocol::Esp, Spi(0x10001)));
    assert_eq!((one.mode, one.reqid, one.replay_window, one.padding), (Some(Mode::Tunnel), 7, 32, Padding::Other));
    assert_eq!((one.lifetime.hard.time, one.lifetime.hard.bytes), (Some(Duration::from_secs(3600)), None));
    assert_eq!((one.lifetime.soft.time, one.lifetime.soft.bytes), (Some(Duration::from_secs(3000)), Some(4096)));
    let (encr, key) = one.encr.as_ref().unwrap();
    assert_eq!((*encr, key.expose()), (EncrId::AES_CBC, &(0..16).collect::<Vec<u8>>()[..]));
    let (integ, key) = one.integ.as_ref().unwrap();
    assert_eq!((*integ, key.expose()), (IntegId::HMAC_SHA1_96, &b"authentication key!!"[..]));
    assert_eq!(one.place, Some(Place { line: 2, column: 1 }));
    // No key is printed.
    assert!(!format!("{one:?}").contains("authentication key"), "{one:?}");

    let plain = sa("add fec0::10 fec0::11 ah 300 -A hmac-sha2-256 0x0102;");
    assert_eq!((plain.mode, plain.reqid, plain.replay_window, plain.encr.is_none()), (None, 0, 0, true));
    // An odd digit in front is an octet, as in setkey(8).
    assert_eq!(sa(&format!("{SA} 256 -E des-cbc 0x123;")).encr.unwrap().1.expose(), [1, 0x23]);
    assert_eq!(sa(&format!("{SA} 256 -E null;")).encr.unwrap().0, EncrId::NULL);
    assert!(sa(&format!("{SA} 256 -E null \"\" -A null;")).integ.is_none());
}

#[test]
fn algorithms_have_the_names_of_every_setkey() {
    for (name, id) in [
        ("aes-cbc", EncrId::AES_CBC),
        ("rijndael-cbc", EncrId::AES_CBC),
        ("aes-ctr", EncrId::AES_CTR),
        ("aes-gcm-16", EncrId::AES_GCM_16),
        ("camellia-cbc", EncrId::CAMELLIA_CBC),
        ("3des-cbc", EncrId::DES3),
        ("des-cbc", EncrId::DES),
        ("chacha20-poly1305", EncrId::CHACHA20_POLY1305),
    ] {
        assert_eq!(sa(&format!("{SA} 256 -E {name} \"k\";")).encr.unwrap().0, id, "{name}");
    }
    for (name, id) in [
        ("hmac-md5", IntegId::HMAC_MD5_96),
        ("hmac-sha1", IntegId::HMAC_SHA1_96),
        ("hmac-sha256", IntegId::HMAC_SHA2_256_128),
        ("hmac-sha2-384", IntegId::HMAC_SHA2_384_192),
        ("hmac-sha512", IntegId::HMAC_SHA2_512_256),
        ("aes-xcbc-mac", IntegId::AES_XCBC_96),
    ] {
        assert_eq!(sa(&format!("{SA} 256 -E null -A {name} \"k\";")).integ.unwrap().0, id, "{name}");
    }
}

#[test]
fn a_policy_has_its_packets_and_its_rules() {
    let one = entry(
        "spdadd 10.0.11.41/24[21] 10.0.11.33/32[any] tcp\n -P out ipsec esp/tunnel/192.168.0.1-192.168.1.2/require ;",
    );
    assert_eq!(written::about(&one.about), "10.0.11.0/24[21] 10.0.11.33[any] tcp -P out");
    let ends = Some(([192, 168, 0, 1].into(), [192, 168, 1, 2].into()));
    let tunnel = Rule { protocol: SaProtocol::Esp, mode: Mode::Tunnel, ends, reqid: None };
    assert_eq!(one.treatment, Treatment::Protect(vec![tunnel]));
    assert_eq!(written::rule(&tunnel), "esp/tunnel/192.168.0.1-192.168.1.2/require");

    let pair = rules("spdadd 10.0.0.1 10.0.0.2 any -P in ipsec esp/transport//unique:12 ah/transport//default;");
    assert_eq!(pair.iter().map(|rule| rule.protocol).collect::<Vec<_>>(), [SaProtocol::Esp, SaProtocol::Ah]);
    assert_eq!(pair.iter().map(|rule| rule.reqid).collect::<Vec<_>>(), [Some(12), None]);

    let discovery = entry("spdadd ::/0 ::/0 icmp6 135,0 -P in none;");
    assert_eq!(written::about(&discovery.about), "::/0 ::/0 icmp6 135,0 -P in");
    assert_eq!(discovery.about.source.ports(), 135 << 8..=135 << 8 | 0xff);
    assert_eq!(discovery.treatment, Treatment::Bypass);
    let code = entry("spdadd 0.0.0.0/0 0.0.0.0/0 icmp 3,4 -P fwd discard;");
    assert_eq!((code.about.source.ports(), code.about.direction), (0x0304..=0x0304, Direction::Forward));
    assert_eq!(entry("spdadd -6n ::1 ::1 udp -P out discard;").treatment, Treatment::Discard);
    assert_eq!(entry("spdadd 10.0.0.1 10.0.0.2 47 -P out none;").about.source.protocol(), 47);
}

#[test]
fn the_other_statements_and_the_end() {
    let all = good(
        "flush; flush esp ; dump ah; spdflush;spddump ;;\n\
         get 10.0.0.1 10.0.0.2 esp 0x200; delete 10.0.0.1 10.0.0.2 ah 512; deleteall -n 10.0.0.1 10.0.0.2 esp;\n\
         spddelete 10.0.0.1 10.0.0.2 any -P out; spdupdate 10.0.0.1 10.0.0.2 any -P out none; exit; nonsense",
    );
    let words: Vec<String> =
        all.iter().map(|asked| format!("{asked:?}").split(['(', ' ']).next().unwrap().into()).collect();
    assert_eq!(
        words,
        [
            "Flush",
            "Flush",
            "Dump",
            "FlushEntries",
            "DumpEntries",
            "Get",
            "Delete",
            "DeleteAll",
            "DeleteEntry",
            "UpdateEntry"
        ]
    );
    assert!(good("").is_empty() && good(" # nothing\n;").is_empty());
}

#[test]
fn mistakes_have_their_line_and_column() {
    for (text, place, words) in [
        ("ad 10.0.0.1 10.0.0.2 esp 256;", "1:1", "did you mean add?"),
        ("\n  flush\n", "3:1", "expected ; at the end"),
        ("flush spdflush;", "1:7", "expected esp or ah"),
        ("flush esp dump;", "1:11", "expected ; in front of `dump`"),
        ("add a.example 10.0.0.2 esp 256 -E null;", "1:5", "names are not looked up"),
        ("add -6 10.0.0.1 10.0.0.2 esp 256 -E null;", "1:8", "IPv6"),
        ("add 10.0.0.1 fec0::1 esp 256 -E null;", "1:14", "different address families"),
        ("add 10.0.0.1[500] 10.0.0.2 esp 256 -E null;", "1:13", "ESP in UDP"),
        ("add 10.0.0.1 10.0.0.2 esp 255 -E null;", "1:27", "an SPI from 256"),
        ("add 10.0.0.1 10.0.0.2 esp 0x100000000 -E null;", "1:27", "an SPI from 256"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -A hmac-sha1 \"k\";", "1:47", "-E CIPHER KEY"),
        ("add 10.0.0.1 10.0.0.2 ah 256;", "1:29", "-A ALGORITHM KEY"),
        ("add 10.0.0.1 10.0.0.2 ah 256 -E null;", "1:30", "AH does not encrypt"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -E aes-cbs \"k\";", "1:34", "did you mean aes-cbc?"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -E aes-cbc 00ff;", "1:42", "a key: \"TEXT\""),
        ("add 10.0.0.1 10.0.0.2 esp 256 -E aes-cbc 0xzz;", "1:42", "hexadecimal digits"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -E aes-cbc \"k\n;", "1:42", "not closed"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -m tunel -E null;", "1:34", "did you mean tunnel?"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -r 513 -E null;", "1:34", "0 to 512"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -u 0 -E null;", "1:34", "1 to 32767"),
        ("spdadd 10.0.0.0/33 10.0.0.2 any -P out none;", "1:17", "0 to 32"),
        ("spdadd 10.0.0.1[any 10.0.0.2 tcp -P out none;", "1:17", "not closed"),
        ("spdadd 10.0.0.1[http] 10.0.0.2 tcp -P out none;", "1:17", "1 to 65535"),
        ("spdadd 10.0.0.1[80] 10.0.0.2 any -P out none;", "1:8", "a port needs tcp"),
        ("spdadd 10.0.0.1 10.0.0.2 tpc -P out none;", "1:26", "did you mean tcp?"),
        ("spdadd 10.0.0.1 10.0.0.2 icmp6 -P out none;", "1:26", "use icmp"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out;", "1:36", "expected discard, none or ipsec"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec;", "1:42", "expected a rule"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport/require;", "1:43", "PROTOCOL/MODE/SRC-DST/LEVEL"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/tunnel//require;", "1:54", "the two ends"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//requird;", "1:58", "did you mean require?"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//unique:0;", "1:58", "1 to 32767"),
    ] {
        let lines = bad(text);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].starts_with(&format!("ipsec.conf:{place}: ")) && lines[0].contains(words),
            "{text}: {lines:?}"
        );
    }
    // What is almost a key is not repeated: the message may go to a log.
    assert!(!bad("add 10.0.0.1 10.0.0.2 esp 256 -E aes-cbc sesame;")[0].contains("sesame"));
    // Each statement is read by itself.
    assert_eq!(bad("flsh;\nadd;\nflush;\nspddump esp;").len(), 3);
}

#[test]
fn what_is_not_there_is_refused_by_name() {
    for (text, words) in [
        ("add 10.0.0.1 10.0.0.2 ipcomp 256 -C deflate;", "ipcomp is refused"),
        ("add 10.0.0.1 10.0.0.2 esp-old 256 -E null;", "RFC 1827"),
        ("add 10.0.0.1 10.0.0.2 esp-udp 256 -E null;", "esp-udp is refused"),
        ("add 10.0.0.1 10.0.0.2 tcp 0x1000 -A tcp-md5 \"k\";", "TCP-MD5"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -C deflate;", "ipcomp is refused"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -E blowfish-cbc \"k\";", "blowfish-cbc is refused: the cipher is not there"),
        ("add 10.0.0.1 10.0.0.2 ah 256 -A keyed-md5 \"k\";", "keyed-md5 is refused"),
        ("add 10.0.0.1 10.0.0.2 esp 256 -ctx 1 1 \"label\" -E null;", "-ctx is refused"),
        ("update 10.0.0.1 10.0.0.2 esp 256 -E null;", "update is refused"),
        ("getspi 10.0.0.1 10.0.0.2 esp 0;", "getspi is refused"),
        ("spdadd tagged \"x\" -P out none;", "tagged is refused"),
        ("spdadd 10.0.0.1 10.0.0.2 gre 1234 -P out none;", "keys of GRE are refused"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out prio high none;", "priorities are refused"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//use;", "the level use is refused"),
        ("spdadd 10.0.0.1 10.0.0.2 any -P out ipsec ipcomp/transport//require;", "ipcomp is refused"),
        (
            "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec ah/transport//require esp/transport//require;",
            "ESP and AH around",
        ),
        (
            "spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/tunnel/10.0.0.1-10.0.0.2/require \
             ah/tunnel/10.0.0.1-10.0.0.2/require;",
            "in transport mode",
        ),
    ] {
        let lines = bad(text);
        assert!(lines[0].contains(words), "{text}: {lines:?}");
    }
}

#[test]
fn scripts_have_bounds() {
    assert!(bad(&" ".repeat(MAX_LEN + 1))[0].contains("longer than"));
    assert!(bad(&"flush;".repeat(MAX_STATEMENTS + 1))[0].contains("more than 8192 statements"));
    assert!(bad(&format!("flush {};", "esp ".repeat(100)))[0].contains("at most 64 words"));
    assert_eq!(bad(&"x;".repeat(1000)).len(), MAX_ERRORS);
    let long = format!("{SA} 256 -E aes-cbc 0x{};", "0".repeat(257));
    assert!(bad(&long)[0].contains("1 to 256 hexadecimal digits"));
}

#[test]
fn a_file_with_keys_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("ravelin-setkey-{}", std::process::id()));
    let job = SetkeyJob { source: ScriptSource::File(path.clone()), options: SaOptions::default(), show_keys: false };
    let written = |text: &str, mode: u32| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        of(&job, None).map(|script| script.statements.len()).map_err(|error| error.to_string())
    };
    assert_eq!(written("flush; spdflush;", 0o644), Ok(2));
    assert_eq!(written(&format!("{SA} 256 -E null;"), 0o600), Ok(1));
    assert!(written(&format!("{SA} 256 -E null;"), 0o644).unwrap_err().contains("chmod 600"));
    std::fs::remove_file(&path).unwrap();
    assert!(of(&job, None).unwrap_err().to_string().contains("cannot read"));
    let job = SetkeyJob { source: ScriptSource::Input, ..job };
    assert!(of(&job, None).unwrap_err().to_string().contains("no standard input"));
    assert_eq!(of(&job, Some("dump;")).unwrap().statements.len(), 1);
}

#[test]
fn arbitrary_text_never_panics() {
    let pieces =
        ["add", "spdadd", ";", "\"", "#", "é", "[", "]", "/", "10.0.0.1", "-P", "-E", "esp", "0x", "\n", "-", ","];
    for a in pieces {
        for b in pieces {
            for c in pieces {
                for text in [format!("{a}{b}{c}"), format!("{a} {b} {c};"), format!("spdadd {a} 10.0.0.1{b} any {c};")]
                {
                    if let Err(FileError::Lines(remarks)) = read(&text) {
                        assert!(
                            remarks.iter().all(|remark| remark.place.line > 0 && remark.place.column > 0),
                            "{text}"
                        );
                    }
                }
            }
        }
    }
}
