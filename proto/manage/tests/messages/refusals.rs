//! Everything that can be wrong with a message, and its code.

use ravelin_manage::limits::{MAX_APPLICATIONS, MAX_SPIS};
use ravelin_manage::{AppId, Keying, World};
use ravelin_types::dataplane::{DataPlaneError, Table};
use ravelin_types::policy::PolicyId;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_types::{ErrorCode, Secret, Spi};
use ravelin_wire::mgmt::*;

use crate::host::*;
use crate::keying::pair;

const A: &str = "192.0.2.1";
const B: &str = "192.0.2.2";

#[test]
fn every_message_has_one_reply_and_nonsense_is_a_bad_parameter() {
    let mut host = Host::new(A, 1);
    let status = |reply: Vec<u8>| {
        let (header, data) = Header::parse(&reply).unwrap();
        assert!(data.is_empty());
        (header.sequence, header.status.error())
    };
    let bad = Some(ErrorCode::BadParam);
    for kind in 0..=255u8 {
        let message = [kind, 2, 1, 0, 0xab, kind, 0, 1, 0, 0, 0, 0, 0xff];
        match host.raw(APP, &message) {
            // An event from an application confirms one.
            None => assert!((17..=21).contains(&kind)),
            Some(reply) => assert_eq!(status(reply), (u16::from_be_bytes([0xab, kind]), bad), "{kind}"),
        }
    }
    let flush = Request::FlushSad(Nothing).emit(Module::ADMIN, 9);
    let mut not_for_us = flush.expose().to_vec();
    not_for_us[2] = 3;
    assert_eq!(host.raw(APP, &not_for_us).map(status), Some((9, bad)));
    let mut with_status = flush.expose().to_vec();
    with_status[9] = 1;
    assert_eq!(host.raw(APP, &with_status).map(status), Some((9, bad)));
    // Without a header there is nothing to reply to.
    for len in 0..Header::LEN {
        assert_eq!(host.raw(APP, &flush.expose()[..len]), None);
    }
}

#[test]
fn policies_that_make_no_sense() {
    let mut host = Host::new(A, 1);
    let good = transport(A, B);
    let esp = PolicyFlags::PROTO_ESP;
    let tunnel = PolicyBody { action: PolicyAction::SECURE_TUNNEL, ..good };
    let mut backwards = TrafficIdentity::from(&ravelin_types::selector::TrafficSelector::any_v4());
    core::mem::swap(&mut backwards.address, &mut backwards.second);
    let v6 = TrafficIdentity::from(&ravelin_types::selector::TrafficSelector::any_v6());
    for (code, body) in [
        (ErrorCode::BadParam, PolicyBody { action: PolicyAction(0), ..good }),
        (ErrorCode::BadParam, PolicyBody { flags: PolicyFlags::default(), ..good }),
        (ErrorCode::BadParam, PolicyBody { flags: esp.with(PolicyFlags(1 << 31)), ..good }),
        (ErrorCode::BadParam, PolicyBody { flags: good.flags.with(PolicyFlags::DF_SET), ..good }),
        (ErrorCode::BadParam, PolicyBody { flags: esp, replay_window: 64, ..good }),
        // Document 003 §3.12: only where nothing is protected there may be no other end.
        (ErrorCode::BadParam, PolicyBody { remote: Endpoint(None), ..tunnel }),
        (ErrorCode::BadParam, PolicyBody { local: endpoint("2001:db8::1"), ..tunnel }),
        (ErrorCode::BadParam, PolicyBody { remote: endpoint("192.0.2.9"), ..good }),
        (ErrorCode::BadParam, PolicyBody { action: PolicyAction::BYPASS, ..good }),
        (ErrorCode::BadParam, PolicyBody { replay_window: 5000, ..good }),
        (ErrorCode::BadIdType, PolicyBody { source: TrafficIdentity { kind: IdentityType(99), ..v6 }, ..good }),
        (ErrorCode::BadAddrRange, PolicyBody { source: backwards, ..tunnel }),
        (ErrorCode::BadAddrRange, PolicyBody { source: v6, ..tunnel }),
        (ErrorCode::BadPortNumber, PolicyBody { source: host_identity(A, 80), ..good }),
        (ErrorCode::UnknownIpProtocol, PolicyBody { protocol: 58, ..good }),
    ] {
        let result = host.ask(&Request::AddPolicy(body));
        match code {
            // The window is a bound of the SA, not of the policy.
            ErrorCode::BadParam if body.replay_window == 5000 => {
                let Ok(Reply::AddPolicy(PolicyNumber(id))) = result else { panic!("{result:?}") };
                let sa = add(crate::host::esp(id, Spi(256), Spi(257)), 20, 0);
                assert_eq!(host.refused(&Request::AddSa(sa)), code);
            }
            _ => assert_eq!(result, Err(code), "{body:?}"),
        }
    }
    for request in [Request::GetPolicy, Request::DeletePolicy, Request::GetSa, Request::DeleteSa, Request::AcquireFail]
    {
        assert_eq!(host.refused(&request(PolicyNumber(PolicyId(9)))), ErrorCode::PolicyNotFound);
    }
}

fn add(sa: SaBody, encr_len: u8, integ_len: u8) -> AddSa {
    AddSa::new(sa, [key(1, encr_len), key(9, encr_len)], [key(51, integ_len), key(59, integ_len)]).unwrap()
}

#[test]
fn sas_that_cannot_be() {
    let [(mut host, id), _] = pair(PolicyFlags::default());
    let good = esp(id, Spi(256), Spi(257));
    let spis = good.spis;
    let cbc = SaBody { encr: EncrId::AES_CBC, integ: IntegId::HMAC_SHA2_256_128, ..good };
    for (code, add) in [
        (ErrorCode::PolicyNotFound, add(SaBody { policy: PolicyId(9), ..good }, 20, 0)),
        (ErrorCode::BadEspSpi, add(SaBody { spis: SaSpis { esp_in: Spi(255), ..spis }, ..good }, 20, 0)),
        (ErrorCode::BadEspSpi, add(SaBody { spis: SaSpis { esp_out: Spi(0), ..spis }, ..good }, 20, 0)),
        // The policy asks for ESP alone.
        (ErrorCode::BadAhSpi, add(SaBody { spis: SaSpis { ah_in: Spi(300), ..spis }, ..good }, 20, 0)),
        (ErrorCode::UnknownAlgorithm, add(SaBody { encr: EncrId(200), ..good }, 20, 0)),
        (ErrorCode::UnknownAlgorithm, add(SaBody { integ: IntegId(200), ..cbc }, 16, 32)),
        (ErrorCode::BadParam, add(good, 21, 0)),
        (ErrorCode::BadParam, add(cbc, 16, 31)),
        (ErrorCode::BadParam, add(SaBody { integ: IntegId::NONE, ..cbc }, 16, 0)),
        (ErrorCode::BadParam, add(SaBody { integ: IntegId::HMAC_SHA2_256_128, ..good }, 20, 32)),
        (ErrorCode::BadParam, add(SaBody { flags: SaFlags(2), ..good }, 20, 0)),
        (ErrorCode::BadParam, add(SaBody { local: endpoint("2001:db8::1"), ..good }, 20, 0)),
    ] {
        assert_eq!(host.refused(&Request::AddSa(add)), code);
        assert!(host.stack.engine.list().is_empty());
    }
    // What the data plane refuses goes as a whole.
    for (code, error) in [
        (ErrorCode::OutOfSessions, DataPlaneError::Full(Table::Sas, 1)),
        (ErrorCode::OutOfPolicies, DataPlaneError::Full(Table::Policies, 1)),
        (ErrorCode::Nomem, DataPlaneError::System("no".into())),
    ] {
        host.stack.refuse_sa = Some(error);
        assert_eq!(host.refused(&Request::AddSa(add(good, 20, 0))), code);
        assert!(host.stack.engine.list().is_empty());
    }
    assert!(host.ask(&Request::AddSa(add(good, 20, 0))).is_ok());
    assert_eq!(host.refused(&Request::AddSa(add(good, 20, 0))), ErrorCode::Exist);
    // One direction alone is no session.
    let outbound = host.stack.engine.list().into_iter().find(|sa| sa.params.spi == Spi(256)).unwrap().params.id();
    host.stack.delete_sas(&[outbound]);
    assert_eq!(host.refused(&Request::GetSa(PolicyNumber(id))), ErrorCode::BadSessErr);
}

// RFC 3686 §2.1, RFC 4106 §10: the same key and the same counter after a restart.
#[test]
fn keys_by_hand_are_not_for_everything() {
    let [(mut host, id), _] = pair(PolicyFlags::KEYNEG_MANUAL);
    let good = SaBody { encr: EncrId::AES_CBC, integ: IntegId::HMAC_SHA2_256_128, ..esp(id, Spi(256), Spi(257)) };
    for (encr, len) in
        [(EncrId::AES_GCM_16, 20), (EncrId::AES_CCM_16, 19), (EncrId::AES_CTR, 20), (EncrId::CHACHA20_POLY1305, 36)]
    {
        let message = Request::AddSa(add(SaBody { encr, ..good }, len, 32)).emit(Module::IKE, 1);
        let (_, refused) = host.manager.handle(APP, message.expose(), &mut host.stack, Default::default()).unwrap();
        let refused = refused.expect("it is refused");
        assert_eq!(refused.code, ErrorCode::BadParam);
        assert!(refused.why.contains("restart") && refused.why.contains("IKE"), "{refused}");
    }
    let keyed = |encr, octets: &[u8], integ: Key| {
        let key = || Key::new(Secret::from(octets)).unwrap();
        let sa = SaBody { encr, integ: IntegId::HMAC_SHA2_256_128, ..good };
        Request::AddSa(AddSa::new(sa, [key(), key()], [integ.clone(), integ]).unwrap())
    };
    let des3 = |parts: [u64; 3]| parts.iter().flat_map(|part| part.to_be_bytes()).collect::<Vec<u8>>();
    let (k1, k2, k3) = (0x0123_4567_89ab_cdef, 0x2345_6789_abcd_ef01, 0x4567_89ab_cdef_0123);
    for weak in [
        keyed(EncrId::AES_CBC, &[0; 16], key(1, 32)),
        keyed(EncrId::AES_CBC, &[0xaa; 32], key(1, 32)),
        keyed(
            EncrId::AES_CBC,
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7],
            Key::new(Secret::from(&[0; 32][..])).unwrap(),
        ),
        keyed(EncrId::DES, &0x0101_0101_0101_0101_u64.to_be_bytes(), key(1, 32)),
        // A semi-weak one with its parity bits changed.
        keyed(EncrId::DES, &0x01ff_01ff_01ff_01fe_u64.to_be_bytes(), key(1, 32)),
        keyed(EncrId::DES3, &des3([k1, k1, k3]), key(1, 32)),
        // Equal but for the parity.
        keyed(EncrId::DES3, &des3([k1, k2, k2 ^ 1]), key(1, 32)),
    ] {
        assert_eq!(host.refused(&weak), ErrorCode::BadParam, "{weak:?}");
    }
    assert!(host.ask(&Request::AddSa(add(good, 16, 32))).is_ok());
}

#[test]
fn what_an_application_can_hold_is_bounded() {
    let [(mut host, id), _] = pair(PolicyFlags::default());
    assert_eq!(host.refused(&Request::Register(Nothing)), ErrorCode::Exist);
    let register = Request::Register(Nothing).emit(Module::IKE, 1);
    let last = (2..).take_while(|app| {
        let reply = host.raw(AppId(*app), register.expose()).unwrap();
        Header::parse(&reply).unwrap().0.status == Status::OK
    });
    assert_eq!(last.count(), MAX_APPLICATIONS - 1);

    let ask = |protocol| Request::GetSpi(GetSpi { policy: id, protocol, esp: Spi(0), ah: Spi(0) });
    assert_eq!(host.refused(&ask(Protocol(17))), ErrorCode::UnknownIpProtocol);
    let Ok(Reply::GetSpi(both)) = host.ask(&ask(Protocol::ANY)) else { panic!() };
    assert_eq!(both.esp, both.ah);
    let Ok(Reply::GetSpi(ah)) = host.ask(&ask(Protocol::AH)) else { panic!() };
    assert!(ah.ah.is_usable() && ah.esp == Spi(0) && ah.ah != both.ah);
    for _ in 2..MAX_SPIS {
        assert!(host.ask(&ask(Protocol::ESP)).is_ok());
    }
    assert_eq!(host.refused(&ask(Protocol::ESP)), ErrorCode::OutOfReqs);
    // Nobody keeps them for ever.
    host.stack.now = host.stack.now + ravelin_manage::limits::SPI_PATIENCE;
    assert!(host.ask(&ask(Protocol::ESP)).is_ok());
}

#[test]
fn policies_of_our_own_ike_are_not_keyed_from_outside() {
    let [(mut host, id), _] = pair(PolicyFlags::default());
    host.stack.policies.get_mut(&id).unwrap().1 = Keying::Own;
    assert_eq!(host.refused(&Request::AddSa(add(esp(id, Spi(256), Spi(257)), 20, 0))), ErrorCode::BadParam);
    // Its packets are our IKE's to answer.
    assert!(host.send(&udp(A, B, (1, 2))).is_err());
    assert!(host.events().is_empty());
}
