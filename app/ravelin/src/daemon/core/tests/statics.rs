//! Accounts whose keys are their passwords.

use std::collections::BTreeMap;

use ravelin_config::account::Account;
use ravelin_manage::Keying;
use ravelin_types::dataplane::Flow;

use super::*;
use crate::daemon::keyed::statics::Statics;

/// A client of one account, and the number of its policy.
fn client(name: &str) -> (Bench, PolicyId) {
    use std::os::unix::fs::PermissionsExt;
    let mut bench = Bench::new(name);
    let path = bench.directory.join("one.conf");
    let text = "SRV_ADDR=10.0.0.2\nSRV_PROTO=tcp\nSRV_PORT=7000\nUSER=0x1001\nPASSWORD=1234567890123456\n\
                ENC_ALG='cbc(aes)'\nKEYS=static\nIDLE=60\n";
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let account = Account::read(&path).unwrap();
    let keying = Keying::Program { manual: true, ah: false, esp: true };
    let id = bench.core.model.add_keyed(account.static_policy(false, false), keying, None).unwrap();
    bench.core.serve_statics(Statics::new(BTreeMap::from([(id, account)]), false)).unwrap();
    (bench, id)
}

impl Bench {
    pub(super) fn happens(&mut self, event: DataPlaneEvent) {
        self.plane.0.borrow_mut().events = vec![event];
        self.core.plane_events(self.now, 1);
    }

    fn outbound(&self) -> Option<SaStatus> {
        self.plane.0.borrow().sas.iter().find(|sa| sa.params.direction == Direction::Outbound).cloned()
    }
}

fn flow() -> Flow {
    let [src, dst] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    Flow { src, dst, protocol: 6, src_port: Some(40000), dst_port: Some(7000) }
}

#[test]
fn an_account_is_told_before_its_numbers_run_out_and_goes_on() {
    let (mut bench, policy) = client("statics-numbers");
    bench.happens(DataPlaneEvent::Acquire { policy, flow: flow(), processor: None });
    let before = bench.outbound().expect("an SA").params;
    // RFC 4303 §3.3.3: the counter must not cycle.
    let told = before.lifetime.soft.packets.expect("a limit");
    assert!((u64::from(u32::MAX) / 10 * 9..u64::from(u32::MAX)).contains(&told), "{told}");
    assert_eq!(before.lifetime.hard.packets, None);
    bench.plane.0.borrow_mut().sas.iter_mut().for_each(|sa| sa.counters.packets = told);
    bench.happens(DataPlaneEvent::SoftExpire(before.id()));
    let after = bench.outbound().expect("an SA");
    assert_eq!((after.params.id(), after.counters.packets), (before.id(), 0), "made anew");
    assert_eq!(after.params.keys.encr.expose(), before.keys.encr.expose());
    assert_eq!(bench.plane.0.borrow().sas.len(), 2);
}

#[test]
fn an_account_has_sas_between_hosts_alone() {
    let (mut bench, policy) = client("statics-nobody");
    let before = bench.plane.0.borrow().sas.len();
    // What an earlier daemon had for this policy is asked for, and nobody knows with whom it was.
    let flow = Flow { src: [0, 0, 0, 0].into(), ..flow() };
    bench.happens(DataPlaneEvent::Acquire { policy, flow, processor: None });
    assert_eq!(bench.plane.0.borrow().sas.len(), before);
}

#[test]
fn what_another_program_took_from_an_account_is_made_anew() {
    let (mut bench, policy) = client("statics-lost");
    bench.happens(DataPlaneEvent::Acquire { policy, flow: flow(), processor: None });
    let sas: Vec<_> = bench.plane.0.borrow().sas.iter().map(|sa| sa.params.id()).collect();
    assert_eq!(sas.len(), 2);
    for id in sas.iter().copied() {
        // What is listed still, and has carried something, is not there any more.
        bench.plane.0.borrow_mut().sas.iter_mut().for_each(|sa| sa.counters.packets = 5);
        bench.happens(DataPlaneEvent::Lost(id));
        let plane = bench.plane.0.borrow();
        let found = plane.sas.iter().find(|sa| sa.params.id() == id).expect("it is there again");
        assert_eq!(found.counters.packets, 0, "made anew");
    }
    assert_eq!(bench.plane.0.borrow().sas.len(), 2);
}

#[test]
fn what_an_account_does_not_use_goes_and_comes_back() {
    let (mut bench, policy) = client("statics-idle");
    for _ in 0..2 {
        bench.happens(DataPlaneEvent::Acquire { policy, flow: flow(), processor: None });
        let sa = bench.outbound().expect("an SA").params;
        assert_eq!(sa.lifetime.idle, Some(Duration::from_secs(60)));
        bench.happens(DataPlaneEvent::Idle(sa.id()));
        assert!(bench.outbound().is_none());
    }
}
