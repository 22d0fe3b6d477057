//! The worked examples of document 003 §5, with its lines as they are printed there, in two namespaces.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use ravelin_testkit::papers::{self, Kind};

use super::lab::{Elsewhere, Lab, sh};

const HOST1: &str = "10.0.0.77";
const HOST2: &str = "10.0.0.78";

fn hosts(name: &str) -> (Elsewhere, Lab, Lab) {
    let elsewhere = Elsewhere::new(&format!("{HOST1}/24"), &format!("{HOST2}/24"));
    let hosts = (Lab::new(&format!("{name}-1")), Lab::elsewhere(&format!("{name}-2"), &elsewhere));
    (elsewhere, hosts.0, hosts.1)
}

/// What the document prints for host1, or the same for host2.
fn lines(host: &str, printed: &str) -> String {
    let [own, peer] = if host == HOST1 { [HOST1, HOST2] } else { [HOST2, HOST1] };
    printed.replace("OWN", own).replace("PEER", peer)
}

/// Whether a listing has these lines one after the other; `*` stands for anything.
fn has(listing: &str, wanted: &[&str]) -> bool {
    let fits = |line: &str, pattern: &str| {
        let mut rest = line.trim_end();
        let mut parts = pattern.split('*');
        let first = parts.next().unwrap_or_default();
        rest.strip_prefix(first).is_some_and(|after| {
            rest = after;
            parts.all(|part| rest.find(part).map(|at| rest = &rest[at + part.len()..]).is_some())
        })
    };
    let lines: Vec<&str> = listing.lines().collect();
    lines.windows(wanted.len()).any(|window| window.iter().zip(wanted).all(|(line, pattern)| fits(line, pattern)))
}

// §5.1: TCP in transport mode with a pre-shared key.
pub fn the_first_example_runs_as_it_is_printed() -> Result<(), &'static str> {
    first_example(2, 3)
}

// The same with the older version of IKE, whose two phases have listings of their own (§4.8).
#[cfg(feature = "ikev1")]
pub fn the_first_example_runs_over_ikev1() -> Result<(), &'static str> {
    first_example(1, 2)
}

/// With this version of IKE; the SAs are in the listing of this phase.
fn first_example(version: u8, phase: u8) -> Result<(), &'static str> {
    let (elsewhere, one, two) = hosts(&format!("example-1-{version}"));
    let printed = "\
ipsec policy -n policy1 -g remoteINFO -t ESP -e 3DES-CBC -a HMAC-SHA-2-384 -m transport -p \\
tcp -r PEER -s OWN -d PEER
ike remote -n remoteINFO -z 2 -w -u -a HMAC-SHA-2-384 -e 3DES-CBC -p HMAC-SHA-2-384 -m \\
PresharedKey -d MODP768 -r PEER -f ipv4:PEER -g ipv4:OWN -h secret_file.txt
";
    let mut daemons = Vec::new();
    for (lab, host) in [(&one, HOST1), (&two, HOST2)] {
        lab.write("secret_file.txt", "a secret of both hosts\n");
        lab.write("ike_rc", &lines(host, printed).replace("-z 2", &format!("-z {version}")));
        daemons.push(lab.daemon("--rc ike_rc"));
    }
    // Step 2.
    let policy = "6     4    tcp            secure  10.0.0.78       10.0.0.77       transport  10.0.0.77";
    assert!(two.ok("ipsec netstat").contains(policy), "{}", two.ok("ipsec netstat"));
    // Step 3: a TCP echo.
    let listener = elsewhere.run(|| TcpListener::bind((HOST2, 7)).expect("a listener")).join().expect("one");
    let echoing = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).expect("a question");
        stream.write_all(&bytes).expect("an answer");
    });
    let mut stream = TcpStream::connect((HOST2, 7)).expect("a connection");
    stream.write_all(b"hello").expect("a question");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"hello");
    echoing.join().expect("the echo");
    for lab in [&one, &two] {
        let listing = lab.ok("ipsec netstat --show-keys");
        let session = [
            "IPSecSession SPI=*, SPID=6",
            "  CreateTime=*, Life=3600 secs, HardExpiry in 3*secs, SoftExpiry in * secs",
            "ESP Outbound SA, SPI=",
            "  HMAC-Auth: SHA384",
            "    Key: [len=48]",
            "",
            "  Encryption: 3DES",
            "    Key: [len=24] ",
            "Dummy pkts transmitted: 0",
        ];
        assert!(has(&listing, &session), "{listing}");
        let inbound = [
            "ESP Inbound SA, SPI=",
            "  HMAC-Auth: SHA384",
            "    Key: [len=48]",
            "",
            "  Encryption: 3DES",
            "    Key: [len=24] ",
            "Dummy pkts received: 0",
        ];
        assert!(has(&listing, &inbound), "{listing}");
        let negotiated = lab.ok(&format!("ike netstat -p {phase}"));
        assert!(has(&negotiated, &["*ESP policy1, SPID=6: INSTALLED, transport*"]), "{negotiated}");
        let ike = lab.ok("ike netstat -p 1");
        assert_eq!(has(&ike, &["IKESession remoteINFO: ESTABLISHED, IKEv1*"]), version == 1, "{ike}");
    }
    Ok(())
}

// §5.2: ICMP in tunnel mode with certificates.
pub fn the_second_example_runs_as_it_is_printed() -> Result<(), &'static str> {
    let (_elsewhere, one, two) = hosts("example-2");
    let printed = "\
ce x509 -a cacert.pem -d 1
ce x509 -a MINEcert.pem -d 1 -k MINEkeyc.pem
ike remote -n dexter -z 2 -w -u -a HMAC-SHA-2-512 -e AES192-CBC -p HMAC-SHA-2-256 -m RSASIG \\
-d MODP3072 -r PEER -f asnlbn: -g asnlbn: -b YOURScert.pem -c MINEcert.pem,cacert.pem
ipsec policy -n policy0 -g dexter -t ESP -e 3DES-CBC -a HMAC-SHA-2-512 -m tunnel -p icmp -r \\
PEER -s OWN -d PEER -h
";
    let authority = papers::root("ca", Kind::Rsa);
    let leaves = ["supam", "supas"].map(|name| (name, authority.peer(name, &[], Kind::Rsa)));
    let mut daemons = Vec::new();
    for (lab, host, [mine, yours]) in [(&one, HOST1, ["supam", "supas"]), (&two, HOST2, ["supas", "supam"])] {
        lab.write("cacert.pem", &authority.pem);
        for (name, paper) in &leaves {
            lab.write(&format!("{name}cert.pem"), &paper.pem);
            if *name == mine {
                lab.write(&format!("{name}keyc.pem"), &paper.key_pem);
            }
        }
        lab.write("ike_rc", &lines(host, printed).replace("MINE", mine).replace("YOURS", yours));
        daemons.push(lab.daemon("--rc ike_rc"));
    }
    let said = sh("ping", &["-c", "3", "-i", "0.2", "-W", "10", HOST2]);
    assert!(said.contains(" 3 received"), "{said}");
    for (lab, peer) in [(&one, "supas"), (&two, "supam")] {
        let listing = lab.ok("ipsec netstat");
        let policy = format!("6     4    icmp           secure  {}", if peer == "supas" { HOST1 } else { HOST2 });
        assert!(has(&listing, &["IPSecSession SPI=*, SPID=6"]) && listing.contains(&policy), "{listing}");
        for way in ["Outbound", "Inbound"] {
            let sa = format!("ESP {way} SA, SPI=");
            let wanted = [&sa, "  HMAC-Auth: SHA512", "    Key: [len=64]", "  Encryption: 3DES", "    Key: [len=24]"];
            assert!(has(&listing, &wanted), "{listing}");
        }
        assert!(listing.contains("Pkts transmitted: 3,") && listing.contains("Pkts received: 3,"), "{listing}");
        let negotiated = lab.ok("ike netstat -p 3");
        assert!(has(&negotiated, &["*ESP policy0, SPID=6: INSTALLED, tunnel*"]), "{negotiated}");
        let ike = lab.ok("ike netstat");
        let suite = "AES192-CBC, HMAC-SHA-2-512, PRF HMAC-SHA-2-256, MODP3072";
        assert!(ike.contains(suite) && ike.contains(&format!("CN={peer}")), "{ike}");
    }
    Ok(())
}

// `-t AHESP` of §3.13, which no implementation of others negotiates any more.
#[cfg(feature = "ikev1")]
pub fn ah_around_esp_is_negotiated_and_carries_packets() -> Result<(), &'static str> {
    let (_elsewhere, one, two) = hosts("ahesp");
    let written = "\
ipsec policy -n both -g gw -t AHESP -e AES128-CBC -a HMAC-SHA-2-256 -m tunnel -p icmp -r PEER -s OWN -d PEER
ike remote -n gw -z 1 -w -u -a SHA256 -e AES128-CBC -d MODP2048 -r PEER -f ipv4:PEER -g ipv4:OWN -h psk
";
    let mut daemons = Vec::new();
    for (lab, host) in [(&one, HOST1), (&two, HOST2)] {
        lab.write("psk", "a secret of both hosts\n");
        lab.write("ike_rc", &lines(host, written));
        daemons.push(lab.daemon("--rc ike_rc"));
    }
    let said = sh("ping", &["-c", "3", "-i", "0.2", "-W", "10", HOST2]);
    assert!(said.contains(" 3 received"), "{said}");
    for lab in [&one, &two] {
        let listing = lab.ok("ipsec netstat");
        assert!(listing.contains("Pkts transmitted: 3,") && listing.contains("Pkts received: 3,"), "{listing}");
        let negotiated = lab.ok("ike netstat -p 2");
        assert!(has(&negotiated, &["*AHESP both, SPID=6: INSTALLED, tunnel*"]), "{negotiated}");
    }
    Ok(())
}
