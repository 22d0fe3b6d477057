//! ESP between two hosts keyed from a Kerberos session: `examples/kerberos`, with a KDC of its own.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::keying::{counted, talk};
use super::lab::{Elsewhere, Lab, sh};

const HERE: &str = "10.9.0.1";
const THERE: &str = "10.9.0.2";
/// Of the KDC, and of the two keying programs.
const KDC: u16 = 10088;
const PORT: u16 = 4430;
const PATIENCE: Duration = Duration::from_secs(20);

/// A realm LAB with its KDC.
struct Realm {
    folder: PathBuf,
    kdc: Option<Child>,
}

impl Realm {
    fn new(folder: &Path) -> Self {
        let file = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
        let path = folder.display();
        file(
            "krb5.conf",
            &format!(
                "[libdefaults]\n default_realm = LAB\n dns_lookup_kdc = false\n dns_lookup_realm = false\n rdns = false\n \
                 dns_canonicalize_hostname = false\n[realms]\n LAB = {{\n  kdc = {HERE}:{KDC}\n }}\n"
            ),
        );
        file(
            "kdc.conf",
            &format!(
                "[kdcdefaults]\n kdc_listen = {KDC}\n kdc_tcp_listen = {KDC}\n[realms]\n LAB = {{\n  database_name = {path}/db\n  \
                 key_stash_file = {path}/stash\n  acl_file = {path}/acl\n  max_life = 10h\n }}\n[logging]\n kdc = FILE:{path}/kdc.log\n"
            ),
        );
        let mut realm = Realm { folder: folder.to_owned(), kdc: None };
        realm.run("kdb5_util", &["create", "-s", "-r", "LAB", "-P", "of the database"]);
        for host in ["here", "there", "stranger"] {
            realm.admin(&format!("addprinc -randkey ravelin/{host}"));
            realm.admin(&format!("ktadd -k {path}/{host}.keytab ravelin/{host}"));
        }
        let log = fs::File::create(folder.join("krb5kdc")).expect("a log");
        let mut kdc = realm.command("krb5kdc");
        kdc.arg("-n").stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        realm.kdc = Some(kdc.spawn().expect("krb5kdc runs"));
        realm
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("KRB5_CONFIG", self.folder.join("krb5.conf")).env("KRB5_KDC_PROFILE", self.folder.join("kdc.conf"));
        // Debian has its programs where only root looks.
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output =
            self.command(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn admin(&self, query: &str) {
        self.run("kadmin.local", &["-r", "LAB", "-q", query]);
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if let Some(mut kdc) = self.kdc.take() {
            let _ = kdc.kill();
            let _ = kdc.wait();
        }
    }
}

/// A running keying program.
struct Keyer {
    child: Child,
    log: PathBuf,
}

impl Keyer {
    /// That of this lab, as the principal of `own`, which takes `peer`. It begins as the principal of `begins`.
    fn start(realm: &Realm, lab: &Lab, elsewhere: Option<&Elsewhere>, [own, begins, peer]: [&str; 3]) -> Self {
        let (local, remote) = if elsewhere.is_none() { (HERE, THERE) } else { (THERE, HERE) };
        let keytab = |of: &str| realm.folder.join(format!("{of}.keytab"));
        let log = lab.path().join(format!("keyer-{own}-{begins}"));
        let mut command = realm.command(&realm.folder.join("kerberos-keyer").display().to_string());
        command.arg(lab.path().join("keying")).args([
            local,
            remote,
            &PORT.to_string(),
            &format!("ravelin/{peer}@LAB"),
            "4",
        ]);
        command.env("KRB5_KTNAME", keytab(own)).env("KRB5_CLIENT_KTNAME", keytab(begins));
        command.env("KRB5CCNAME", format!("FILE:{}", lab.path().join(format!("tickets-{begins}")).display()));
        command.stdin(Stdio::null()).stderr(fs::File::create(&log).expect("a log"));
        let mut spawn = move || command.spawn().expect("the program runs");
        let child = match elsewhere {
            Some(elsewhere) => elsewhere.run(spawn).join().expect("a program"),
            None => spawn(),
        };
        let keyer = Keyer { child, log };
        keyer.says("ready");
        keyer
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn says(&self, words: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.log().contains(words) {
            assert!(Instant::now() < end, "{words}: not in\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it, and with it its policies.
    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.child.wait().expect("a child").success(), "{}", self.log());
    }
}

impl Drop for Keyer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a datagram of one address arrives at the other. It is sent again and again for a while.
fn arrives(elsewhere: &Elsewhere, from_there: bool) -> bool {
    let socket = |at: &'static str| UdpSocket::bind((at, 7001)).expect("a socket");
    let (here, there) = (socket(HERE), elsewhere.run(move || socket(THERE)).join().expect("a socket"));
    let (from, to, at) = if from_there { (there, here, HERE) } else { (here, there, THERE) };
    to.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
    (0..20).any(|_| from.send_to(b"x", (at, 7001)).is_ok() && to.recv(&mut [0; 8]).is_ok())
}

/// The keys of each pair of SAs: of what arrives and of what leaves.
fn keys(lab: &Lab) -> Vec<[String; 2]> {
    let json: serde_json::Value = serde_json::from_str(&lab.ok("ipsec netstat -c --show-keys --json")).expect("JSON");
    let key = |sa: &serde_json::Value| sa["encryption-key"].as_str().expect("a key").to_owned();
    let pairs = json["sas"].as_array().map_or(&[][..], Vec::as_slice).iter();
    pairs.map(|pair| ["inbound", "outbound"].map(|side| key(&pair[side]))).collect()
}

fn compiled(folder: &Path) -> bool {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/kerberos/kerberos-keyer.c");
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-O1"]).arg(source);
    cc.arg("-o").arg(folder.join("kerberos-keyer")).arg("-lgssapi_krb5");
    let output = cc.output();
    if let Ok(output) = &output {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || said.contains("gssapi"), "{said}");
    }
    output.is_ok_and(|output| output.status.success())
}

pub fn a_kerberos_session_keys_two_hosts() -> Result<(), &'static str> {
    let (lab, programs) = (Lab::new("kerberos-realm"), ["kdb5_util", "kadmin.local", "krb5kdc"]);
    let there = |name: &&str| ["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(name).exists());
    if !programs.iter().all(there) {
        return Err("there is no krb5-kdc with krb5-admin-server");
    }
    if !compiled(lab.path()) {
        return Err("there is no libkrb5-dev, or no C compiler");
    }
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    sh("ip", &["link", "set", "lo", "up"]);
    let realm = Realm::new(lab.path());
    let (here, there) = (Lab::new("kerberos-here"), Lab::elsewhere("kerberos-there", &elsewhere));
    // The KDC is asked in the clear: what it says is under the keys of those who ask.
    let bypass = |own: &str, peer: &str| {
        let one = |name: &str, protocol: &str| {
            format!("ipsec policy -n {name} --action bypass -p {protocol} -s {own} -d {peer} -l 3\n")
        };
        one("kdc-udp", "udp") + &one("kdc-tcp", "tcp")
    };
    here.write("ike_rc", &bypass(&format!("{HERE},{KDC}"), THERE));
    there.write("ike_rc", &bypass(THERE, &format!("{HERE},{KDC}")));
    let _daemons = [&here, &there].map(|lab| lab.daemon("--keying-socket keying --rc ike_rc"));

    let one = Keyer::start(&realm, &here, None, ["here", "here", "there"]);
    let other = Keyer::start(&realm, &there, Some(&elsewhere), ["there", "there", "here"]);
    talk(&elsewhere, || {});
    let first = keys(&here);
    let [[received, sent]] = first.as_slice() else { panic!("{} pairs of SAs", first.len()) };
    assert_eq!(keys(&there), [[sent.clone(), received.clone()]]);
    assert!(received != sent && received.len() == 72, "{received}");
    assert!(counted(&here, "packets-sealed") > 10 && counted(&there, "packets-opened") > 10);
    for lab in [&here, &there] {
        assert!(lab.ok("ipsec netstat -c").contains("AES256-GCM"));
    }
    // Before they end, SAs are replaced, by keys of another session.
    let end = Instant::now() + PATIENCE;
    loop {
        let now = keys(&here);
        if !now.is_empty() && !now.contains(&first[0]) && one.log().matches("SAs ").count() > 1 {
            break;
        }
        assert!(Instant::now() < end, "{}", one.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    talk(&elsewhere, || {});

    // Who has a ticket for another principal is nobody's peer.
    other.end();
    here.ok("ipsec flush -c");
    let stranger = Keyer::start(&realm, &there, Some(&elsewhere), ["there", "stranger", "here"]);
    assert!(!arrives(&elsewhere, true));
    one.says("ravelin/stranger@LAB is not the peer");
    assert_eq!(here.ok("ipsec netstat -c").trim(), "");
    stranger.end();

    // Who has not the key of his principal cannot read the ticket.
    realm.admin("cpw -randkey ravelin/there");
    fs::remove_file(here.path().join("tickets-here")).expect("tickets");
    let old = Keyer::start(&realm, &there, Some(&elsewhere), ["there", "stranger", "here"]);
    assert!(!arrives(&elsewhere, false));
    old.says("a stranger is refused");
    assert_eq!(there.ok("ipsec netstat -c").trim(), "");
    old.end();

    // With its new key it is itself again.
    realm.admin(&format!("ktadd -k {}/there.keytab ravelin/there", realm.folder.display()));
    fs::remove_file(here.path().join("tickets-here")).expect("tickets");
    let _again = Keyer::start(&realm, &there, Some(&elsewhere), ["there", "there", "here"]);
    assert!(arrives(&elsewhere, false));
    one.end();
    let left = here.ok("ipsec policy -v");
    assert!(!left.contains("transport") && !left.contains(&PORT.to_string()), "{left}");
    Ok(())
}
