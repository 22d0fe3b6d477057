//! Which examples do as their authors say, and what they need.

mod plain;
mod stroke;
mod trust;
mod users;

pub use self::plain::PLAIN;
pub use self::stroke::STROKE;
pub use self::trust::TRUST;
pub use self::users::USERS;
use super::papers::{Kept, Put};
use super::servers::Servers;

/// An example of two hosts, and one packet that crosses, or a reason why none does.
pub struct Example {
    /// Its folder.
    pub name: &'static str,
    /// Who answers and who begins.
    pub hosts: [&'static str; 2],
    /// What makes it begin.
    pub begin: Begin,
    /// From where and whereto a packet goes, seen from the one that begins.
    pub packet: [&'static str; 2],
    /// Its certificates and keys.
    pub kept: Kept,
    /// Other papers that the build puts there.
    pub puts: &'static [Put],
    /// Which halves are tried: that which begins, that which answers.
    pub ours: [bool; 2],
    /// What both can ask.
    pub servers: Servers,
    /// Whether there must be no Child SA.
    pub refused: bool,
    /// What the one that begins says, and the one that answers.
    pub said: [Said; 2],
    /// What the RADIUS server wrote down when both have ended.
    pub written: &'static [&'static str],
}

/// What must be in the log of a half, whoever has it.
#[derive(Clone, Copy)]
pub struct Said {
    /// Ravelin's.
    pub ravelin: &'static [&'static str],
    /// strongSwan's.
    pub swan: &'static [&'static str],
}

/// Nothing in particular.
const NOTHING: Said = Said { ravelin: &[], swan: &[] };

/// What makes a host begin.
#[derive(Clone, Copy)]
pub enum Begin {
    /// It is told to initiate this child.
    Told(&'static str),
    /// A packet of this child asks for it. strongSwan's ESP in user space knows of no packet before there are SAs: it is told.
    Packet(&'static str),
    /// Its configuration.
    Start,
}

const fn gateways(name: &'static str) -> Example {
    Example {
        name,
        hosts: ["sun", "moon"],
        begin: Begin::Told("net-net"),
        packet: ["10.1.0.10", "10.2.0.10"],
        kept: Kept::Rsa,
        puts: &[],
        ours: [true; 2],
        servers: Servers::LISTS,
        refused: false,
        said: [NOTHING; 2],
        written: &[],
    }
}

const fn hosts(name: &'static str) -> Example {
    Example { begin: Begin::Told("host-host"), packet: ["192.168.0.1", "192.168.0.2"], ..gateways(name) }
}

const fn road_warrior(name: &'static str, from: &'static str) -> Example {
    Example { hosts: ["moon", "carol"], begin: Begin::Told("home"), packet: [from, "10.1.0.10"], ..gateways(name) }
}

/// Dave, who begins with IKEv2 where carol does with IKEv1.
const fn dave(name: &'static str, from: &'static str) -> Example {
    Example { hosts: ["moon", "dave"], ..road_warrior(name, from) }
}

/// Alice, who is behind a NAT there.
const fn alice(name: &'static str, child: &'static str, from: &'static str) -> Example {
    Example { hosts: ["sun", "alice"], begin: Begin::Told(child), packet: [from, "10.2.0.10"], ..gateways(name) }
}

impl Example {
    /// What sets it apart from others of the same name.
    pub fn what(&self) -> String {
        let child = match self.begin {
            Begin::Told(child) | Begin::Packet(child) => child,
            Begin::Start => "start",
        };
        format!("{}-{child}", self.hosts[1])
    }

    /// The same between networks of IPv6.
    const fn over_v6(self) -> Example {
        Example { packet: ["fec1::10", "fec2::10"], ..self }
    }

    /// The same to another host.
    const fn to(self, to: &'static str) -> Example {
        Example { packet: [self.packet[0], to], ..self }
    }

    /// The same from another host.
    const fn from(self, from: &'static str) -> Example {
        Example { packet: [from, self.packet[1]], ..self }
    }

    /// The same to a host of IPv6.
    const fn to_v6(self) -> Example {
        self.to("fec1::10")
    }

    /// The same, initiating another child.
    const fn child(self, child: &'static str) -> Example {
        Example { begin: Begin::Told(child), ..self }
    }

    /// The same, begun by its packet.
    const fn by_packet(self) -> Example {
        match self.begin {
            Begin::Told(child) => Example { begin: Begin::Packet(child), ..self },
            Begin::Packet(_) | Begin::Start => self,
        }
    }

    /// The same, where the peer cannot be the half that answers.
    const fn we_answer(self) -> Example {
        Example { ours: [false, true], ..self }
    }

    /// The same, where we cannot be that half.
    const fn we_begin(self) -> Example {
        Example { ours: [true, false], ..self }
    }

    /// The same with other papers.
    const fn kept(self, kept: Kept) -> Example {
        Example { kept, ..self }
    }

    /// The same with these papers in the place of others, or beside them.
    const fn put(self, puts: &'static [Put]) -> Example {
        Example { puts, ..self }
    }

    /// The same with these servers.
    const fn served(self, servers: Servers) -> Example {
        Example { servers, ..self }
    }

    /// The same, where there must be no Child SA.
    const fn refused(self) -> Example {
        Example { refused: true, ..self }
    }

    /// The same, where the one that begins says this.
    const fn begun(self, said: Said) -> Example {
        Example { said: [said, self.said[1]], ..self }
    }

    /// The same, where the one that answers says this.
    const fn answered(self, said: Said) -> Example {
        Example { said: [self.said[0], said], ..self }
    }

    /// The same, where the RADIUS server writes this down.
    const fn written(self, written: &'static [&'static str]) -> Example {
        Example { written, ..self }
    }
}
