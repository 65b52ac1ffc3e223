//! Where things are, as cargo tells it.

use std::path::Path;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package};

/// This workspace; every path of the other modules is below its root.
pub(crate) struct Workspace {
    pub(crate) metadata: Metadata,
}

impl Workspace {
    /// Reads the workspace's metadata and makes its root the current directory.
    ///
    /// Fails where the lock file is not up to date: it is in git, and every check is made with it.
    pub(crate) fn load() -> Result<Self> {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = xtask.parent().context("xtask is not in a workspace")?;
        std::env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))?;
        let metadata = MetadataCommand::new()
            .features(cargo_metadata::CargoOpt::AllFeatures)
            .other_options(vec!["--locked".into()])
            .exec()
            .context("cargo metadata --locked")?;
        Ok(Self { metadata })
    }

    /// The folder `target`, wherever `CARGO_TARGET_DIR` puts it.
    pub(crate) fn target(&self) -> &Path {
        self.metadata.target_directory.as_std_path()
    }

    /// The package of that name among the members.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let found = self.metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
        found.with_context(|| format!("the workspace has no package {name}"))
    }

    /// The members that are meant for others: all but those with `publish = false`.
    pub(crate) fn published(&self) -> Vec<&Package> {
        let mut packages = self.metadata.workspace_packages();
        packages.retain(|package| package.publish.as_ref().is_none_or(|registries| !registries.is_empty()));
        packages
    }
}
