//! Programs that Debian has as packages.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::{CommandLine, find_program};

const MINUTE: Duration = Duration::from_secs(60);

/// Finds one of these programs; else installs the package, where this may be done.
pub(crate) fn have(programs: &[&str], package: &str) -> Result<()> {
    if programs.iter().any(|name| find_program(name).is_some()) {
        return Ok(());
    }
    if find_program("apt-get").is_none() {
        bail!("there is no {}, and no apt-get to install it", programs[0]);
    }
    if CommandLine::new("id -u").output()?.trim() != "0" {
        bail!("there is no {}, and only root may install it (the package {package})", programs[0]);
    }
    // Another one may be at work, as on a machine that has just begun to run.
    const APT: &str = "apt-get -o DPkg::Lock::Timeout=300";
    let failed = || format!("the package {package} cannot be installed");
    CommandLine::new(&format!("{APT} update -q")).run_within(5 * MINUTE).with_context(failed)?;
    CommandLine::new(&format!("{APT} install -q -y --no-install-recommends {package}"))
        .variable("DEBIAN_FRONTEND", "noninteractive")
        .run_within(15 * MINUTE)
        .with_context(failed)
}
