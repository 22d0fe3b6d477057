//! Commands that make and end SAs.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use ravelin_config::value::address::address;
use ravelin_config::value::who::{Who, who};
use ravelin_control::{ClientId, Message};
use ravelin_ike::view::IkeSaView;
use ravelin_ike::{Command, NewGateway};
use ravelin_types::policy::PolicyId;
use ravelin_types::{IkeSpi, Instant, Spi};

use super::list::{child_name, connection_of};
use super::log::Talk;
use super::{Answer, Group, number, yes};
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::{Goal, Gone, done, failed};

/// The SAs that a command is about.
#[derive(Default)]
struct Chosen {
    /// Our SPI and both.
    ike: Vec<(IkeSpi, (IkeSpi, IkeSpi))>,
    /// Inbound SPIs.
    children: Vec<Spi>,
}

impl Chosen {
    fn len(&self) -> usize {
        self.ike.len() + self.children.len()
    }
}

impl<P: Plane> Core<P> {
    pub(super) fn vici_initiate(
        &mut self,
        client: ClientId,
        message: &Message,
        now: Instant,
    ) -> Result<Answer, String> {
        let connection = message.text("ike");
        let Some(child) = message.text("child") else {
            let connection = connection.ok_or("missing configuration name")?;
            return self.vici_initiate_ike(client, message, connection, now);
        };
        let (id, remote) = self.protected_child(child, connection)?;
        let talk = Talk::new(message, vec![remote.clone()])?;
        self.say(Group::Cfg, 1, None, || format!("vici initiate CHILD_SA '{child}'"));
        let entry = self.model.find_remote(&remote).map_err(|error| error.to_string())?;
        if !entry.spec.initiate {
            return Err(format!("the connection '{remote}' may not be initiated from this side"));
        }
        if self.has_child(id) {
            return Ok(Answer::Now(done()));
        }
        self.look_up_source(id, now);
        let wait = wait(message)?;
        if let Wait::Until(timeout) = wait {
            self.vici.talks.insert(client, talk);
            self.wait(client, Goal::ChildUp(id, remote), timeout.map(|timeout| now + timeout));
        }
        self.command(Command::Initiate(id), now);
        Ok(if wait == Wait::Not { Answer::Now(done()) } else { Answer::Later })
    }

    /// An IKE_SA without a CHILD_SA (RFC 6023).
    fn vici_initiate_ike(
        &mut self,
        client: ClientId,
        message: &Message,
        connection: &str,
        now: Instant,
    ) -> Result<Answer, String> {
        let entry = self.model.find_remote(connection).map_err(|error| error.to_string())?;
        if !entry.spec.initiate {
            return Err(format!("the connection '{connection}' may not be initiated from this side"));
        }
        let talk = Talk::new(message, vec![connection.to_owned()])?;
        self.say(Group::Cfg, 1, None, || format!("vici initiate IKE_SA '{connection}'"));
        if self.endpoint.ike_sas_of(connection).iter().any(|view| view.state == "ESTABLISHED") {
            return Ok(Answer::Now(done()));
        }
        let wait = wait(message)?;
        if let Wait::Until(timeout) = wait {
            self.vici.talks.insert(client, talk);
            self.wait(client, Goal::IkeUp(connection.to_owned()), timeout.map(|timeout| now + timeout));
        }
        self.command(Command::InitiateIke(connection.to_owned()), now);
        Ok(if wait == Wait::Not { Answer::Now(done()) } else { Answer::Later })
    }

    pub(super) fn vici_terminate(
        &mut self,
        client: ClientId,
        message: &Message,
        now: Instant,
    ) -> Result<Answer, String> {
        let chosen = self.chosen(message, "terminate")?;
        let matches = chosen.len();
        if matches == 0 {
            let answer = Message::new().with("success", "no").with("matches", 0).with("terminated", 0);
            return Ok(Answer::Now(answer.with("errmsg", "no matching SAs to terminate found")));
        }
        let names = chosen.ike.iter().filter_map(|(own, _)| self.endpoint.remote_of(*own));
        let mut names: Vec<String> = names.map(|(name, _)| name.to_owned()).collect();
        names.extend(chosen.children.iter().filter_map(|child| Some(self.endpoint.ike_sa_of(*child)?.remote)));
        let talk = Talk::new(message, names)?;
        let wait = wait(message)?;
        if let Wait::Until(_) = wait {
            self.vici.talks.insert(client, talk);
        }
        let gone = Gone {
            ike: chosen.ike.iter().map(|(_, spis)| *spis).collect(),
            children: chosen.children.iter().copied().collect(),
            of: matches,
        };
        if let Wait::Until(timeout) = wait {
            self.wait(client, Goal::Gone(gone), timeout.map(|timeout| now + timeout));
        }
        let ike = chosen.ike.iter().map(|(own, _)| Command::TerminateIkeSa(*own));
        let children = chosen.children.iter().map(|inbound| Command::TerminateChildSa(*inbound));
        self.end_ike(ike.chain(children), now);
        Ok(match wait {
            Wait::Not => Answer::Now(done().with("matches", matches).with("terminated", matches)),
            Wait::Until(_) => Answer::Later,
        })
    }

    pub(super) fn vici_rekey(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let chosen = self.chosen(message, "rekey")?;
        let matches = chosen.len();
        let anew = yes(message, "reauth");
        if anew && let Some(name) = chosen.ike.iter().find_map(|(own, _)| self.only_answers(*own)) {
            return Err(format!("the peer of '{name}' begins, and this side may not: reauthenticate from there"));
        }
        for (own, _) in &chosen.ike {
            self.command(if anew { Command::ReauthenticateIkeSa(*own) } else { Command::RekeyIkeSa(*own) }, now);
        }
        for inbound in &chosen.children {
            self.command(Command::RekeyChildSa(*inbound), now);
        }
        Ok(Answer::Now(match matches {
            0 => failed("no matching SAs to rekey found".to_owned()).with("matches", 0),
            _ => done().with("matches", matches),
        }))
    }

    /// The connection of an IKE SA in whose place this side may make no other.
    fn only_answers(&self, own: IkeSpi) -> Option<String> {
        let view = self.endpoint.ike_sa(own)?;
        let begins = view.initiator || self.model.find_remote(&view.remote).is_ok_and(|entry| entry.spec.initiate);
        (!begins).then_some(view.remote)
    }

    /// Sends peers to another gateway (RFC 5685): those of the IKE SAs that all of `ike`, `ike-id`, `peer-ip` and `peer-id`
    /// name.
    pub(super) fn vici_redirect(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let given = |name: &str| message.text(name);
        let to = given("gateway").ok_or("missing target gateway")?;
        let to: NewGateway = to.parse().map_err(|bad| format!("invalid value for: gateway, {bad}"))?;
        if ["ike", "ike-id", "peer-ip", "peer-id"].iter().all(|name| given(name).is_none()) {
            return Err("missing redirect selector".to_owned());
        }
        let addresses = given("peer-ip").map(address).transpose()?.map(|addresses| addresses.ranges());
        let peer = given("peer-id").map(who).transpose()?;
        let fits = |view: &IkeSaView| {
            let at = |ranges: &Vec<RangeInclusive<IpAddr>>| {
                let address = view.peer.ip();
                ranges.iter().any(|range| range.start().is_ipv4() == address.is_ipv4() && range.contains(&address))
            };
            let is = |who: &Who| match (who, &view.identities) {
                (Who::Exactly(one), Some((_, id))) => one.is(id),
                (Who::Like(pattern), Some((_, id))) => pattern.takes(id),
                (_, None) => false,
            };
            given("ike-id").is_none_or(|id| id == view.serial.to_string())
                && addresses.as_ref().is_none_or(at)
                && peer.as_ref().is_none_or(is)
        };
        let views: Vec<IkeSaView> = self.ike_sas_named(message).into_iter().filter(fits).collect();
        let following: Vec<IkeSpi> = views.iter().filter(|view| view.follows).map(own_spi).collect();
        let matches = following.len();
        for spi in following {
            self.command(Command::Redirect(spi, to.clone()), now);
        }
        let why = match (views.len(), matches) {
            (_, 1..) => return Ok(Answer::Now(done().with("matches", matches))),
            (0, 0) => "no matching SAs to redirect found",
            _ => "no peer of the matching SAs has begun and said that it follows",
        };
        Ok(Answer::Now(failed(why.to_owned()).with("matches", 0)))
    }

    /// The IKE SAs of the connection that `ike` names; all, where it names none.
    pub(super) fn ike_sas_named(&self, message: &Message) -> Vec<IkeSaView> {
        message.text("ike").map_or_else(|| self.endpoint.ike_sas(), |name| self.endpoint.ike_sas_of(name))
    }

    /// The SAs that `child`, `child-id`, `ike` and `ike-id` name together. With a child, they are Child SAs.
    fn chosen(&mut self, message: &Message, verb: &str) -> Result<Chosen, String> {
        let given = |name: &str| message.text(name);
        if ["child", "child-id", "ike", "ike-id"].iter().all(|name| given(name).is_none()) {
            return Err(format!("missing {verb} selector"));
        }
        let fits = |name: &str, value: &str| given(name).is_none_or(|wanted| wanted == value);
        let of_children = given("child").or(given("child-id")).is_some();
        let mut chosen = Chosen::default();
        for view in self.ike_sas_named(message) {
            if !fits("ike-id", &view.serial.to_string()) {
                continue;
            }
            if !of_children {
                chosen.ike.push((own_spi(&view), view.spis));
                continue;
            }
            for child in &view.children {
                let id = self.vici.child_id(child.inbound);
                if fits("child", &self.child_name_of(child.policy)) && fits("child-id", &id.to_string()) {
                    chosen.children.push(child.inbound);
                }
            }
        }
        Ok(chosen)
    }

    /// The policy behind a child that protects, and its connection.
    fn protected_child(&self, child: &str, connection: Option<&str>) -> Result<(PolicyId, String), String> {
        let fits = |entry: &&ravelin_config::model::PolicyEntry| {
            child_name(entry) == child && connection.is_none_or(|name| connection_of(entry) == Some(name))
        };
        let entry = self.model.policies().find(fits);
        let entry = entry.ok_or_else(|| format!("CHILD_SA config '{child}' not found"))?;
        match connection_of(entry) {
            Some(connection) => Ok((entry.id, connection.to_owned())),
            None => Err(format!("'{child}' protects nothing, so there is nothing to initiate")),
        }
    }
}

/// The SPI by which we know an IKE SA.
pub(super) fn own_spi(view: &IkeSaView) -> IkeSpi {
    if view.initiator { view.spis.0 } else { view.spis.1 }
}

/// How long a client waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// It does not.
    Not,
    /// Until it is done, or this time has passed.
    Until(Option<Duration>),
}

/// `timeout`, in milliseconds: 0 or none waits for ever, -1 not at all.
fn wait(message: &Message) -> Result<Wait, String> {
    Ok(match number(message, "timeout")? {
        0 => Wait::Until(None),
        negative if negative < 0 => Wait::Not,
        time => Wait::Until(Some(Duration::from_millis(time.unsigned_abs()))),
    })
}
