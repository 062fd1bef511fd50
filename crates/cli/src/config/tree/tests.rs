use super::*;

fn source() -> Source {
    Source::File("c.yml".into())
}

fn read(text: &str) -> Node {
    parse(text, &source()).unwrap()
}

fn text_at<'a>(node: &'a Node, path: &str) -> &'a str {
    match &node.get(path).unwrap().content {
        Content::Scalar(scalar) => &scalar.text,
        other => panic!("no scalar at {path}: {other:?}"),
    }
}

fn faults(text: &str) -> String {
    super::super::fault::Report::new(parse(text, &source()).unwrap_err()).to_string()
}

#[test]
fn keys_and_values_know_where_they_are() {
    let root = read("a: 1\nb:\n  c: [x, yy]\n");
    let Content::Map(entries) = &root.content else {
        panic!()
    };
    assert_eq!((entries[1].at.line, entries[1].at.column), (2, 1));
    let c = root.get("b.c").unwrap();
    assert_eq!((c.at.line, c.at.column), (3, 6));
    let Content::List(items) = &c.content else {
        panic!()
    };
    assert_eq!((items[1].at.line, items[1].at.column), (3, 10));
}

#[test]
fn scalars_keep_their_text() {
    let root = read("a: on\nb: 5000\nc: 0123\nd: :5000\ne: 'null'\nf: {g: :5000}\nh: !!str 7\n");
    assert_eq!(text_at(&root, "a"), "on");
    assert_eq!(text_at(&root, "b"), "5000");
    assert_eq!(text_at(&root, "c"), "0123");
    assert_eq!(text_at(&root, "d"), ":5000");
    assert_eq!(text_at(&root, "f.g"), ":5000");
    assert!(!root.get("e").unwrap().is_null());
    assert_eq!(
        root.get("h").unwrap().content,
        Content::Scalar(Scalar {
            text: "7".to_owned(),
            plain: false
        })
    );
}

#[test]
fn nothing_is_null() {
    for text in ["", "# only a comment\n", "---\n", "~", "null", "---\n...\n"] {
        assert!(read(text).is_null(), "{text:?}");
    }
    assert!(read("a:\nb: ~\n").get("a").unwrap().is_null());
}

#[test]
fn merges_lie_below_the_keys_that_are_there() {
    let root = read("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz: {<<: [*x, *y], a: 9}\n");
    assert_eq!(text_at(&root, "z.a"), "9");
    assert_eq!(text_at(&root, "z.b"), "2");
    assert_eq!(text_at(&root, "z.c"), "4");
    let Content::Map(entries) = &root.get("z").unwrap().content else {
        panic!()
    };
    let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(
        faults("a: {<<: 5}"),
        "c.yml:1:9: `<<` takes a map or a list of maps"
    );
}

#[test]
fn a_key_given_twice_is_a_fault_and_each_is_named() {
    insta::assert_snapshot!(faults("a: 1\nb: {c: 1, c: 2}\na: 2\n"), @"
    c.yml:2:11: `c` is given twice, first in line 2
    c.yml:3:1: `a` is given twice, first in line 1
    ");
}

#[test]
fn broken_yaml_says_where() {
    insta::assert_snapshot!(faults("a:\n\tb: 1\n"), @"c.yml:2:2: not valid YAML: tabs disallowed within this context (block indentation)");
    insta::assert_snapshot!(faults("a: [1, 2\n"), @"c.yml:1:4: not valid YAML: unclosed bracket '['");
    insta::assert_snapshot!(faults("a: 'x\n"), @"c.yml:2:1: not valid YAML: invalid indentation in multiline quoted scalar");
    insta::assert_snapshot!(faults("a: *nobody\n"), @"c.yml:1:4: not valid YAML: while parsing node, found unknown anchor");
    insta::assert_snapshot!(faults("a: &a [*a]\n"), @"c.yml:1:8: this alias stands inside the value that it names");
    insta::assert_snapshot!(faults("a: !secret x\n"), @"c.yml:1:12: an unknown YAML tag; put text that begins with `!` in quotes");
    insta::assert_snapshot!(faults("[a]: 1\n"), @"c.yml:1:1: a key must be a word, not a list or a map");
    insta::assert_snapshot!(faults("a: 1\n---\nb: 2\n"), @"c.yml:2:1: a second document begins here; a configuration is one document");
    insta::assert_snapshot!(faults("a: b: c\n"), @"c.yml:1:5: not valid YAML: mapping values are not allowed in this context");
}

#[test]
fn aliases_cannot_unfold_without_bound() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..10 {
        let below = format!("*a{}", i - 1);
        text.push_str(&format!(
            "a{i}: &a{i} [{}]\n",
            [below.as_str(); 10].join(", ")
        ));
    }
    assert!(faults(&text).contains("more than 20000 values"));
}

#[test]
fn nesting_has_a_bound() {
    let deep = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
    assert!(faults(&deep).contains("recursion limit"));
}
