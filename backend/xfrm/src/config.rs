//! What can be set about this data plane.

use std::time::Duration;

use crate::error::Error;

/// The shortest time for which an acquire is taken for under way: no negotiation is shorter than a look at the SAs.
const MIN_ACQUIRE: Duration = Duration::from_secs(1);
/// The longest: so long the packets of a flow whose negotiation was forgotten would have to wait.
const MAX_ACQUIRE: Duration = Duration::from_secs(3600);

/// Ports and times. The defaults suit one daemon per network namespace.
#[derive(Clone, Debug)]
pub struct XfrmConfig {
    /// UDP port of IKE.
    pub ike_port: u16,
    /// UDP port of IKE and ESP behind a NAT (RFC 3948).
    pub nat_port: u16,
    /// Time between NAT keepalives to the peers of SAs inside UDP (RFC 3948 §4); `None`: never.
    pub keepalive: Option<Duration>,
    /// How long an acquire is taken for under way: so long no other is raised for the same packets of a policy that
    /// takes selectors from the packet. Longer than an authentication takes, whatever the kernel's own timer says.
    pub acquire: Duration,
}

impl Default for XfrmConfig {
    fn default() -> Self {
        XfrmConfig {
            ike_port: 500,
            nat_port: 4500,
            keepalive: Some(Duration::from_secs(20)),
            acquire: Duration::from_secs(165),
        }
    }
}

impl XfrmConfig {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.ike_port == 0 || self.nat_port == 0 || self.ike_port == self.nat_port {
            let (ike, nat) = (self.ike_port, self.nat_port);
            return Err(Error::Config(format!("IKE ports {ike} and {nat}: expected two different ports")));
        }
        if !(MIN_ACQUIRE..=MAX_ACQUIRE).contains(&self.acquire) {
            let given = self.acquire;
            return Err(Error::Config(format!("acquires under way for {given:?}: expected a second to an hour")));
        }
        Ok(())
    }
}
