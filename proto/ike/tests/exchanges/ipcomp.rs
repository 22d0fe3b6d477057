//! What the tests of both versions about compressed packets (RFC 3173) have in common.

use ravelin_ike::Config;
use ravelin_ike::view::Labels;
use ravelin_types::Cpi;
use ravelin_types::options::IpComp;
use ravelin_types::sa::Direction;

use crate::lab::{Host, Lab, protection};

/// Whether a host's policy asks for it, with a data plane that can.
pub fn give(config: &mut Config, wanted: bool) {
    config.ipcomp = true;
    let protection = protection(config);
    protection.options.ipcomp = if wanted { IpComp::Negotiate } else { IpComp::Off };
}

/// The labels of the one Child SA, which its two SAs in the data plane have too.
pub fn labels(host: &Host) -> Option<Labels> {
    let child = host.child();
    let of = |direction, spi| host.sa(direction, spi).options.ipcomp;
    let (inbound, outbound) = (of(Direction::Inbound, child.inbound), of(Direction::Outbound, child.outbound));
    assert_eq!(inbound, child.ipcomp.map(|labels| labels.inbound).into());
    assert_eq!(outbound, child.ipcomp.and_then(|labels| labels.outbound).into());
    child.ipcomp
}

/// Each sends with the label that the other chose.
pub fn assert_agreed(lab: &Lab) -> Labels {
    let (a, b) = (labels(&lab.a).unwrap(), labels(&lab.b).unwrap());
    assert_eq!((a.outbound, b.outbound), (Some(b.inbound), Some(a.inbound)));
    assert!(Cpi::NEGOTIATED.contains(&a.inbound.0) && Cpi::NEGOTIATED.contains(&b.inbound.0));
    lab.assert_mirrored();
    a
}
