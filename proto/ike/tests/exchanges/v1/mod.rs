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

use ravelin_ike::config::{Config, IkeVersion, V1};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};

use crate::lab::{Host, Lab};

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
