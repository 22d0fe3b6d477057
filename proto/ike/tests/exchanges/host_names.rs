//! Peers of a name: when it is looked up, what waits for that, and what an answer may say. B stands for every address to which a
//! name leads; those that are down answer nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ravelin_ike::config::{Gateway, Liveness, Reach};
use ravelin_ike::explain::Part;
use ravelin_ike::{Answer, Command, Event, Input, Question, limits};
use ravelin_types::HostName;

use crate::gateways::{Version, deliver, tried, versions};
use crate::lab::*;

const NAME: &str = "b.example.org";
const FIRST: &str = "198.51.100.1";
const SECOND: &str = "198.51.100.2";
const SIX: &str = "2001:db8::2";

fn name(text: &str) -> HostName {
    HostName::new(text).unwrap()
}

/// What resolvers say: addresses, or why not.
#[derive(Default)]
struct Dns(BTreeMap<&'static str, Result<Vec<&'static str>, &'static str>>);

impl Dns {
    /// One that knows B.
    fn of(addresses: &[&'static str]) -> Self {
        let mut dns = Dns::default();
        dns.says(NAME, addresses);
        dns
    }

    fn says(&mut self, name: &'static str, addresses: &[&'static str]) {
        self.0.insert(name, Ok(addresses.to_vec()));
    }

    fn fails(&mut self, name: &'static str, why: &'static str) {
        self.0.insert(name, Err(why));
    }

    fn answer(&self, name: &HostName) -> Answer {
        let found = self.0.get(name.as_str()).cloned().unwrap_or(Err("there is no such name"));
        match found {
            Ok(addresses) => Answer::Found(addresses.iter().map(|address| gateway(address)).collect()),
            Err(why) => Answer::Refused(why.into()),
        }
    }
}

fn gateway(address: &str) -> Gateway {
    let own = if address.contains(':') { "2001:db8::1" } else { A };
    Gateway { address: ip(address), source: Some(ip(own)) }
}

/// Answers what a host asks about names; how many questions that were.
fn look_up(host: &mut Host, dns: &Dns) -> usize {
    let asked = std::mem::take(&mut host.asked);
    let mut count = 0;
    for (op, question) in asked {
        if let Question::LookUp(name) = question {
            host.input(Input::Done(op, dns.answer(&name).into()));
            count += 1;
        } else {
            host.asked.push_back((op, question));
        }
    }
    count
}

/// Where the version makes no difference.
fn first_version() -> Version {
    versions()[0].1
}

/// A reaches B by its name.
fn lab(version: Version) -> Lab {
    reaching(version, &[Reach::Named(name(NAME))])
}

/// A reaches B so, and asks whether it lives after 20 s.
fn reaching(version: Version, reach: &[Reach]) -> Lab {
    Lab::with(|a, b| {
        version(a);
        version(b);
        b.remotes[0].local = None;
        b.remotes[0].open.alternates = vec![Reach::At(gateway("2001:db8::1"))];
        let remote = &mut a.remotes[0];
        remote.local = None;
        remote.remote = ip("0.0.0.0");
        remote.open.alternates = reach.to_vec();
        remote.liveness = Liveness::Regular(Duration::from_secs(20));
    })
}

/// Lets time pass second by second.
fn run(lab: &mut Lab, seconds: u64, down: &[&str], dns: &Dns) {
    for _ in 0..seconds {
        deliver(lab, down);
        if look_up(&mut lab.a, dns) + look_up(&mut lab.b, dns) > 0 {
            deliver(lab, down);
        }
        lab.sleep(Duration::from_secs(1));
    }
}

fn peer(lab: &Lab) -> IpAddr {
    lab.a.ike().peer.ip()
}

fn asked(host: &Host) -> usize {
    host.asked.iter().filter(|(_, question)| matches!(question, Question::LookUp(_))).count()
}

#[test]
fn each_negotiation_asks_anew_and_waits_for_the_answer() {
    for (number, version) in versions() {
        let mut lab = lab(version);
        let mut dns = Dns::of(&[B]);
        run(&mut lab, 1, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!((lab.a.sent.len(), asked(&lab.a)), (0, 1));
        // What else is wanted meanwhile joins it.
        lab.a.command(Command::Initiate(POLICY));
        lab.a.command(Command::InitiateIke("peer".into()));
        assert_eq!((lab.a.sent.len(), asked(&lab.a)), (0, 1));
        run(&mut lab, 3, &[], &dns);
        assert_eq!((peer(&lab), lab.a.ike().version, lab.a.children().len()), (ip(B), number, 1));
        assert_eq!(lab.a.ike().local.ip(), ip(A), "the answer says from where it is reached");
        lab.assert_mirrored();

        dns.says(NAME, &[SECOND]);
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 2, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[B], &dns);
        assert_eq!(peer(&lab), ip(SECOND));
        let found: Vec<_> = lab.a.events.iter().filter(|event| matches!(event, Event::HostFound { .. })).collect();
        assert_eq!(found.len(), 2, "each place once: {found:?}");
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn the_addresses_of_an_answer_are_tried_in_its_order() {
    for (_, version) in versions() {
        let mut lab = lab(version);
        let dns = Dns::of(&[SIX, FIRST, B]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[SIX, FIRST], &dns);
        assert_eq!(tried(&lab), [(ip(SIX), ip(FIRST)), (ip(FIRST), ip(B))]);
        assert_eq!((peer(&lab), lab.a.failures()), (ip(B), vec![]));
    }
}

#[test]
fn a_name_among_addresses_has_its_turn_in_order() {
    for (_, version) in versions() {
        let reach = [Reach::At(gateway(FIRST)), Reach::Named(name(NAME)), Reach::At(gateway(SECOND))];
        let mut lab = reaching(version, &reach);
        lab.a.configure(|config| {
            let remote = &mut config.remotes[0];
            remote.remote = ip(FIRST);
            remote.open.alternates.remove(0);
        });
        // It leads nowhere: it is passed over.
        let dns = Dns::default();
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[FIRST], &dns);
        assert_eq!((peer(&lab), lab.a.failures()), (ip(SECOND), vec![]));
        // And where it leads somewhere, that comes before what is behind it.
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 2, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[FIRST, SECOND], &Dns::of(&[B]));
        assert_eq!(peer(&lab), ip(B));
    }
}

#[test]
fn a_name_that_leads_nowhere_is_a_failure_until_it_leads_somewhere() {
    for (_, version) in versions() {
        let mut lab = lab(version);
        let mut dns = Dns::default();
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 1, &[], &dns);
        let failure = lab.a.failure(Part::Name);
        assert_eq!(
            (failure.policy, &failure.ours[..]),
            (Some(POLICY), &[format!("{NAME}: there is no such name")][..])
        );
        assert!(!failure.to_string().contains("0.0.0.0"), "{failure}");
        assert!(lab.a.endpoint.ike_sas().is_empty());
        let [known] = &lab.a.endpoint.host_names()[..] else { panic!() };
        assert_eq!(known.failed.as_ref().unwrap().1, "there is no such name");
        assert!(known.next > lab.a.now && known.next <= lab.a.now + limits::NAME_RETRY);
        // It is told once, however often it is asked.
        run(&mut lab, 60, &[], &dns);
        let told = lab.a.events.iter().filter(|event| matches!(event, Event::HostNotFound { .. })).count();
        assert_eq!(told, 1);
        dns.says(NAME, &[B]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        assert_eq!(peer(&lab), ip(B));
        // Where the answer was good once, that is tried while there is none.
        dns.fails(NAME, "no server answers");
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 2, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        assert_eq!(peer(&lab), ip(B));
    }
}

#[test]
fn what_is_wanted_of_a_dead_peer_goes_where_its_name_leads_then() {
    for (_, version) in versions() {
        let mut lab = lab(version);
        let mut dns = Dns::of(&[FIRST]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        lab.a.command(Command::TerminateChild(Some(POLICY)));
        run(&mut lab, 3, &[], &dns);
        dns.says(NAME, &[SECOND]);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 200, &[FIRST], &dns);
        assert_eq!((peer(&lab), lab.a.children().len()), (ip(SECOND), 1));
    }
}

#[test]
fn a_peer_that_begins_is_known_by_where_its_name_leads() {
    for (_, version) in versions() {
        let mut lab = Lab::with(|a, b| {
            version(a);
            version(b);
            let remote = &mut b.remotes[0];
            remote.remote = ip("0.0.0.0");
            remote.open.alternates = vec![Reach::Named(name(NAME))];
        });
        // Nobody knows yet who A is: it is not answered, but asked about, and when it asks again it is known.
        let mut dns = Dns::of(&[A]);
        lab.a.command(Command::Initiate(POLICY));
        deliver(&mut lab, &[]);
        assert_eq!((lab.b.sent.len(), lab.b.failures().len()), (0, 0));
        run(&mut lab, 5, &[], &dns);
        assert_eq!((lab.b.ike().peer.ip(), lab.b.children().len()), (ip(A), 1));
        lab.assert_mirrored();

        // Now the name leads elsewhere, and A is a stranger.
        dns.says(NAME, &[FIRST]);
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 120, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        assert!(lab.b.endpoint.ike_sas().is_empty());
        let failures = lab.b.failures();
        assert!(!failures.is_empty() && failures.iter().all(|it| it.part == Part::NoRemote), "{failures:#?}");
    }
}

#[test]
fn strangers_have_names_looked_up_no_more_often_than_a_bound() {
    for (_, version) in versions() {
        let mut lab = Lab::with(|a, b| {
            version(a);
            version(b);
            let remote = &mut b.remotes[0];
            remote.remote = ip("0.0.0.0");
            remote.open.alternates = vec![Reach::Named(name(NAME))];
        });
        let dns = Dns::of(&[FIRST]);
        run(&mut lab, 6, &[], &dns);
        let mut looked_up = 0;
        for _ in 0..20 {
            lab.a.command(Command::Initiate(POLICY));
            deliver(&mut lab, &[]);
            looked_up += look_up(&mut lab.b, &dns);
            lab.a.command(Command::TerminateIke(None));
            lab.sleep(Duration::from_secs(1));
        }
        assert!((3..=5).contains(&looked_up), "{looked_up} in 20 s");
    }
}

#[test]
fn of_an_answer_no_more_is_taken_than_can_be_a_peer() {
    let mut lab = lab(first_version());
    let many = [
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "ff02::1",
        "255.255.255.255",
        "fe80::1",
        "192.0.2.11",
        "192.0.2.11",
        "192.0.2.12",
        "192.0.2.13",
        "192.0.2.14",
        "192.0.2.15",
        "192.0.2.16",
        "192.0.2.17",
        "192.0.2.18",
        "192.0.2.19",
    ];
    lab.a.command(Command::Initiate(POLICY));
    look_up(&mut lab.a, &Dns::of(&many));
    let [known] = &lab.a.endpoint.host_names()[..] else { panic!() };
    let expected: Vec<IpAddr> = (11..19).map(|last| ip(&format!("192.0.2.{last}"))).collect();
    assert_eq!((known.addresses.clone(), limits::NAME_ADDRESSES), (expected, 8));
    assert_eq!(lab.a.take().remote.ip(), ip("192.0.2.11"));

    // None of it is any use.
    let mut lab = self::lab(first_version());
    lab.a.command(Command::Initiate(POLICY));
    look_up(&mut lab.a, &Dns::of(&many[..8]));
    assert!(lab.a.failure(Part::Name).ours[0].contains("no address of it is one at which a peer can be"));
    // Somebody answers something else, and somebody twice.
    let mut lab = self::lab(first_version());
    lab.a.command(Command::Initiate(POLICY));
    let (op, _) = lab.a.asked.pop_front().unwrap();
    lab.a.input(Input::Done(op, Answer::Proven.into()));
    lab.a.input(Input::Done(op, Answer::Found(vec![gateway(B)]).into()));
    assert!(lab.a.failure(Part::Name).ours[0].contains("there is no answer"));
    assert!(lab.a.sent.is_empty());
}

#[test]
fn nobody_waits_for_what_is_not_wanted_any_more() {
    type Ends = fn(&mut Host);
    let ends: [Ends; 5] = [
        |host| host.command(Command::TerminateIke(Some("peer".into()))),
        |host| host.command(Command::TerminateIke(None)),
        |host| host.command(Command::TerminateChild(Some(POLICY))),
        |host| host.configure(|config| config.remotes.clear()),
        |host| host.configure(|config| config.remotes[0].initiate = false),
    ];
    for end in ends {
        let mut lab = lab(|_| ());
        lab.a.command(Command::Initiate(POLICY));
        end(&mut lab.a);
        look_up(&mut lab.a, &Dns::of(&[B]));
        assert_eq!((lab.a.sent.len(), lab.a.failures()), (0, vec![]));
    }
}

// An answer that never comes is asked for again, and holds nobody up for longer.
#[test]
fn a_question_without_an_answer_is_asked_again() {
    let mut lab = lab(first_version());
    lab.a.command(Command::Initiate(POLICY));
    lab.a.asked.clear();
    lab.a.sleep(limits::ANSWER / 2);
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(asked(&lab.a), 0);
    lab.a.sleep(limits::NAME_REFRESH);
    assert_eq!(look_up(&mut lab.a, &Dns::of(&[B])), 1);
    assert_eq!(lab.a.take().remote.ip(), ip(B));
}

#[test]
fn a_reload_with_the_same_name_asks_nothing_and_disturbs_nothing() {
    let mut lab = lab(first_version());
    let dns = Dns::of(&[B]);
    lab.a.command(Command::Initiate(POLICY));
    run(&mut lab, 3, &[], &dns);
    let before = lab.a.ike().spis;
    lab.a.configure(|_| ());
    assert_eq!(asked(&lab.a), 0);
    run(&mut lab, 3, &[], &dns);
    assert_eq!(lab.a.ike().spis, before);
}

// An IKE SA is rekeyed where it is as long as its name leads there, and made anew where the name leads when that is elsewhere.
#[test]
#[cfg(feature = "ikev2")]
fn a_rekey_follows_a_name_that_has_moved() {
    let mut lab = lab(|_| ());
    lab.a.configure(|config| config.remotes[0].lifetime = Duration::from_secs(600));
    let mut dns = Dns::of(&[FIRST]);
    lab.a.command(Command::Initiate(POLICY));
    run(&mut lab, 650, &[], &dns);
    let rekeyed = lab.a.events.iter().filter(|event| matches!(event, Event::IkeRekeyed { .. })).count();
    assert_eq!((rekeyed, peer(&lab)), (1, ip(FIRST)));
    dns.says(NAME, &[SECOND]);
    run(&mut lab, 650, &[], &dns);
    let anew = lab.a.events.iter().filter(|event| matches!(event, Event::IkeReauthenticated { .. })).count();
    assert_eq!((anew, peer(&lab), lab.a.children().len()), (1, ip(SECOND), 1));
    lab.assert_mirrored();
}

#[test]
#[cfg(feature = "ikev1")]
fn a_phase_1_that_is_made_anew_stays_where_it_is() {
    let mut lab = lab(|config| crate::v1::v1(config, false));
    lab.a.configure(|config| config.remotes[0].lifetime = Duration::from_secs(600));
    let mut dns = Dns::of(&[FIRST]);
    lab.a.command(Command::Initiate(POLICY));
    run(&mut lab, 3, &[], &dns);
    dns.says(NAME, &[SECOND]);
    run(&mut lab, 620, &[], &dns);
    let rekeyed = lab.a.events.iter().filter(|event| matches!(event, Event::IkeRekeyed { .. })).count();
    assert_eq!((rekeyed, peer(&lab)), (1, ip(FIRST)));
}

#[test]
fn a_name_of_this_host_says_from_where_we_begin_and_where_peers_are_answered() {
    const OWN: &str = "a.example.org";
    for (_, version) in versions() {
        let mut lab = Lab::with(|a, b| {
            version(a);
            version(b);
            let remote = &mut a.remotes[0];
            (remote.local, remote.source) = (None, None);
            remote.open.own_names = vec![name(OWN)];
        });
        let mut dns = Dns::default();
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 1, &[], &dns);
        assert!(lab.a.failure(Part::Name).ours[0].starts_with(OWN));
        // Of an address of the other family there is no use, and peers are not answered at it.
        dns.says(OWN, &["2001:db8::1", A]);
        run(&mut lab, 15, &[], &dns);
        lab.a.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        assert_eq!((lab.a.ike().local.ip(), lab.a.children().len()), (ip(A), 1));
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 2, &[], &dns);
        lab.b.command(Command::Initiate(POLICY));
        run(&mut lab, 3, &[], &dns);
        assert_eq!(lab.a.ike().local.ip(), ip(A));
        lab.a.command(Command::TerminateIke(None));
        run(&mut lab, 2, &[], &dns);
        dns.says(OWN, &[SECOND]);
        run(&mut lab, 70, &[], &dns);
        lab.a.events.clear();
        lab.b.command(Command::Initiate(POLICY));
        run(&mut lab, 1, &[], &dns);
        assert!(lab.a.endpoint.ike_sas().is_empty());
    }
}
