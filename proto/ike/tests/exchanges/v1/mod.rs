//! IKEv1: two endpoints, one message at a time.

mod aggressive;
mod hostile;
mod ipcomp;
mod main_mode;
mod nat;
mod pad;
mod quick_mode;
mod session;
mod signature;
mod xauth;

use std::time::Duration;

use ravelin_ike::Command;
use ravelin_ike::config::{Config, IkeVersion, V1};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};

use crate::lab::{Host, Lab, POLICY};

pub const MAIN: u8 = 2;
pub const AGGRESSIVE: u8 = 4;
pub const INFORMATIONAL: u8 = 5;
pub const QUICK: u8 = 32;

pub fn proposal(ke: KeMethod) -> Proposal {
    Proposal {
        protocol: ProtocolId::IKE,
        transforms: vec![
            Transform::Encr(EncrId::AES_CBC, Some(256)),
            Transform::Prf(PrfId::HMAC_SHA2_256),
            Transform::Ke(ke),
        ],
    }
}

/// Makes a configuration one of IKEv1.
pub fn v1(config: &mut Config, aggressive: bool) {
    for remote in &mut config.remotes {
        remote.version = IkeVersion::V1(V1 { aggressive, ..V1::default() });
        remote.proposals = vec![proposal(KeMethod::ECP256)];
    }
}

/// Two hosts that speak IKEv1, with configurations changed by the test.
pub fn lab(change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    Lab::with(|a, b| {
        v1(a, false);
        v1(b, false);
        change(a, b);
    })
}

/// With an ISAKMP SA and one Child SA that A began.
pub fn up() -> Lab {
    let mut lab = lab(|_, _| ());
    lab.establish();
    lab
}

/// Exchange and whether it is encrypted, of a waiting message.
pub fn next(host: &Host) -> Option<(u8, bool)> {
    host.sent.front().map(|message| (message.data[18], message.data[19] & 1 != 0))
}

/// Initiates, and loses the message with this number, from 0: all stands in the end.
pub fn comes_up_without(lost: usize, mut lab: Lab) -> Lab {
    lab.a.command(Command::Initiate(POLICY));
    let mut count = 0;
    for _ in 0..60 {
        loop {
            let from_a = !lab.a.sent.is_empty();
            let Some(message) = (if from_a { lab.a.sent.pop_front() } else { lab.b.sent.pop_front() }) else {
                if lab.a.answer() || lab.b.answer() {
                    continue;
                }
                break;
            };
            count += 1;
            if count - 1 == lost {
                continue;
            }
            if from_a { lab.b.receive(&message) } else { lab.a.receive(&message) }
        }
        lab.sleep(Duration::from_secs(1));
    }
    assert!(count > lost, "there is no message {lost}");
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]), "message {lost}");
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1), "message {lost}");
    lab
}
