//! Tests of relations.
#![allow(clippy::unwrap_used)]

use super::*;

const NAMES: [(&str, Kind); 7] = [
    ("a", Kind::Number),
    ("b", Kind::Number),
    ("fm.size", Kind::Number),
    ("learning-rate", Kind::Number),
    ("mode", Kind::Text),
    ("flag", Kind::Boolean),
    ("min", Kind::Number),
];

fn resolve(name: &str) -> Option<Resolved> {
    let index = NAMES.iter().position(|(known, _)| *known == name)?;
    Some(Resolved::Parameter(index, NAMES[index].1))
}

fn value(index: usize) -> Scalar<'static> {
    [
        Scalar::Number(2.0),
        Scalar::Number(5.0),
        Scalar::Number(8.0),
        Scalar::Number(0.1),
        Scalar::Text("fast"),
        Scalar::Boolean(true),
        Scalar::Number(-1.0),
    ][index]
}

fn holds(text: &str) -> bool {
    let parsed = parse(text, &resolve).unwrap_or_else(|error| panic!("{text}: {error}"));
    parsed.node.holds(&|slot| value(parsed.parameters[slot]))
}

fn refusal(text: &str) -> String {
    parse(text, &resolve).err().unwrap_or_else(|| panic!("{text} was accepted"))
}

#[test]
fn operators_bind_as_in_mathematics() {
    for text in [
        "a < b",
        "a <= 2 and b >= 5.0",
        "1 + 2 * 3 == 7",
        "(1 + 2) * 3 == 9",
        "2 ** 3 ** 2 == 512",
        "-2 ** 2 == -4",
        "2 ** -1 == .5",
        "10 - 4 - 3 == 3",
        "8 / 4 / 2 == 1e0",
        "not a > b and flag",
        "not (flag and false)",
        "false and flag or true",
        "a < b <= 5 < fm.size",
        "a == 2 != false or flag == true",
    ] {
        if text.contains("!= false") {
            // A chain compares neighbours, and `2 != false` mixes types.
            assert!(refusal(text).contains("cannot compare a number with true or false"));
        } else {
            assert!(holds(text), "{text}");
        }
    }
    assert!(!holds("a < b < 5"));
    assert!(!holds("b <= a"));
}

#[test]
fn texts_sets_functions_and_unusual_names() {
    for text in [
        "mode == \"fast\"",
        "mode != 'slow'",
        "mode in ['slow', 'fast']",
        "mode not in [\"slow\"]",
        "a in [1, 2, 3]",
        "min(a, b, 3) == 2 and max(a, b) == 5",
        "abs(-3) == 3 and sqrt(9) == 3 and exp(0) == 1 and log(1) == 0",
        "learning-rate <= 0.1",
        "b-a == 3",
        "`learning-rate` < 1",
        "min < 0",
        "flag",
    ] {
        assert!(holds(text), "{text}");
    }
}

#[test]
fn numbers_that_are_not_finite_fail_the_relation() {
    for text in [
        "1 / 0 > 0",
        "1 / (a - 2) < 5",
        "log(0) < 0",
        "sqrt(-1) != 3",
        "exp(1000) > 1",
        "not (1 / 0 > 0)",
        "a in [2, 1 / 0]",
    ] {
        assert!(!holds(text), "{text}");
    }
    assert!(holds("a == 2 or 1 / 0 > 0"), "what is not needed is not evaluated");
}

#[test]
fn refusals_say_where_and_why() {
    for (text, reason) in [
        ("a <= c", "at character 6: unknown parameter `c`"),
        ("a <=", "at character 5: expected a value, found the end"),
        ("a < 3 b", "at character 7: expected the end, found `b`"),
        ("mode < 3", "at character 6: only numbers have an order, not a text"),
        ("mode == 3", "at character 6: cannot compare a text with a number"),
        ("a + mode < 3", "at character 5: `+` needs a number, this is a text"),
        ("a and flag", "at character 1: `and` needs true or false, this is a number"),
        ("a + b", "a relation must be true or false, this is a number"),
        ("a = b", "at character 3: write == to compare"),
        ("!flag", "at character 1: write `not` to negate"),
        ("mode == 'x", "at character 9: the closing ' is missing"),
        ("a # b", "at character 3: unexpected character '#'"),
        ("log(a, b) < 1", "at character 1: `log` takes one argument, 2 given"),
        ("a in []", "at character 7: expected a value, found `]`"),
        ("a not b", "at character 7: expected `in`, found `b`"),
        ("1e999 < a", "at character 1: `1e999` is not a finite number"),
        ("(a < b", "at character 7: expected `)`, found the end"),
        ("", "at character 1: expected a value, found the end"),
    ] {
        assert_eq!(refusal(text), reason, "{text}");
    }
}

#[test]
fn deep_and_long_texts_are_refused_without_a_crash() {
    assert!(refusal(&format!("{}a < 1", "(".repeat(500))).contains("deep"));
    assert!(refusal(&format!("{}a < 1", "-".repeat(500))).contains("deep"));
    assert!(refusal(&format!("{}flag", "not ".repeat(400))).contains("deep"));
    assert!(refusal(&"a ** ".repeat(300)).contains("deep"));
    assert!(refusal(&"a".repeat(3000)).contains("at most 2000 characters"));
    assert!(holds(&format!("{}1 > 0", "1 + ".repeat(490))));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-c0-9 ().,<>=!+*/'\"\\[\\]-]{0,40}|\\PC{0,20}") {
        if let Ok(parsed) = parse(&text, &resolve) {
            parsed.node.holds(&|slot| value(parsed.parameters[slot]));
        }
    }
}
