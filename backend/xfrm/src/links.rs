//! Virtual interfaces: xfrm links, whose number ties the packets that are routed to them to policies and states, and VTIs,
//! which a mark ties.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVti, InfoXfrm, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use ravelin_rtnetlink::Socket;
use ravelin_types::interface::{Interface, InterfaceStatus, Vti};
use ravelin_types::policy::Domain;

use crate::own;

/// The loopback device, under which xfrm links hang: they have no device of their own below them.
const LOOPBACK: u32 = 1;
/// Where `ip netns` keeps the namespaces that have a name.
const NAMESPACES: &str = "/run/netns";

/// One virtual link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Link {
    index: u32,
    name: String,
    kind: Kind,
    status: InterfaceStatus,
}

/// What ties a link to policies and states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Other,
    Xfrm(u32),
    Vti(u32),
}

/// The virtual interfaces of a data plane, wherever they are.
pub(crate) struct Links {
    here: Route,
    /// Connections into other namespaces.
    elsewhere: BTreeMap<String, Route>,
    made: BTreeMap<Domain, Interface>,
}

impl Links {
    /// None are there yet.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Links { here: Route::open()?, elsewhere: BTreeMap::new(), made: BTreeMap::new() })
    }

    /// The device that has an address, by its number; `None`: no device has it.
    pub(crate) fn device_of(&self, address: IpAddr) -> io::Result<Option<i32>> {
        let Some(name) = ravelin_host::device_of(address)? else { return Ok(None) };
        Ok(i32::try_from(self.here.index(&name)?).ok())
    }

    /// Makes a link; one that an earlier daemon made is the same. What went wrong, and at what, in words.
    pub(crate) fn add(&mut self, interface: &Interface) -> Result<(), String> {
        let Interface { domain, name, .. } = interface;
        let kind = kind_of(interface).ok_or("the default domain has no interface")?;
        let there = self.find(interface).map_err(|error| error.to_string())?;
        match there {
            Some(link) if link.kind == kind => {}
            Some(_) => return Err("there is another device of this name".into()),
            None => {
                self.here.add(name, kind, interface.vti).map_err(|error| explain(&error, interface))?;
                if let Some(namespace) = &interface.namespace
                    && let Err(error) = self.send_away(name, namespace)
                {
                    let _ = self.here.index(name).and_then(|index| self.here.delete(index));
                    return Err(format!("it cannot be put into the namespace {namespace}: {error}"));
                }
            }
        }
        self.made.insert(*domain, interface.clone());
        let configured = self.configure(interface);
        if configured.is_err() {
            let _ = self.delete(*domain);
        }
        configured
    }

    /// Removes a link. That it is gone already is no error.
    pub(crate) fn delete(&mut self, domain: Domain) -> io::Result<()> {
        let Some(interface) = self.made.remove(&domain) else { return Ok(()) };
        match self.find(&interface)? {
            Some(link) => self.route(interface.namespace.as_deref())?.delete(link.index),
            None => Ok(()),
        }
    }

    /// Removes all links.
    pub(crate) fn delete_all(&mut self) -> io::Result<()> {
        let domains: Vec<Domain> = self.made.keys().copied().collect();
        let results: Vec<io::Result<()>> = domains.into_iter().map(|domain| self.delete(domain)).collect();
        results.into_iter().collect()
    }

    /// Removes the xfrm links of an earlier daemon in our own namespace that nobody asked for. What cannot be removed.
    pub(crate) fn settle(&mut self) -> Vec<(String, io::Error)> {
        let ours = |link: &Link| matches!(link.kind, Kind::Xfrm(id) if own::is_interface(id));
        let wanted: Vec<&String> = self.made.values().map(|it| &it.name).collect();
        let links = self.here.list().unwrap_or_default();
        let left: Vec<Link> = links.into_iter().filter(|link| ours(link) && !wanted.contains(&&link.name)).collect();
        left.into_iter().filter_map(|link| Some((link.name, self.here.delete(link.index).err()?))).collect()
    }

    /// What has become of them.
    pub(crate) fn status(&mut self) -> Vec<InterfaceStatus> {
        let made: Vec<Interface> = self.made.values().cloned().collect();
        let found =
            made.iter().filter_map(|it| Some(InterfaceStatus { domain: it.domain, ..self.find(it).ok()??.status }));
        found.collect()
    }

    fn send_away(&mut self, name: &str, namespace: &str) -> io::Result<()> {
        let file = File::open(format!("{NAMESPACES}/{namespace}"))?;
        let mut message = LinkMessage::default();
        message.header.index = self.here.index(name)?;
        message.attributes = vec![LinkAttribute::NetNsFd(file.as_raw_fd())];
        self.here.change(RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Addresses, VRF and MTU, and takes it up.
    fn configure(&mut self, interface: &Interface) -> Result<(), String> {
        let failed = |what: &str, error: &io::Error| format!("{what}: {error}");
        let route = self.route(interface.namespace.as_deref()).map_err(|error| error.to_string())?;
        let index = route.index(&interface.name).map_err(|error| failed("it is gone", &error))?;
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        message.attributes.extend(interface.mtu.map(LinkAttribute::Mtu));
        if let Some(vrf) = &interface.vrf {
            let master = route.index(vrf).map_err(|error| failed(&format!("the VRF {vrf}"), &error))?;
            message.attributes.push(LinkAttribute::Controller(master));
        }
        route
            .change(RouteNetlinkMessage::SetLink(message), 0)
            .map_err(|error| failed("it cannot be set up", &error))?;
        for (address, bits) in &interface.addresses {
            let mut message = AddressMessage::default();
            message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
            message.header.prefix_len = *bits;
            message.header.index = index;
            message.attributes = vec![AddressAttribute::Local(*address), AddressAttribute::Address(*address)];
            let added = route.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_REPLACE);
            added.map_err(|error| failed(&format!("the address {address}/{bits}"), &error))?;
        }
        Ok(())
    }

    fn find(&mut self, interface: &Interface) -> io::Result<Option<Link>> {
        let links = self.route(interface.namespace.as_deref())?.list()?;
        Ok(links.into_iter().find(|link| link.name == interface.name))
    }

    fn route(&mut self, namespace: Option<&str>) -> io::Result<&mut Route> {
        let Some(name) = namespace else { return Ok(&mut self.here) };
        // A namespace that was made anew under the same name is another one.
        let route = Route::open_in(name)?;
        self.elsewhere.insert(name.to_owned(), route);
        self.elsewhere.get_mut(name).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn kind_of(interface: &Interface) -> Option<Kind> {
    match interface.vti {
        Some(vti) => Some(Kind::Vti(vti.key)),
        None => interface.if_id.or_else(|| own::interface(interface.domain)).map(Kind::Xfrm),
    }
}

fn explain(error: &io::Error, Interface { name, vti, .. }: &Interface) -> String {
    let (module, line) = match vti {
        Some(Vti { key, remote, .. }) if remote.is_ipv4() => {
            ("ip_vti", format!("ip link add {name} type vti key {key} remote {remote}"))
        }
        Some(Vti { key, remote, .. }) => ("ip6_vti", format!("ip link add {name} type vti6 key {key} remote {remote}")),
        None => ("xfrm_interface", format!("ip link add {name} type xfrm if_id ...")),
    };
    let hint = match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => format!("; this kernel has no such devices (module {module})"),
        Some(libc::EEXIST) => "; another device has this name, this number or these ends: see `ip -d link`".to_owned(),
        _ => String::new(),
    };
    format!("{error}{hint}; by hand: `{line}`")
}

/// A connection to the kernel's links in one network namespace.
struct Route(Socket);

impl Route {
    /// In the namespace of the calling thread.
    fn open() -> io::Result<Self> {
        Socket::open().map(Route)
    }

    /// In a namespace with a name.
    fn open_in(namespace: &str) -> io::Result<Self> {
        let file = File::open(format!("{NAMESPACES}/{namespace}"))?;
        let inside = std::thread::spawn(move || {
            rustix::thread::move_into_link_name_space(file.as_fd(), Some(rustix::thread::LinkNameSpaceType::Network))?;
            Route::open()
        });
        inside.join().unwrap_or_else(|_| Err(io::Error::other("the thread for the namespace ended")))
    }

    fn index(&self, device: &str) -> io::Result<u32> {
        self.0.index(device)
    }

    /// Makes a link, down and without an address.
    fn add(&mut self, name: &str, kind: Kind, vti: Option<Vti>) -> io::Result<()> {
        let (kind, data) = match (kind, vti) {
            (Kind::Xfrm(id), _) => (InfoKind::Xfrm, InfoData::Xfrm(vec![InfoXfrm::Link(LOOPBACK), InfoXfrm::IfId(id)])),
            (_, Some(Vti { key, local, remote })) => {
                let mut data = vec![InfoVti::IKey(key), InfoVti::OKey(key), InfoVti::Remote(remote)];
                data.extend(local.map(InfoVti::Local));
                let family = if remote.is_ipv4() { InfoKind::Vti } else { InfoKind::Vti6 };
                (family, InfoData::Vti(data))
            }
            (_, None) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind), LinkInfo::Data(data)]),
        ];
        self.change(RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn delete(&mut self, index: u32) -> io::Result<()> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.change(RouteNetlinkMessage::DelLink(message), 0)
    }

    /// Every link.
    fn list(&mut self) -> io::Result<Vec<Link>> {
        self.0.dump(RouteNetlinkMessage::GetLink(LinkMessage::default()), |message| match message {
            RouteNetlinkMessage::NewLink(message) => Some(link(message)),
            _ => None,
        })
    }

    fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.0.change(message, flags)
    }
}

fn link(message: LinkMessage) -> Link {
    let mut link = Link { index: message.header.index, ..Link::default() };
    link.status.index = message.header.index;
    link.status.up = message.header.flags.contains(LinkFlags::Up);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.status.mtu = mtu,
            LinkAttribute::Stats64(stats) => {
                link.status.received = (stats.rx_packets, stats.rx_bytes);
                link.status.sent = (stats.tx_packets, stats.tx_bytes);
            }
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    match info {
                        LinkInfo::Data(InfoData::Xfrm(data)) => {
                            let id =
                                data.iter().find_map(|d| if let InfoXfrm::IfId(id) = d { Some(*id) } else { None });
                            link.kind = Kind::Xfrm(id.unwrap_or(0));
                        }
                        LinkInfo::Data(InfoData::Vti(data)) => {
                            let key =
                                data.iter().find_map(|d| if let InfoVti::OKey(key) = d { Some(*key) } else { None });
                            link.kind = Kind::Vti(key.unwrap_or(0));
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_refusal_names_the_module_and_the_line() {
        let vti = Vti { key: 20, local: None, remote: IpAddr::from([192, 0, 2, 2]) };
        let interface = Interface { name: "vti20".into(), vti: Some(vti), ..Interface::default() };
        let text = explain(&io::Error::from_raw_os_error(libc::EOPNOTSUPP), &interface);
        assert!(
            text.contains("ip_vti") && text.contains("ip link add vti20 type vti key 20 remote 192.0.2.2"),
            "{text}"
        );
    }
}
