//! A command line that came over the control socket: read again with the grammar, carried out, answered.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use ravelin_config::command::{self, Command, FlushIke, FlushIpsec, InitiateArgs, Phase, RekeyArgs, TerminateArgs};
use ravelin_config::spec::Which;
use ravelin_config::{Model, ModelError};
use ravelin_control::{ClientId, INPUT, Message};
use ravelin_ike::Command as Ike;
use ravelin_ike::view::IkeSaView;
use ravelin_types::dataplane::SaStatus;
use ravelin_types::policy::PolicyId;
use ravelin_types::sa::Direction;
use ravelin_types::{Instant, Spi};

use super::core::Core;
use super::listings::{flows, report};
use super::plane::Plane;
use super::waiting::{Goal, Gone, done, failed};

/// The longest wait a client can ask for.
const MAX_WAIT: Duration = Duration::from_secs(3600);

impl<P: Plane> Core<P> {
    /// Carries out `argv` as typed in `cwd`. `None`: the answer comes later.
    pub(super) fn command_line(&mut self, client: ClientId, message: &Message, now: Instant) -> Option<Message> {
        let Some(argv) = message.list("argv") else {
            return Some(failed("the command has no list `argv`".to_owned()));
        };
        let argv: Vec<String> = argv.into_iter().map(str::to_owned).collect();
        let directory = Path::new(message.text("cwd").unwrap_or("/"));
        let parsed = match command::parse(&argv) {
            Ok(parsed) => parsed,
            Err(error) => return Some(failed(error.to_string()).with("usage", "yes")),
        };
        let answer = match (parsed.command.seen_from(directory), message.list(INPUT)) {
            (Command::Setkey(job), Some(input)) => self.setkey(&job, Some(&input.concat()), now).map(Some),
            (command, _) => self.carry_out(client, command, directory, now),
        };
        let mut answer = match answer {
            Ok(answer) => answer?,
            Err(why) => failed(why),
        };
        answer.extend_list("notes", parsed.notes);
        Some(answer)
    }

    /// # Errors
    /// What is wrong, for the operator; nothing was changed then.
    pub(super) fn carry_out(
        &mut self,
        client: ClientId,
        command: Command,
        directory: &Path,
        now: Instant,
    ) -> Result<Option<Message>, String> {
        let answer = match command {
            Command::AddPolicy(spec) => self.change(now, |model| model.add_policy(*spec).map(drop))?,
            Command::AddSa(spec) => self.change(now, |model| model.add_manual(*spec, directory).map(drop))?,
            Command::DeleteSa(which) => self.change(now, |model| model.delete_manual(&which).map(drop))?,
            Command::AddRemote(spec) => self.change(now, |model| model.add_remote(*spec, directory))?,
            Command::DeletePolicy(which) => self.change(now, |model| model.delete_policies(&which).map(drop))?,
            Command::DeleteRemote(which) => self.change(now, |model| model.delete_remotes(&which).map(drop))?,
            Command::AddPool(spec) => self.change(now, |model| model.add_pool(*spec))?,
            Command::DeletePool(which) => self.change(now, |model| model.delete_pools(&which))?,
            Command::ViewPools(name) => self.view_pools(name.as_deref())?,
            Command::AddCertificate(spec) => self.change(now, |model| model.add_certificate(&spec, directory))?,
            Command::DeleteCertificate(file) => self.change(now, |model| model.delete_certificate(&file))?,
            Command::ViewCertificates => self.view_certificates(),
            Command::VerifyCertificate(file) => self.verify_certificate(&file, directory)?,
            Command::ForgetLists => self.forget_lists(),
            Command::ViewPolicies(name) => self.view_policies(name.as_deref())?,
            Command::ViewRemotes(name) => self.view_remotes(name.as_deref(), now)?,
            Command::IpsecNetstat(args) => self.ipsec_netstat(&args, now),
            Command::IkeNetstat(args) => self.ike_netstat(&args, now)?,
            Command::IpsecFlush(flush) => self.ipsec_flush(flush, now)?,
            Command::IkeFlush(flush) => self.ike_flush(flush, now)?,
            Command::Debug(args) => return self.debug(client, args),
            Command::Initiate(args) => return self.initiate(client, &args, now),
            Command::Rekey(args) => return self.rekey(client, &args, now),
            Command::Terminate(args) => return self.terminate(client, &args, now),
            Command::Diff => self.diff()?,
            Command::AddInterface(interface) => self.change(now, |model| model.add_interface(*interface))?,
            Command::DeleteInterface(name) => self.change(now, |model| model.delete_interface(&name))?,
            Command::ViewInterfaces(name) => self.view_interfaces(name.as_deref())?,
            Command::Commands => self.commands(),
            Command::Why(peer) => self.why(&peer, now)?,
            Command::Reload(args) => self.reload(&args, now)?,
            Command::Call(file) => self.call(&file, now)?,
            Command::Setkey(job) => self.setkey(&job, None, now)?,
        };
        Ok(Some(answer))
    }

    /// Changes a copy of the model and puts it in force. Policies that wait for a remote are noted, and what else an operator should know.
    fn change(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut Model) -> Result<(), ModelError>,
    ) -> Result<Message, String> {
        let mut newer = self.model.clone();
        change(&mut newer).map_err(|error| error.to_string())?;
        let before = self.model.unresolved();
        let advice = self.adopt(newer, now).map_err(|refused| refused.why)?;
        let mut answer = done();
        let notes = self.model.unresolved().into_iter().filter(|unresolved| !before.contains(unresolved));
        let notes = notes.map(|it| {
            let (policy, remote, hint) = (&it.policy, &it.remote, &it.hint);
            format!("the traffic of the policy {policy} is dropped until its remote {remote} is configured{hint}")
        });
        answer.put_list("notes", notes.chain(advice));
        Ok(answer)
    }

    fn commands(&self) -> Message {
        let commands = self.model.commands();
        let mut answer = done();
        answer.put_list("lines", commands.lines);
        answer.put_list("notes", &commands.left_out);
        answer.put_list("left-out", &commands.left_out);
        answer
    }

    fn diff(&mut self) -> Result<Message, String> {
        let mut answer = done();
        answer.put_list("differences", self.plane.differences()?);
        Ok(answer)
    }

    fn view_policies(&self, name: Option<&str>) -> Result<Message, String> {
        let mut answer = done();
        let mut policies = Message::new();
        let named = |name: &str| self.model.keyed().find(|keyed| keyed.policy.name == name);
        let details: Vec<Message> = match name {
            Some(name) if let Some(keyed) = named(name) => vec![report::keyed_row(keyed)],
            Some(name) => {
                let entry = self.model.find_policy(name).map_err(|error| error.to_string())?;
                vec![report::policy_detail(entry, &self.model)]
            }
            None => {
                let entries = self.model.policies().map(|entry| report::policy_detail(entry, &self.model));
                entries.chain(self.model.keyed().map(report::keyed_row)).collect()
            }
        };
        for (index, detail) in details.into_iter().enumerate() {
            policies.put_section(&(index + 1).to_string(), detail);
        }
        answer.put_section("policies", policies);
        Ok(answer)
    }

    fn view_remotes(&mut self, name: Option<&str>, now: Instant) -> Result<Message, String> {
        let mut answer = done();
        answer.put_section("remotes", self.remotes(name, now)?);
        if let Some(name) = name {
            answer.put_section("statistics", self.statistics(name));
        }
        Ok(answer)
    }

    /// What was done with a remote, and what it has now.
    fn statistics(&mut self, name: &str) -> Message {
        let views = self.endpoint.ike_sas_of(name);
        let children: BTreeSet<Spi> =
            views.iter().flat_map(|view| view.children.iter().map(|child| child.inbound)).collect();
        let mut statistics = self
            .vici
            .counted(name)
            .with("ike-sas", views.len())
            .with("child-sas", children.len())
            .with("failures", self.failures.count(name));
        let sas = self.plane.list();
        for (direction, suffix) in [(Direction::Inbound, "in"), (Direction::Outbound, "out")] {
            let own = |sa: &&SaStatus| match direction {
                Direction::Inbound => children.contains(&sa.params.spi),
                Direction::Outbound => children.contains(&sa.params.pair),
            };
            let counters =
                || sas.iter().filter(|sa| sa.params.direction == direction).filter(own).map(|sa| &sa.counters);
            statistics.put(&format!("packets-{suffix}"), counters().map(|counters| counters.packets).sum::<u64>());
            statistics.put(&format!("bytes-{suffix}"), counters().map(|counters| counters.bytes).sum::<u64>());
        }
        statistics
    }

    fn remotes(&self, name: Option<&str>, now: Instant) -> Result<Message, String> {
        let chosen: Vec<_> = match name {
            Some(name) => {
                self.model.find_remote(name).map_err(|error| error.to_string())?;
                self.model.versions(name).collect()
            }
            None => self.model.remotes().collect(),
        };
        let mut remotes = Message::new();
        for (index, entry) in chosen.into_iter().enumerate() {
            let mut remote = report::remote(entry, &self.model, &self.failures, now);
            let names = self.name_lines(&entry.spec, now);
            if !names.is_empty() {
                remote.put_list("names", names);
            }
            remotes.put_section(&(index + 1).to_string(), remote);
        }
        Ok(remotes)
    }

    fn ipsec_netstat(&mut self, args: &command::IpsecNetstatArgs, now: Instant) -> Message {
        let mut answer = done();
        if args.wants_sas() {
            let sas = self.plane.list();
            let views = self.endpoint.ike_sas();
            answer.put_section("sas", report::sessions(&sas, &views, &self.model, now, args.show_keys));
        }
        if args.wants_policies() && args.flows {
            answer.put_section("flows", flows::flows(&self.model));
        } else if args.wants_policies() {
            answer.put_section("policies", report::policies(&self.model));
        }
        if args.flows {
            answer.put("layout", "flows");
        }
        if args.all {
            answer.put_section("counters", self.counters());
        }
        answer
    }

    fn ike_netstat(&mut self, args: &command::IkeNetstatArgs, now: Instant) -> Result<Message, String> {
        let mut answer = done();
        if args.wants_sas() {
            let views = of_phase(self.endpoint.ike_sas(), args.phase);
            answer.put_section("ike-sas", report::ike_sas(&views, &self.model, now));
            answer.put_section("ike-counters", self.ike_counters());
        }
        if args.wants_remotes() {
            answer.put_section("remotes", self.remotes(args.name.as_deref(), now)?);
            answer.put_section("failures", report::recent_failures(self.failures.of(None), now));
        }
        Ok(answer)
    }

    fn ipsec_flush(&mut self, flush: FlushIpsec, now: Instant) -> Result<Message, String> {
        if flush.policies {
            self.change(now, |model| model.delete_policies(&Which::All).map(drop))?;
        }
        if flush.sas {
            self.command(Ike::TerminateChild(None), now);
            self.model.forget_sessions();
            let keyed: BTreeSet<PolicyId> = self.model.keyed().map(|keyed| keyed.policy.id).collect();
            self.delete_keyed_sas(|sa| keyed.contains(&sa.policy));
            self.tell_changes();
        }
        Ok(done())
    }

    fn ike_flush(&mut self, flush: FlushIke, now: Instant) -> Result<Message, String> {
        let mut answer = done();
        if let Some(remotes) = flush.remotes {
            let which = remotes.map_or(Which::All, Which::Named);
            answer = self.change(now, |model| model.delete_remotes(&which).map(drop))?;
        }
        match flush.sas {
            None => {}
            Some(None) => self.end_ike([Ike::TerminateIke(None)], now),
            Some(phase) => {
                let views = of_phase(self.endpoint.ike_sas(), phase);
                let commands = views.iter().flat_map(|view| match phase {
                    Some(Phase::V1Quick) => {
                        view.children.iter().map(|child| Ike::TerminateChildSa(child.inbound)).collect()
                    }
                    _ => vec![Ike::TerminateIkeSa(if view.initiator { view.spis.0 } else { view.spis.1 })],
                });
                self.end_ike(commands, now);
            }
        }
        Ok(answer)
    }

    fn initiate(&mut self, client: ClientId, args: &InitiateArgs, now: Instant) -> Result<Option<Message>, String> {
        let (id, remote) = self.protected(&args.policy)?;
        let entry = self.model.find_remote(&remote).map_err(|error| error.to_string())?;
        if !entry.spec.initiate {
            return Err(format!("the remote {remote} was configured without -w: let the peer begin, or add -w"));
        }
        if self.has_child(id) {
            let mut answer = done();
            answer.put_list("notes", [format!("there is an SA for {} already", args.policy)]);
            return Ok(Some(answer));
        }
        self.look_up_source(id, now);
        self.act(client, Goal::ChildUp(id, remote), Ike::Initiate(id), args.wait, now)
    }

    fn rekey(&mut self, client: ClientId, args: &RekeyArgs, now: Instant) -> Result<Option<Message>, String> {
        let (goal, command) = if args.child {
            let (id, remote) = self.protected(&args.name)?;
            self.need_child(id, &args.name)?;
            (Goal::ChildRekeyed(id, remote), Ike::RekeyChild(id))
        } else {
            self.need_ike(&args.name)?;
            (Goal::IkeRekeyed(args.name.clone()), Ike::RekeyIke(args.name.clone()))
        };
        self.act(client, goal, command, args.wait, now)
    }

    fn terminate(&mut self, client: ClientId, args: &TerminateArgs, now: Instant) -> Result<Option<Message>, String> {
        let (ike, children, command) = if args.child {
            let (id, remote) = self.protected(&args.name)?;
            self.need_child(id, &args.name)?;
            let views = self.endpoint.ike_sas_of(&remote);
            let children = views.iter().flat_map(|view| &view.children).filter(|child| child.policy == id);
            (BTreeSet::new(), children.map(|child| child.inbound).collect(), Ike::TerminateChild(Some(id)))
        } else {
            self.need_ike(&args.name)?;
            let ike = self.endpoint.ike_sas_of(&args.name).iter().map(|view| view.spis).collect();
            (ike, BTreeSet::new(), Ike::TerminateIke(Some(args.name.clone())))
        };
        let gone = Gone { of: ike.len() + children.len(), ike, children };
        let waits = !args.wait.timeout.is_zero();
        if waits {
            self.wait(client, Goal::Gone(gone), Some(now + args.wait.timeout.min(MAX_WAIT)));
        }
        self.end_ike([command], now);
        Ok((!waits).then(done))
    }

    fn act(
        &mut self,
        client: ClientId,
        goal: Goal,
        command: Ike,
        wait: command::Wait,
        now: Instant,
    ) -> Result<Option<Message>, String> {
        if wait.timeout.is_zero() {
            self.command(command, now);
            return Ok(Some(done()));
        }
        self.wait(client, goal, Some(now + wait.timeout.min(MAX_WAIT)));
        self.command(command, now);
        Ok(None)
    }

    /// The number of a policy that protects, and its remote.
    fn protected(&self, name: &str) -> Result<(PolicyId, String), String> {
        let entry = self.model.find_policy(name).map_err(|error| error.to_string())?;
        match &entry.spec.esp {
            Some(esp) => Ok((entry.id, esp.remote.clone())),
            None => Err(format!("the policy {name} protects nothing, so it has no SA")),
        }
    }

    fn need_child(&self, id: PolicyId, name: &str) -> Result<(), String> {
        if self.has_child(id) {
            Ok(())
        } else {
            Err(format!("there is no SA for the policy {name}: ravelin why {name}"))
        }
    }

    /// An IKE SA outlives its remote's configuration, so only the SA is asked for.
    fn need_ike(&self, name: &str) -> Result<(), String> {
        if self.endpoint.has_ike_sa(Some(name)) {
            return Ok(());
        }
        self.model.find_remote(name).map_err(|error| error.to_string())?;
        Err(format!("there is no IKE SA with the remote {name}: ravelin why {name}"))
    }
}

/// The IKE SAs of a phase; of the first phase without what they protect, of the second those that protect something.
fn of_phase(mut views: Vec<IkeSaView>, phase: Option<Phase>) -> Vec<IkeSaView> {
    match phase {
        None => {}
        Some(Phase::V1Ike) => {
            views.retain(|view| view.version == 1);
            views.iter_mut().for_each(|view| view.children.clear());
        }
        Some(Phase::V1Quick) => views.retain(|view| view.version == 1 && !view.children.is_empty()),
        Some(Phase::V2) => views.retain(|view| view.version == 2),
    }
    views
}
