//! netdevsim, the kernel's simulated network device, in front of Ravelin in the guest: it takes the cryptography of ESP, or says so
//! and keeps the SAs that it was given. What leaves by it is put on the wire before it is there, so that the kernel does the
//! cryptography in the end, as it does for every packet that leaves by another device than that of its SA.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::lab::Host;

/// Builds the module for the guest's kernel if it is not there; needs the machine's own network. Without it, its cases are skipped.
pub fn build(scripts: &Path, cache: &Path) {
    // Longer than the lab's own programs may take: it compiles.
    match Command::new(scripts.join("module")).arg(cache).arg("netdevsim").output() {
        Ok(output) if !output.status.success() => {
            eprintln!("no netdevsim: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(_) => {}
        Err(error) => eprintln!("no netdevsim: {error}"),
    }
}

/// Whether it was built for this kernel.
pub fn present(cache: &Path) -> bool {
    let version = std::fs::read_to_string(cache.join("version")).unwrap_or_default();
    cache.join("lib/modules").join(version.trim()).join("updates/netdevsim.ko").is_file()
}

/// One that is plugged in; dropping it unplugs it.
#[derive(Debug)]
pub struct Device<'a>(Host<'a>);

impl<'a> Device<'a> {
    /// Gives a device `sim0` what `eth0` has of addresses, and everything that comes and goes there.
    pub fn plug(host: Host<'a>) -> Result<Self> {
        let Host::GuestRavelin(guest) = host else { bail!("`netdevsim` is for `host kernel`") };
        guest.sh("modprobe -a netdevsim act_mirred cls_matchall sch_ingress
                  mountpoint -q /sys/kernel/debug || mount -t debugfs debug /sys/kernel/debug")?;
        let device = Device(host);
        host.sh("echo '1 1' >/sys/bus/netdevsim/new_device
                 ip link set $(ls /sys/bus/netdevsim/devices/netdevsim1/net) name sim0
                 ip link set sim0 address $(cat /sys/class/net/eth0/address) arp on multicast on up
                 ip addr flush dev eth0; ip -6 route flush dev eth0
                 ip addr add 192.0.2.1/24 dev sim0; ip addr add 2001:db8:f::1/64 dev sim0 nodad
                 ip route add 10.2.0.0/16 via 192.0.2.2; ip route add 2001:db8:2::/48 via 2001:db8:f::2
                 tc qdisc add dev eth0 clsact; tc qdisc add dev sim0 clsact
                 tc filter add dev eth0 ingress matchall action mirred ingress redirect dev sim0
                 tc filter add dev sim0 egress matchall action mirred egress redirect dev eth0")?;
        Ok(device)
    }
}

impl Drop for Device<'_> {
    fn drop(&mut self) {
        // With these modules, which the kernel loads when it is asked for a device, Linux 6.1 loses compressed packets: not for the
        // cases that follow.
        let unplugged =
            self.0.sh("[ ! -e /sys/bus/netdevsim/devices/netdevsim1 ] || echo 1 >/sys/bus/netdevsim/del_device
             for i in $(seq 50); do modprobe -q -r esp4_offload esp6_offload && break; sleep 0.1; done
             ! grep ^esp._offload /proc/modules");
        if let Err(error) = unplugged {
            eprintln!("netdevsim is not unplugged: {error:#}");
        }
    }
}
