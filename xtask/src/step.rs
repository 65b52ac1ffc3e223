//! Steps that run one after the other, up to the first failure.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// One check.
pub(crate) struct Step {
    /// As it is typed: `cargo xtask check NAME`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Runs this step alone.
    pub(crate) repeat: String,
    pub(crate) run: fn(&Workspace) -> Result<Outcome>,
}

/// How a step ended that did not fail.
pub(crate) enum Outcome {
    Passed,
    /// What could not be checked here, and why.
    LeftOut(String),
}

/// The steps of these names, in the order of `steps`; all of them where no name is given.
pub(crate) fn select(steps: Vec<Step>, names: &[String]) -> Result<Vec<Step>> {
    if let Some(unknown) = names.iter().find(|name| !steps.iter().any(|step| step.name == **name)) {
        let known: Vec<_> = steps.iter().map(|step| step.name).collect();
        bail!("there is no step {unknown:?}: the steps are {}", known.join(", "));
    }
    Ok(steps.into_iter().filter(|step| names.is_empty() || names.iter().any(|name| name == step.name)).collect())
}

/// Runs the steps and tells how they ended; the last line counts them.
pub(crate) fn run(workspace: &Workspace, steps: &[Step]) -> Result<bool> {
    let may_leave_out = std::env::var_os("CI").is_none_or(|ci| ci != "true");
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    let mut summary = Vec::new();
    let start = Instant::now();
    for (n, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", n + 1, steps.len(), step.name, step.title);
        let step_start = Instant::now();
        let outcome = (step.run)(workspace).and_then(|outcome| judge(outcome, may_leave_out));
        let seconds = step_start.elapsed().as_secs_f64();
        let verdict = match &outcome {
            Ok(Outcome::Passed) => {
                passed += 1;
                "passed".into()
            }
            Ok(Outcome::LeftOut(reason)) => {
                left_out += 1;
                format!("left out: {reason}")
            }
            Err(_) => {
                failed += 1;
                "FAILED".into()
            }
        };
        println!("   {verdict} ({seconds:.1} s)");
        summary.push(format!("{:<10} {seconds:>7.1} s  {verdict}", step.name));
        if let Err(error) = outcome {
            println!("\n{}: {error:#}\nTo repeat this step alone:\n\n    {}", step.name, step.repeat);
            break;
        }
    }
    println!("\n== summary ({:.1} s)", start.elapsed().as_secs_f64());
    for line in summary {
        println!("   {line}");
    }
    println!("\n{}", closing_line(passed, failed, left_out));
    Ok(failed == 0)
}

/// The continuous integration leaves nothing out: what cannot be had there is a failure.
fn judge(outcome: Outcome, may_leave_out: bool) -> Result<Outcome> {
    match outcome {
        Outcome::LeftOut(reason) if !may_leave_out => bail!("nothing may be left out where CI=true: {reason}"),
        outcome => Ok(outcome),
    }
}

fn closing_line(passed: u32, failed: u32, left_out: u32) -> String {
    let skipped = if left_out == 0 { String::new() } else { format!(", {left_out} skipped") };
    format!("{passed} passed, {failed} failed{skipped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &'static str) -> Step {
        Step { name, title: "", repeat: String::new(), run: |_| Ok(Outcome::Passed) }
    }

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_are_selected_by_name_and_keep_their_order() {
        let steps = || vec![step("format"), step("clippy"), step("test")];
        assert_eq!(names(&select(steps(), &[]).unwrap()), ["format", "clippy", "test"]);
        assert_eq!(names(&select(steps(), &["test".into(), "format".into()]).unwrap()), ["format", "test"]);
        let error = select(steps(), &["tests".into()]).err().unwrap().to_string();
        assert!(error.contains("\"tests\"") && error.contains("format, clippy, test"), "{error}");
    }

    #[test]
    fn the_continuous_integration_leaves_nothing_out() {
        let left_out = || Outcome::LeftOut("there is no node".into());
        assert!(matches!(judge(left_out(), true), Ok(Outcome::LeftOut(_))));
        assert!(matches!(judge(Outcome::Passed, false), Ok(Outcome::Passed)));
        let error = judge(left_out(), false).err().unwrap().to_string();
        assert!(error.ends_with("there is no node"), "{error}");
    }

    #[test]
    fn the_closing_line_counts_what_ran() {
        assert_eq!(closing_line(11, 0, 0), "11 passed, 0 failed");
        assert_eq!(closing_line(3, 1, 0), "3 passed, 1 failed");
        assert_eq!(closing_line(10, 0, 1), "10 passed, 0 failed, 1 skipped");
    }
}
