use super::*;

use std::os::unix::fs::PermissionsExt;

/// A folder of files for one test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-account-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The sample of document 000.
const SAMPLE: &str = "SRV_ADDR=2a04:ac00:4:5fbb:5054:ff:fe01:bab1
SRV_PROTO=tcp
SRV_PORT=10000

# spi - use the same format as provided by `ip xfrm policy show`
USER=0x00000001

# encryption key - strictly 16 chars (for ENC_ALG=aes)
PASSWORD=1234567890123456

# ALGO-LIST - http://man7.org/linux/man-pages/man8/ip-xfrm.8.html
ENC_ALG=\"cbc(aes)\"
";

#[test]
fn the_documents_samples_are_read_as_they_are() {
    let folder = Folder::new("samples");
    let common = folder.file(
        "common.conf",
        "MONITOR_PID=/tmp/ipsec-psk-mgr.pid\nMONITOR_JOURNAL=/tmp/ipsec-psk-mgr.jnl\n# CLEAR_ONLY=1\n# SERVER=1\n",
    );
    let common = Common::read(&common).unwrap();
    assert_eq!(common.pid.as_deref(), Some(Path::new("/tmp/ipsec-psk-mgr.pid")));
    assert_eq!(common.journal.as_deref(), Some(Path::new("/tmp/ipsec-psk-mgr.jnl")));
    assert!(!common.server && !common.clear_only);
    let account = Account::read(&folder.file("account1.conf", SAMPLE)).unwrap();
    assert_eq!(account.server, "2a04:ac00:4:5fbb:5054:ff:fe01:bab1".parse::<IpAddr>().unwrap());
    assert_eq!((account.protocol, account.port, account.login), (6, 10000, Spi(1)));
    assert_eq!(account.password.expose(), b"1234567890123456");
    assert_eq!(account.cipher.unwrap().id, ravelin_types::transform::EncrId::AES_CBC);
    assert_eq!((account.keys, account.mode, account.name.as_str()), (Keys::Fresh, Mode::Transport, "account1"));
}

#[test]
fn mistakes_have_a_file_a_line_and_a_remedy() {
    let folder = Folder::new("mistakes");
    for (from, to, line, told) in [
        (
            "PASSWORD=1234567890123456",
            "PASSWORD=secret",
            0,
            "PASSWORD has 6 characters; ENC_ALG cbc(aes) takes exactly 16 or 24 or 32",
        ),
        ("\"cbc(aes)\"", "cbc(aes)", 12, "( means something to a shell"),
        ("\"cbc(aes)\"", "\"cbc(twofish)\"", 12, "`cbc(twofish)` is no cipher that is known"),
        ("SRV_PORT=10000", "SRV_PORT=0", 3, "`0` is no port"),
        ("SRV_PORT=10000", "SRV_PROT=10000", 3, "SRV_PROT is not known; did you mean SRV_PROTO"),
        ("SRV_PORT=10000", "", 0, "SRV_PORT is missing"),
        ("SRV_PROTO=tcp", "SRV_PROTO=icmp", 2, "`icmp` is no protocol with ports"),
        ("USER=0x00000001", "USER=0", 6, "`0` is no SPI"),
        ("USER=0x00000001", "USER=1\nUSER=2", 7, "is given twice"),
        ("SRV_ADDR=2a04", "SRV_ADDR=x2a04", 1, "is no IPv4 or IPv6 address"),
        ("\"cbc(aes)\"", "\"rfc4106(gcm(aes))\"", 0, "PASSWORD has 16 characters"),
        ("\nENC_ALG=", "\nMODE=tunnel\nKEYS=static\nENC_ALG=", 0, "MODE=tunnel takes KEYS=fresh"),
        ("\nENC_ALG=", "\nAUTH_PASSWORD=x\nENC_ALG=", 0, "AUTH_PASSWORD is for KEYS=static"),
        ("\nENC_ALG=", "\nKEYS=static\nAUTH_ALG='hmac(sha256)'\nENC_ALG=", 0, "AUTH_PASSWORD has 0 characters"),
    ] {
        let text = SAMPLE.replace(from, to);
        let bad = Account::read(&folder.file("account.conf", &text)).unwrap_err();
        assert_eq!(bad.line, line, "{to}: {bad}");
        assert!(bad.why.contains(told), "{to}: {bad}");
        assert!(!bad.why.contains("1234567890123456") && !bad.why.contains("secret"), "{bad}");
    }
}

#[test]
fn counters_never_have_a_key_that_stays() {
    let folder = Folder::new("counter");
    let text = SAMPLE.replace("\"cbc(aes)\"", "\"rfc4106(gcm(aes))\"\nKEYS=static").replace("3456\n", "34561234\n");
    let bad = Account::read(&folder.file("account.conf", &text)).unwrap_err();
    assert!(bad.why.contains("must not have a key that stays"), "{bad}");
    assert!(Account::read(&folder.file("account.conf", &text.replace("static", "fresh"))).is_ok());
}

#[test]
fn a_password_that_others_can_read_is_refused() {
    let folder = Folder::new("exposed");
    let path = folder.file("account.conf", SAMPLE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let bad = Account::read(&path).unwrap_err();
    assert!(bad.to_string().contains("chmod 600"), "{bad}");
    assert!(Account::read(Path::new("/nowhere/account.conf")).is_err());
    assert!(Account::read(&folder.0).is_err());
}

#[test]
fn a_login_stands_once_at_a_place() {
    let folder = Folder::new("twice");
    let one = folder.file("one.conf", SAMPLE);
    let two = folder.file("two.conf", SAMPLE);
    let other = folder.file("other.conf", &SAMPLE.replace("10000", "10001"));
    assert_eq!(read_all(&[one.clone(), other]).unwrap().len(), 2);
    let bad = read_all(&[one, two]).unwrap_err();
    assert!(bad.why.contains("the login 0x00000001 is that of one already"), "{bad}");
}

#[test]
fn times_are_for_keys_that_can_use_them() {
    let folder = Folder::new("times");
    let read = |more: &str| Account::read(&folder.file("one.conf", &format!("{SAMPLE}{more}\n")));
    let seconds = |account: Account| (account.idle.as_secs(), account.life.map(|life| life.as_secs()));
    assert_eq!(seconds(read("").unwrap()), (300, None));
    assert_eq!(seconds(read("IDLE=90\nLIFE=1h").unwrap()), (90, Some(3600)));
    assert_eq!(seconds(read("KEYS=static\nIDLE=5m").unwrap()), (300, None));
    for (more, line, why) in [
        ("IDLE=1", 13, "from 5 seconds to a day"),
        ("LIFE=2d", 13, "from 5 seconds to a day"),
        ("IDLE=soon", 13, "expected"),
        ("KEYS=static\nLIFE=60", 0, "static keys are never replaced"),
    ] {
        let bad = read(more).unwrap_err();
        assert!(bad.line == line && bad.why.contains(why), "{more}: {bad}");
    }
}
