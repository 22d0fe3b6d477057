//! Those with users whom a RADIUS server knows.

use super::{Example, Said, road_warrior};
use crate::servers::Servers;

const fn radius(name: &'static str, method: &'static str) -> Example {
    road_warrior(name, "192.168.0.100").served(Servers::LISTS.radius(method, "Ar3etTnp")).answered(ANSWERS)
}

const ANSWERS: Said = Said { ravelin: &[], swan: &["authentication of 'carol@strongswan.org' with EAP successful"] };
const REFUSED: Said =
    Said { ravelin: &["the authenticator refused EAP-"], swan: &["received EAP_FAILURE, EAP authentication failed"] };
const NOTHING: Said = Said { ravelin: &[], swan: &["with EAP successful"] };

/// Dave, whose password the server does not know.
const fn stranger(name: &'static str, method: &'static str) -> Example {
    super::dave(name, "192.168.0.200").served(Servers::LISTS.radius(method, "Ar3etTnp")).refused().begun(REFUSED)
}

/// EAP over RADIUS.
pub const USERS: &[Example] = &[
    radius("ikev2/rw-eap-md5-radius", "md5"),
    radius("ikev2/rw-eap-md5-id-radius", "md5"),
    radius("ikev2/rw-eap-md5-class-radius", "md5").child("alice").answered(NOTHING),
    radius("ikev2/rw-eap-md5-class-radius", "md5").child("venus").to("10.1.0.20").refused().answered(NOTHING),
    radius("ikev2/rw-eap-framed-ip-radius", "md5").from("10.3.0.1").answered(NOTHING).we_begin(),
    // Three packets each way, of 84 octets each.
    radius("ikev2/rw-radius-accounting", "md5").written(&[
        "User-Name = \"carol\"",
        "Acct-Input-Octets = 252",
        "Acct-Output-Octets = 252",
    ]),
    radius("ikev2/rw-eap-tls-radius", "tls"),
    radius("ikev2/rw-eap-ttls-radius", "ttls"),
    stranger("ikev2/rw-eap-ttls-radius", "ttls"),
    // Debian's strongSwan has no EAP-PEAP.
    radius("ikev2/rw-eap-peap-radius", "peap").we_begin(),
    stranger("ikev2/rw-eap-peap-radius", "peap").we_begin(),
    // The users of IKEv1 are among its secrets here.
    radius("ikev1/xauth-rsa-radius", "md5").served(Servers::LISTS.radius("md5", "4iChxLT3")).answered(XAUTH).we_begin(),
    radius("ikev1/xauth-rsa-eap-md5-radius", "md5")
        .served(Servers::LISTS.radius("md5", "4iChxLT3"))
        .answered(XAUTH)
        .we_begin(),
];

const XAUTH: Said = Said { ravelin: &[], swan: &["XAuth authentication of 'carol@strongswan.org' successful"] };
