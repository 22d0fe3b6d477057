//! A program keys hosts through the messages alone.

use ravelin_engine::Verdict;
use ravelin_manage::AppId;
use ravelin_manage::admin::{self, Traffic};
use ravelin_manage::limits::MAX_EVENTS;
use ravelin_types::dataplane::Flow;
use ravelin_types::lifetime::{Lifetime, Limits};
use ravelin_types::policy::{Domain, Mode, PolicyId};
use ravelin_types::sa::Direction;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{ErrorCode, Spi};
use ravelin_wire::mgmt::*;

use crate::host::*;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

/// Two hosts with a registered program and a policy each.
pub fn pair(flags: PolicyFlags) -> [(Host, PolicyId); 2] {
    [(A, B, 1), (B, A, 2)].map(|(local, remote, seed)| {
        let mut host = Host::new(local, seed);
        assert_eq!(host.ask(&Request::Register(Nothing)), Ok(Reply::Register(Nothing)));
        let body = PolicyBody { flags: transport(local, remote).flags.with(flags), ..transport(local, remote) };
        let Ok(Reply::AddPolicy(PolicyNumber(id))) = host.ask(&Request::AddPolicy(body)) else { panic!() };
        let [Event::PolicyAdded(told)] = host.events()[..] else { panic!("POLICY_ADDED") };
        assert_eq!((told.id, told.flags, told.local), (id, body.flags, endpoint(local)));
        (host, id)
    })
}

fn get_spi(host: &mut Host, policy: PolicyId, protocol: Protocol) -> GetSpi {
    let asked = GetSpi { policy, protocol, esp: Spi(0), ah: Spi(0) };
    match host.ask(&Request::GetSpi(asked)) {
        Ok(Reply::GetSpi(got)) => got,
        other => panic!("{other:?}"),
    }
}

/// Gives both hosts SAs of this kind.
fn key_both([(a, a_id), (b, b_id)]: &mut [(Host, PolicyId); 2], like: SaBody, encr_len: u8, integ_len: u8) {
    let (a_spi, b_spi) = (get_spi(a, *a_id, Protocol::ESP).esp, get_spi(b, *b_id, Protocol::ESP).esp);
    for (host, policy, inbound, outbound, [first, second]) in
        [(a, *a_id, a_spi, b_spi, [1, 101]), (b, *b_id, b_spi, a_spi, [101, 1])]
    {
        let sa = SaBody { spis: esp(policy, inbound, outbound).spis, policy, ..like };
        let encr = [key(first, encr_len), key(second, encr_len)];
        let integ = [key(first + 50, integ_len), key(second + 50, integ_len)];
        let add = AddSa::new(sa, encr, integ).unwrap();
        assert_eq!(host.ask(&Request::AddSa(add)), Ok(Reply::AddSa(Nothing)));
    }
}

fn gcm() -> SaBody {
    esp(PolicyId(0), Spi(0), Spi(0))
}

// Document 003 §3.14: ACQUIRE, GET_SPI, ADD_SA; then traffic, GET_SA, SA_EXPIRED.
#[test]
fn a_packet_asks_and_a_program_answers_with_keys() {
    let mut hosts = pair(PolicyFlags::default());
    let id = hosts[0].1;
    let packet = udp(A, B, (5, 7));
    assert_eq!(hosts[0].0.send(&packet), Err(Verdict::Hold(id)));
    assert_eq!(Verdict::Hold(id).code(), Some(ErrorCode::KeynegInprogress));
    let [Event::Acquire(Acquire { policy, flow: PacketFlow { flow, .. } })] = hosts[0].0.events()[..] else {
        panic!("ACQUIRE");
    };
    assert_eq!((policy, flow.src, flow.dst, flow.dst_port), (id, ip(A), ip(B), Some(7)));

    let soft = Limits { packets: Some(3), ..Limits::default() };
    let hard = Limits { packets: Some(5), ..Limits::default() };
    key_both(&mut hosts, SaBody { lifetimes: Lifetime { soft, hard, idle: None }.into(), ..gcm() }, 20, 0);
    let [(a, a_id), (b, _)] = &mut hosts;
    for _ in 0..2 {
        let protected = a.send(&packet).unwrap();
        assert_ne!(protected, packet);
        assert_eq!(b.receive(&protected).unwrap(), packet);
    }
    let Ok(Reply::GetSa(info)) = a.ask(&Request::GetSa(PolicyNumber(*a_id))) else { panic!() };
    assert_eq!((info.sent.packets, info.received.packets, info.key_bits), (2, 0, 128));
    assert_eq!((info.sa.local, info.remote), (endpoint(A), endpoint(B)));
    assert_eq!((info.sa.encr, info.sa.lifetimes.lifetime().hard), (EncrId::AES_GCM_16, hard));
    assert!(a.events().is_empty());

    a.send(&packet).unwrap();
    let expired = |hard| {
        Event::SaExpired(SaExpired {
            policy: *a_id,
            protocol: Protocol::ESP,
            direction: Direction::Outbound,
            hard,
            spi: info.sa.spis.esp_out,
            peer: endpoint(B),
        })
    };
    assert_eq!(a.events(), [expired(false)]);
    a.send(&packet).unwrap();
    a.send(&packet).unwrap();
    // The host removes what is over, and says so.
    let gone = SaDeleted { policy: *a_id, spis: info.sa.spis, peer: endpoint(B) };
    assert_eq!(a.events(), [expired(true), Event::SaDeleted(gone)]);
    assert_eq!(a.refused(&Request::GetSa(PolicyNumber(*a_id))), ErrorCode::SaNotFound);
}

#[test]
fn sas_keyed_by_hand_carry_packets() {
    let mut hosts = pair(PolicyFlags::KEYNEG_MANUAL);
    let cbc = SaBody { encr: EncrId::AES_CBC, integ: IntegId::HMAC_SHA2_256_128, ..gcm() };
    key_both(&mut hosts, cbc, 32, 32);
    let [(a, _), (b, b_id)] = &mut hosts;
    let packet = udp(A, B, (5, 7));
    let protected = a.send(&packet).unwrap();
    assert_eq!(b.receive(&protected).unwrap(), packet);
    let Ok(Reply::GetSa(info)) = b.ask(&Request::GetSa(PolicyNumber(*b_id))) else { panic!() };
    assert_eq!((info.key_bits, info.sa.integ, info.received.packets), (256, IntegId::HMAC_SHA2_256_128, 1));
}

// RFC 7296 §1.4.1, §2.4: what a keying program is told by its peer, and what it says about it.
#[test]
fn peers_delete_and_forget() {
    let mut hosts = pair(PolicyFlags::default());
    key_both(&mut hosts, gcm(), 20, 0);
    let (a, a_id) = &mut hosts[0];
    let Ok(Reply::GetSa(info)) = a.ask(&Request::GetSa(PolicyNumber(*a_id))) else { panic!() };
    let spis = info.sa.spis;
    let delete =
        |protocol, peer: Endpoint, spi| Request::DeleteSpis(DeleteSpis::new(protocol, peer, vec![spi]).unwrap());
    // Not by our own SPI, not by another peer, not as AH.
    assert_eq!(a.refused(&delete(Protocol::ANY, endpoint(B), spis.esp_in)), ErrorCode::SaNotFound);
    assert_eq!(a.refused(&delete(Protocol::ANY, endpoint("192.0.2.9"), spis.esp_out)), ErrorCode::SaNotFound);
    assert_eq!(a.refused(&delete(Protocol::AH, endpoint(B), spis.esp_out)), ErrorCode::SaNotFound);
    assert_eq!(a.refused(&delete(Protocol(17), endpoint(B), spis.esp_out)), ErrorCode::UnknownIpProtocol);
    assert_eq!(a.refused(&delete(Protocol::ANY, Endpoint(None), spis.esp_out)), ErrorCode::BadParam);
    let gone = Event::SaDeleted(SaDeleted { policy: *a_id, spis, peer: endpoint(B) });
    assert_eq!(a.ask(&delete(Protocol::ANY, endpoint(B), spis.esp_out)), Ok(Reply::DeleteSpis(Nothing)));
    assert_eq!(a.events(), [gone]);
    assert!(a.stack.engine.list().is_empty());

    let (b, b_id) = &mut hosts[1];
    assert_eq!(b.stack.engine.list().len(), 2);
    let contact = |peer| Request::InitialContact(InitialContact { peer });
    assert!(b.ask(&contact(endpoint("192.0.2.9"))).is_ok());
    assert_eq!(b.stack.engine.list().len(), 2);
    assert_eq!(b.ask(&contact(endpoint(A))), Ok(Reply::InitialContact(Nothing)));
    assert!(b.stack.engine.list().is_empty());
    assert!(matches!(b.events()[..], [Event::SaDeleted(_)]));

    // While an acquire is open there is no other; once it has failed, the next packet asks again.
    let packet = udp(B, A, (5, 7));
    for expected in [1, 0] {
        assert_eq!(b.send(&packet), Err(Verdict::Hold(*b_id)));
        assert_eq!(b.events().len(), expected);
    }
    assert_eq!(b.ask(&Request::AcquireFail(PolicyNumber(*b_id))), Ok(Reply::AcquireFail(Nothing)));
    assert_eq!(b.send(&packet), Err(Verdict::Hold(*b_id)));
    assert!(matches!(b.events()[..], [Event::Acquire(_)]));
}

#[test]
fn the_spd_is_read_in_order_and_by_packet() {
    let [(mut host, id), _] = pair(PolicyFlags::default());
    let drop = PolicyBody {
        id: PolicyId(7),
        action: PolicyAction::DROP,
        protocol: 17,
        flags: PolicyFlags::default(),
        priority: 2,
        source: host_identity(A, 0),
        destination: host_identity(B, 9),
        remote: Endpoint(None),
        ..transport(A, B)
    };
    assert_eq!(host.ask(&Request::AddPolicy(drop)), Ok(Reply::AddPolicy(PolicyNumber(PolicyId(7)))));
    assert_eq!(host.refused(&Request::AddPolicy(drop)), ErrorCode::Exist);
    let mut found = Vec::new();
    let mut last = PolicyId(0);
    while let Ok(Reply::GetPolicies(body)) = host.ask(&Request::GetPolicies(PolicyNumber(last))) {
        last = body.id;
        found.push(body);
    }
    assert_eq!(found.iter().map(|body| body.id).collect::<Vec<_>>(), [PolicyId(7), id]);
    assert_eq!(host.ask(&Request::GetPolicy(PolicyNumber(id))), Ok(Reply::GetPolicy(found[1])));
    assert_eq!((found[0].action, found[0].destination.ports), (PolicyAction::DROP, (9, 9)));
    assert_eq!(host.refused(&Request::GetPolicies(PolicyNumber(PolicyId(u32::MAX)))), ErrorCode::PolicyNotFound);

    let lookup = |port, dst: &str| {
        let flow = Flow { src: ip(A), dst: ip(dst), protocol: 17, src_port: Some(1), dst_port: Some(port) };
        Request::LookupPolicy(PacketFlow { domain: Domain(0), flow })
    };
    assert_eq!(host.ask(&lookup(9, B)), Ok(Reply::LookupPolicy(found[0])));
    assert_eq!(host.ask(&lookup(8, B)), Ok(Reply::LookupPolicy(found[1])));
    assert_eq!(host.refused(&lookup(9, "192.0.2.9")), ErrorCode::PolicyNotFound);

    assert_eq!(host.ask(&Request::DeletePolicy(PolicyNumber(PolicyId(7)))), Ok(Reply::DeletePolicy(Nothing)));
    assert_eq!(host.ask(&Request::FlushSpd(Nothing)), Ok(Reply::FlushSpd(Nothing)));
    assert!(host.stack.policies.is_empty());
    let deleted: Vec<_> = host.events().into_iter().filter(|event| matches!(event, Event::PolicyDeleted(_))).collect();
    assert_eq!(deleted, [PolicyId(7), id].map(|id| Event::PolicyDeleted(PolicyNumber(id))));
}

// S-094: what the original does not support.
#[test]
fn a_policy_is_cloned_for_a_part_of_its_traffic() {
    let mut hosts = pair(PolicyFlags::default());
    let (host, id) = &mut hosts[0];
    let clone = |destination, protocol| {
        Request::ClonePolicy(ClonePolicy { id: *id, protocol, source: host_identity(A, 0), destination })
    };
    let Ok(Reply::ClonePolicy(PolicyNumber(narrow))) = host.ask(&clone(host_identity(B, 53), 17)) else { panic!() };
    let [Event::PolicyAdded(told)] = host.events()[..] else { panic!("POLICY_ADDED") };
    assert_eq!((told.id, told.protocol, told.destination.ports, told.priority), (narrow, 17, (53, 53), 3999));
    assert_eq!(host.send(&udp(A, B, (5, 53))), Err(Verdict::Hold(narrow)));
    assert_eq!(host.send(&udp(A, B, (5, 54))), Err(Verdict::Hold(*id)));
    let outside = clone(host_identity("192.0.2.9", 53), 17);
    assert_eq!(host.refused(&outside), ErrorCode::InboundPolicyFailure);
    host.events();

    // One SA for each. What is an entry's state is told, and not to be given.
    key_both(&mut hosts, gcm(), 20, 0);
    let state = |host: &mut Host, id| {
        let Ok(Reply::GetPolicy(body)) = host.ask(&Request::GetPolicy(PolicyNumber(id))) else { panic!() };
        (body, body.flags.contains(PolicyFlags::INITIALIZED), body.flags.contains(PolicyFlags::CLONED))
    };
    let (host, id) = &mut hosts[0];
    let (original, cloned) = (state(host, *id), state(host, narrow));
    assert_eq!(((original.1, original.2), (cloned.1, cloned.2)), ((true, false), (false, true)));
    assert!(told.flags.contains(PolicyFlags::CLONED));
    for given in [original.0, cloned.0] {
        let again = Request::AddPolicy(PolicyBody { id: PolicyId(0), ..given });
        assert_eq!(host.refused(&again), ErrorCode::BadParam);
    }
    assert!(hosts[0].0.send(&udp(A, B, (5, 54))).is_ok());
    assert_eq!(hosts[0].0.send(&udp(A, B, (5, 53))), Err(Verdict::Hold(narrow)));
    assert_eq!(hosts[0].0.ask(&Request::DeleteSa(PolicyNumber(hosts[0].1))), Ok(Reply::DeleteSa(Nothing)));
}

#[test]
fn flushing_leaves_no_sa() {
    let mut hosts = pair(PolicyFlags::default());
    key_both(&mut hosts, gcm(), 20, 0);
    let (host, id) = &mut hosts[0];
    assert_eq!(host.ask(&Request::FlushSad(Nothing)), Ok(Reply::FlushSad(Nothing)));
    assert!(host.stack.engine.list().is_empty());
    assert_eq!(host.refused(&Request::DeleteSa(PolicyNumber(*id))), ErrorCode::SaNotFound);
}

// A slow application loses events and knows how many; nobody waits for it.
#[test]
fn a_slow_application_sees_a_gap() {
    let [(mut host, _), _] = pair(PolicyFlags::default());
    let bypass = |port| PolicyBody {
        action: PolicyAction::BYPASS,
        protocol: 17,
        flags: PolicyFlags::default(),
        source: host_identity(A, 0),
        destination: host_identity(B, port),
        remote: Endpoint(None),
        ..transport(A, B)
    };
    for port in 1..=MAX_EVENTS as u16 + 10 {
        assert!(host.ask(&Request::AddPolicy(bypass(port))).is_ok());
    }
    assert_eq!(host.manager.lost(), 10);
    let sequence = |host: &mut Host| Header::parse(&host.manager.poll(APP).unwrap()).unwrap().0.sequence;
    // The event about the pair's own policy was the first.
    let taken: Vec<u16> = (0..MAX_EVENTS).map(|_| sequence(&mut host)).collect();
    assert_eq!(taken, (1..=MAX_EVENTS as u16).collect::<Vec<_>>());
    assert!(!host.manager.has_event(APP));
    assert!(host.ask(&Request::AddPolicy(bypass(999))).is_ok());
    assert_eq!(sequence(&mut host), MAX_EVENTS as u16 + 11);
    // Another that registers is told from then on; one that is gone, nothing.
    let register = Request::Register(Nothing).emit(Module::ADMIN, 1);
    assert!(host.raw(AppId(2), register.expose()).is_some());
    assert!(host.ask(&Request::AddPolicy(bypass(998))).is_ok());
    assert!(host.manager.has_event(AppId(2)) && host.manager.has_event(APP));
    host.manager.forget(APP);
    assert!(!host.manager.has_event(APP) && host.manager.is_watched());
}

// Document 003 §3.12: an administrator's program adds policies, and says which direction they are about.
#[test]
fn an_administrator_adds_policies_by_messages() {
    let mut host = Host::new(A, 1);
    let selector = |text: &str| ravelin_types::selector::TrafficSelector::host(ip(text));
    let traffic = Traffic { source: selector(A), destination: selector(B), protocol: 0, priority: 3 };
    let add = |host: &mut Host, request: &Request| {
        let message = request.emit(Module::ADMIN, 7);
        admin::answer(&host.raw(APP, message.expose()).unwrap())
    };
    let packet = udp(A, B, (5, 7));
    let dropped = Err(Verdict::Drop(ravelin_engine::DropReason::PolicyDiscard));
    let discarded = add(&mut host, &admin::discard(&traffic)).unwrap();
    assert_eq!(host.send(&packet), dropped);
    let bypassed = add(&mut host, &admin::bypass(&Traffic { priority: 2, ..traffic })).unwrap();
    assert_ne!(bypassed, discarded);
    assert_eq!(host.send(&packet), Err(Verdict::Bypass));
    let flags = PolicyFlags::PROTO_ESP.with(PolicyFlags::TX_TFC_PADDING);
    let request = admin::protect(&Traffic { priority: 1, ..traffic }, Mode::Transport, ip(B), flags);
    let protected = add(&mut host, &request).unwrap();
    assert_eq!(host.send(&packet), Err(Verdict::Hold(protected)));
    assert_eq!(
        add(&mut host, &admin::protect(&traffic, Mode::Tunnel, ip(B), PolicyFlags(1 << 30))),
        Err(ErrorCode::BadParam)
    );
    assert_eq!(admin::answer(&[1, 2, 3]), Err(ErrorCode::BadParam));

    // SPD-O and SPD-I (RFC 4301 §4.4.1), as GET_POLICY has them too.
    for (flag, out, back) in [
        (PolicyFlags::OUTBOUND_ONLY, dropped.clone(), Err(Verdict::Drop(ravelin_engine::DropReason::NoPolicy))),
        (PolicyFlags::INBOUND_ONLY, Err(Verdict::Drop(ravelin_engine::DropReason::NoPolicy)), dropped.clone()),
    ] {
        let mut host = Host::new(A, 1);
        let Request::AddPolicy(body) = admin::discard(&traffic) else { panic!() };
        let number = add(&mut host, &Request::AddPolicy(PolicyBody { flags: flag, ..body })).unwrap();
        assert_eq!((host.send(&packet), host.receive(&udp(B, A, (7, 5)))), (out, back));
        let Ok(Reply::GetPolicy(told)) = host.ask(&Request::GetPolicy(PolicyNumber(number))) else { panic!() };
        assert_eq!(told.flags, flag);
        let both = PolicyFlags::OUTBOUND_ONLY.with(PolicyFlags::INBOUND_ONLY);
        assert_eq!(add(&mut host, &Request::AddPolicy(PolicyBody { flags: both, ..body })), Err(ErrorCode::BadParam));
    }
}

// Document 003 §3.10: SP_TX_TFC_PADDING.
#[test]
fn a_policy_hides_the_length_of_its_packets() {
    let lengths = |flags| {
        let mut hosts = pair(flags);
        key_both(&mut hosts, gcm(), 20, 0);
        let [(a, _), (b, _)] = &mut hosts;
        let mut lengths = std::collections::BTreeSet::new();
        for port in 1..40 {
            let packet = udp(A, B, (5, port));
            let protected = a.send(&packet).unwrap();
            lengths.insert(protected.len());
            assert_eq!(b.receive(&protected).unwrap(), packet);
        }
        lengths
    };
    assert_eq!(lengths(PolicyFlags::default()).len(), 1);
    let hidden = lengths(PolicyFlags::TX_TFC_PADDING);
    assert!(hidden.len() > 10 && hidden.last().unwrap() - hidden.first().unwrap() <= 256, "{hidden:?}");
}
