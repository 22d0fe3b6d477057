//! Namespaces, links and routers of one case, around the one wire that all cases share.

use anyhow::{Result, bail};

use crate::guest::Guest;
use crate::plan::{Nat, Plan};
use crate::process::{Namespace, sh};
use crate::traffic;

/// Name of the bridge that is the wire.
pub const WIRE: &str = "wire";
/// The guest's links on this side: on the wire, and for steering it.
pub const GUEST_WIRE: &str = "guest0";
/// See [`GUEST_WIRE`].
pub const GUEST_STEER: &str = "guest1";
/// The guest's link for a Ravelin that runs there.
pub const GUEST_RAVELIN: &str = "guest2";
/// The guest's address for steering.
pub const GUEST_ADDRESS: &str = "169.254.77.2";

/// Ravelin's host.
pub const RAVELIN: Namespace = Namespace::Named("rvi-ravelin");
/// The peer's host when it runs natively.
pub const SWAN: Namespace = Namespace::Named("rvi-swan");
/// The router that translates addresses.
pub const ROUTER: Namespace = Namespace::Named("rvi-router");

/// Makes the wire and the guest's taps; once a run.
pub fn lay_wire() -> Result<()> {
    sh(&format!(
        "ip link add {WIRE} type bridge forward_delay 0 mcast_snooping 0
         echo 1 >/proc/sys/net/ipv6/conf/{WIRE}/disable_ipv6
         ip link set {WIRE} up
         ip tuntap add {GUEST_WIRE} mode tap
         echo 1 >/proc/sys/net/ipv6/conf/{GUEST_WIRE}/disable_ipv6
         ip link set {GUEST_WIRE} up
         ip tuntap add {GUEST_STEER} mode tap
         ip addr add 169.254.77.1/24 dev {GUEST_STEER}
         ip link set {GUEST_STEER} up
         ip tuntap add {GUEST_RAVELIN} mode tap
         echo 1 >/proc/sys/net/ipv6/conf/{GUEST_RAVELIN}/disable_ipv6
         ip link set {GUEST_RAVELIN} up"
    ))?;
    Ok(())
}

/// Where a side runs.
#[derive(Clone, Copy, Debug)]
pub enum Host<'a> {
    /// In a namespace of the sandbox.
    Namespace(&'a Namespace),
    /// In the guest.
    Guest(&'a Guest),
    /// In a namespace of the guest.
    GuestRavelin(&'a Guest),
}

impl Host<'_> {
    /// The link on the wire behind which Ravelin is.
    pub fn port(&self, nat: Nat) -> &'static str {
        match (self, nat) {
            (Host::GuestRavelin(_), Nat::None) => GUEST_RAVELIN,
            _ => "r0",
        }
    }

    /// Runs a shell line where ESP is the kernel's.
    pub fn kernel(&self, line: &str) -> Result<String> {
        match self {
            Host::Namespace(_) => bail!("this peer has no ESP in the kernel"),
            Host::Guest(_) | Host::GuestRavelin(_) => self.sh(line),
        }
    }

    /// Runs a shell line there, which must succeed.
    pub fn sh(&self, line: &str) -> Result<String> {
        match self {
            Host::Namespace(namespace) => namespace.sh(line),
            Host::Guest(guest) => guest.sh(line),
            Host::GuestRavelin(guest) => guest.sh_as_ravelin(line),
        }
    }
}

/// The network of one case; dropping it takes it down.
#[derive(Debug)]
pub struct Lab;

impl Lab {
    /// Builds the network of `plan`. Clear text has a route to the other side everywhere, so what leaks shows on the wire.
    pub fn build(plan: &Plan, ravelin: Host<'_>, swan: Host<'_>) -> Result<Self> {
        let lab = Lab;
        take_down();
        match ravelin {
            Host::Namespace(namespace) => add_namespace(namespace)?,
            Host::Guest(guest) | Host::GuestRavelin(guest) => guest.make_ravelin()?,
        }
        match swan {
            Host::Namespace(namespace) => {
                add_namespace(namespace)?;
                plug(namespace, "s0", "eth0", "02:00:00:00:02:02")?;
            }
            Host::Guest(_) | Host::GuestRavelin(_) => {
                // A connection whose other end went with its case is not to be ended on the wire of this one, nor is its filter to stay.
                swan.sh(&format!(
                    "[ ! -e /sys/module/nf_tables ] || nft flush ruleset; ip link set eth0 down; ss -HK state connected '( sport = :{0} or dport = :{0} )' >/dev/null",
                    traffic::PORT
                ))?;
                sh(&format!("ip link set {GUEST_WIRE} master {WIRE}"))?;
            }
        }
        // Names that an earlier case has given are not those of this one.
        for host in [ravelin, swan] {
            host.sh("[ -e /run/hosts.first ] || cp /etc/hosts /run/hosts.first; cat /run/hosts.first >/etc/hosts")?;
        }
        ravelin.sh("ip addr add 10.1.0.1/32 dev lo; ip addr add 2001:db8:1::1/128 dev lo")?;
        match plan.nat {
            Nat::None => {
                match ravelin {
                    Host::Namespace(namespace) => plug(namespace, "r0", "eth0", "02:00:00:00:01:01")?,
                    _ => drop(sh(&format!("ip link set {GUEST_RAVELIN} master {WIRE}"))?),
                }
                ravelin.sh("ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8:f::1/64 dev eth0 nodad
                            ip route add 10.2.0.0/16 via 192.0.2.2; ip route add 2001:db8:2::/48 via 2001:db8:f::2")?;
            }
            nat => route(nat, ravelin)?,
        }
        swan.sh("ip addr flush dev lo; ip addr add 127.0.0.1/8 dev lo
                 ip addr add 10.2.0.1/32 dev lo; ip addr add 2001:db8:2::1/128 dev lo
                 ip link set eth0 down; ip addr flush dev eth0; ip link set eth0 up
                 ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8:f::2/64 dev eth0 nodad
                 ip route add default via 192.0.2.254")?;
        if plan.nat == Nat::None {
            swan.sh("ip route add 10.1.0.0/16 via 192.0.2.1; ip route add 2001:db8:1::/48 via 2001:db8:f::1")?;
        }
        Ok(lab)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        take_down();
    }
}

/// Removes what is there of a case's network; nothing there is fine.
fn take_down() {
    // The kernel takes a namespace's links down some time after its name is gone: too late for the next case, so they go first.
    let _ = sh("for link in r0 s0 n0 inner; do ip link del $link 2>/dev/null || true; done");
    // The guest sees this file below its own.
    let _ = sh("[ ! -e /run/hosts.first ] || cat /run/hosts.first >/etc/hosts");
    for namespace in [&RAVELIN, &SWAN, &ROUTER] {
        if let Namespace::Named(name) = namespace {
            let _ = sh(&format!("[ ! -e /run/netns/{name} ] || ip netns del {name}"));
        }
    }
    let _ = sh(&format!("ip link set {GUEST_WIRE} nomaster; ip link set {GUEST_RAVELIN} nomaster"));
}

fn add_namespace(namespace: &Namespace) -> Result<()> {
    if let Namespace::Named(name) = namespace {
        sh(&format!("ip netns add {name}"))?;
    }
    namespace.sh("ip link set lo up")?;
    Ok(())
}

/// Plugs a namespace into the wire: link `port` here, `link` there.
fn plug(namespace: &Namespace, port: &str, link: &str, mac: &str) -> Result<()> {
    if let Namespace::Named(name) = namespace {
        sh(&format!(
            "ip link add {port} type veth peer name {link} address {mac} netns {name}
             echo 1 >/proc/sys/net/ipv6/conf/{port}/disable_ipv6
             ip link set {port} master {WIRE} up"
        ))?;
    }
    namespace.sh(&format!("ip link set {link} up"))?;
    Ok(())
}

/// Puts the router between Ravelin and the wire. It maps every port to another one, as large translators do.
fn route(nat: Nat, ravelin: Host<'_>) -> Result<()> {
    add_namespace(&ROUTER)?;
    plug(&ROUTER, "r0", "eth0", "02:00:00:00:03:03")?;
    let Namespace::Named(router) = &ROUTER else { return Ok(()) };
    match ravelin {
        Host::Namespace(Namespace::Named(name)) => sh(&format!(
            "ip -n {router} link add eth1 type veth peer name eth0 address 02:00:00:00:01:01 netns {name}"
        ))?,
        _ => sh(&format!(
            "ip link add inner type bridge forward_delay 0 mcast_snooping 0; ip link set inner up
             ip link add n0 type veth peer name eth1 netns {router}; ip link set n0 master inner up
             ip link set {GUEST_RAVELIN} master inner"
        ))?,
    };
    let (hidden_by, handed_on) = match nat {
        Nat::None | Nat::Ravelin => ("eth0", ""),
        Nat::Swan => ("eth1", ""),
        Nat::Both => (
            "{ eth0, eth1 }",
            "nft add chain ip nat in '{ type nat hook prerouting priority dstnat; }'
             nft 'add rule ip nat in ip daddr 198.51.100.254 udp dport { 500, 4500 } dnat to 192.0.2.2'",
        ),
    };
    ROUTER.sh(&format!(
        "ip addr add 192.0.2.254/24 dev eth0; ip link set eth1 up; ip addr add 198.51.100.254/24 dev eth1
         echo 1 >/proc/sys/net/ipv4/ip_forward
         ip route add 10.1.0.0/16 via 198.51.100.1; ip route add 10.2.0.0/16 via 192.0.2.2
         nft add table ip nat
         nft 'add chain ip nat out {{ type nat hook postrouting priority srcnat; }}'
         nft 'add rule ip nat out oifname {hidden_by} meta l4proto udp masquerade to :20000-40000'
         nft 'add rule ip nat out oifname {hidden_by} masquerade'
         {handed_on}"
    ))?;
    ravelin.sh("ip link set eth0 up; ip addr add 198.51.100.1/24 dev eth0; ip route add default via 198.51.100.254")?;
    Ok(())
}
