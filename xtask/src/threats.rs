//! Every row of `conformance/threats.md` has a test, or a written reason why it has none.
//!
//! A test belongs to the rows that its name begins with: `fn h01_…`, or `fn h01_h13_…` for two rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};

const TABLE: &str = "conformance/threats.md";
const REASONS: &str = "conformance/threats-without-test.md";

/// Where tests are looked for.
const SOURCES: [&str; 2] = ["crates", "conformance"];

/// A row by its letter and number: H1 is `('H', 1)`.
type Row = (char, u32);

pub(crate) fn check() -> Result<()> {
    let table = std::fs::read_to_string(TABLE).with_context(|| format!("cannot read {TABLE}"))?;
    let reasons = std::fs::read_to_string(REASONS).with_context(|| format!("cannot read {REASONS}"))?;
    let mut tests = Vec::new();
    for folder in SOURCES {
        read_tests(Path::new(folder), &mut tests)?;
    }
    let problems = compare(&table, &reasons, &tests);
    if !problems.is_empty() {
        bail!("{} of the threats are not in order:\n  {}", problems.len(), problems.join("\n  "));
    }
    let rows = rows(&table).len();
    let without = written_reasons(&reasons).len();
    println!("   {rows} rows: {} with tests, {without} with a reason", rows - without);
    Ok(())
}

/// What is wrong, one line each.
fn compare(table: &str, reasons: &str, tests: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known = BTreeSet::new();
    for row in rows(table) {
        if !known.insert(row) {
            problems.push(format!("{}: stands twice in {TABLE}", name(row)));
        }
    }
    let mut tested = BTreeSet::new();
    for test in tests {
        for row in rows_of_test(test) {
            if !known.contains(&row) {
                problems.push(format!("{}: the test {test} names a row that {TABLE} does not have", name(row)));
            }
            tested.insert(row);
        }
    }
    let reasons = written_reasons(reasons);
    for (row, reason) in &reasons {
        if !known.contains(row) {
            problems.push(format!("{}: {REASONS} gives a reason for a row that {TABLE} does not have", name(*row)));
        } else if tested.contains(row) {
            problems.push(format!("{}: has a test now, so its reason in {REASONS} must go", name(*row)));
        } else if reason.is_empty() {
            problems.push(format!("{}: the reason in {REASONS} is empty", name(*row)));
        }
    }
    for row in known {
        if !tested.contains(&row) && !reasons.contains_key(&row) {
            let (letter, number) = (row.0.to_ascii_lowercase(), row.1);
            problems.push(format!("{}: no test `{letter}{number:02}_…`, no reason in {REASONS}", name(row)));
        }
    }
    problems
}

fn name((letter, number): Row) -> String {
    format!("{letter}{number}")
}

/// The rows of the table: lines that begin with `| H1 |`.
fn rows(table: &str) -> Vec<Row> {
    table.lines().filter_map(|line| parse_row(line.strip_prefix('|')?.split('|').next()?.trim())).collect()
}

/// Lines such as `- P1: not built yet: …`.
fn written_reasons(text: &str) -> BTreeMap<Row, String> {
    let line = |line: &str| {
        let (row, reason) = line.strip_prefix("- ")?.split_once(':')?;
        Some((parse_row(row)?, reason.trim().to_owned()))
    };
    text.lines().filter_map(line).collect()
}

fn parse_row(text: &str) -> Option<Row> {
    let letter = text.chars().next().filter(|letter| "HFZPT".contains(*letter))?;
    Some((letter, text[1..].parse().ok()?))
}

/// The rows that the name of a test begins with.
fn rows_of_test(test: &str) -> Vec<Row> {
    let row = |part: &str| if part.len() == 3 { parse_row(&part.to_ascii_uppercase()) } else { None };
    test.split('_').map_while(row).collect()
}

/// Adds the names of all tests in the Rust files below a folder.
fn read_tests(folder: &Path, tests: &mut Vec<String>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            read_tests(&path, tests)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            tests.extend(test_names(&source));
        }
    }
    Ok(())
}

/// The functions marked `#[test]` that are not `#[ignore]`d, also inside `proptest!`.
fn test_names(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut marked, mut ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        }
        if line.starts_with("#[ignore") {
            ignored = true;
        }
        let code = if line.starts_with("//") { "" } else { line };
        if let Some((_, rest)) = code.split_once("fn ") {
            if marked && !ignored {
                names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            }
            (marked, ignored) = (false, false);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "| # | Class |\n|---|---|\n| H1 | a |\n| H2 | b |\n| P10 | c |\n";

    fn problems(reasons: &str, tests: &[&str]) -> Vec<String> {
        compare(TABLE, reasons, &tests.iter().map(|&test| test.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_row_needs_a_test_or_a_reason() {
        assert!(problems("- P10: not built yet: HTTP/2", &["h01_x", "h02_y", "something_else"]).is_empty());
        assert!(problems("- P10: not built yet: HTTP/2", &["h01_h02_both"]).is_empty());
        let missing = problems("", &["h01_x", "h02_y"]);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].starts_with("P10: no test `p10_…`"), "{missing:?}");
    }

    #[test]
    fn what_is_written_and_no_longer_true_is_told() {
        let both = problems("- P10: later\n- H1: later", &["h01_x", "h02_y"]);
        assert!(both.len() == 1 && both[0].starts_with("H1: has a test now"), "{both:?}");
        let empty = problems("- P10:", &["h01_x", "h02_y"]);
        assert!(empty.len() == 1 && empty[0].contains("is empty"), "{empty:?}");
        let unknown = problems("- P10: later\n- T1: later", &["h01_x", "h02_y", "z03_w"]);
        assert!(unknown.len() == 2 && unknown[0].starts_with("Z3") && unknown[1].starts_with("T1"), "{unknown:?}");
        assert!(compare("| H1 |\n| H1 |", "", &["h01_x".into()])[0].contains("twice"));
    }

    #[test]
    fn only_tests_that_run_count() {
        let source = "
            fn h01_a_helper() {}
            #[test]
            #[cfg(feature = \"deflate\")]
            // fn not_this
            fn z01_yes() {}
            #[test]
            #[ignore = \"slow\"]
            fn z02_ignored() {}
            // #[test]
            fn z03_no_more() {}
            proptest! {
                #[test]
                fn h04_property(name in \".*\") {}
            }
            #[tokio::test(start_paused = true)]
            async fn t08_dropped() {}
        ";
        assert_eq!(test_names(source), ["z01_yes", "h04_property", "t08_dropped"]);
    }
}
