//! Remotes of a name: what is in force before anybody knows where they are, when they are tried, and what is told of them.

use std::net::IpAddr;

use ravelin_ike::Question;

use super::*;

const NAMED: &str = "ike remote -n gw -w -u -r gw.example.org --local 10.0.0.1 -f fqdn:gw -h psk";
const NET: &str = "ipsec policy -n p1 -g gw -m tunnel -r gw.example.org -s 10.1.0.0/16 -d 10.2.0.0/16";

/// Answers what is asked about names; how many questions that were.
fn look_up(bench: &mut Bench, answer: Result<&[&str], &str>) -> usize {
    let asked = bench.core.questions();
    for (op, question, _) in &asked {
        assert!(matches!(question, Question::LookUp(_)), "{question:?}");
        let at = |text: &&str| Gateway { address: text.parse().unwrap(), source: None };
        let answer = match answer {
            Ok(found) => Answer::Found(found.iter().map(at).collect()),
            Err(why) => Answer::Refused(why.into()),
        };
        bench.core.answered(*op, answer, bench.now);
    }
    asked.len()
}

fn sleep(bench: &mut Bench, seconds: u64) {
    bench.now = bench.now + Duration::from_secs(seconds);
    bench.core.timer(bench.now);
}

/// Where messages went since the last look.
fn sent(bench: &Bench) -> Vec<IpAddr> {
    bench.plane.0.borrow_mut().sent.drain(..).map(|(to, _)| to.ip()).collect()
}

/// The far end of the only policy.
fn end(bench: &Bench) -> IpAddr {
    let held = bench.plane.0.borrow();
    let policy = held.policies.values().next().unwrap();
    let ravelin_types::policy::Action::Protect(protection) = &policy.action else { panic!() };
    protection.remote
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_policy_with_a_peer_of_a_name_is_in_force_before_anybody_knows_where_that_is() {
    let mut bench = Bench::new("names-trap");
    bench.ok(NAMED);
    bench.ok(NET);
    assert_eq!((end(&bench), sent(&bench)), (ip("0.0.0.0"), vec![]));
    assert_eq!(look_up(&mut bench, Ok(&["192.0.2.2", "192.0.2.3"])), 1);
    assert_eq!((end(&bench), sent(&bench)), (ip("192.0.2.2"), vec![]), "nobody wants it yet");
    // What is begun asks anew, and goes where the name leads then.
    bench.send("ike initiate p1 --timeout 0");
    assert!(sent(&bench).is_empty());
    look_up(&mut bench, Ok(&["192.0.2.9"]));
    assert_eq!((end(&bench), sent(&bench)), (ip("192.0.2.9"), vec![ip("192.0.2.9")]));
    // A change that is not about it leaves it where it is.
    bench.ok("ipsec policy -n p2 --action bypass -s 10.9.0.0/16 -d 10.8.0.0/16");
    assert_eq!((end(&bench), bench.core.questions().len()), (ip("192.0.2.9"), 0));
    bench.ok("ipsec policy -x p2");
    bench.ok("ipsec policy -x p1");
    bench.ok(NET);
    assert_eq!(end(&bench), ip("192.0.2.9"), "it is known already");
}

#[test]
fn what_starts_at_once_starts_when_its_name_resolves() {
    let mut bench = Bench::new("names-start");
    bench.ok(NAMED);
    bench.ok(&format!("{NET} --start now"));
    look_up(&mut bench, Err("Temporary failure in name resolution"));
    assert!(sent(&bench).is_empty());
    sleep(&mut bench, 4);
    let why = crate::render::tables(&bench.ok("why gw"));
    let line = "gw.example.org did not resolve: Temporary failure in name resolution, since 4 s, next attempt in 6 s";
    assert!(why.contains(line), "{why}");
    assert!(why.contains("the peer's name leads nowhere") && why.contains("change: correct the name"), "{why}");
    assert_eq!(crate::render::tables(&bench.ok("why gw.example.org")), why);
    let view = crate::render::tables(&bench.ok("ike remote -v -n gw"));
    assert!(view.contains("Remote gw: gw.example.org, IKEv2") && view.contains(line), "{view}");
    for _ in 0..3 {
        sleep(&mut bench, 10);
        look_up(&mut bench, Err("Temporary failure in name resolution"));
        assert!(sent(&bench).is_empty());
    }
    sleep(&mut bench, 10);
    look_up(&mut bench, Ok(&["192.0.2.2"]));
    sleep(&mut bench, 10);
    look_up(&mut bench, Ok(&["192.0.2.2"]));
    assert_eq!(sent(&bench).first(), Some(&ip("192.0.2.2")));
    let view = crate::render::tables(&bench.ok("why 192.0.2.2"));
    assert!(view.contains("gw.example.org is at 192.0.2.2"), "{view}");
}

#[test]
fn commands_write_the_name_and_a_reload_of_it_disturbs_nothing() {
    let mut bench = Bench::new("names-commands");
    bench.ok(NAMED);
    bench.ok(NET);
    look_up(&mut bench, Ok(&["192.0.2.2"]));
    let answer = bench.ok("ike commands");
    let commands = answer.list("lines").unwrap().join("\n");
    assert_eq!(commands.matches("-r gw.example.org").count(), 2, "{commands}");
    let before = bench.state();
    std::fs::write(bench.directory.join("rc"), format!("{NAMED}\n{NET}\n")).unwrap();
    bench.core.files.rc = Some(bench.directory.join("rc"));
    let answer = bench.ok("ike reload");
    assert_eq!(answer.list("changes").unwrap_or_default(), Vec::<&str>::new());
    assert_eq!((bench.state(), bench.core.questions().len()), (before, 0));
}
