//! Internal addresses that peers gave to this host, and routes that use them as the source of what goes through the
//! tunnels (ADR 0040).
//!
//! ```text
//!   address   on one device, for itself alone: IPv4 with the scope of a host, IPv6 deprecated, so that nothing which does
//!             not name it or follows one of these routes ever has it as its source
//!   routes    in a table of their own, the same way as to the peer, with the address as preferred source
//!   rule      every packet but the daemon's own looks there first
//! ```
//! Each address is noted in the journal before it is added and after it is gone, and its undoing takes the routes and the
//! rule along.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use ravelin_types::record::{Record, Store, StoreError, SystemChange};

use crate::socket::Socket;

/// What `ip rule` and `ip route` show as the origin of our entries.
const ORIGIN: RouteProtocol = RouteProtocol::Other(82);
/// The table of our routes.
const TABLE: u32 = 29_310;
/// The priority of the rule, below that of the main table.
const PRIORITY: u32 = 5_220;

/// Where addresses go.
#[derive(Clone, Debug)]
pub struct InsideConfig {
    /// The device that has them.
    pub device: String,
    /// The bit of the packet mark that the daemon's own packets carry, if they do: they take no notice of the routes.
    pub own_mark: Option<u32>,
}

/// What there shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// Addresses of this host.
    pub addresses: BTreeSet<IpAddr>,
    /// Where they are the source.
    pub routes: BTreeSet<InsideRoute>,
}

/// A network that is reached through a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InsideRoute {
    /// Address and length of the prefix.
    pub destination: (IpAddr, u8),
    /// The internal address.
    pub source: IpAddr,
    /// The peer at the end of the tunnel, whose route is taken.
    pub peer: IpAddr,
}

/// Keeps what there is as it shall be.
pub struct Keeper {
    config: InsideConfig,
    now: Inside,
}

impl Keeper {
    /// Nothing is there yet.
    pub fn new(config: InsideConfig) -> Self {
        Keeper { config, now: Inside::default() }
    }

    /// Makes it so. What cannot be done is left out until the next call, and told, one line each: so is an address that the
    /// device has already, which no peer may take over and with its end take away.
    pub fn set(&mut self, wanted: &Inside, store: &mut dyn Store) -> Vec<String> {
        let mut failed = Vec::new();
        let mut missing = BTreeSet::new();
        if *wanted == self.now {
            return failed;
        }
        let mut socket = match Socket::open() {
            Ok(socket) => socket,
            Err(error) => return vec![format!("cannot speak to the kernel about addresses: {error}")],
        };
        for route in self.now.routes.difference(&wanted.routes) {
            failed.extend(delete_route(&mut socket, route).err().map(|error| route_text("remove", route, &error)));
        }
        for address in self.now.addresses.difference(&wanted.addresses) {
            let change = self.change(*address);
            let done = undo(&mut socket, &change).map_err(|error| error.to_string());
            let noted = done.and_then(|_| store.append(&Record::Undone(change)).map_err(|error| error.to_string()));
            failed.extend(noted.err().map(|error| format!("cannot remove the internal address {address}: {error}")));
        }
        for address in wanted.addresses.difference(&self.now.addresses) {
            if let Err(error) = self.add(&mut socket, *address, store) {
                missing.insert(*address);
                let device = &self.config.device;
                failed.push(format!("cannot add the internal address {address} to {device}: {error}"));
            }
        }
        let usable = |route: &&InsideRoute| !missing.contains(&route.source);
        for route in wanted.routes.difference(&self.now.routes).filter(usable) {
            failed.extend(self.add_route(&mut socket, route).err().map(|error| route_text("add", route, &error)));
        }
        for v4 in [true, false] {
            let any = |inside: &Inside| inside.addresses.iter().any(|address| address.is_ipv4() == v4);
            if any(&self.now) && !any(wanted) {
                failed
                    .extend(delete_rules(&mut socket, v4).err().map(|error| format!("cannot remove a rule: {error}")));
            }
        }
        self.now = wanted.clone();
        self.now.addresses.retain(|address| !missing.contains(address));
        self.now.routes.retain(|route| !missing.contains(&route.source));
        failed
    }

    /// The device that has the addresses.
    pub fn device(&self) -> &str {
        &self.config.device
    }

    fn change(&self, address: IpAddr) -> SystemChange {
        SystemChange::Address { device: self.config.device.clone(), address }
    }

    /// Adds an address. What fails is not there afterwards, and not noted as if it were.
    fn add(&self, socket: &mut Socket, address: IpAddr, store: &mut dyn Store) -> Result<(), String> {
        let change = self.change(address);
        store.append(&Record::Changing(change.clone())).map_err(|error| error.to_string())?;
        let Err(error) = self.add_address(socket, address) else {
            return self.add_rule(socket, address.is_ipv4()).map_err(|error| {
                let undone = undo(socket, &change).map_err(|error| error.to_string());
                let noted =
                    undone.and_then(|_| store.append(&Record::Undone(change)).map_err(|error| error.to_string()));
                format!(
                    "no rule for its routes: {error}{}",
                    noted.err().map_or(String::new(), |left| format!("; {left}"))
                )
            });
        };
        let noted = store.append(&Record::Undone(change)).err().map_or(String::new(), |left| format!("; {left}"));
        Err(match error.kind() {
            io::ErrorKind::AlreadyExists => format!("the device has it already, and keeps it as it is{noted}"),
            _ => format!("{error}{noted}"),
        })
    }

    fn add_address(&self, socket: &mut Socket, address: IpAddr) -> io::Result<()> {
        let index = socket.index(&self.config.device)?;
        let message = address_message(index, address);
        socket.change(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    fn add_rule(&self, socket: &mut Socket, v4: bool) -> io::Result<()> {
        let mut rule = rule_message(v4);
        rule.attributes.push(RuleAttribute::Protocol(ORIGIN));
        if let Some(mark) = self.config.own_mark {
            rule.header.flags = RuleFlags::Invert;
            rule.attributes.extend([RuleAttribute::FwMark(mark), RuleAttribute::FwMask(mark)]);
        }
        match socket.change(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        }
    }

    fn add_route(&self, socket: &mut Socket, route: &InsideRoute) -> io::Result<()> {
        let mut message = route_message(route);
        let mut way = self.way_to(socket, route.peer)?;
        if route.peer.is_ipv4() != route.source.is_ipv4() {
            // A gateway of the other family is of no use; the device is, since no packet leaves by it as it is.
            way.retain(|attribute| !matches!(attribute, RouteAttribute::Gateway(_)));
        }
        message.attributes.extend(way);
        message.attributes.push(RouteAttribute::PrefSource(route.source.into()));
        let gateway = message.attributes.iter().any(|attribute| matches!(attribute, RouteAttribute::Gateway(_)));
        if !gateway && route.source.is_ipv4() {
            message.header.scope = RouteScope::Link;
        }
        socket.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)
    }

    /// Device and gateway of the route to the peer.
    fn way_to(&self, socket: &mut Socket, peer: IpAddr) -> io::Result<Vec<RouteAttribute>> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(peer.is_ipv4());
        message.header.destination_prefix_length = if peer.is_ipv4() { 32 } else { 128 };
        message.attributes = vec![RouteAttribute::Destination(peer.into())];
        message.attributes.extend(self.config.own_mark.map(RouteAttribute::Mark));
        let mut way = Vec::new();
        socket.ask(RouteNetlinkMessage::GetRoute(message), &mut |answer| {
            if let RouteNetlinkMessage::NewRoute(route) = answer {
                way.extend(
                    route
                        .attributes
                        .into_iter()
                        .filter(|attribute| matches!(attribute, RouteAttribute::Oif(_) | RouteAttribute::Gateway(_))),
                );
            }
        })?;
        Ok(way)
    }
}

/// Undoes what a daemon that was killed left in this network namespace, as its store tells; a line for each address.
///
/// # Errors
/// When the store cannot be read, or an address cannot be removed.
pub fn undo_leftovers(store: &mut dyn Store) -> Result<Vec<String>, StoreError> {
    let mut outstanding: BTreeSet<SystemChange> = BTreeSet::new();
    store.load(&mut |record| match record {
        Record::Changing(change @ SystemChange::Address { .. }) => _ = outstanding.insert(change),
        Record::Undone(change) => _ = outstanding.remove(&change),
        Record::Changing(_) => {}
    })?;
    let mut undone = Vec::new();
    for change in outstanding {
        let system = |error: io::Error| StoreError(format!("cannot remove an internal address: {error}"));
        let mut socket = Socket::open().map_err(system)?;
        undone.extend(undo(&mut socket, &change).map_err(system)?);
        for v4 in [true, false] {
            delete_rules(&mut socket, v4).map_err(system)?;
        }
        store.append(&Record::Undone(change))?;
    }
    Ok(undone)
}

/// Removes an address with the routes that use it, as often as it is called. A line that says what was found, or nothing.
fn undo(socket: &mut Socket, change: &SystemChange) -> io::Result<Option<String>> {
    let SystemChange::Address { device, address } = change else { return Ok(None) };
    let mut all = RouteMessage::default();
    all.header.address_family = family(address.is_ipv4());
    let routes = socket.dump(RouteNetlinkMessage::GetRoute(all), |message| {
        let RouteNetlinkMessage::NewRoute(route) = message else { return None };
        let has = |wanted: &RouteAttribute| route.attributes.contains(wanted);
        let ours = has(&RouteAttribute::Table(TABLE)) && has(&RouteAttribute::PrefSource((*address).into()));
        ours.then_some(route)
    })?;
    for route in routes {
        gone(socket.change(RouteNetlinkMessage::DelRoute(route), 0))?;
    }
    let Ok(index) = socket.index(device) else { return Ok(None) };
    let found = gone(socket.change(RouteNetlinkMessage::DelAddress(address_message(index, *address)), 0))?;
    Ok(found.then(|| format!("removed the internal address {address} from {device}")))
}

fn delete_route(socket: &mut Socket, route: &InsideRoute) -> io::Result<()> {
    gone(socket.change(RouteNetlinkMessage::DelRoute(route_message(route)), 0)).map(drop)
}

fn delete_rules(socket: &mut Socket, v4: bool) -> io::Result<()> {
    while gone(socket.change(RouteNetlinkMessage::DelRule(rule_message(v4)), 0))? {}
    Ok(())
}

/// Whether it was there; that it was not is no error.
fn gone(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) => match error.raw_os_error() {
            Some(libc::EADDRNOTAVAIL | libc::ESRCH | libc::ENOENT | libc::ENODEV | libc::EAFNOSUPPORT) => Ok(false),
            _ => Err(error),
        },
    }
}

fn family(v4: bool) -> AddressFamily {
    if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(index: u32, address: IpAddr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.is_ipv4());
    message.header.prefix_len = if address.is_ipv4() { 32 } else { 128 };
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    match address {
        // No packet to elsewhere chooses a source whose scope is this host.
        IpAddr::V4(_) => message.header.scope = AddressScope::Host,
        // RFC 6724 §5, rule 3: a deprecated address is not chosen where there is another. RFC 4862 §5.4: nobody else on a
        // link can have it.
        IpAddr::V6(_) => {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad | AddressFlags::Noprefixroute));
            let mut lifetimes = CacheInfo::default();
            lifetimes.ifa_preferred = 0;
            lifetimes.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(lifetimes));
        }
    }
    message
}

fn rule_message(v4: bool) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(v4);
    message.header.action = RuleAction::ToTable;
    message.attributes = vec![RuleAttribute::Priority(PRIORITY), RuleAttribute::Table(TABLE)];
    message
}

fn route_message(route: &InsideRoute) -> RouteMessage {
    let (address, length) = route.destination;
    let mut message = RouteMessage::default();
    message.header = RouteHeader {
        address_family: family(address.is_ipv4()),
        destination_prefix_length: length,
        protocol: ORIGIN,
        scope: RouteScope::Universe,
        kind: RouteType::Unicast,
        ..RouteHeader::default()
    };
    message.attributes = vec![RouteAttribute::Table(TABLE)];
    if length > 0 {
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(address)));
    }
    message
}

fn route_text(verb: &str, route: &InsideRoute, error: &io::Error) -> String {
    let (address, length) = route.destination;
    format!("cannot {verb} the route to {address}/{length} from {}: {error}", route.source)
}
