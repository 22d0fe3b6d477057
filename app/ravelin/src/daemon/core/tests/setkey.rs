//! Scripts of setkey(8).

use std::os::unix::fs::PermissionsExt;

use super::*;

const SCRIPT: &str = "
    flush; spdflush;
    add 10.0.0.1 10.0.0.2 esp 0x2002 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f -A hmac-sha1 \"twenty octets of key\";
    add 10.0.0.2 10.0.0.1 esp 0x1001 -E aes-cbc \"sixteen octets 2\" -A hmac-sha1 \"of key twenty octets\" -lh 600;
    spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//require;
    spdadd 10.0.0.2 10.0.0.1 any -P in ipsec esp/transport//require;";

fn script() -> String {
    SCRIPT.replace("-A hmac-sha1 \"twenty", "-lh 600 -A hmac-sha1 \"twenty")
}

impl Bench {
    fn keep(&self, text: &str) {
        std::fs::write(self.directory.join("keys"), text).unwrap();
        std::fs::set_permissions(self.directory.join("keys"), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn keys(&self) -> Vec<Vec<u8>> {
        self.plane.0.borrow().sas.iter().map(|sa| sa.params.keys.encr.expose().to_vec()).collect()
    }

    fn policy_ids(&self) -> Vec<PolicyId> {
        self.plane.0.borrow().policies.keys().copied().collect()
    }

    fn printed(&mut self, line: &str) -> String {
        crate::render::tables(&self.ok(line))
    }
}

#[test]
fn a_script_is_carried_out_listed_and_taken_back() {
    let mut bench = Bench::new("setkey");
    bench.keep(&script());
    bench.ok("setkey -f keys");
    let first = (bench.keys(), bench.policy_ids());
    assert_eq!((first.0.len(), first.1.len()), (2, 1));
    let listing = bench.printed("setkey -D");
    for line in [
        "10.0.0.1 10.0.0.2 \n\tesp mode=transport spi=8194(0x00002002) reqid=0(0x00000000)\n",
        "\tE: aes-cbc  (128 bits, see --show-keys)\n\tA: hmac-sha1  (160 bits, see --show-keys)\n",
        "\tdiff: 0(s)\thard: 600(s)\tsoft: 0(s)\n",
    ] {
        assert!(listing.contains(line), "{listing}");
    }
    let listing = bench.printed("setkey -D --show-keys");
    assert!(listing.contains("\tE: aes-cbc  00010203 04050607 08090a0b 0c0d0e0f\n"), "{listing}");
    let id = first.1[0].0;
    let listing = bench.printed("setkey -DP");
    let own = format!(
        "10.0.0.1[any] 10.0.0.2[any] any\n\tout ipsec\n\tesp/transport//require\n\tspid={id} seq=11 pid=0\n\trefcnt=1\n\
         10.0.0.2[any] 10.0.0.1[any] any\n\tin ipsec\n\tesp/transport//require\n\tspid={id} seq=12 pid=0\n\trefcnt=1\n"
    );
    assert!(listing.ends_with(&own), "{listing}");
    // Those of our own are there too.
    assert!(listing.contains("::/0 ::/0 icmp6 133-137\n\tin none\n"), "{listing}");

    // The same again disturbs nothing; other keys under the same SPIs take the place of the old ones.
    bench.ok("setkey -f keys");
    assert_eq!((bench.keys(), bench.policy_ids()), first);
    bench.keep(&script().replace("octets 2", "octets 3"));
    bench.ok("setkey -f keys");
    assert!(bench.keys().contains(&b"sixteen octets 3".to_vec()) && bench.keys().len() == 2);
    assert_ne!(bench.policy_ids(), first.1);
    // A lifetime has ended: the same makes new ones.
    bench.plane.0.borrow_mut().sas.clear();
    bench.ok("setkey -f keys");
    assert_eq!(bench.keys().len(), 2);

    bench.ok("setkey -F");
    assert_eq!((bench.keys().len(), bench.policy_ids().len()), (0, 1));
    assert_eq!(bench.printed("setkey -D"), "No SAD entries.\n");
    bench.ok("setkey -FP");
    assert!(bench.policy_ids().is_empty());
}

#[test]
fn a_script_that_is_refused_changes_nothing() {
    let mut bench = Bench::new("setkey-refused");
    bench.keep(&script());
    bench.ok("setkey -f keys");
    let keys = bench.keys();
    let gcm = script().replace("aes-cbc \"sixteen octets 2\"", "aes-gcm-16 \"sixteen octets 2salt\"");
    let gcm = gcm.replace("aes-cbc 0x", "aes-gcm-16 0x00ff00ff").replace(" -A hmac-sha1 \"twenty octets of key\"", "");
    for (text, words) in [
        (gcm.replace(" -A hmac-sha1 \"of key twenty octets\"", ""), "after a restart"),
        (script().replace("twenty octets of key", "short"), "takes a key of 20 bytes"),
        (
            script()
                .replace(" -A hmac-sha1 \"twenty octets of key\"", "")
                .replace("-A hmac-sha1 \"of key twenty octets\"", ""),
            "needs an integrity algorithm",
        ),
        (script().replace("\"sixteen octets 2\"", "\"aaaaaaaaaaaaaaaa\""), "over and over"),
        ("flush;\nspdflush;\nad;".to_owned(), "keys:3:1: `ad` is no statement"),
        ("spdflush; spdadd 10.0.0.1 10.0.0.2 any -P out ipsec esp/transport//require;".to_owned(), "needs -P in"),
    ] {
        bench.keep(&text);
        let error = bench.refused("setkey -f keys");
        assert!(error.contains(words), "{text}: {error}");
        assert_eq!(bench.keys(), keys);
    }
    // The SA of the same name goes first; when what follows is refused, it is back.
    bench.plane.0.borrow_mut().refuse = Some("spid-7".to_owned());
    bench.keep(&script().replace("octets 2", "octets 3"));
    assert!(bench.refused("setkey -f keys").contains("spid-7"));
    let mut back = bench.keys();
    back.sort();
    let mut before = keys;
    before.sort();
    assert_eq!(back, before);
}

#[test]
fn scripts_come_by_the_standard_input_and_reach_what_others_added() {
    let mut bench = Bench::new("setkey-input");
    let mut message = Message::new().with("cwd", "/");
    message.put_list("argv", ["setkey", "-c"]);
    let (one, other) = SCRIPT.split_at(100);
    message.put_list(ravelin_control::INPUT, [one, other]);
    message.put("x", "");
    let request = Request { client: bench.client, name: COMMAND_LINE.to_owned(), message };
    assert!(bench.core.request(&request, bench.now));
    let (_, answer) = bench.answers().pop().unwrap();
    assert!(answer.text("errmsg").is_some_and(|why| why.starts_with("stdin:4:5: ") && why.contains("one lifetime")));
    assert!(bench.refused("setkey -c").contains("there is no standard input"));

    bench.ok(
        "ipsec addsa -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16 -e AES128-CBC -f 000102030405060708090a0b0c0d0e0f \
         -g 0f0e0d0c0b0a09080706050403020100 -a HMAC-SHA-1 -b 000102030405060708090a0b0c0d0e0f10111213 \
         -c 131211100f0e0d0c0b0a09080706050403020100 -w 0x1000 -x 0x2000",
    );
    let listing = bench.printed("setkey -DP");
    assert!(
        listing
            .contains("10.1.0.0/16[any] 10.2.0.0/16[any] any\n\tout ipsec\n\tesp/tunnel/10.0.0.1-10.0.0.2/unique:6\n")
    );
    assert!(listing.contains("\n\tin ipsec\n\tesp/tunnel/10.0.0.2-10.0.0.1/unique:6\n"), "{listing}");
    assert!(bench.printed("setkey -D").contains("10.0.0.2 10.0.0.1 \n\tesp mode=tunnel spi=4096(0x00001000)"));
    bench.keep("get 10.0.0.1 10.0.0.2 esp 0x2000; delete 10.0.0.1 10.0.0.2 esp 0x2001; dump ah;");
    let answer = bench.ok("setkey -f keys");
    assert!(answer.list("notes").unwrap()[0].contains("there is no SA 10.0.0.1 10.0.0.2 esp 0x2001"), "{answer:?}");
    let printed = crate::render::tables(&answer);
    assert!(printed.contains("spi=8192(0x00002000)") && printed.ends_with("No SAD entries.\n"), "{printed}");
    bench.keep("delete 10.0.0.1 10.0.0.2 esp 0x2000;");
    bench.ok("setkey -f keys");
    assert_eq!(bench.keys().len(), 0);

    // What waits for its policy is listed too.
    bench.keep("add 10.0.0.1 10.0.0.2 ah 0x300 -u 9 -r 4 -A hmac-sha1 \"twenty octets of key\";");
    let answer = bench.ok("setkey -f keys");
    assert!(answer.list("notes").unwrap()[0].contains("waits for a policy"), "{answer:?}");
    let printed = bench.printed("setkey -D");
    assert!(printed.contains("\tah mode=any spi=768(0x00000300) reqid=9(0x00000009)\n"), "{printed}");
    assert!(printed.contains(" replay=4 flags=0x00000000 state=larval"), "{printed}");
}
