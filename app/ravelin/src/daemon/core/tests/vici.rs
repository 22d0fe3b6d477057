//! VICI's commands over the core, as clients of strongSwan send them.

use super::*;

impl Bench {
    /// Sends a command; what is said because of it.
    fn vici(&mut self, name: &str, message: Message) -> Vec<Said> {
        let request = Request { client: self.client, name: name.to_owned(), message };
        assert!(self.core.request(&request, self.now), "{name}");
        self.core.said()
    }

    /// The one answer of a command.
    pub(super) fn answer(&mut self, name: &str, message: Message) -> Message {
        match self.vici(name, message).pop() {
            Some(Said::Answer(_, answer)) => answer,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The events that a listing streams.
    pub(super) fn streamed(&mut self, name: &str, message: Message) -> Vec<Message> {
        match self.vici(name, message).pop() {
            Some(Said::Stream(_, _, events)) => events,
            other => panic!("{name}: {other:?}"),
        }
    }
}

const POLICY: &str = "ipsec policy -n net -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16";
const REMOTE: &str = "ike remote -n gw -w -u -r 10.0.0.2 -f fqdn:gw.lab -g fqdn:own.lab -h psk";

fn configured(name: &str) -> Bench {
    let mut bench = Bench::new(name);
    bench.ok(POLICY);
    bench.ok(REMOTE);
    bench
}

#[test]
fn what_the_command_line_configured_is_listed_to_vici() {
    let mut bench = configured("vici-list");
    let conns = bench.streamed("list-conns", Message::new());
    let conn = conns[0].section("gw").unwrap();
    assert_eq!(conn.list("remote_addrs"), Some(vec!["10.0.0.2"]));
    assert_eq!(conn.section("local-1").unwrap().text("id"), Some("own.lab"));
    let child = conn.section("children").unwrap().section("net").unwrap();
    assert_eq!((child.text("mode"), child.list("local-ts")), (Some("TUNNEL"), Some(vec!["10.1.0.0/16"])));
    assert!(bench.streamed("list-conns", Message::new().with("ike", "nobody")).is_empty());
    let all = Message::new().with("trap", "yes").with("drop", "yes").with("pass", "yes");
    let policies = bench.streamed("list-policies", all);
    assert_eq!(policies.len(), 1);
    assert_eq!(policies[0].section("gw/net").unwrap().text("mode"), Some("TUNNEL"));
    assert!(bench.streamed("list-policies", Message::new().with("drop", "yes")).is_empty());
    assert!(bench.streamed("list-sas", Message::new()).is_empty());
}

#[test]
fn an_initiation_streams_its_log_to_the_client_that_asked_and_ends_with_its_time() {
    let mut bench = configured("vici-initiate");
    let said = bench.vici("initiate", Message::new().with("child", "net").with("timeout", 500).with("loglevel", 1));
    let lines: Vec<&str> = said
        .iter()
        .filter_map(|said| match said {
            Said::Progress(ClientId(1), "control-log", line) => line.text("msg"),
            _ => None,
        })
        .collect();
    assert!(
        lines.iter().any(|line| line.starts_with("sending packet: from 10.0.0.1[500] to 10.0.0.2[500]")),
        "{lines:?}"
    );
    let sas = bench.streamed("list-sas", Message::new());
    let sa = sas[0].section("gw").unwrap();
    assert_eq!((sa.text("state"), sa.text("uniqueid")), (Some("CONNECTING"), Some("1")));
    assert!(bench.core.deadline().is_some_and(|at| at <= bench.now + Duration::from_millis(500)));
    bench.core.timer(bench.now + Duration::from_millis(501));
    let (client, answer) = bench.answers().pop().unwrap();
    assert_eq!((client, answer.text("success")), (ClientId(1), Some("no")));
    // A half-open IKE SA goes at once, and with it the wait.
    let answer = bench.answer("terminate", Message::new().with("ike", "gw"));
    assert_eq!((answer.text("matches"), answer.text("terminated")), (Some("1"), Some("1")));
    assert!(bench.streamed("list-sas", Message::new()).is_empty());
}

#[test]
fn what_cannot_be_done_is_answered_in_the_words_that_clients_know() {
    let mut bench = configured("vici-refused");
    for (command, message, errmsg) in [
        ("initiate", Message::new().with("child", "nothere"), "CHILD_SA config 'nothere' not found"),
        ("initiate", Message::new(), "missing configuration name"),
        ("terminate", Message::new(), "missing terminate selector"),
        ("terminate", Message::new().with("ike", "gw"), "no matching SAs to terminate found"),
        ("rekey", Message::new().with("child", "net"), "no matching SAs to rekey found"),
        ("initiate", Message::new().with("child", "net").with("timeout", "soon"), "invalid value for: timeout"),
        ("get-counters", Message::new().with("name", "nobody"), "no counters found for 'nobody'"),
    ] {
        let answer = bench.answer(command, message);
        assert_eq!(answer.text("success"), Some("no"), "{command}");
        assert!(answer.text("errmsg").unwrap().starts_with(errmsg), "{command}: {answer:?}");
    }
    let unknown = Request { client: ClientId(1), name: "no-such-command".to_owned(), message: Message::new() };
    assert!(!bench.core.request(&unknown, bench.now));
}

#[test]
fn whoever_registered_for_the_log_hears_of_every_message() {
    let mut bench = configured("vici-log");
    bench.core.awaited(["log"].into());
    let said = bench.vici("initiate", Message::new().with("child", "net").with("timeout", -1));
    let heard = said.iter().filter(|said| matches!(said, Said::Event("log", line) if line.text("thread").is_some()));
    assert!(heard.count() >= 3, "{said:?}");
    assert!(matches!(said.last(), Some(Said::Answer(_, answer)) if answer.text("success") == Some("yes")));
    let counters = bench.answer("get-counters", Message::new().with("all", "yes"));
    let row = counters.section("counters").unwrap().section("gw").unwrap();
    assert_eq!(row.text("ike-init-out-req"), Some("1"));
}
