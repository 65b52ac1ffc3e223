//! Steps that run one after the other, up to the first failure.

use std::env;
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
    /// What could not be checked here, and why. In continuous integration (`CI=true`) that is a failure.
    LeftOut(String),
    /// What was left out is no proof, but an addition to one that was made: that may happen everywhere.
    AdditionLeftOut(String),
}

impl Outcome {
    /// The rule of continuous integration: what a proof needs has to be there.
    fn judge(self, ci: bool) -> Result<Self> {
        match self {
            Self::LeftOut(reason) if ci => bail!("{reason}; with CI=true nothing may be left out"),
            outcome => Ok(outcome),
        }
    }
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
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    let mut summary = Vec::new();
    let ci = env::var("CI").is_ok_and(|ci| ci == "true");
    let start = Instant::now();
    for (n, step) in steps.iter().enumerate() {
        println!("\n== {}/{} {}: {}", n + 1, steps.len(), step.name, step.title);
        let step_start = Instant::now();
        let outcome = (step.run)(workspace).and_then(|outcome| outcome.judge(ci));
        let seconds = step_start.elapsed().as_secs_f64();
        let verdict = match &outcome {
            Ok(Outcome::Passed) => {
                passed += 1;
                "passed".into()
            }
            Ok(Outcome::LeftOut(reason) | Outcome::AdditionLeftOut(reason)) => {
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
    fn in_continuous_integration_only_an_addition_may_be_left_out() {
        let outcomes = |ci| {
            let left_out = || Outcome::LeftOut("no node".into()).judge(ci);
            let addition = || Outcome::AdditionLeftOut("no target".into()).judge(ci);
            (left_out().map_err(|error| error.to_string()), addition().is_ok(), Outcome::Passed.judge(ci).is_ok())
        };
        assert!(matches!(outcomes(false), (Ok(Outcome::LeftOut(reason)), true, true) if reason == "no node"));
        assert!(matches!(outcomes(true), (Err(reason), true, true) if reason.starts_with("no node")));
    }

    #[test]
    fn the_closing_line_counts_what_ran() {
        assert_eq!(closing_line(11, 0, 0), "11 passed, 0 failed");
        assert_eq!(closing_line(3, 1, 0), "3 passed, 1 failed");
        assert_eq!(closing_line(10, 0, 1), "10 passed, 0 failed, 1 skipped");
    }
}
