//! The core with a data plane that only remembers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use ravelin_control::COMMAND_LINE;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_eap::{Forgetful, Tools};
use ravelin_ike::Desk;
use ravelin_inbox::Progress;
use ravelin_pki::auth::World;
use ravelin_pki::memory;
use ravelin_tls::Maker;
use ravelin_types::dataplane::{DataPlane, DataPlaneError, PacketStart, SaStatus, Settled, Table};
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, Policy};
use ravelin_types::proposal::EspSuite;
use ravelin_types::sa::{Direction, SaCounters, SaId, SaKeys, SaLookup, SaParams};
use ravelin_types::selector::Side;
use ravelin_types::transform::{EncrId, IntegId, SnId, Transform};
use ravelin_types::{IkeSpi, Secret};

use super::*;
use crate::daemon::clerk;
use crate::daemon::crypto::ike_provider;

mod behind;
mod carry;
mod coming;
mod files;
mod flows;
mod host_names;
mod keyed;
mod one_model;
mod pair;
mod sessions;
mod setkey;
mod slow;
mod statics;
mod tap;
mod updown;
mod vici;
mod why;

/// What the data plane holds and was told; shared with the test.
#[derive(Default)]
struct Held {
    policies: BTreeMap<PolicyId, Policy>,
    sent: Vec<(SocketAddr, Vec<u8>)>,
    sas: Vec<SaStatus>,
    /// How far IKE SAs are.
    noted: Vec<((IkeSpi, IkeSpi), Progress)>,
    /// How often all of them were listed.
    listings: usize,
    events: Vec<DataPlaneEvent>,
    /// No SA can have this cipher.
    lacks: Option<EncrId>,
    /// An address that cannot be used yet.
    tentative: Option<std::net::IpAddr>,
    /// A policy of this name is refused.
    refuse: Option<String>,
    /// What is begun is in force only when `settled` says so.
    late: bool,
    /// The number of the last change that was begun.
    begun: u64,
    settled: Option<Settled>,
    /// How many operations came in one go, each time.
    gone: Vec<usize>,
    /// No outbound SA finds room.
    full: bool,
}

#[derive(Clone, Default)]
struct FakePlane(Rc<RefCell<Held>>);

impl DataPlane for FakePlane {
    fn apply(&mut self, op: &DataPlaneOp) -> Result<(), DataPlaneError> {
        let mut held = self.0.borrow_mut();
        match op {
            DataPlaneOp::AddPolicy(policy) if held.refuse.as_ref() == Some(&policy.name) => {
                return Err(DataPlaneError::Full(Table::Policies, 0));
            }
            DataPlaneOp::AddPolicy(policy) => drop(held.policies.insert(policy.id, policy.clone())),
            DataPlaneOp::DeletePolicy(id) => drop(held.policies.remove(id)),
            DataPlaneOp::AddSa(params) => {
                if held.full && params.direction == Direction::Outbound {
                    return Err(DataPlaneError::Full(Table::Sas, 0));
                }
                if held.sas.iter().any(|sa| sa.params.id() == params.id()) {
                    return Err(DataPlaneError::Exists(params.id()));
                }
                held.sas.push(SaStatus { params: params.clone(), counters: SaCounters::default() });
            }
            DataPlaneOp::DeleteSa(id) => held.sas.retain(|sa| sa.params.id() != *id),
            _ => {}
        }
        Ok(())
    }

    fn poll_event(&mut self) -> Option<DataPlaneEvent> {
        self.0.borrow_mut().events.pop()
    }

    fn list(&mut self) -> Vec<SaStatus> {
        self.0.borrow_mut().listings += 1;
        self.0.borrow().sas.clone()
    }

    fn sa(&mut self, id: SaId) -> Option<SaStatus> {
        self.0.borrow().sas.iter().find(|sa| sa.params.id() == id).cloned()
    }
}

impl Plane for FakePlane {
    fn begin(&mut self, op: &DataPlaneOp) -> Result<Option<u64>, DataPlaneError> {
        self.apply(op)?;
        let mut held = self.0.borrow_mut();
        held.begun += 1;
        Ok(held.late.then_some(held.begun))
    }

    fn apply_each(&mut self, ops: &[DataPlaneOp]) -> Vec<Result<(), DataPlaneError>> {
        self.0.borrow_mut().gone.push(ops.len());
        ops.iter().map(|op| self.apply(op)).collect()
    }

    fn poll_settled(&mut self) -> Option<Settled> {
        self.0.borrow_mut().settled.take()
    }

    fn send_ike(&mut self, way: ravelin_types::Way, data: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().sent.push((way.remote, data.to_vec()));
        Ok(())
    }

    fn note_ike(&mut self, spis: (IkeSpi, IkeSpi), progress: Progress) {
        self.0.borrow_mut().noted.push((spis, progress));
    }

    fn apply_all(&mut self, ops: &[DataPlaneOp]) -> Result<(), (usize, DataPlaneError)> {
        ops.iter().enumerate().try_for_each(|(index, op)| self.apply(op).map_err(|error| (index, error)))
    }

    fn source_towards(&mut self, _: std::net::IpAddr) -> Option<std::net::IpAddr> {
        Some([10, 0, 0, 1].into())
    }

    fn is_usable(&self, address: std::net::IpAddr) -> bool {
        self.0.borrow().tentative != Some(address)
    }

    fn counters(&mut self) -> Vec<(String, u64)> {
        vec![("packets-sealed".into(), 3)]
    }

    fn has(&self, transform: &Transform) -> bool {
        !matches!(transform, Transform::Encr(id, _) if self.0.borrow().lacks == Some(*id))
    }
}

struct Bench {
    core: Core<FakePlane>,
    plane: FakePlane,
    directory: std::path::PathBuf,
    client: ClientId,
    now: Instant,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = std::env::temp_dir().join(format!("ravelin-core-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a scratch directory");
        std::fs::write(directory.join("psk"), "secret").expect("a key");
        std::fs::set_permissions(directory.join("psk"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
        for (name, password) in [("me", "looking glass"), ("users", "wonderland")] {
            std::fs::write(directory.join(name), format!("carol {password}")).expect("a login");
            std::fs::set_permissions(directory.join(name), std::fs::Permissions::from_mode(0o600)).expect("a mode");
        }
        let plane = FakePlane::default();
        let core = Core::new(Model::new(), plane.clone(), ike_provider(), Box::new(SystemRandom), Instant::ZERO);
        let core = core.map_err(|(_, why)| why).expect("a core");
        Bench { core, plane, directory, client: ClientId(1), now: Instant::ZERO }
    }

    /// Sends a command line; the answer, unless it comes later.
    fn send(&mut self, line: &str) -> Option<Message> {
        self.answers_to(line).pop().map(|(_, answer)| answer)
    }

    /// Sends a command line; all answers that are ready then.
    fn answers_to(&mut self, line: &str) -> Vec<(ClientId, Message)> {
        let mut message = Message::new().with("cwd", self.directory.display());
        message.put_list("argv", line.split_whitespace());
        let request = Request { client: self.client, name: COMMAND_LINE.to_owned(), message };
        assert!(self.core.request(&request, self.now));
        self.answers()
    }

    /// The answers that are ready.
    fn answers(&mut self) -> Vec<(ClientId, Message)> {
        let answers = self.core.said().into_iter().filter_map(|said| match said {
            Said::Answer(client, message) => Some((client, message)),
            _ => None,
        });
        answers.collect()
    }

    /// Answers every question that is open, as the clerk does; false when there is none.
    fn answer_questions(&mut self) -> bool {
        let asked = self.core.questions();
        let any = !asked.is_empty();
        for (op, question, papers) in asked {
            let crypto = ike_provider();
            let keys = |name: &str| papers.keys.get(name).cloned();
            let world = World { now: clerk::now(), crls: &papers.crls, answers: &[], memory: &memory::Forgetful };
            let random = |out: &mut [u8]| SystemRandom.fill(out);
            let eap = Tools {
                random: &random,
                memory: &Forgetful,
                tls: &Maker { keys: &keys, world, register: None, crypto: &crypto },
            };
            let answer = question.answer(Desk { keys: &keys, world, crypto: &crypto, eap });
            self.core.answered(op, answer, self.now);
        }
        any
    }

    fn ok(&mut self, line: &str) -> Message {
        let answer = self.send(line).expect(line);
        assert_eq!(answer.text("errmsg"), None, "{line}");
        answer
    }

    fn refused(&mut self, line: &str) -> String {
        let before = self.state();
        let answer = self.send(line).expect(line);
        assert_eq!(self.state(), before, "{line} changed what runs");
        answer.text("errmsg").expect(line).to_owned()
    }

    fn state(&self) -> String {
        format!("{:?} {:?}", self.core.model, self.plane.0.borrow().policies)
    }
}

fn spec(line: &str) -> ravelin_config::spec::PolicySpec {
    let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let ravelin_config::Command::AddPolicy(spec) = ravelin_config::parse(&argv).unwrap().command else { panic!() };
    *spec
}

const POLICY: &str = "ipsec policy -n p1 -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16";
const REMOTE: &str = "ike remote -n gw -w -u -r 10.0.0.2 --local 10.0.0.1 -h psk";

#[test]
fn policies_are_in_force_from_the_start() {
    let bench = Bench::new("start");
    assert!(bench.plane.0.borrow().policies.is_empty(), "an automatic policy opens ports for everybody");
    let mut model = bench.core.model.clone();
    model.add_policy(spec("ipsec policy -n p1 --action discard -s any -d any")).unwrap();
    let plane = FakePlane::default();
    let core = Core::new(model, plane.clone(), ike_provider(), Box::new(SystemRandom), Instant::ZERO);
    assert!(core.is_ok());
    assert_eq!(plane.0.borrow().policies.values().map(|policy| policy.name.as_str()).collect::<Vec<_>>(), ["p1"]);
}

#[test]
fn what_the_data_plane_lacks_is_neither_offered_nor_taken() {
    let mut bench = Bench::new("lacks");
    bench.plane.0.borrow_mut().lacks = Some(EncrId::AES_GCM_16);
    bench.ok(REMOTE);
    bench.ok(POLICY);
    let config = bench.core.ike_config();
    let offered: Vec<_> = config.policies[0].proposals.iter().flat_map(|proposal| &proposal.transforms).collect();
    let is_encr = |transform: &&&Transform| matches!(transform, Transform::Encr(..));
    assert!(offered.iter().filter(is_encr).count() > 0);
    assert!(!offered.iter().any(|transform| matches!(transform, Transform::Encr(EncrId::AES_GCM_16, _))));
    let alone = "ipsec policy -n p2 -g gw -m tunnel -e AES128-GCM -r 10.0.0.2 -s 10.3.0.0/16 -d 10.2.0.0/16";
    assert!(bench.refused(alone).contains("policy p2 has no usable proposal"));
}

#[test]
fn commands_change_the_data_plane_and_listings() {
    let mut bench = Bench::new("commands");
    let answer = bench.ok(POLICY);
    let notes = answer.list("notes").unwrap();
    assert_eq!(notes, ["the traffic of the policy p1 is dropped until its remote gw is configured"]);
    assert_eq!(bench.plane.0.borrow().policies.len(), 1);
    let answer = bench.ok(REMOTE);
    let notes = answer.list("notes").unwrap();
    assert!(notes.len() == 1 && notes[0].contains("the remote gw has fewer than 16 octets"), "{notes:?}");
    let listing = bench.ok("ipsec netstat");
    assert_eq!(listing.section("policies").unwrap().sections().count(), 6);
    assert_eq!(listing.section("sas").unwrap().sections().count(), 0);
    let remote = bench.ok("ike netstat -r -n gw");
    let remote = remote.section("remotes").unwrap().section("1").unwrap();
    assert_eq!(remote.list("policies").unwrap(), ["p1"]);
    assert!(!format!("{remote:?}").contains("secret\""));
    bench.ok("ipsec policy -x p1");
    assert_eq!(bench.plane.0.borrow().policies.len(), 0);
    assert_eq!(bench.ok("ipsec netstat -a").section("counters").unwrap().text("packets-sealed"), Some("3"));
}

// RFC 8221 §5, §6. The note is on the answer: what is negotiated later is not warned of again.
#[test]
fn legacy_algorithms_are_warned_of_when_they_are_named() {
    let mut bench = Bench::new("legacy");
    bench.ok(REMOTE);
    let answer = bench.ok(&format!("{POLICY} -e 3DES-CBC,AES128-CBC -a HMAC-MD5"));
    let notes = answer.list("notes").unwrap();
    let of = |name| format!("the policy p1: {name}: ");
    assert!(notes[0].starts_with(&of("3DES-CBC")) && notes[1].starts_with(&of("HMAC-MD5")), "{notes:?}");
    assert_eq!(notes.len(), 2);
    let detail = bench.ok("ipsec policy -v -n p1");
    let text = format!("{detail:?}");
    assert!(text.contains("ESP: 3DES-CBC, AES128-CBC, HMAC-MD5"), "{text}");
    // Not in what is offered without being named.
    bench.ok("ipsec policy -x p1");
    assert!(bench.ok(POLICY).list("notes").is_none_or(|notes| notes.is_empty()));
    let text = format!("{:?}", bench.ok("ipsec policy -v -n p1"));
    assert!(!text.contains("DES") && !text.contains("MD5") && !text.contains("NULL"), "{text}");
}

#[test]
fn a_bad_command_changes_nothing() {
    let mut bench = Bench::new("bad");
    bench.ok(POLICY);
    for (line, words) in [
        (POLICY, "there is a policy p1 already"),
        ("ipsec policy -n p2 -e IDEA -s any -d any", "`IDEA` is not an encryption"),
        ("ipsec policy -x p2", "there is no policy p2; did you mean p1?"),
        ("ike remote -n gw -w -r 10.0.0.9 -g a -h psk", "-r 10.0.0.2, is not an address of its remote gw: -r 10.0.0.9"),
        ("ike remote -n other -w -r 10.0.0.9 -g a -h missing", "cannot read"),
        ("ike initiate p1", "there is no remote gw"),
        ("ike initiate ike", "protects nothing"),
        ("ike rekey nobody", "there is no remote nobody"),
        ("ike terminate --child p1", "there is no SA for the policy p1"),
        ("ipsec policy -v -n p2", "there is no policy p2"),
        ("frobnicate", "frobnicate"),
    ] {
        let error = bench.refused(line);
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn what_the_data_plane_refuses_is_taken_back_whole() {
    let mut bench = Bench::new("refused");
    bench.ok(POLICY);
    bench.plane.0.borrow_mut().refuse = Some("p2".into());
    let error = bench.refused("ipsec policy -n p2 --action discard -s any -d any");
    assert_eq!(error, "nothing was changed: the policy p2 is refused: limit reached: 0 policies");
    // The policies before the refused one are taken back as well.
    let mut newer = bench.core.model.clone();
    for name in ["p0", "p2", "p3"] {
        newer.add_policy(spec(&format!("ipsec policy -n {name} --action discard -s any -d any"))).unwrap();
    }
    let before = bench.state();
    assert!(bench.core.adopt(newer, Instant::ZERO).is_err());
    assert_eq!(bench.state(), before);
}

/// Requirement S-150: `ike remote -x` ends no SA; `ike flush -p 3` and `ike terminate` do.
#[test]
fn a_remote_that_goes_leaves_its_sas() {
    let mut bench = Bench::new("remote-goes");
    bench.ok(POLICY);
    bench.ok(REMOTE);
    assert_eq!(bench.send("ike initiate p1"), None);
    bench.ok("ike remote -x gw");
    assert_eq!(bench.core.endpoint.ike_sas().len(), 1);
}

/// A negotiation that is under way ends without a word: whoever ends it does not wait for one.
#[test]
fn what_is_only_begun_is_terminated_at_once() {
    let mut bench = Bench::new("begun");
    bench.ok(POLICY);
    bench.ok(REMOTE);
    assert_eq!(bench.send("ike initiate p1"), None);
    assert_eq!(bench.ok("ike terminate gw").text("terminated"), Some("1"));
    assert!(bench.core.endpoint.ike_sas().is_empty());
    assert!(bench.refused("ike terminate gw").contains("there is no IKE SA with the remote gw: ravelin why gw"));
}

/// Whoever waits for a negotiation hears at once that somebody else ended it.
#[test]
fn who_waits_for_what_is_terminated_is_told_at_once() {
    for line in ["ike terminate gw", "ike terminate gw --timeout 0", "ike flush -p 3", "ike flush"] {
        let mut bench = Bench::new("ended");
        bench.ok(POLICY);
        bench.ok(REMOTE);
        assert_eq!(bench.send("ike initiate p1"), None);
        let waits = bench.client;
        bench.client = ClientId(77);
        let answers = bench.answers_to(line);
        let [(first, told), (second, done)] = &answers[..] else { panic!("{line}: {answers:?}") };
        assert_eq!((*first, told.text("errmsg")), (waits, Some("somebody terminated the negotiation")), "{line}");
        assert_eq!((*second, done.text("success")), (bench.client, Some("yes")), "{line}");
        assert_eq!(bench.core.waiting.len(), 0);
    }
}

/// A pair of SAs, as a negotiation would install them.
fn pair() -> [SaStatus; 2] {
    let (ours, theirs) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    [(Direction::Inbound, 0x1001, 0x2002), (Direction::Outbound, 0x2002, 0x1001)].map(|(direction, spi, pair)| {
        let inbound = direction == Direction::Inbound;
        let params = SaParams {
            direction,
            spi: Spi(spi),
            pair: Spi(pair),
            lookup: SaLookup::Spi,
            src: if inbound { theirs } else { ours },
            dst: if inbound { ours } else { theirs },
            mode: Mode::Tunnel,
            encap: None,
            original: None,
            suite: EspSuite {
                encr: EncrId::AES_GCM_16,
                encr_key_bits: 128,
                integ: IntegId::NONE,
                sn: SnId::PARTIAL_64,
            }
            .into(),
            keys: SaKeys { encr: Secret::from(&[0xab; 20][..]), ..SaKeys::default() },
            policy: PolicyId(6),
            local_ts: Side::new(),
            remote_ts: Side::new(),
            lifetime: Lifetime::default(),
            replay_window: 64,
            options: SaOptions::default(),
        };
        SaStatus { params, counters: SaCounters::default() }
    })
}

#[test]
fn a_daemon_that_stops_begins_nothing() {
    let mut bench = Bench::new("stops");
    bench.ok(POLICY);
    bench.ok(REMOTE);
    let acquire = || {
        let (src, dst) = ([10, 1, 0, 1].into(), [10, 2, 0, 1].into());
        let flow = ravelin_types::dataplane::Flow { src, dst, protocol: 17, src_port: Some(1), dst_port: Some(2) };
        DataPlaneEvent::Acquire { policy: PolicyId(6), flow, processor: None }
    };
    bench.plane.0.borrow_mut().events = vec![acquire()];
    bench.core.plane_events(bench.now, 9);
    assert!(!bench.core.is_idle());
    bench.core.begin_stop(bench.now);
    bench.plane.0.borrow_mut().events = vec![acquire()];
    bench.core.plane_events(bench.now, 9);
    assert!(bench.core.is_idle());
}

#[test]
fn nobody_begins_anything_with_a_daemon_that_stops() {
    for (version, stops) in [("", false), ("", true), (" -z 1", false), (" -z 1", true)] {
        let mut peer = Bench::new("peer");
        peer.ok(POLICY);
        peer.ok(&format!("{REMOTE}{version}"));
        assert_eq!(peer.send("ike initiate p1"), None);
        let (to, data) = peer.plane.0.borrow_mut().sent.remove(0);
        let mut bench = Bench::new("stopped");
        bench.ok(&format!("ike remote -n gw -u -r 10.0.0.1 --local 10.0.0.2 -h psk{version}"));
        if stops {
            bench.core.begin_stop(bench.now);
        }
        bench.core.datagram(
            Datagram {
                local: to,
                remote: "10.0.0.1:500".parse().unwrap(),
                carrier: ravelin_types::Carrier::Udp,
                data: &data,
            },
            bench.now,
        );
        assert_eq!(bench.core.is_idle(), stops);
    }
}

#[test]
fn a_client_that_hangs_up_is_forgotten() {
    let mut bench = Bench::new("gone");
    bench.ok(POLICY);
    bench.ok(REMOTE);
    assert_eq!(bench.send("ike initiate p1 --timeout 3500s"), None);
    bench.core.hung_up(bench.client);
    bench.now = Instant::ZERO + Duration::from_secs(3600);
    bench.core.timer(bench.now);
    assert!(bench.answers().is_empty());
}

#[test]
fn keys_leave_the_daemon_only_when_asked_for() {
    let mut bench = Bench::new("keys");
    bench.plane.0.borrow_mut().sas = pair().to_vec();
    let sa = |answer: &Message, side: &str| {
        let session = answer.section("sas").unwrap().section("1").unwrap();
        session.section(side).unwrap().clone()
    };
    let answer = bench.ok("ipsec netstat -c");
    for side in ["inbound", "outbound"] {
        assert_eq!(sa(&answer, side).text("encryption"), Some("AES128-GCM"));
        assert_eq!(sa(&answer, side).text("encryption-key-len"), Some("20"));
    }
    assert!(!format!("{answer:?}").contains("abab"));
    let answer = bench.ok("ipsec netstat -c --show-keys");
    assert_eq!(sa(&answer, "outbound").text("encryption-key"), Some("ab".repeat(20).as_str()));
    assert_eq!(sa(&answer, "outbound").text("integrity-key"), None);
}

#[test]
fn a_client_that_waits_is_told_when_time_is_up() {
    let mut bench = Bench::new("waits");
    bench.ok(POLICY);
    bench.ok(REMOTE);
    assert_eq!(bench.send("ike initiate p1 --timeout 500ms"), None);
    assert!(bench.core.deadline().is_some_and(|at| at <= Instant::ZERO + Duration::from_millis(500)));
    bench.now = Instant::ZERO + Duration::from_millis(500);
    bench.core.timer(bench.now);
    let (client, answer) = bench.answers().pop().unwrap();
    assert_eq!(client, bench.client);
    assert!(answer.text("errmsg").unwrap().contains("not done yet"));
}

#[test]
fn other_clients_are_served() {
    let mut bench = Bench::new("vici");
    let ask = |name: &str| Request { client: ClientId(1), name: name.to_owned(), message: Message::new() };
    assert!(bench.core.request(&ask("version"), Instant::ZERO));
    assert_eq!(bench.answers()[0].1.text("daemon"), Some("ravelin"));
    assert!(bench.core.request(&ask("stats"), Instant::ZERO + Duration::from_secs(7)));
    let stats = bench.answers().remove(0).1;
    assert_eq!(stats.section("uptime").unwrap().text("running"), Some("7 seconds"));
    assert_eq!(stats.section("ciphers").unwrap().text("packets"), Some("aws-lc"));
    bench.core.events_lost(ravelin_control::Lost { unread: 2, too_long: 1 });
    assert!(bench.core.request(&ask("stats"), Instant::ZERO));
    assert_eq!(bench.answers()[0].1.section("events-lost").unwrap().text("too-long"), Some("1"));
    assert!(!bench.core.request(&ask("nonsense"), Instant::ZERO));
    assert!(bench.core.request(&ask(COMMAND_LINE), Instant::ZERO));
    assert!(bench.answers()[0].1.text("errmsg").unwrap().contains("argv"));
}
