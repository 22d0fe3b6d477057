//! What children say, and the policies that come of it.

use super::*;

#[test]
fn a_child_is_about_both_address_families() {
    let child = |ends: &str| {
        format!(
            "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nchildren {{\n c {{\n{ends}\nstart_action = trap\n }}\n}}"
        )
    };
    let both = child("local_ts = 10.1.0.0/16, fd01::/64\nremote_ts = fd02::/64, 10.2.0.0/16, fd03::/64");
    let policy = connection(&both).policies.remove(0);
    let shown = |ends: &[TrafficSelector]| ends.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(&policy.local), "10.1.0.0/16 fd01::/64");
    assert_eq!(shown(&policy.remote), "10.2.0.0/16 fd02::/64 fd03::/64");
    for ends in ["local_ts = 10.1.0.0/16, fd01::/64\nremote_ts = fd02::/64", "remote_ts = 10.2.0.0/16, fd02::/64"] {
        assert!(refused(&child(ends)).contains("each address family"), "{ends}");
    }
}

#[test]
fn dynamic_selectors_are_the_addresses_where_these_are_known() {
    let read = connection(
        "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\nchildren {\n h {\n mode = transport\n local_ts = dynamic[udp/1701]\n }\n}",
    );
    let policy = &read.policies[0];
    assert_eq!(policy.local[0].to_string(), "192.0.2.1[17/1701]");
    assert_eq!(policy.remote[0].to_string(), "192.0.2.2");
}

#[test]
fn children_that_let_pass_or_drop_need_nobody() {
    let text = "connections {\n shunts {\n children {\n ssh {\n mode = pass\n start_action = trap\n local_ts = 10.0.0.0/8[tcp/ssh]\n \
                remote_ts = 10.0.0.0/8\n }\n all {\n mode = drop\n local_ts = 10.0.0.0/8\n remote_ts = 0.0.0.0/0\n }\n }\n }\n}\n";
    let read = read(text).unwrap().connections.remove(0);
    assert!(read.remote.is_none());
    assert_eq!(read.policies.iter().map(|p| p.action).collect::<Vec<_>>(), [ActionWord::Bypass, ActionWord::Discard]);
    assert_eq!(read.policies.iter().map(|p| p.trap).collect::<Vec<_>>(), [true, false]);
    // The narrower one is consulted first.
    assert!(read.policies[0].priority < read.policies[1].priority);
}

#[test]
fn a_child_marks_what_it_opened_and_what_it_sealed() {
    let of = |inside: &str| {
        let esp = connection(&format!("children {{\n c {{\n{inside}\n }}\n}}")).policies.remove(0).esp.unwrap();
        let mark = |mark: Option<ravelin_types::options::Mark>| mark.map(|mark| (mark.value, mark.mask));
        (mark(esp.options.set_mark), mark(esp.options.output_mark))
    };
    assert_eq!(of("set_mark_in = 0x2a/0xff\nset_mark_out = 7"), (Some((0x2a, 0xff)), Some((7, u32::MAX))));
    assert_eq!(of("set_mark_in = 0/0x00000000\nset_mark_out = 0"), (None, None));
    let same = "mark_in = 10/0xff\nmark_out = 10/0xff\nset_mark_in = %same\nset_mark_out = %same/0xf";
    assert_eq!(of(same), (Some((10, u32::MAX)), Some((10, 0xf))));
    let why = refused("children {\n c {\nset_mark_out = %same\n }\n}");
    assert!(why.contains("f:11:") && why.contains("is that of `mark_out`, and there is none"), "{why}");
}

#[test]
fn a_child_has_a_command_for_up_and_down() {
    let of = |inside: &str| connection(&format!("children {{\n c {{\n{inside}\n }}\n}}")).policies.remove(0).esp;
    assert_eq!(of("").unwrap().updown, None);
    let command = Some("/usr/lib/ipsec/_updown iptables".to_owned());
    assert_eq!(of("updown = /usr/lib/ipsec/_updown iptables").unwrap().updown, command);
    let with_access = of("updown = /x\nhostaccess = yes").unwrap().updown;
    assert_eq!(with_access.as_deref(), Some("export PLUTO_HOST_ACCESS=1; /x"));
    // What has no SAs has nothing to run it for.
    assert_eq!(of("mode = drop\nlocal_ts = 10.1.0.0/16\nremote_ts = 10.2.0.0/16\nupdown = /x"), None);
    let why = refused(&format!("children {{\n c {{\nupdown = {}\n }}\n}}", "x".repeat(2000)));
    assert!(why.contains("f:11:") && why.contains("1 to 1024 bytes"), "{why}");
}

#[test]
fn interfaces_have_numbers_of_the_child_or_of_the_connection() {
    let of = |of_connection: &str, of_child: &str| {
        let read = connection(&format!("{of_connection}\nchildren {{\n c {{\n{of_child}\n }}\n}}"));
        let esp = read.policies[0].esp.clone().unwrap();
        (if_id::written(read.remote.unwrap().if_ids), esp.options.if_ids)
    };
    let number = |number: u32| IfIds::both(number.into());
    assert_eq!(of("", "if_id_in = 42\nif_id_out = 0x2a"), ("0".into(), number(42)));
    assert_eq!(of("if_id_in = 7\nif_id_out = 8", "").1, IfIds { inbound: 7.into(), outbound: 8.into() });
    assert_eq!(of("if_id_in = 7\nif_id_out = 8", "if_id_out = 9").1, IfIds { inbound: 7.into(), outbound: 9.into() });
    let unique = "if_id_in = %unique\nif_id_out = %unique";
    assert_eq!(of(unique, ""), ("%unique".into(), IfIds::both(IfId::OfIkeSa)));
    assert_eq!(of(unique, "if_id_in = %unique-dir").1, IfIds { inbound: IfId::UniqueDir, outbound: IfId::OfIkeSa });
    let ends = "local_addrs = 192.0.2.1\nremote_addrs = 192.0.2.2\n";
    let why = refused(&format!("{ends}{unique}\nchildren {{\n c {{\nstart_action = trap\n }}\n}}"));
    assert!(why.contains("comes with the SA"), "{why}");
    let why = refused(&format!("{ends}children {{\n c {{\nmode = drop\nif_id_in = 3\n }}\n}}"));
    assert!(why.contains("go with protection"), "{why}");
    for mark in ["mark_in = 3\nmark_out = 3", "set_mark_in = 3", "set_mark_out = 3/0xff"] {
        let why = refused(&format!("{ends}children {{\n c {{\nmode = pass\n{mark}\n }}\n}}"));
        assert!(why.contains("with every mark"), "{why}");
    }
}

#[test]
fn a_child_may_be_about_a_mark() {
    use ravelin_types::mark::{Marks, PolicyMark};
    use ravelin_types::options::Mark;
    let child = |inside: &str| {
        let read = connection(&format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\n{inside}\n }}\n}}"));
        read.policies[0].esp.as_ref().unwrap().options
    };
    let ten = PolicyMark::Is(Mark { value: 10, mask: u32::MAX });
    assert_eq!(child("mark_in = 10\nmark_out = 10").marks, Marks::both(ten));
    assert_eq!(child("mark_in = 10").marks, Marks { inbound: ten, outbound: PolicyMark::Any });
    assert_eq!(child("mark_in_sa = yes").marks, Marks::default());
    assert_eq!(child("mark_in = 0/0x00000000\nmark_out = 0").marks, Marks::default());
    assert_eq!(child("mark_in = %unique\nmark_out = %unique").marks, Marks::both(PolicyMark::Unique));
    for (inside, words) in [
        ("mark_in = %unique/0xff", "leave the mask out"),
        ("mark_out = %unique\nset_mark_out = %same", "another with each SA"),
        ("mark_out = %unique-dir\nlocal_ts = 10.1.0.0/16\nstart_action = trap", "which comes with the SA"),
    ] {
        let why = refused(&format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\n{inside}\n }}\n}}"));
        assert!(why.contains(words), "{inside}: {why}");
    }
}

#[test]
fn a_child_may_have_an_sa_for_each_processor() {
    use ravelin_types::options::Processors;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nper_cpu_sas = {words}\n }}\n}}");
    let processors = |words: &str| connection(&child(words)).policies[0].esp.as_ref().unwrap().options.processors;
    assert_eq!((processors("yes"), processors("no")), (Processors::Each, Processors::All));
    let why = refused(&child("encap"));
    assert!(why.contains("no ports of their own"), "{why}");
}

#[test]
fn packets_of_a_child_may_be_compressed() {
    use ravelin_types::options::IpComp;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nipcomp = {words}\n }}\n}}");
    let ipcomp = |words: &str| connection(&child(words)).policies[0].esp.as_ref().unwrap().options.ipcomp;
    assert_eq!((ipcomp("yes"), ipcomp("no")), (IpComp::Negotiate, IpComp::Off));
}

#[test]
fn packets_of_a_child_may_share_payloads() {
    use ravelin_types::options::AggFrag;
    let child = |words: &str| format!("remote_addrs = 192.0.2.2\nchildren {{\n c {{\nmode = {words}\n }}\n}}");
    let of = |words: &str| {
        let esp = connection(&child(words)).policies[0].esp.clone().unwrap();
        (esp.mode, esp.options.aggfrag)
    };
    assert_eq!(of("iptfs"), (Mode::Tunnel, Some(AggFrag { rate: None, fragments: true })));
    assert_eq!(of("tunnel"), (Mode::Tunnel, None));
    for (words, said) in
        [("iptfs\nipcomp = yes", "not compressed ones"), ("iptfs\nah_proposals = sha256", "of ESP alone")]
    {
        let why = refused(&child(words));
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn a_trap_in_transport_mode_may_be_for_whomever_a_packet_is_to() {
    use ravelin_types::pfp::Pfp;
    let trap =
        |inside: &str| format!("remote_addrs = %any\nchildren {{\n c {{\nstart_action = trap\n{inside}\n }}\n}}");
    let read = connection(&trap("mode = transport\nremote_ts = 192.168.0.0/30"));
    let policy = &read.policies[0];
    let net = TrafficSelector::prefix([192, 168, 0, 0].into(), 30).unwrap();
    assert_eq!(
        (policy.local.as_slice(), policy.remote.as_slice()),
        ([TrafficSelector::any_v4()].as_slice(), [net].as_slice())
    );
    assert_eq!(policy.esp.as_ref().unwrap().pfp, Pfp { local: true, remote: true, ..Pfp::NONE });
    let remote = read.remote.unwrap();
    assert!(remote.initiate && remote.endpoint.is_anybody());
    for text in [trap(""), format!("pools = p\n{}", trap("mode = transport"))] {
        let why = refused(&text);
        assert!(why.contains("whomever a packet is to"), "{why}");
    }
}
