//! What one interface configured, all listings show, in the words of the others' lines.

use super::vici::message;
use super::*;

/// The line of a remote or policy, in each listing that has it.
fn listed(bench: &mut Bench, remote: &str, policy: &str, child: &str) -> [[String; 2]; 3] {
    let of = |message: Option<Message>| message.unwrap().text("command").unwrap().to_owned();
    let conns = bench.streamed("list-conns", Message::new().with("ike", remote));
    let conn = conns[0].section(remote).unwrap();
    let over_vici = [of(Some(conn.clone())), of(conn.section("children").unwrap().section(child).cloned())];
    let first = |answer: Message, name: &str| of(answer.section(name).unwrap().section("1").cloned());
    let typed = [
        first(bench.ok(&format!("ike remote -v -n {remote}")), "remotes"),
        first(bench.ok(&format!("ipsec policy -v -n {policy}")), "policies"),
    ];
    let commands = bench.ok("ike commands");
    let all: Vec<String> = ["lines", "left-out"]
        .into_iter()
        .flat_map(|name| commands.list(name).unwrap_or_default())
        .flat_map(|line| line.split("; ").map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let found = |verb: &str, name: &str| {
        let begin = format!("{verb} -n {name} ");
        let line = all.iter().find_map(|line| Some(line[line.find(&begin)?..].to_owned()));
        line.unwrap_or_else(|| panic!("{begin} is not in {all:?}"))
    };
    [over_vici, typed, [found("ike remote", remote), found("ipsec policy", policy)]]
}

#[test]
fn what_the_command_line_configured_is_in_every_listing() {
    let mut bench = Bench::new("one-model-typed");
    bench.ok("ike remote -n gw -w -u -r 10.0.0.2 -f fqdn:gw.lab -g fqdn:own.lab -h psk --window 4 --tcp fallback --over-time 77");
    bench.ok("ipsec policy -n net -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16 --dscp 46 --mss path");
    let [over_vici, typed, commands] = listed(&mut bench, "gw", "net", "net");
    assert!(over_vici[0].contains("--tcp fallback") && over_vici[0].contains("--window 4"), "{over_vici:?}");
    assert!(over_vici[1].contains("--dscp 46") && over_vici[1].contains("--mss path"), "{over_vici:?}");
    assert_eq!((&over_vici, &over_vici), (&typed, &commands));
    // One who reads them back has the same.
    let mut again = Bench::new("one-model-again");
    commands.iter().for_each(|line| drop(again.ok(line)));
    assert_eq!(listed(&mut again, "gw", "net", "net"), [over_vici, typed, commands]);
}

#[test]
fn what_was_loaded_is_in_every_listing() {
    let mut bench = Bench::new("one-model-loaded");
    let connection = "t {\n version = 2\n remote_addrs = 10.0.0.2\n window = 4\n ppk_id = *@lab\n local {\n id = l.lab\n auth = psk\n }\n remote {\n \
                      id = r.lab\n auth = psk\n }\n children {\n net {\n local_ts = 10.1.0.0/16\n remote_ts = 10.2.0.0/16\n \
                      replay_window = 64\n dpd_action = trap\n }\n }\n}\n";
    assert_eq!(bench.answer("load-conn", message(connection)).text("errmsg"), None);
    let [over_vici, typed, commands] = listed(&mut bench, "t", "t.net", "net");
    assert!(over_vici[0].contains("--window 4") && over_vici[1].contains("--replay-window 64"), "{over_vici:?}");
    assert_eq!((&over_vici, &over_vici), (&typed, &commands));
    // What no line can say has its field.
    let conns = bench.streamed("list-conns", Message::new());
    let conn = conns[0].section("t").unwrap();
    assert_eq!((conn.text("ppk_id"), conn.text("ppk_required")), (Some("*@lab"), Some("no")));
    let child = conn.section("children").unwrap().section("net").unwrap();
    assert_eq!(child.text("dpd_action"), Some("trap"));
}
