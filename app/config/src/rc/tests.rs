use super::*;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

/// An argument, and the line and column where it begins.
type Located = (String, usize, usize);

fn split(text: &str) -> Vec<Result<Vec<Located>, LineError>> {
    lines(text)
        .map(|line| {
            let show = |token: &Token| (token.text(), token.place(0).line, token.place(0).column);
            line.map(|tokens| tokens.iter().map(show).collect())
        })
        .collect()
}

fn token(text: &str, line: usize, column: usize) -> Located {
    (text.to_owned(), line, column)
}

#[test]
fn comments_quotes_and_joined_lines() {
    assert_eq!(
        split("# all of it\n\n  a 'b c' # rest\nd\\\n  \"e \\\" f\"g#h ''\r\n"),
        [
            Ok(vec![token("a", 3, 3), token("b c", 3, 6)]),
            Ok(vec![token("d", 4, 1), token("e \" fg#h", 5, 4), token("", 5, 15)]),
        ]
    );
    assert_eq!(split("a\\ b"), [Ok(vec![token("a b", 1, 1)])]);
    assert_eq!(split(""), []);
    assert_eq!(split("a \\"), [Ok(vec![token("a", 1, 1)])]);
}

#[test]
fn an_open_quote_is_located_and_the_next_line_is_read() {
    let open = Err((Place { line: 1, column: 4 }, "the quote \" is not closed on its line".to_owned()));
    assert_eq!(split("ab \"c\nd"), [open, Ok(vec![token("d", 2, 1)])]);
}

#[test]
fn a_place_counts_characters() {
    let tokens = lines("é 'ü,x'").next().unwrap().unwrap();
    assert_eq!(tokens[1].place(3), Place { line: 1, column: 6 });
    assert_eq!(tokens[1].end(), Place { line: 1, column: 8 });
}

fn errors(text: &str) -> Vec<String> {
    match apply(text, Path::new("ike_rc"), Path::new("/nonexistent"), &Model::new()) {
        Ok(_) => Vec::new(),
        Err(error) => error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[test]
fn every_error_has_file_line_and_column() {
    let found = errors(
        "# two mistakes\n\
         ipsec policy -n a -g gw -m tunnel -r 10.0.0.2 -s any -d any -e AES128-CBC,IDEA\n\
         ipsec policy -n b --action bypass \\\n    -s any -d 10.0.0.0/33\n\
         ipsec policy -n c\n",
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(found[0].starts_with("ike_rc:2:75: ") && found[0].contains("`IDEA` is not"), "{}", found[0]);
    assert!(found[1].starts_with("ike_rc:4:24: ") && found[1].contains("prefix is longer"), "{}", found[1]);
    assert!(found[2].starts_with("ike_rc:5:18: expected -s SOURCE"), "{}", found[2]);
}

#[test]
fn other_commands_wait_for_the_daemon_in_their_order() {
    let text = "ike initiate p\nipsec policy -n p --action bypass -s any -d any\n  ipsec netstat -c\n";
    let loaded = apply(text, Path::new("ike_rc"), Path::new("/"), &Model::new()).unwrap();
    assert!(loaded.model.policy("p").is_some());
    let later: Vec<String> = loaded.commands.iter().map(|later| later.arguments.join(" ")).collect();
    assert_eq!(later, ["ike initiate p", "ipsec netstat -c"]);
    assert_eq!(loaded.commands[1].place, Place { line: 3, column: 3 });
    assert_eq!(errors("ike initiate\n").len(), 1);
}

#[test]
fn a_called_file_stands_in_the_place_of_its_line() {
    let directory = std::env::temp_dir().join(format!("ravelin-call-{}", std::process::id()));
    fs::create_dir_all(directory.join("sub")).unwrap();
    // Paths in it are sought beside it; its policies may name remotes of the file that calls it.
    let inner = "policy -n a -g gw -m tunnel -r 10.0.0.2 -s any -d any\nike netstat\n";
    fs::write(directory.join("sub/inner"), inner).unwrap();
    fs::write(directory.join("psk"), "secret").unwrap();
    fs::set_permissions(directory.join("psk"), fs::Permissions::from_mode(0o600)).unwrap();
    let outer = "call sub/inner\nremote -n gw -w -u -r 10.0.0.2 -g fqdn:a -h psk\n";
    let read = |text: &str| apply(text, Path::new("ike_rc"), &directory, &Model::new());
    let loaded = read(outer).unwrap();
    assert_eq!(loaded.model.ike_config(&BTreeMap::new()).policies.len(), 1);
    assert_eq!(loaded.commands[0].file, directory.join("sub/inner"));
    let missing = read("call sub/inner\n").unwrap_err().to_string();
    assert!(missing.contains("sub/inner:1:16: the policy a names the remote gw"), "{missing}");
    fs::write(directory.join("loop"), "call loop\n").unwrap();
    let error = read("call loop\ncall nowhere\n").unwrap_err().to_string();
    assert!(error.contains("loop:1:1: more than 8 files call one another"), "{error}");
    assert!(error.contains("ike_rc:2:1: cannot read"), "{error}");
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_remote_that_is_nowhere_is_reported_at_its_name() {
    let found = errors("policy -n a -g gw -m tunnel -r 10.0.0.2 -s any -d any\n");
    assert_eq!(
        found,
        [
            "ike_rc:1:16: the policy a names the remote gw, which is not configured: add `ike remote -n gw`, or name another with -g"
        ]
    );
}

#[test]
fn a_key_is_sought_beside_the_file_and_named_when_it_cannot_be_had() {
    let found = errors("remote -n gw -w -u -r 10.0.0.2 -g fqdn:a -h missing.psk\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("ike_rc:1:45: cannot read /nonexistent/missing.psk"), "{found:?}");
}

#[test]
fn a_whole_file_loads_or_nothing_does() {
    let directory = std::env::temp_dir().join(format!("ravelin-rc-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("psk"), "secret").unwrap();
    fs::set_permissions(directory.join("psk"), fs::Permissions::from_mode(0o600)).unwrap();
    let rc = directory.join("ike_rc");
    let good = "policy -n a -g gw -m tunnel -r 10.0.0.2 -s any -d any -e AES128-GCM -a HMAC-SHA-1\n\
                remote -n gw -w -u -r 10.0.0.2 -g fqdn:a -h psk\n";
    fs::write(&rc, good).unwrap();
    let loaded = load(&rc, &Model::new()).unwrap();
    assert_eq!(loaded.model.ike_config(&BTreeMap::new()).policies.len(), 1);
    assert!(loaded.notes[0].to_string().contains("ike_rc:1:1: -a has no effect"), "{:?}", loaded.notes);
    // The same names again: refused, and the model that was passed in is as it was.
    let again = load(&rc, &loaded.model).unwrap_err();
    assert!(again.to_string().contains("ike_rc:1:1: there is a policy a already"), "{again}");
    fs::write(&rc, b"\n\xff").unwrap();
    assert!(load(&rc, &Model::new()).unwrap_err().to_string().ends_with("ike_rc:2:1: not UTF-8 text"));
    fs::remove_dir_all(&directory).unwrap();
    assert!(matches!(load(&rc, &Model::new()), Err(FileError::Io(..))));
}

// S-163: MAXCMD of document 003 was 512.
#[test]
fn a_long_line_is_taken() {
    let sources: String = (0..64).map(|n| format!(" -s 10.{n}.0.0/16")).collect();
    let line = format!("ipsec policy -n p1 --action bypass -p any -d 10.255.0.0/16{sources}\n");
    assert!(line.len() > 900);
    let loaded = apply(&line, Path::new("rc"), Path::new("/"), &Model::new()).unwrap();
    assert_eq!(loaded.model.find_policy("p1").unwrap().spec.local.len(), 64);
}
