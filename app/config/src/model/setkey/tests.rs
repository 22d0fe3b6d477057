//! What scripts come to.

use std::path::Path;

use ravelin_manage::Keying;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::{Mode, Ways};
use ravelin_types::transform::{EncrId, IntegId};

use super::*;
use crate::setkey;

const SAS: &str = "
    add 10.0.0.1 10.0.0.2 esp 0x2002 -r 4 -E aes-cbc \"sixteen octets 1\" -A hmac-sha1 \"twenty octets of key\";
    add 10.0.0.2 10.0.0.1 esp 0x1001 -r 4 -f random-pad -E aes-cbc \"sixteen octets 2\" -A hmac-sha1 \"of key twenty octets\";";
const POLICIES: &str = "
    spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//require;
    spdadd 10.0.0.2 10.0.0.1 any -P in ipsec esp/transport//require;";

fn carry(model: &mut Model, text: &str) -> Result<Carried, String> {
    let script = setkey::parse(text, Path::new("s"), SaOptions::default()).map_err(|error| error.to_string())?;
    let mut newer = model.clone();
    let carried = newer.setkey(&script).map_err(|error| error.to_string())?;
    *model = newer;
    Ok(carried)
}

fn good(model: &mut Model, text: &str) -> Vec<String> {
    let carried = carry(model, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    carried.notes.iter().map(ToString::to_string).collect()
}

fn bad(text: &str) -> String {
    carry(&mut Model::new(), text).err().unwrap_or_else(|| panic!("{text} was taken"))
}

fn only(model: &Model) -> &Keyed {
    let mut keyed = model.keyed();
    let one = keyed.next().expect("one");
    assert!(keyed.next().is_none());
    one
}

// One policy and one session of both directions, as `ipsec addsa` makes them.
#[test]
fn two_directions_become_one_policy_with_its_session() {
    let mut model = Model::new();
    let notes = good(&mut model, &format!("{SAS}{POLICIES}"));
    assert!(notes.len() == 1 && notes[0].starts_with("s:3:5: -r:"), "{notes:?}");
    let Keyed { policy, keying, session: Some(session), .. } = only(&model) else { panic!("no session") };
    assert_eq!(*keying, Keying::Program { manual: true, ah: false, esp: true });
    assert_eq!((policy.local[0].to_string(), policy.remote[0].to_string()), ("10.0.0.1".into(), "10.0.0.2".into()));
    let Action::Protect(protection) = &policy.action else { panic!() };
    assert_eq!((protection.mode, protection.local), (Mode::Transport, Some([10, 0, 0, 1].into())));
    // What arrives is padded otherwise, by its author's word.
    assert_eq!((protection.replay_window, protection.options.pad_check), (32, false));
    let esp = session.esp.as_ref().unwrap();
    assert_eq!((esp.spis.inbound, esp.spis.outbound, esp.encr), (Spi(0x1001), Spi(0x2002), EncrId::AES_CBC));
    assert_eq!((esp.encr_keys.outbound.expose(), esp.integ), (&b"sixteen octets 1"[..], IntegId::HMAC_SHA1_96));
    assert_eq!(esp.integ_keys.inbound.expose(), b"of key twenty octets");
    assert!(model.unused_sas().next().is_none());
    assert_eq!(
        model.commands().left_out,
        ["what scripts of setkey(8) have added: carry them out again with setkey -f"]
    );
}

#[test]
fn ah_goes_around_esp_and_networks_through_tunnels() {
    let mut model = Model::new();
    let ah = SAS.replace(" esp ", " ah ").replace("-f random-pad ", "").replace("-E aes-cbc \"sixteen octets 1\"", "");
    let ah = ah.replace("-E aes-cbc \"sixteen octets 2\"", "");
    let both = POLICIES.replace("require;", "require ah/transport//require;");
    good(&mut model, &format!("{SAS}{ah}{both}"));
    let session = only(&model).session.as_ref().unwrap();
    assert_eq!(session.ah.as_ref().map(|ah| ah.spis.inbound), Some(Spi(0x1001)));
    assert!(session.esp.is_some());

    let mut model = Model::new();
    let tunnel = "
        spdadd 10.1.0.0/16 10.2.0.0/16 any -P out ipsec esp/tunnel/10.0.0.1-10.0.0.2/unique:5;
        spdadd 10.2.0.0/16 10.1.0.0/16 any -P in ipsec esp/tunnel/10.0.0.2-10.0.0.1/unique:5;
        spdadd 10.2.0.0/16 10.1.0.0/16 any -P fwd ipsec esp/tunnel/10.0.0.2-10.0.0.1/unique:5;";
    let notes = good(&mut model, &format!("{SAS}{tunnel}"));
    assert!(
        notes.iter().any(|note| note.contains("dropped until there is an SA 10.0.0.1 10.0.0.2 esp with -u 5")),
        "{notes:?}"
    );
    assert!(only(&model).session.is_none() && model.unused_sas().count() == 2);
    good(&mut model, &format!("flush; {}", SAS.replace("-r 4", "-u 5")));
    let keyed = only(&model);
    assert!(keyed.session.is_some() && keyed.made.as_ref().unwrap().entries.len() == 3);
    let Action::Protect(protection) = &keyed.policy.action else { panic!() };
    assert_eq!((protection.mode, keyed.policy.local[0].to_string()), (Mode::Tunnel, "10.1.0.0/16".into()));
}

#[test]
fn each_direction_is_let_pass_or_dropped_by_itself() {
    let mut model = Model::new();
    good(&mut model, "spdadd 10.0.0.1 10.0.0.2 udp -P out none; spdadd 10.0.0.2 10.0.0.1 udp -P in discard;");
    let policies: Vec<_> = model.keyed().map(|keyed| (keyed.policy.action.clone(), keyed.policy.ways)).collect();
    assert_eq!(policies, [(Action::Bypass, Ways::Outbound), (Action::Discard, Ways::Inbound)]);
    // They are consulted in the order in which they were added.
    let priorities: Vec<u32> = model.keyed().map(|keyed| keyed.policy.priority).collect();
    assert_eq!(priorities, [4000, 4001]);
    good(&mut model, "spdupdate 10.0.0.1 10.0.0.2 udp -P out discard; spddelete 10.0.0.2 10.0.0.1 udp -P in;");
    assert_eq!(only(&model).policy.action, Action::Discard);
    assert_eq!(only(&model).policy.priority, 4000);
}

// A start script begins with both flushes.
#[test]
fn the_same_script_again_changes_nothing() {
    let mut model = Model::new();
    let text = format!("flush; spdflush; {SAS}{POLICIES}");
    good(&mut model, &text);
    let id = only(&model).policy.id;
    let before = model.clone();
    good(&mut model, &format!("\n\n{text}"));
    assert_eq!(only(&model).policy.id, id);
    assert!(before.difference(&model).is_empty());
    let notes = good(&mut model, &format!("{SAS}{POLICIES}"));
    assert_eq!(notes.iter().filter(|note| note.contains("there already")).count(), 4, "{notes:?}");
    assert_eq!(only(&model).policy.id, id);
    // Other keys are another session.
    good(&mut model, &text.replace("octets 1", "octets 3"));
    assert_ne!(only(&model).policy.id, id);
    // And a lifetime that has ended makes room for the same.
    let id = only(&model).policy.id;
    model.forget_ended_scripts(|_| true);
    assert_eq!(only(&model).policy.id, id);
    model.forget_ended_scripts(|_| false);
    good(&mut model, &text.replace("octets 1", "octets 3"));
    assert_ne!(only(&model).policy.id, id);
}

#[test]
fn what_is_deleted_is_gone_from_its_session() {
    let mut model = Model::new();
    good(&mut model, &format!("{SAS}{POLICIES}"));
    let carried =
        carry(&mut model, "delete 10.0.0.2 10.0.0.1 esp 0x1001; delete 10.0.0.2 10.0.0.1 ah 0x1001;").unwrap();
    assert!(only(&model).session.is_none() && model.unused_sas().count() == 1);
    let missed: Vec<bool> = carried.deleted.iter().map(|deleted| deleted.missed.is_some()).collect();
    assert_eq!(missed, [false, true]);
    good(&mut model, "deleteall 10.0.0.1 10.0.0.2 esp;");
    assert_eq!(model.unused_sas().count(), 0);
    let notes = good(&mut model, "spddelete 10.0.0.1 10.0.0.9 any -P out;");
    assert!(notes[0].contains("no script has added a policy 10.0.0.1[any] 10.0.0.9[any] any -P out"), "{notes:?}");
    // By other words for the same.
    good(&mut model, &format!("flush; {SAS}"));
    assert!(only(&model).session.is_some());
    model.forget_sessions();
    assert!(only(&model).session.is_none() && model.unused_sas().count() == 0);
    let name = only(&model).policy.name.clone();
    model.delete_policies(&Which::Named(name)).unwrap();
    good(&mut model, POLICIES);
    assert_eq!(model.keyed().count(), 1);
    good(&mut model, "spdflush;");
    assert_eq!((model.keyed().count(), model.policies().filter(|entry| !entry.automatic).count()), (0, 0));
}

#[test]
fn flushes_and_deletions_reach_what_addsa_added() {
    let argv = "ipsec addsa -m transport -r 10.0.0.2 -s 10.0.0.1 -d 10.0.0.2 -w 0x1001 -x 0x2002 -a HMAC-SHA-1 -e NULL_ENC \
                -b 0102 -c 0304";
    let argv: Vec<String> = argv.split_whitespace().map(str::to_owned).collect();
    for script in ["flush;", "flush esp;", "delete 10.0.0.1 10.0.0.2 esp 0x2002;", "deleteall 10.0.0.2 10.0.0.1 esp;"] {
        let crate::Command::AddSa(spec) = crate::parse(&argv).unwrap().command else { panic!() };
        let mut model = Model::new();
        model.add_manual(*spec, Path::new("/")).unwrap();
        good(&mut model, "flush ah; delete 10.0.0.1 10.0.0.2 esp 0x1001;");
        assert!(only(&model).session.is_some());
        good(&mut model, script);
        assert!(only(&model).session.is_none(), "{script}");
    }
}

#[test]
fn what_does_not_belong_together_is_refused_with_its_place() {
    let [one, other] = [POLICIES.lines().nth(1).unwrap(), POLICIES.lines().nth(2).unwrap()];
    for (text, place, words) in [
        (one.to_owned(), "1:5", "-P out needs -P in"),
        (other.to_owned(), "1:5", "-P in needs -P out"),
        (format!("{one}\n{}", other.replace("esp", "ah")), "2:5", "is to be protected as -P out is"),
        (format!("{POLICIES}\nspdadd 10.0.0.2 10.0.0.1 any -P fwd none;"), "4:1", "-P fwd is a part of -P in"),
        (POLICIES.replace("10.0.0.1", "10.1.0.0/16"), "2:5", "in transport mode"),
        (POLICIES.replace("esp/transport//", "esp/transport/10.0.0.1-10.0.0.9/"), "2:5", "are not the ends"),
        (
            format!("{SAS}{POLICIES}{}", POLICIES.replace(" any", " tcp")),
            "6:5",
            "an SA serves one policy here: give each policy SAs of its own with -u",
        ),
        (format!("{}{POLICIES}", SAS.replacen("aes-cbc", "camellia-cbc", 1)), "3:5", "one cipher"),
        (format!("{}{POLICIES}", SAS.replacen("hmac-sha1", "hmac-md5", 1)), "3:5", "one authentication algorithm"),
        (format!("{}{POLICIES}", SAS.replacen("-r 4", "-lh 60", 1)), "3:5", "one lifetime"),
        (format!("{}{POLICIES}", SAS.replacen("-r 4", "-f zero-pad", 1)), "2:5", "zero-pad and random-pad are refused"),
        (format!("{SAS}{}", SAS.replace("octets 1", "octets 3")), "4:5", "another SA"),
        (format!("{POLICIES}{}", POLICIES.replace("require", "unique:3")), "4:5", "another policy"),
    ] {
        let error = bad(&text);
        assert!(
            error.lines().any(|line| line.starts_with(&format!("s:{place}: ")) && line.contains(words)),
            "{text}: {error}"
        );
    }
}

#[test]
fn a_file_of_commands_carries_scripts_out() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("ravelin-setkey-rc-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |text: &str| {
        std::fs::write(folder.join("keys"), text).unwrap();
        std::fs::set_permissions(folder.join("keys"), std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(&format!("{SAS}{POLICIES}"));
    let read = |text: &str, model: &Model| crate::rc::apply(text, Path::new("rc"), &folder, model);
    let loaded = read("setkey -F\nsetkey -FP\nsetkey -f keys\nsetkey -DP", &Model::new()).unwrap();
    assert!(only(&loaded.model).session.is_some());
    assert_eq!(loaded.commands.iter().map(|later| later.arguments.join(" ")).collect::<Vec<_>>(), ["setkey -DP"]);
    // Read again, the same keeps its number.
    let another = "ipsec policy -n another --action bypass -s 10.0.0.9 -d 10.0.0.8\nsetkey -f keys";
    let again = read(another, &Model::new()).unwrap().model;
    assert_ne!(only(&again).policy.id, only(&loaded.model).policy.id);
    let newer = loaded.model.renumbered(again).unwrap();
    assert_eq!(only(&newer).policy.id, only(&loaded.model).policy.id);
    assert_eq!(loaded.model.difference(&newer).len(), 1);
    write("flsh;");
    let error = read("setkey -f keys\nsetkey -c", &Model::new()).unwrap_err().to_string();
    assert!(error.contains("keys:1:1: `flsh`") && error.contains("there is no standard input"), "{error}");
    std::fs::remove_dir_all(&folder).unwrap();
}
