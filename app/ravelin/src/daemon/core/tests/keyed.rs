//! Keys by hand, and keying programs.

use ravelin_manage::AppId;
use ravelin_types::dataplane::Flow;
use ravelin_types::policy::{Action, Domain};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::mgmt::{
    AddSa, Endpoint, Event as Told, Header, Key, Lifetimes, Module, Nothing, PolicyAction, PolicyBody, PolicyFlags,
    PolicyNumber, Reply, Request as Asked, SaBody, SaFlags, SaSpis, parse_answer,
};

use super::*;

const APP: AppId = AppId(1);
const ADDSA: &str = "ipsec addsa -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16 -e AES128-CBC \
                     -f 000102030405060708090a0b0c0d0e0f -g 0f0e0d0c0b0a09080706050403020100 -a HMAC-SHA-1 \
                     -b 000102030405060708090a0b0c0d0e0f10111213 -c 131211100f0e0d0c0b0a09080706050403020100 \
                     -w 0x1000 -x 0x2000";

impl Bench {
    fn ask(&mut self, asked: &Asked) -> Result<Reply, ravelin_types::ErrorCode> {
        let reply = self.core.manage(APP, asked.emit(Module::IKE, 7).expose(), self.now).expect("one reply");
        let (header, data) = Header::parse(&reply).unwrap();
        assert_eq!(header.sequence, 7);
        parse_answer(&header, data).unwrap().map_err(|status| status.error().unwrap())
    }

    fn told(&mut self) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some(message) = self.core.management_event(APP) {
            let (header, data) = Header::parse(&message).unwrap();
            told.push(Told::parse(header.kind, data).unwrap());
        }
        told
    }

    fn sas(&self) -> usize {
        self.plane.0.borrow().sas.len()
    }
}

fn policy(remote: [u8; 4]) -> PolicyBody {
    let any = TrafficSelector::any_v4();
    PolicyBody {
        id: PolicyId(0),
        action: PolicyAction::SECURE_TUNNEL,
        protocol: 0,
        domain: Domain::default(),
        flags: PolicyFlags::PROTO_ESP.with(PolicyFlags::CHECK_REPLAY),
        priority: 4,
        source: (&any).into(),
        destination: (&any).into(),
        remote: Endpoint(Some(remote.into())),
        local: Endpoint(None),
        replay_window: 0,
    }
}

fn sa(policy: PolicyId) -> AddSa {
    let key = |octet: u8| Key::new(Secret::new((0..20).map(|i| i ^ octet).collect())).unwrap();
    let sa = SaBody {
        policy,
        flags: SaFlags::default(),
        encr: EncrId::AES_GCM_16,
        integ: IntegId::NONE,
        spis: SaSpis { esp_in: Spi(0x1000), esp_out: Spi(0x2000), ah_in: Spi(0), ah_out: Spi(0) },
        lifetimes: Lifetimes::default(),
        udp_ports: (0, 0),
        local: Endpoint(None),
    };
    AddSa::new(sa, [key(1), key(2)], [Key::default(), Key::default()]).unwrap()
}

#[test]
fn an_sa_by_hand_is_installed_listed_and_deleted() {
    let mut bench = Bench::new("addsa");
    let answer = bench.ok(ADDSA);
    assert!(answer.list("notes").unwrap()[0].contains("ps"));
    {
        let held = bench.plane.0.borrow();
        let policy = held.policies.values().next().unwrap();
        let Action::Protect(protection) = &policy.action else { panic!() };
        assert_eq!((policy.priority, protection.replay_window), (4000, 0));
        let [inbound, outbound] = &held.sas[..] else { panic!("two SAs") };
        let (inbound, outbound) = (&inbound.params, &outbound.params);
        // Our end is the one from which the other is reached.
        assert_eq!((inbound.spi, inbound.src, inbound.dst), (Spi(0x1000), [10, 0, 0, 2].into(), [10, 0, 0, 1].into()));
        assert_eq!((outbound.spi, outbound.pair), (Spi(0x2000), Spi(0x1000)));
        assert_eq!((inbound.keys.encr.expose()[0], outbound.keys.encr.expose()[0]), (0, 0x0f));
        assert_eq!((inbound.keys.integ.expose()[0], outbound.keys.integ.expose()[0]), (0, 0x13));
        assert!(outbound.local_ts[0].to_string() == "10.1.0.0/16" && outbound.policy == policy.id);
    }
    let listing = bench.ok("ipsec netstat");
    let row = listing.section("policies").unwrap().section("6").unwrap();
    let fields = ["spid", "priority", "action", "source", "destination", "mode", "gateway", "name", "keys"];
    assert_eq!(
        fields.map(|name| row.text(name).unwrap()),
        ["6", "4", "secure", "10.1.0.0/16", "10.2.0.0/16", "tunnel", "10.0.0.2", "spid-6", "manual"]
    );
    let session = listing.section("sas").unwrap().section("1").unwrap();
    assert_eq!((session.text("spi"), session.text("spid")), (Some("00001000"), Some("6")));
    assert_eq!(bench.ok("ipsec policy -v -n spid-6").section("policies").unwrap().sections().count(), 1);

    let error = bench.refused(ADDSA);
    assert!(error.contains("exists already"), "{error}");
    assert_eq!(bench.sas(), 2);
    assert!(bench.refused("ipsec delsa -s any -d any").contains("no SA was added"));
    bench.ok("ipsec delsa -s 10.1.0.0/16 -d 10.2.0.0/16");
    assert_eq!((bench.sas(), bench.plane.0.borrow().policies.len()), (0, 0));

    bench.ok(ADDSA);
    bench.ok("ipsec flush -c");
    assert_eq!((bench.sas(), bench.plane.0.borrow().policies.len()), (0, 1));
    bench.ok("ipsec flush -p");
    assert!(bench.plane.0.borrow().policies.is_empty());
}

#[test]
fn keys_by_hand_that_are_refused() {
    let mut bench = Bench::new("badkeys");
    let gcm = ADDSA.replace("AES128-CBC", "AES128-GCM").replace("0e0f -g", "0e0f10111213 -g");
    let gcm = gcm.replace("-g 0f0e", "-g 131211100f0e").split(" -a ").next().unwrap().to_owned() + " -w 256 -x 257";
    for (line, words) in [
        (gcm.as_str(), "after a restart"),
        (&ADDSA.replace("000102030405060708090a0b0c0d0e0f -g", "00000000000000000000000000000000 -g"), "over and over"),
        (&ADDSA.replace("-b 00", "-b "), "takes a key of 20 bytes"),
        (&ADDSA.split(" -a ").next().map(|line| format!("{line} -w 256 -x 257")).unwrap(), "needs an integrity"),
        (&format!("{ADDSA} -y 256 -z 257"), "both inbound SPIs must be the same"),
    ] {
        let error = bench.refused(line);
        assert!(error.contains(words), "{line}: {error}");
    }
}

#[test]
fn sas_by_hand_are_there_from_the_start() {
    let plane = FakePlane::default();
    let mut model = Model::new();
    let argv: Vec<String> = ADDSA.split_whitespace().map(str::to_owned).collect();
    let ravelin_config::Command::AddSa(spec) = ravelin_config::parse(&argv).unwrap().command else { panic!() };
    model.add_manual(*spec, std::path::Path::new("/")).unwrap();
    assert!(Core::new(model, plane.clone(), ike_provider(), Box::new(SystemRandom), Instant::ZERO).is_ok());
    assert_eq!((plane.0.borrow().sas.len(), plane.0.borrow().policies.len()), (2, 1));
}

// Document 003 §3.14.
#[test]
fn a_program_keys_a_policy_and_is_told_of_everything() {
    let mut bench = Bench::new("program");
    assert_eq!(bench.ask(&Asked::Register(Nothing)), Ok(Reply::Register(Nothing)));
    let Ok(Reply::AddPolicy(PolicyNumber(id))) = bench.ask(&Asked::AddPolicy(policy([10, 0, 0, 2]))) else { panic!() };
    assert_eq!(id, PolicyId(6));
    assert!(matches!(bench.told()[..], [Told::PolicyAdded(told)] if told.id == id && told.priority == 4000));

    // A packet that asks is the program's, not our IKE's.
    let flow = Flow {
        src: [10, 1, 0, 1].into(),
        dst: [10, 2, 0, 1].into(),
        protocol: 6,
        src_port: Some(1),
        dst_port: Some(2),
    };
    bench.plane.0.borrow_mut().events.push(DataPlaneEvent::Acquire { policy: id, flow, processor: None });
    bench.core.plane_events(bench.now, 10);
    assert!(matches!(bench.told()[..], [Told::Acquire(asked)] if asked.policy == id && asked.flow.flow == flow));
    assert_eq!(bench.ask(&Asked::AddSa(sa(id))), Ok(Reply::AddSa(Nothing)));
    assert_eq!(bench.sas(), 2);
    assert_eq!(bench.ask(&Asked::AddSa(sa(id))), Err(ravelin_types::ErrorCode::Exist));

    let expired = bench.plane.0.borrow().sas[0].params.id();
    bench.plane.0.borrow_mut().events.push(DataPlaneEvent::HardExpire(expired));
    bench.core.plane_events(bench.now, 10);
    let told = bench.told();
    assert!(
        matches!(&told[..], [Told::SaExpired(end), Told::SaDeleted(gone)]
        if end.hard && end.spi == Spi(0x1000) && gone.spis.esp_out == Spi(0x2000)),
        "{told:?}"
    );
    assert_eq!(bench.sas(), 0);

    // What the operator does, the program is told too.
    bench.ok(POLICY);
    bench.ok("ipsec policy -x p1");
    let told = bench.told();
    assert!(
        matches!(&told[..], [Told::PolicyAdded(added), Told::PolicyDeleted(PolicyNumber(gone))]
        if added.id == *gone && added.id == PolicyId(7)),
        "{told:?}"
    );
    bench.ok(&format!("ipsec policy -x spid-{}", id.0));
    assert!(matches!(bench.told()[..], [Told::PolicyDeleted(PolicyNumber(gone))] if gone == id));
}

#[test]
fn a_program_sees_and_ends_what_the_operator_configured() {
    let mut bench = Bench::new("admin");
    bench.ok(POLICY);
    let Ok(Reply::GetPolicy(found)) = bench.ask(&Asked::GetPolicy(PolicyNumber(PolicyId(6)))) else { panic!() };
    assert_eq!((found.action, found.remote), (PolicyAction::SECURE_TUNNEL, Endpoint(Some([10, 0, 0, 2].into()))));
    assert_eq!(bench.ask(&Asked::AddSa(sa(PolicyId(6)))), Err(ravelin_types::ErrorCode::BadParam));
    let mut count = 0;
    let mut last = PolicyId(0);
    while let Ok(Reply::GetPolicies(body)) = bench.ask(&Asked::GetPolicies(PolicyNumber(last))) {
        (last, count) = (body.id, count + 1);
    }
    assert_eq!((count, last), (6, PolicyId(6)));
    // The automatic ones stay.
    let automatic = Asked::DeletePolicy(PolicyNumber(PolicyId(1)));
    assert_eq!(bench.ask(&automatic), Err(ravelin_types::ErrorCode::BadParam));
    assert_eq!(bench.ask(&Asked::FlushSpd(Nothing)), Ok(Reply::FlushSpd(Nothing)));
    assert!(bench.plane.0.borrow().policies.is_empty());
    assert!(bench.told().is_empty(), "nobody has registered");
}
