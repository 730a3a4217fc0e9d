//! Against what Go 1.24 and sprig 3 print, by their manuals.

use super::*;

fn context() -> Value {
    let json = r#"{
        "/dsn": {"host": "pg", "port": "5432", "user": "clerk_a", "password": "it's", "empty": ""},
        "/json": {"port": 5432, "big": 18446744073709551615, "rate": 1e6, "on": true, "off": false,
                  "hosts": ["a", "b"], "deep": {"er": {"est": "x"}}, "none": null}
    }"#;
    Value::from(serde_json::from_str::<serde_json::Value>(json).unwrap())
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse(text).map_err(|err| err.to_string())?;
    let text = template.render(&context()).map_err(|err| err.to_string())?;
    Ok(text.to_string())
}

fn check(text: &str, want: &str) {
    assert_eq!(render(text).as_deref(), Ok(want), "{text}");
}

fn refused(text: &str, want: &str) {
    assert_eq!(render(text), Err(want.to_owned()), "{text}");
}

#[test]
fn row_70_values_are_found_by_file_and_key() {
    check(
        r#"host={{ index . "/dsn" "host" }}:{{index . "/dsn" "port"}}"#,
        "host=pg:5432",
    );
    check(r#"{{ index . "/json" "hosts" 1 }}"#, "b");
    check(r#"{{ (index . "/json").deep.er.est }}"#, "x");
    check(r#"{{ index . "/json" "deep" "er" }}"#, "map[est:x]");
    check(r#"{{ index . "/dsn" "missing" }}"#, "");
    check(r"{{ index . `/dsn` `user` }}", "clerk_a");
    check("no action at all } }}", "no action at all } }}");
}

#[test]
fn row_71_numbers_are_printed_as_numbers() {
    check(
        r#"{{ with index . "/json" }}{{ .port }} {{ .big }} {{ .rate }} {{ .on }} {{ .none }}{{ end }}"#,
        "5432 18446744073709551615 1000000 true ",
    );
    check(
        "{{ 1 }} {{ -2 }} {{ 2.5 }} {{ printf \"%d|%s|%q|%v%%\" 7 \"a\" \"b\\n\" 1.5 }}",
        "1 -2 2.5 7|a|\"b\\n\"|1.5%",
    );
}

#[test]
fn branches_loops_and_variables_work_as_in_go() {
    check(
        r#"{{ if index . "/dsn" "empty" }}a{{ else if true }}b{{ else }}c{{ end }}"#,
        "b",
    );
    check("{{ if 0 }}a{{ else }}c{{ end }}{{ if nil }}d{{ end }}", "c");
    check(
        r#"{{ range $i, $h := index . "/json" "hosts" }}{{ $i }}={{ $h }}{{ . }};{{ end }}"#,
        "0=aa;1=bb;",
    );
    check(
        r#"{{ range $k, $v := index . "/json" "deep" }}{{ $k }}{{ end }}"#,
        "er",
    );
    check("{{ range list }}x{{ else }}none{{ end }}", "none");
    check(
        r#"{{ with index . "/dsn" "empty" }}x{{ else }}{{ len . }}{{ end }}"#,
        "2",
    );
    check(
        r#"{{ $d := index . "/dsn" }}{{ $d.user }}@{{ $d.host }}"#,
        "clerk_a@pg",
    );
    check(
        "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}",
        "21",
    );
    check(
        "{{ range $v := list 1 2 }}{{ len $ }}{{ $v }}{{ end }}",
        "2122",
    );
    check("{{ with $x := 5 }}{{ $x }}{{ . }}{{ end }}", "55");
}

#[test]
fn blanks_are_trimmed_where_a_dash_says_so() {
    check("a  {{- 1 -}}  \n b", "a1b");
    check("a {{/* no {{ action }} */}} b", "a  b");
    check("a {{- /* trimmed */ -}} b", "ab");
    check("{{ -1 }}", "-1");
}

#[test]
fn comparisons_and_logic_work_as_in_go() {
    for (text, want) in [
        (r#"eq "a" "b" "a""#, "true"),
        ("ne 1 2", "true"),
        ("lt 1 1.5", "true"),
        (r#"ge "b" "a""#, "true"),
        ("and 1 0 2", "0"),
        ("or 0 3 2", "3"),
        ("not 0", "true"),
        ("eq nil 1", "false"),
        // The second argument would be an error, and is never looked at.
        (r#"or true (index nil "x")"#, "true"),
        ("5 | eq 5", "true"),
        ("1 | and 2", "1"),
    ] {
        check(&format!("{{{{ {text} }}}}"), want);
    }
    refused(
        "{{ lt 1 `a` }}",
        "line 1 of the template: lt: values of different kinds, or of one without order, can't be compared",
    );
}

#[test]
fn functions_are_those_of_sprig() {
    for (text, want) in [
        (r#"upper "aB" | lower"#, "ab"),
        (r#"trim " a ""#, "a"),
        (r#"trimAll "$" "$5$""#, "5"),
        (r#"trimPrefix "a" "ab""#, "b"),
        (r#"trimSuffix "b" "ab""#, "a"),
        (r#""it's" | replace "'" "''" | squote"#, "'it''s'"),
        (r#"quote "a\"b" 1"#, r#""a\"b" "1""#),
        (r#"contains "b" "abc""#, "true"),
        (r#"hasPrefix "a" "abc""#, "true"),
        (r#"hasSuffix "a" "abc""#, "false"),
        (r#"repeat 2 "ab""#, "abab"),
        (r#"trunc 2 "abc""#, "ab"),
        (r#"trunc -2 "abc""#, "bc"),
        (r#"nospace " a b ""#, "ab"),
        (r#"cat "a" nil 1"#, "a 1"),
        (r#"splitList "," "a,b" | join "-""#, "a-b"),
        (r#"splitList "," "a,b" | first"#, "a"),
        (r"list 1 2 | last", "2"),
        (r#"default "d" """#, "d"),
        (r#"nil | default "d""#, "d"),
        (r#"default "d" "x""#, "x"),
        (r#"coalesce nil "" "x""#, "x"),
        (r#"ternary "yes" "no" true"#, "yes"),
        (r#"empty """#, "true"),
        (r#"b64enc "a""#, "YQ=="),
        (r#"b64enc "light work.""#, "bGlnaHQgd29yay4="),
        (r#"b64dec "bGlnaHQgd29yay4=""#, "light work."),
        (r#"b64dec """#, ""),
        (r#"int "42" | add 1"#, "43"),
        (r"toString 1 | len", "1"),
        (r#"dict "a" 1 | toJson"#, r#"{"a":1}"#),
        (r#"fromJson "[1, 2]" | len"#, "2"),
        (r#"get (dict "a" 1) "a""#, "1"),
        (r#"hasKey (dict "a" 1) "b""#, "false"),
        (r#"keys (dict "b" 1 "a" 2) | join ",""#, "a,b"),
        (r#"urlquery "a b/ü""#, "a+b%2F%C3%BC"),
        (r#"print "a" 1 2 "b""#, "a1 2b"),
        (r#"slice "abc" 1 2"#, "b"),
    ] {
        check(&format!("{{{{ {text} }}}}"), want);
    }
}

#[test]
fn row_70_what_is_not_supported_is_refused_by_name_and_line() {
    for (text, want) in [
        (
            "a\n{{ define \"x\" }}{{ end }}",
            "line 2 of the template: define is not supported",
        ),
        (
            "{{ template \"x\" }}",
            "line 1 of the template: template is not supported",
        ),
        (
            "{{ range . }}\n{{ break }}{{ end }}",
            "line 2 of the template: break is not supported",
        ),
        (
            "{{ env \"HOME\" }}",
            "line 1 of the template: there is no function env, or it is not supported",
        ),
        (
            "{{ . | genPrivateKey }}",
            "line 1 of the template: there is no function genPrivateKey, or it is not supported",
        ),
        (
            "{{ $x := 1 }}{{ $x = 2 }}",
            "line 1 of the template: assignment with = is not supported",
        ),
        (
            "{{ print 'a' }}",
            "line 1 of the template: a character in single quotes is not supported",
        ),
        (
            "{{ $x }}",
            "line 1 of the template: variable $x is not declared here",
        ),
    ] {
        refused(text, want);
    }
}

#[test]
fn what_is_malformed_is_refused_by_line() {
    for (text, want) in [
        (
            "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}",
            "line 1 of the template: variable $x is not declared here",
        ),
        (
            "{{ if true }}",
            "line 1 of the template: if has no {{ end }}",
        ),
        (
            "{{ range . }}",
            "line 1 of the template: range has no {{ end }}",
        ),
        (
            "{{ end }}",
            "line 1 of the template: end belongs to nothing",
        ),
        (
            "\n\n{{ .x",
            "line 3 of the template: an action, a text or a comment has no end",
        ),
        (
            "{{ \"x }}",
            "line 1 of the template: an action, a text or a comment has no end",
        ),
        ("{{ }}", "line 1 of the template: a value is missing"),
        (
            "{{ 1 | 2 }}",
            "line 1 of the template: a function behind | is missing",
        ),
        ("{{ (1 }}", "line 1 of the template: ) is missing"),
        (
            "{{ 1 2 }}",
            "line 1 of the template: a value behind a value stands where it can't",
        ),
        (
            "{{ 12ab }}",
            "line 1 of the template: a number is not one, or has more than 64 bits",
        ),
        (
            "{{ trunc 1 }}",
            "line 1 of the template: trunc takes 2 arguments, and not 1",
        ),
        (
            "{{ eq 1 }}",
            "line 1 of the template: eq takes 2 or more arguments, and not 1",
        ),
        (
            "{{ len upper }}",
            "line 1 of the template: function upper as an argument without parentheses is not supported",
        ),
    ] {
        refused(text, want);
    }
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(99), ")".repeat(99));
    refused(
        &deep,
        "line 1 of the template: actions or parentheses in more than 50 others",
    );
}

#[test]
fn values_that_do_not_fit_are_refused_without_being_quoted() {
    refused(
        r#"{{ index . "/typo" "host" }}"#,
        "line 1 of the template: index: a key of something that is missing",
    );
    refused(
        "\n{{ (index . `/dsn` `password`).x }}",
        "line 2 of the template: a key behind a dot: a key of something that is neither a map nor a list",
    );
    refused(
        r#"{{ int (index . "/dsn" "password") }}"#,
        "line 1 of the template: int: a value is no whole number",
    );
    refused(
        "{{ fail `x` }}",
        "line 1 of the template: fail: the template says so",
    );
    refused(
        "{{ range 5 }}{{ end }}",
        "line 1 of the template: range: neither a list nor a map",
    );
}

#[test]
fn a_template_ends_whatever_it_is() {
    // Not one of these may overflow, panic or hang; what they say is another test's business.
    let pieces = [
        "{{", "}}", "-", "$", ":=", "|", "(", ")", "\"", "`", ".", "if", "else", "end", " ", "é",
        "/*", "1",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                let _ = render(&format!("{{{{{first}{second} {third}"));
                let _ = render(&format!("{first}{{{{ {second}{third} }}}}"));
            }
        }
    }
}
