//! `ipsec addsa`: keys by hand.

use super::*;

const ADDSA: &str = "ipsec addsa -m transport -r 10.0.0.78 -s 10.0.0.77 -d 10.0.0.78 -p tcp";
const CBC: &str = "-e AES128-CBC -f 000102030405060708090a0b0c0d0e0f -g file:out.key -w 0x1000 -x 4097";
const SHA2: &str = "-a HMAC-SHA-2-256 -b file:in.auth -c file:out.auth";

// Document 003 §3.13: every letter.
#[test]
fn keys_are_given_by_hand() {
    let parsed = good(&format!("{ADDSA} {CBC} {SHA2}"));
    assert!(parsed.notes[0].contains("ps,") && parsed.notes[0].contains("file:PATH"), "{:?}", parsed.notes);
    let Command::AddSa(spec) = parsed.command else { panic!() };
    assert_eq!(
        (spec.protocol.clone(), spec.mode, spec.local),
        (Protocol::from(6), Mode::Transport, Some([10, 0, 0, 77].into()))
    );
    let Some((inbound, outbound, encr, _)) = &spec.esp else { panic!() };
    assert_eq!((inbound.0, outbound.0, encr.0.0), (4096, 4097, 12));
    assert_eq!((spec.ah, spec.integ.as_ref().map(|(id, _)| id.0)), (None, Some(12)));
    // The keys are printed nowhere.
    assert!(format!("{spec:?}").contains("Hex(Secret(16 bytes))"), "{spec:?}");

    let Command::AddSa(spec) = good(&format!("{ADDSA} {SHA2} -y 256 -z 257")).command else { panic!() };
    assert!(spec.esp.is_none());
    assert_eq!(spec.ah.map(|(inbound, outbound)| (inbound.0, outbound.0)), Some((256, 257)));
    assert!(good(&format!("{ADDSA} {SHA2} -y 256 -z 257")).notes.is_empty());
    assert_eq!(spec.options, SaOptions::default());
    let hidden = good(&format!("{ADDSA} {CBC} {SHA2} --tfc --short-icv")).command;
    let Command::AddSa(spec) = hidden else { panic!() };
    assert_eq!(spec.options, SaOptions { tfc: 256, short_icv: true, ..SaOptions::default() });
    let Command::AddSa(spec) = good(&format!("{ADDSA} {SHA2} -y 256 -z 257 --ah-align64")).command else { panic!() };
    assert!(spec.options.ah_align64);
    assert!(matches!(good("ipsec delsa -s 10.0.0.77 -d 10.0.0.78 -p tcp").command, Command::DeleteSa(_)));
}

#[test]
fn keys_that_cannot_be_taken_are_located() {
    for (rest, at, words) in [
        ("", None, "expected the SPIs of ESP"),
        ("-w 255 -x 256", Some("255"), "an SPI from 256"),
        ("-w 256", None, "-w and -x"),
        ("-w 256 -x 257", None, "expected -e CIPHER"),
        ("-e AES128-CBC -w 256 -x 257", None, "expected -f KEY and -g KEY"),
        ("-e AES128-CBC -f 00 -g 00 -w 256 -x 257", Some("-f"), "a key of 16 bytes"),
        ("-e AES128-CBC,AES256-CBC -w 256 -x 257", Some("AES128-CBC,AES256-CBC"), "expected one algorithm"),
        ("-y 256 -z 257", None, "expected -a ALGORITHM for AH"),
        ("-a HMAC-SHA-2-256 -y 256 -z 257", None, "expected -b KEY and -c KEY"),
        ("-b 00 -c 00 -y 256 -z 257", None, "expected -a ALGORITHM"),
        ("-f file:a -g file:b -w 256 -x 257", None, "expected -e CIPHER"),
        ("-a HMAC-SHA-2-256 -b file:a -c file:b -y 256 -z 257 --tfc", Some("--tfc"), "about ESP"),
        ("-e NULL_ENC -a HMAC-SHA-1 -b file:a -c file:b -w 256 -x 257 --ah-align64", Some("--ah-align64"), "about AH"),
    ] {
        let (place, message) = bad(&format!("{ADDSA} {rest}"));
        assert_eq!(place.as_deref(), at, "{rest}: {message}");
        assert!(message.contains(words), "{rest}: {message}");
    }
    let (place, message) = bad(&format!("{ADDSA} -e AES128-CBC -f secretzz -g file:b -w 256 -x 257"));
    assert_eq!(place.as_deref(), Some("secretzz"));
    // What is almost a key is not repeated: the message may go to a log.
    assert!(message.contains("hexadecimal digits") && !message.contains("secretzz"), "{message}");
}

#[test]
fn scripts_of_setkey_are_named_or_are_one_statement() {
    let job = |line: &str| {
        let Command::Setkey(job) = good(line).command.seen_from(Path::new("/etc")) else { panic!("{line}") };
        *job
    };
    for line in ["setkey -f ipsec.conf", "setkey --file=ipsec.conf"] {
        assert!(matches!(job(line).source, ScriptSource::File(file) if file == Path::new("/etc/ipsec.conf")), "{line}");
    }
    for (line, text) in
        [("-D", "dump;"), ("-DP", "spddump;"), ("-F", "flush;"), ("-FP", "spdflush;"), ("-P --flush", "spdflush;")]
    {
        assert!(matches!(job(&format!("setkey {line}")).source, ScriptSource::Text(found) if found == text), "{line}");
    }
    let input = job("setkey -c --short-icv --ah-align64 --show-keys");
    assert!(matches!(input.source, ScriptSource::Input) && input.show_keys);
    assert!(input.options.short_icv && input.options.ah_align64);
    assert_eq!(job("setkey -c").options, SaOptions::default());
    for (line, words) in [
        ("setkey", "expected -f FILE, -c (standard input), -D (list) or -F (delete)"),
        ("setkey -P", "-P goes with -D"),
        ("setkey -f x -P", "-P goes with -D"),
        ("setkey -f x -c", "cannot be used with"),
        ("setkey -D -F", "cannot be used with"),
    ] {
        let (_, message) = bad(line);
        assert!(message.contains(words), "{line}: {message}");
    }
}
