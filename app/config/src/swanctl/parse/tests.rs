use super::*;
use std::path::PathBuf;

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-parse-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a scratch directory");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// `a=1 s{b=2}` of a section.
fn shown(section: &Section) -> String {
    let settings = section.settings.iter().map(|s| format!("{}={}", s.name, s.text().unwrap_or("?")));
    let sections = section.sections.iter().map(|named| format!("{}{{{}}}", named.name, shown(&named.section)));
    settings.chain(sections).collect::<Vec<_>>().join(" ")
}

fn read(text: &str) -> String {
    match parse(text, Path::new("f")) {
        Ok(section) => shown(&section),
        Err(error) => error.to_string(),
    }
}

// The example of strongswan.conf(5), and what its words allow.
#[test]
fn sections_settings_comments_and_quotes() {
    assert_eq!(
        read(
            "a = b\nsection-one {\n\tsomevalue = asdf\n\tsubsection {\n\t\tothervalue = xxx\n\t}\n\t# yei, a comment\n\
             \tyetanother = zz\n}\nsection-two {\n\tx = 12\n}\n"
        ),
        "a=b section-one{somevalue=asdf yetanother=zz subsection{othervalue=xxx}} section-two{x=12}"
    );
    assert_eq!(read("a = two  words  # and a comment\nb = \"kept # = }\"\nc=\n"), "a=two  words b=kept # = } c=");
    assert_eq!(
        read("a = \"one\\ntwo \\\"three\\\" \\\\\"\nb = \"over\ntwo lines\""),
        "a=one\ntwo \"three\" \\ b=over\ntwo lines"
    );
    assert_eq!(read("s { a = 1 }\ns\n{ b = 2 }"), "s{a=1 b=2}");
    assert_eq!(read("a = 1\na = 2\r\n"), "a=2");
    assert_eq!(read(""), "");
}

// The example of strongswan.conf(5) on references.
#[test]
fn sections_inherit_from_those_they_refer_to() {
    let text = "\
conns {
  conn-a : defaults, eap {
    own = 1
    children {
      child-a : child-defaults {
      }
    }
  }
  conn-b : conns.conn-a {
    own =
  }
}
defaults {
  own = 0
  first = defaults
  remote {
    id = x
  }
}
eap {
  first = eap
  second = eap
}
child-defaults {
  mode = tunnel
}
";
    let all = parse(text, Path::new("f")).unwrap();
    let conns = &all.section("conns").unwrap().section;
    let expected = "first=defaults second=eap";
    assert_eq!(
        shown(&conns.section("conn-a").unwrap().section),
        format!("own=1 {expected} children{{child-a{{mode=tunnel}}}} remote{{id=x}}")
    );
    assert_eq!(
        shown(&conns.section("conn-b").unwrap().section),
        format!("own= {expected} children{{child-a{{mode=tunnel}}}} remote{{id=x}}")
    );
}

#[test]
fn mistakes_are_located() {
    for (text, expected) in [
        ("a", "f:1:1: expected `=`, `{` or `:` behind a"),
        ("s {\n a = 1\n", "f:3:1: the section s is not ended with `}`"),
        ("}", "f:1:1: `}` without a section to end"),
        ("a = \"x", "f:1:5: the quote is not closed"),
        ("s {\n  = 1\n}", "f:2:3: expected a name, found `=`"),
        ("a.b = 1", "f:1:2: `.` cannot be in the name of a section or key"),
        ("s : nowhere { }", "f:1:5: there is no section nowhere"),
        ("s : s { }", "f:1:5: the section s refers to itself"),
        ("s : t { }\nt : s { }", "refers to itself"),
        ("a { b : a { } }", "f:1:9: the section a refers to itself"),
        ("s : { }", "f:1:5: expected the name of a section to refer to"),
        ("include x.conf\n", "f:1:1: nothing can be included here"),
    ] {
        assert!(read(text).contains(expected), "{text}: {}", read(text));
    }
}

#[test]
fn files_include_others_into_the_section_that_names_them() {
    let folder = Folder::new("include");
    let main =
        folder.write("main.conf", "section-one {\n  somevalue = before\n  include include.conf\n}\ninclude d/*.conf\n");
    folder.write("include.conf", "somevalue = asdf\nsubsection {\n  othervalue = yyy\n}\n");
    folder.write("d/2.conf", "section-one {\n  subsection {\n    othervalue = xxx\n  }\n}\n");
    folder.write("d/1.conf", "x = 1\n");
    folder.write("d/.hidden.conf", "}");
    let section = load(&main).unwrap();
    assert_eq!(shown(&section), "x=1 section-one{somevalue=asdf subsection{othervalue=xxx}}");
    // A pattern may fit nothing, a name may not; a mistake is that of its file.
    let nothing = folder.write("nothing.conf", "include none/*.conf\n");
    assert_eq!(shown(&load(&nothing).unwrap()), "");
    let missing = folder.write("missing.conf", "\n  include nowhere.conf\n");
    assert!(load(&missing).unwrap_err().to_string().contains("missing.conf:2:3: "));
    let bad = folder.write("bad.conf", "include bad2.conf\n");
    folder.write("bad2.conf", "a\n");
    assert!(load(&bad).unwrap_err().to_string().contains("bad2.conf:1:1: "));
    let endless = folder.write("endless.conf", "include endless.conf\n");
    assert!(load(&endless).unwrap_err().to_string().contains("too many files include each other"));
}

#[test]
fn what_grows_without_end_is_refused() {
    assert!(read(&"a {\n".repeat(100)).contains("nested too deeply"));
    // Each section refers twice to the one before: 2^40 of them.
    let mut text = "s0 { a = 1\n b { c = 1\n } }\n".to_owned();
    for i in 1..40 {
        text.push_str(&format!("s{i} {{ x : s{0} {{ }}\n y : s{0} {{ }} }}\n", i - 1));
    }
    assert!(read(&text).contains("references"), "{}", read(&text));
    let settings = |count| (0..count).map(|i| format!("a{i} = 1\n")).collect::<String>();
    assert!(read(&settings(MAX_BESIDE + 1)).ends_with("too many settings in one section"));
    let sections: String = (0..MAX_BESIDE + 1).map(|i| format!("a{i} {{ }}\n")).collect();
    assert!(read(&sections).ends_with("too many sections in one section"));
    let of_one = settings(MAX_NODES / 1000);
    let many: String = (0..1000).map(|i| format!("s{i} {{ {of_one} }}\n")).collect();
    assert!(read(&many).ends_with("too many settings"));
}

#[test]
fn patterns_of_files() {
    for (pattern, name, fits) in [
        ("*.conf", "a.conf", true),
        ("*.conf", "a.config", false),
        ("a?c*", "abcd", true),
        ("[a-c]x", "bx", true),
        ("[!a-c]x", "bx", false),
        ("**a*b", "xxayyb", true),
        ("a[", "a[", false),
    ] {
        assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
    }
    assert!(!matches(&"*a".repeat(30), &"a".repeat(20)));
}
