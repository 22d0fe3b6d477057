//! Keys from elsewhere: a keying program behind the sockets of two daemons, and keys by hand.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ravelin_types::policy::{Domain, PolicyId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{Secret, Spi};
use ravelin_wire::mgmt::{
    AddSa, Endpoint, Event, GetSpi, Header, Key, Lifetimes, Module, Nothing, PolicyAction, PolicyBody, PolicyFlags,
    PolicyNumber, Protocol, Reply, Request, SaBody, SaFlags, SaSpis, Status, parse_answer,
};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketType, connect, recv, send, socket};

use super::lab::{Elsewhere, Lab};

const HERE: [u8; 4] = [10, 9, 0, 1];
const THERE: [u8; 4] = [10, 9, 0, 2];

/// A keying program at the socket of one daemon.
struct Program {
    socket: OwnedFd,
    sequence: u16,
    events: Vec<Event>,
}

impl Program {
    fn at(path: &Path) -> Self {
        let socket = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).expect("a socket");
        connect(&socket, &SocketAddrUnix::new(path).expect("a path")).expect("the daemon listens");
        let timeout = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(Duration::from_secs(20))).expect("a time-out");
        Program { socket, sequence: 0, events: Vec::new() }
    }

    fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let (len, _) = recv(&self.socket, &mut buffer[..], RecvFlags::empty()).expect("a message in time");
        buffer.truncate(len);
        buffer
    }

    fn try_ask(&mut self, request: &Request) -> Result<Reply, Status> {
        self.sequence += 1;
        send(&self.socket, request.emit(Module::IKE, self.sequence).expose(), SendFlags::empty()).expect("it is sent");
        loop {
            let message = self.receive();
            let (header, data) = Header::parse(&message).expect("a message");
            if header.kind.is_event() {
                self.events.push(Event::parse(header.kind, data).expect("an event"));
                continue;
            }
            assert_eq!((header.sequence, header.kind), (self.sequence, request.kind()));
            return parse_answer(&header, data).expect("an answer");
        }
    }

    fn ask(&mut self, request: &Request) -> Reply {
        self.try_ask(request).unwrap_or_else(|status| panic!("{:?}: {:?}", request.kind(), status.error()))
    }

    /// The next event.
    fn event(&mut self) -> Event {
        if !self.events.is_empty() {
            return self.events.remove(0);
        }
        let message = self.receive();
        let (header, data) = Header::parse(&message).expect("a message");
        Event::parse(header.kind, data).expect("an event")
    }
}

fn policy(local: [u8; 4], remote: [u8; 4]) -> PolicyBody {
    PolicyBody {
        id: PolicyId(0),
        action: PolicyAction::SECURE_TRANSPORT,
        protocol: 6,
        domain: Domain::default(),
        flags: PolicyFlags::PROTO_ESP.with(PolicyFlags::CHECK_REPLAY),
        priority: 4,
        source: (&TrafficSelector::host(local.into())).into(),
        destination: (&TrafficSelector::host(remote.into())).into(),
        remote: Endpoint(Some(remote.into())),
        local: Endpoint(None),
        replay_window: 64,
    }
}

/// Sends something over TCP from here to there, and back; `meanwhile` runs while it is under way.
pub(super) fn talk(elsewhere: &Elsewhere, meanwhile: impl FnOnce()) {
    let listener = elsewhere.run(|| TcpListener::bind((std::net::Ipv4Addr::from(THERE), 7000)).expect("a listener"));
    let listener = listener.join().expect("a listener");
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("text");
        stream.write_all(text.to_uppercase().as_bytes()).expect("an answer");
    });
    let client = std::thread::spawn(|| {
        let mut stream = TcpStream::connect((std::net::Ipv4Addr::from(THERE), 7000)).expect("a connection");
        stream.write_all(&b"protected ".repeat(2000)).expect("text");
        stream.shutdown(std::net::Shutdown::Write).expect("an end");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    });
    meanwhile();
    assert_eq!(client.join().expect("a client"), "PROTECTED ".repeat(2000));
    echo.join().expect("an echo");
}

/// What a daemon counted.
pub(super) fn counted(lab: &Lab, name: &str) -> u64 {
    let json: serde_json::Value = serde_json::from_str(&lab.ok("ipsec netstat -a --json")).expect("JSON");
    let count = &json["counters"][name];
    count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0)
}

pub fn a_program_keys_two_hosts() -> Result<(), &'static str> {
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (here, there) = (Lab::new("keying-here"), Lab::elsewhere("keying-there", &elsewhere));
    let _daemons = [here.daemon("--keying-socket keying"), there.daemon("--keying-socket keying")];
    let mut programs = [Program::at(&here.path().join("keying")), Program::at(&there.path().join("keying"))];
    let ids = [(HERE, THERE), (THERE, HERE)].into_iter().zip(&mut programs).map(|((local, remote), program)| {
        assert_eq!(program.ask(&Request::Register(Nothing)), Reply::Register(Nothing));
        let reply = program.ask(&Request::AddPolicy(policy(local, remote)));
        let Reply::AddPolicy(PolicyNumber(id)) = reply else { panic!("{reply:?}") };
        assert!(matches!(program.event(), Event::PolicyAdded(told) if told.id == id));
        id
    });
    let ids: Vec<PolicyId> = ids.collect();
    assert!(here.ok("ipsec policy -v").contains("10.9.0.2"));

    talk(&elsewhere, || {
        let asked = programs[0].event();
        assert!(matches!(asked, Event::Acquire(acquire) if acquire.policy == ids[0]
            && acquire.flow.flow.dst == std::net::IpAddr::from(THERE) && acquire.flow.flow.dst_port == Some(7000)));
        let spis: Vec<Spi> = programs
            .iter_mut()
            .zip(&ids)
            .map(|(program, id)| {
                let asked = GetSpi { policy: *id, protocol: Protocol::ESP, esp: Spi(0), ah: Spi(0) };
                let Reply::GetSpi(got) = program.ask(&Request::GetSpi(asked)) else { panic!("no SPI") };
                got.esp
            })
            .collect();
        // Who receives first is there when the other begins to send.
        for (i, other) in [(1, 0), (0, 1)] {
            let sa = SaBody {
                policy: ids[i],
                flags: SaFlags::ESN,
                encr: EncrId::AES_GCM_16,
                integ: IntegId::NONE,
                spis: SaSpis { esp_in: spis[i], esp_out: spis[other], ah_in: Spi(0), ah_out: Spi(0) },
                lifetimes: Lifetimes::default(),
                udp_ports: (0, 0),
                local: Endpoint(None),
            };
            let key =
                |from: usize| Key::new(Secret::new((0..36).map(|n| n + 40 * from as u8).collect())).expect("a key");
            let none = || [Key::default(), Key::default()];
            let add = AddSa::new(sa, [key(other), key(i)], none()).expect("keys of one length");
            assert_eq!(programs[i].ask(&Request::AddSa(add)), Reply::AddSa(Nothing));
        }
    });
    for (program, id) in programs.iter_mut().zip(&ids) {
        let Reply::GetSa(info) = program.ask(&Request::GetSa(PolicyNumber(*id))) else { panic!("no SA") };
        assert!(info.sent.packets > 10 && info.received.packets > 10, "{info:?}");
        assert_eq!(info.key_bits, 256);
    }
    assert!(counted(&here, "packets-sealed") > 10 && counted(&there, "packets-opened") > 10);
    assert!(here.ok("ipsec netstat -c").contains("AES256-GCM"));

    assert_eq!(programs[0].ask(&Request::FlushSad(Nothing)), Reply::FlushSad(Nothing));
    assert!(matches!(programs[0].event(), Event::SaDeleted(gone) if gone.policy == ids[0]));
    assert_eq!(here.ok("ipsec netstat -c").trim(), "");
    Ok(())
}

pub fn hosts_are_keyed_by_hand() -> Result<(), &'static str> {
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (here, there) = (Lab::new("manual-here"), Lab::elsewhere("manual-there", &elsewhere));
    let (one, other) = ("0123456789abcdef".repeat(2), "fedcba9876543210".repeat(2));
    let (auth_one, auth_other) = ("a1b2c3d4".repeat(8), "5e6f7081".repeat(8));
    let line = |local: &str, remote: &str, spis: &str| {
        format!(
            "ipsec addsa -m transport -p tcp -r {remote} -s {local} -d {remote} {spis} -e AES128-CBC \
             -f file:encr.in -g file:encr.out -a HMAC-SHA-2-256 -b file:auth.in -c file:auth.out\n"
        )
    };
    for (lab, line, keys) in [
        (&here, line("10.9.0.1", "10.9.0.2", "-w 0x1001 -x 0x2002"), [&one, &other, &auth_one, &auth_other]),
        (&there, line("10.9.0.2", "10.9.0.1", "-w 0x2002 -x 0x1001"), [&other, &one, &auth_other, &auth_one]),
    ] {
        lab.write("ike_rc", &line);
        ["encr.in", "encr.out", "auth.in", "auth.out"]
            .into_iter()
            .zip(keys)
            .for_each(|(file, key)| lab.write(file, key));
    }
    let _daemons = [here.daemon("--rc ike_rc"), there.daemon("--rc ike_rc")];
    talk(&elsewhere, || {});
    assert!(counted(&here, "packets-sealed") > 10 && counted(&there, "packets-sealed") > 10);
    let listing = here.ok("ipsec netstat -c");
    assert!(listing.contains("SPI=00001001") && listing.contains("AES128-CBC"), "{listing}");
    assert!(!listing.contains(&one) && !here.log().contains(&one));

    here.ok("ipsec delsa -s 10.9.0.1 -d 10.9.0.2 -p tcp");
    assert_eq!(here.ok("ipsec netstat -c").trim(), "");
    let refused = here.ravelin("ipsec delsa -s 10.9.0.1 -d 10.9.0.2 -p tcp");
    assert_eq!(refused.status, Some(1));
    Ok(())
}

/// What `setkey` says to a script on its standard input.
fn setkey(lab: &Lab, script: &str) -> String {
    let mut command = lab.command("setkey -c");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("ravelin runs");
    child.stdin.take().expect("its input").write_all(script.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

pub fn hosts_are_keyed_by_scripts_of_setkey() -> Result<(), &'static str> {
    let elsewhere = Elsewhere::new("10.9.0.1/24", "10.9.0.2/24");
    let (here, there) = (Lab::new("setkey-here"), Lab::elsewhere("setkey-there", &elsewhere));
    let (key, auth) = ("0123456789abcdef".repeat(2), "a1b2c3d4".repeat(5));
    // The SAs of both hosts are the same, and so are they to each: who receives and who sends follows from the policies.
    let sas = format!(
        "flush; spdflush;
         add 10.9.0.1 10.9.0.2 esp 0x2002 -m transport -E aes-cbc 0x{key} -A hmac-sha1 0x{auth};
         add 10.9.0.2 10.9.0.1 esp 0x1001 -m transport -E aes-cbc \"sixteen octets..\" -A hmac-sha1 \"twenty octets of key\";
         add 10.9.0.1 10.9.0.2 ah 0x2002 -A hmac-sha2-256 \"thirty-two octets are a long key\";
         add 10.9.0.2 10.9.0.1 ah 0x1001 -A hmac-sha2-256 \"a key is long of thirty-two byte\";\n"
    );
    let policies = |local: &str, remote: &str| {
        format!(
            "spdadd {local} {remote} tcp -P out ipsec esp/transport//require ah/transport//require;
             spdadd {remote} {local} tcp -P in ipsec esp/transport//require ah/transport//require;\n"
        )
    };
    here.write("ipsec-tools.conf", &(sas.clone() + &policies("10.9.0.1", "10.9.0.2")));
    here.write("ike_rc", "setkey -f ipsec-tools.conf\n");
    let _daemons = [here.daemon("--rc ike_rc"), there.daemon("")];
    setkey(&there, &(sas + &policies("10.9.0.2", "10.9.0.1")));
    talk(&elsewhere, || {});
    assert!(counted(&here, "packets-sealed") > 10 && counted(&there, "packets-sealed") > 10);
    for lab in [&here, &there] {
        let listing = lab.ok("setkey -D");
        assert_eq!(listing.matches("state=mature").count(), 4, "{listing}");
        assert!(listing.contains("10.9.0.1 10.9.0.2 \n\tah mode=transport spi=8194(0x00002002)"), "{listing}");
        assert!(!listing.contains("current: 0(bytes)"), "{listing}");
        assert!(!listing.contains("01234567") && !lab.log().contains("01234567"));
    }
    assert!(
        here.ok("setkey -DP").contains("10.9.0.2[any] 10.9.0.1[any] tcp\n\tin ipsec\n\tesp/transport//require\n\tah/")
    );
    let shown = setkey(&there, "get 10.9.0.1 10.9.0.2 esp 0x2002; flush; dump;");
    assert!(shown.contains("No SAD entries."), "{shown}");
    let refused = here.ravelin("setkey -f nothing");
    assert!(refused.status == Some(1) && refused.stderr.contains("cannot read"), "{}", refused.stderr);
    here.ok("setkey -F");
    assert_eq!(here.ok("ipsec netstat -c").trim(), "");
    here.ok("setkey -FP");
    assert!(!here.ok("setkey -DP").contains("ipsec"));
    Ok(())
}

pub fn the_keying_socket_is_for_its_owner() -> Result<(), &'static str> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let lab = Lab::new("keying-owner");
    let daemon = lab.daemon("--keying-socket keying");
    let path = lab.path().join("keying");
    let found = std::fs::metadata(&path).expect("the socket");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    // Nonsense and messages that are too long do no harm, and each client is served by itself.
    let (mut one, mut other) = (Program::at(&path), Program::at(&path));
    send(&one.socket, &[0xff; 5000], SendFlags::empty()).expect("it is sent");
    send(&one.socket, b"x", SendFlags::empty()).expect("it is sent");
    assert_eq!(one.ask(&Request::Register(Nothing)), Reply::Register(Nothing));
    assert_eq!(other.ask(&Request::Register(Nothing)), Reply::Register(Nothing));
    let bypass = PolicyBody {
        action: PolicyAction::BYPASS,
        flags: PolicyFlags::default(),
        remote: Endpoint(None),
        replay_window: 0,
        ..policy(HERE, THERE)
    };
    assert!(matches!(one.ask(&Request::AddPolicy(bypass)), Reply::AddPolicy(_)));
    assert!(matches!((one.event(), other.event()), (Event::PolicyAdded(_), Event::PolicyAdded(_))));
    drop(one);
    assert!(other.try_ask(&Request::DeletePolicy(PolicyNumber(PolicyId(1)))).is_err());
    assert!(matches!(other.ask(&Request::FlushSpd(Nothing)), Reply::FlushSpd(_)));
    assert!(daemon.end(rustix::process::Signal::TERM).success());
    assert!(!path.exists());
    Ok(())
}
